"""The manifest's bytes: framed, versioned, and changed by every field."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.definition.manifest import (
    Entry,
    EntryKind,
    Manifest,
    ManifestPart,
    format_components,
    hash_value,
    parse_components,
)
from ami_bakery.values import replace
from tests.s_expressions import parse

FILE = Entry(path="ami/setup.sh", kind=EntryKind.FILE, executable=True, sha256="1" * 64)
MANIFEST = Manifest(
    image="app",
    salt="1",
    template="ami/app.json",
    workdir="ami",
    entries=(FILE,),
    variables=(("size", hash_value("small")),),
    var_files=("a.json", "b.json"),
    environment=(("CHANNEL", hash_value("beta")), ("EMPTY", hash_value("")), ("UNSET", None)),
    only=("amazon-ebs",),
    base=(("", "ami-0123456789abcdef0"),),
    tools=(("packer", "1.6.6"),),
)
CHANGES: list[dict[str, object]] = [
    {"image": "other"},
    {"salt": "2"},
    {"template": "ami/other.json"},
    {"workdir": "."},
    {"entries": ()},
    {"entries": (FILE._replace(executable=False),)},
    {"entries": (FILE._replace(sha256="2" * 64),)},
    {"entries": (FILE._replace(path="ami/set-up.sh"),)},
    {"entries": (FILE._replace(kind=EntryKind.LINK, target="x"),)},
    {"entries": (FILE._replace(kind=EntryKind.LINK, target="y"),)},
    {"entries": (FILE, Entry(path="ami/z", kind=EntryKind.FOLDER))},
    {"variables": ()},
    {"variables": (("size", hash_value("large")),)},
    {"variables": (("sise", hash_value("small")),)},
    {"var_files": ("b.json", "a.json")},
    {"environment": (("CHANNEL", hash_value("beta")), ("EMPTY", None), ("UNSET", None))},
    {"environment": (("CHANNEL", hash_value("beta")), ("EMPTY", hash_value("")), ("UNSET", hash_value("")))},
    {"only": ()},
    {"only": (), "except_": ("amazon-ebs",)},
    {"arguments": ("-new-flag",)},
    {"base": (("", "ami-0123456789abcdef1"),)},
    {"base": ()},
    {"tools": (("packer", "1.7.0"),)},
    {"tools": (), "left_out": ("packer-version",)},
]


def test_every_field_changes_the_digest() -> None:
    digests = {MANIFEST.digest().hex}
    for change in CHANGES:
        digests.add(replace(MANIFEST, **change).digest().hex)  # type: ignore[arg-type]
    assert len(digests) == len(CHANGES) + 1


def test_bytes_are_a_canonical_s_expression_with_the_format_number() -> None:
    data = MANIFEST.to_bytes()
    assert data.startswith(b"(19:ami-bakery-manifest1:1(8:settings((5:image3:app)")
    name, number, *sections = parse(data)
    assert (name, number) == (b"ami-bakery-manifest", b"1")
    found = [section[0] for section in sections if isinstance(section, list)]
    assert found == [b"settings", b"variables", b"base", b"tools", b"files"]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_no_value_can_forge_a_separator(pairs: list[tuple[str, str]]) -> None:
    """Parsing the bytes returns the original values for any names."""
    manifest = replace(MANIFEST, variables=tuple(pairs))
    ((_, sections),) = [
        section
        for section in parse(manifest.to_bytes())[2:]
        if isinstance(section, list) and section[0] == b"variables"
    ]
    assert isinstance(sections, list)
    variables = sections[0][1:]
    assert variables == [[name.encode("utf-8", "surrogateescape"), value.encode()] for name, value in pairs]


def test_entries_sort_by_path_components() -> None:
    entries = [Entry(path=path, kind=EntryKind.FOLDER) for path in ("a-b", "a/z", "a.b", "a/b/c", "a", "é", "Z")]
    in_order = [entry.path for entry in sorted(entries, key=lambda entry: entry.sort_key)]
    assert in_order == ["Z", "a", "a/b/c", "a/z", "a-b", "a.b", "é"]


def test_names_that_are_not_utf8_are_distinct() -> None:
    first = replace(MANIFEST, entries=(FILE._replace(path="\udcff"),))
    second = replace(MANIFEST, entries=(FILE._replace(path="\udcfe"),))
    assert b"\xff" in first.to_bytes()
    assert first.digest() != second.digest()


def test_components_show_which_part_changed() -> None:
    before = MANIFEST.components()
    after = replace(MANIFEST, base=()).components()
    assert {component for component in ManifestPart if before[component] != after[component]} == {ManifestPart.BASE}


def test_components_survive_a_round_trip_through_the_tag() -> None:
    components = MANIFEST.components()
    text = format_components(components)
    assert len(text) <= 256
    assert parse_components(text) == components
    assert parse_components(f"{text} unheard-of=0123") == components
