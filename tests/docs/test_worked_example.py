"""The worked example of the manifest's bytes: the document's files, bytes and digest, compared with the program's."""

from __future__ import annotations

import hashlib
import re
from typing import TypeAlias

from tests.docs.test_walks import steps_of, walk
from tests.documents import ROOT, blocks_of
from tests.harness import Harness
from tests.s_expressions import Node, parse

DOCUMENT = "docs/reference/manifest-format.md"
FILES = {
    block.mark.removeprefix("file "): block.text for block in blocks_of(DOCUMENT) if block.mark.startswith("file ")
}
STEPS = [step for block in blocks_of(DOCUMENT) if block.mark.startswith(("walk ", "file ")) for step in steps_of(block)]
DIGEST = STEPS[-1].shown.strip()


def documented_bytes() -> bytes:
    """The example's bytes: the block without comments and white space."""
    (text,) = [block.text for block in blocks_of(DOCUMENT) if block.mark == "canonical bytes"]
    return "".join(re.sub(r";.*", "", text).split()).encode()


Text: TypeAlias = "str | list[Text]"


def as_text(node: Node) -> Text:
    return node.decode() if isinstance(node, bytes) else [as_text(item) for item in node]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_program_prints_the_documented_digest_of_the_documented_files(harness: Harness) -> None:
    printed = walk(harness, STEPS)
    assert printed[-1].splitlines()[-1] == DIGEST


def test_documented_digest_is_the_hash_of_the_documented_bytes() -> None:
    assert hashlib.sha256(documented_bytes()).hexdigest() == DIGEST


def test_documented_bytes_are_those_of_the_golden_file() -> None:
    assert documented_bytes() == (ROOT / "tests/golden/manifest-1-documented").read_bytes()


def test_documented_bytes_have_the_hashes_of_the_documented_files_and_value() -> None:
    name, number, settings, variables, base, tools, files = map(as_text, parse(documented_bytes()))
    assert (name, number) == ("ami-bakery-manifest", "1")
    assert settings[1][0] == ["image", "app"]
    assert variables[1][0] == ["variables", ["size", sha256("t3.small")]]
    assert base == ["base", [["amazon-ebs.app", "ami-0123456789abcdef0"]]]
    assert tools == ["tools", []]
    template, script = sha256(FILES["app.pkr.hcl"]), sha256(FILES["setup.sh"])
    assert files == ["files", [["file", "app.pkr.hcl", "0", template], ["file", "setup.sh", "1", script]]]
