"""Changes between two manifests, by name; values are never shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.definition.diff import compare_components, compare_manifests
from ami_bakery.core.definition.manifest import Entry, EntryKind, Manifest, ManifestPart, hash_value
from ami_bakery.values import replace

A = Entry(path="a", kind=EntryKind.FILE, sha256="1" * 64)
MANIFEST = Manifest(image="app", salt="", template="t.json", workdir=".", entries=(A,))


def kinds(before: Manifest, after: Manifest, component: ManifestPart) -> list[tuple[str, str]]:
    return [(change.kind, change.subject) for change in compare_manifests(before, after, component)]


def test_changes_of_files() -> None:
    def files(*entries: Entry) -> list[tuple[str, str]]:
        return kinds(MANIFEST, replace(MANIFEST, entries=entries), ManifestPart.FILES)

    assert files(A) == []
    assert files() == [("file-removed", "a")]
    assert files(A, A._replace(path="b")) == [("file-added", "b")]
    assert files(A._replace(sha256="2" * 64)) == [("file-changed", "a")]
    assert files(A._replace(executable=True)) == [("file-mode-changed", "a")]
    assert files(A._replace(kind=EntryKind.LINK, target="x")) == [("file-type-changed", "a")]


def test_change_of_a_links_target() -> None:
    link = A._replace(kind=EntryKind.LINK, target="x")
    before = replace(MANIFEST, entries=(link,))
    after = replace(MANIFEST, entries=(link._replace(target="y"),))
    assert kinds(before, after, ManifestPart.FILES) == [("file-target-changed", "a")]


def test_changes_of_variables_and_environment() -> None:
    before = replace(
        MANIFEST, variables=(("kept", "1"), ("gone", "1")), environment=(("SET", hash_value("x")), ("UNSET", None))
    )
    after = replace(
        MANIFEST,
        variables=(("kept", "2"), ("new", "1")),
        environment=(("SET", None), ("UNSET", None)),
        var_files=("x.json",),
    )
    assert kinds(before, after, ManifestPart.VARIABLES) == [
        ("variable-removed", "gone"),
        ("variable-changed", "kept"),
        ("variable-added", "new"),
        ("var-files-changed", "var-files"),
        ("environment-changed", "SET"),
    ]


def test_changes_of_settings_base_and_tools() -> None:
    after = replace(MANIFEST, salt="2", workdir="x", only=("a",), base=(("", "ami-1"),), tools=(("packer", "1.7.0"),))
    assert [kind for kind, _ in kinds(MANIFEST, after, ManifestPart.SETTINGS)] == [
        "salt-changed",
        "workdir-changed",
        "only-changed",
    ]
    assert kinds(MANIFEST, after, ManifestPart.BASE) == [("base-changed", "base")]
    assert kinds(MANIFEST, after, ManifestPart.TOOLS) == [("tools-changed", "tools")]


ENTRIES = st.lists(
    st.builds(
        Entry,
        path=st.sampled_from(["a", "b", "c/d", "é"]),
        kind=st.sampled_from(EntryKind),
        executable=st.booleans(),
        sha256=st.sampled_from(["1" * 64, "2" * 64]),
        target=st.sampled_from(["x", "y"]),
    ),
    unique_by=lambda entry: entry.path,
).map(tuple)


@given(ENTRIES, ENTRIES)
def test_files_have_changes_exactly_if_the_digest_changed(old: tuple[Entry, ...], new: tuple[Entry, ...]) -> None:
    """Each build must have a reason, and each reason must be true."""

    def manifest(entries: tuple[Entry, ...]) -> Manifest:
        return replace(MANIFEST, entries=tuple(sorted(entries, key=lambda entry: entry.sort_key)))

    before, after = manifest(old), manifest(new)
    moved = compare_components(before.components(), after.components())
    changed = {path for path in {e.path for e in (*old, *new)} if _shown(old, path) != _shown(new, path)}
    assert (moved == (ManifestPart.FILES,)) == bool(changed)
    assert {subject for _, subject in kinds(before, after, ManifestPart.FILES)} >= changed


def _shown(entries: tuple[Entry, ...], path: str) -> object:
    """The bytes of an entry: a folder has no content, a file no target."""
    return next((entry.encoded() for entry in entries if entry.path == path), None)
