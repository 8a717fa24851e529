"""Golden manifests: examples are added, never edited. Changed bytes need a new format number and new files.

Each example has a value here, its bytes in tests/golden, and its digest, computed with sha256sum.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ami_bakery.core.definition.manifest import Entry, EntryKind, Manifest, hash_value

GOLDEN = Path(__file__).parent.parent / "golden"
EMPTY = hashlib.sha256(b"").hexdigest()

EXAMPLES = {
    "smallest": Manifest(
        image="app",
        salt="",
        template="app.json",
        workdir=".",
        entries=(Entry(path="app.json", kind=EntryKind.FILE, sha256=EMPTY),),
    ),
    "everything": Manifest(
        image="app",
        salt="2",
        template="images/app/app.pkr.hcl",
        workdir="images/app",
        entries=(
            Entry(path="../shared/x.sh", kind=EntryKind.FILE, sha256=EMPTY),
            Entry(path="images/app/app.pkr.hcl", kind=EntryKind.FILE, sha256=EMPTY),
            Entry(path="images/app/empty", kind=EntryKind.FOLDER),
            Entry(path="images/app/link", kind=EntryKind.LINK, target="setup.sh", executable=True, sha256=EMPTY),
            Entry(path="images/app/roles", kind=EntryKind.LINK, target="../../roles"),
            Entry(path="images/app/setup.sh", kind=EntryKind.FILE, executable=True, sha256=EMPTY),
            Entry(path="images/app/\udcff\n(3:x)", kind=EntryKind.FILE, sha256=EMPTY),
        ),
        variables=(("size", hash_value("t3.small")),),
        var_files=("b.pkrvars.hcl", "a.pkrvars.hcl"),
        environment=(("CHANNEL", hash_value("beta")), ("EMPTY", hash_value("")), ("UNSET", None)),
        only=("b", "a"),
        except_=("c",),
        arguments=("-some-new-flag",),
        base=(("", "ami-0123456789abcdef0"),),
        tools=(("packer", "1.11.0"), ("github.com/hashicorp/amazon", "1.3.0")),
        left_out=("environment",),
    ),
    "plugins": Manifest(
        image="app",
        salt="",
        template="app.pkr.hcl",
        workdir=".",
        entries=(Entry(path="app.pkr.hcl", kind=EntryKind.FILE, sha256=EMPTY),),
        tools=(
            ("packer", "1.16.0"),
            ("github.com/hashicorp/amazon", "1.8.2", hash_value("the program")),
            ("packer-provisioner-goss", "", EMPTY),
        ),
    ),
    # The worked example in docs/reference/manifest-format.md.
    "documented": Manifest(
        image="app",
        salt="",
        template="app.pkr.hcl",
        workdir=".",
        entries=(
            Entry(
                path="app.pkr.hcl",
                kind=EntryKind.FILE,
                sha256="0feca3b081a8aa6f892dde3fa88ce457885cf70ae8bb40650879b4f2c9247109",
            ),
            Entry(
                path="setup.sh",
                kind=EntryKind.FILE,
                executable=True,
                sha256="c23b7d948ad34ef8e8eb305dafa0e5b2450888a6e549d7e791a19cb0646c234f",
            ),
        ),
        variables=(("size", hash_value("t3.small")),),
        base=(("amazon-ebs.app", "ami-0123456789abcdef0"),),
        left_out=("packer-version", "plugin-versions"),
    ),
}
DIGESTS = {
    "smallest": "c1d6f44538c8f81111603346e4d0202401468ec7edd411266bdad17cb2acf796",
    "documented": "1475c9168ce81a2098f1cd4a5dc3b8c437e676c55dceeaacd1141166b2584fec",
    "plugins": "ea8433bed666870d8163e25899b5e7584839fbe3e70b2114349565633cc40b73",
    "everything": "b90593e0377d4678cf372d0c282e87221ab1556cf67bc2cbb7a6a2ed0aab4af7",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_bytes_and_digest_never_change(name: str) -> None:
    assert EXAMPLES[name].to_bytes() == (GOLDEN / f"manifest-1-{name}").read_bytes()
    assert EXAMPLES[name].digest().hex == DIGESTS[name]


def test_every_golden_file_has_an_example() -> None:
    assert {path.name for path in GOLDEN.glob("manifest-1-*")} == {f"manifest-1-{name}" for name in EXAMPLES}
