"""Changes between the builds of an image: those of a range of builds compose to the difference of its ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from hypothesis import given, settings
from hypothesis import strategies as st

from ami_bakery.core.definition.manifest import Entry, EntryKind, Manifest, ManifestPart, hash_value
from ami_bakery.core.report.build_history import BuildChange, BuildChanges, PastBuild, changes_between
from ami_bakery.values import Frozen, replace

EMPTY = Manifest(image="app", salt="", template="t.json", workdir=".", entries=())
PARTS = tuple(ManifestPart)
IN_GIT = (ManifestPart.FILES, ManifestPart.VARIABLES, ManifestPart.SETTINGS)
SECRET = "correct horse battery staple"


def entry(path: str, content: str = "1") -> Entry:
    return Entry(path=path, kind=EntryKind.FILE, sha256=hash_value(content))


def with_files(**contents: str) -> Manifest:
    return replace(EMPTY, entries=tuple(entry(path, content) for path, content in sorted(contents.items())))


def exact(ami: str, manifest: Manifest, sources: tuple[str, ...] = ()) -> PastBuild:
    parts = manifest.components()
    build = PastBuild(ami=ami, digest=str(manifest.digest()), parts=parts, sources=sources)
    return with_git(build, manifest)


def with_git(build: PastBuild, manifest: Manifest) -> PastBuild:
    return replace(build, manifest=manifest, in_manifest=manifest.components())


def tags_only(ami: str, manifest: Manifest, why: str = "it has no commit tag") -> PastBuild:
    caveats = dict.fromkeys(IN_GIT, why)
    return PastBuild(ami=ami, digest=str(manifest.digest()), parts=manifest.components(), caveats=caveats)


def composed(changes: Sequence[BuildChanges]) -> dict[tuple[ManifestPart, str], tuple[int | None, int | None]]:
    """Composes changes as the schema of the report says."""
    found: dict[tuple[ManifestPart, str], tuple[int | None, int | None]] = {}
    for item in (item for change in changes for item in change.items):
        key = item.part, item.subject
        found[key] = found.get(key, (item.before, None))[0], item.after
    return {key: ends for key, ends in found.items() if ends[0] != ends[1]}


def subjects(changes: BuildChanges) -> list[str]:
    return [item.subject for item in changes.items]


def test_changed_files_variables_and_settings_have_details() -> None:
    old = replace(
        with_files(kept="1", changed="1", gone="1"),
        variables=(("size", hash_value("small")),),
        environment=(("CHANNEL", None),),
    )
    new = replace(
        with_files(kept="1", changed="2", new="1"),
        variables=(("size", hash_value("large")),),
        environment=(("CHANNEL", hash_value("x")),),
        var_files=("x.json",),
        salt="2",
    )
    (changes,) = changes_between([exact("ami-1", old), exact("ami-2", new)])
    assert changes.since == "ami-1"
    assert changes.notes == ()
    assert [(item.subject, item.before, item.after, item.detail) for item in changes.items] == [
        ("changed", 1, 2, "changed changed"),
        ("gone", 1, None, "gone was removed"),
        ("new", None, 1, "new was added"),
        ("environment CHANNEL", 1, 2, "environment CHANNEL changed"),
        ("size", 1, 2, "variable size changed"),
        ("var-files", None, 1, "var-files changed from not set to x.json"),
        ("salt", None, 1, "salt changed from not set to 2"),
    ]


def test_state_that_returns_has_its_old_number() -> None:
    builds = [exact(f"ami-{number}", with_files(a=content)) for number, content in enumerate("121")]
    first, second = changes_between(builds)
    assert [(item.before, item.after) for item in (*first.items, *second.items)] == [(1, 2), (2, 1)]
    assert composed([first, second]) == {}


def test_changed_source_ami_is_named_with_both_ids() -> None:
    old, new = (replace(EMPTY, base=(("", ami),)) for ami in ("ami-old", "ami-new"))
    (changes,) = changes_between([exact("ami-1", old, ("ami-old",)), exact("ami-2", new, ("ami-new",))])
    (item,) = changes.items
    assert (item.part, item.subject) == (ManifestPart.BASE, "base")
    assert item.detail == "the source AMI changed from ami-old to ami-new"
    assert changes.notes == ()


def test_changed_tools_are_one_change_without_details() -> None:
    new = replace(EMPTY, tools=(("packer", "1.7.0"),))
    (changes,) = changes_between([exact("ami-1", EMPTY), exact("ami-2", new)])
    (item,) = changes.items
    assert (item.subject, item.detail) == ("tools", "Packer or a plugin changed")
    assert changes.notes == ()


def test_build_without_manifest_changes_the_part_and_a_note_says_why() -> None:
    builds = [exact("ami-1", with_files(a="1")), tags_only("ami-2", with_files(a="2"))]
    (changes,) = changes_between(builds)
    (item,) = changes.items
    assert (item.part, item.subject, item.before, item.after) == (ManifestPart.FILES, "files", 1, 2)
    assert item.detail == "files changed: the details are unknown"
    assert changes.notes == (
        "the files of ami-2 are unknown: it has no commit tag; changes are listed as if they were those of ami-1",
    )


def test_changes_over_a_build_without_manifest_are_exact() -> None:
    builds = [
        exact("ami-1", with_files(a="1", b="1", c="1")),
        tags_only("ami-2", with_files(a="2", b="2", c="1")),
        exact("ami-3", with_files(a="2", b="1", c="3")),
    ]
    changes = changes_between(builds)
    assert composed(changes).keys() == {(ManifestPart.FILES, "a"), (ManifestPart.FILES, "c")}
    assert subjects(changes[1]) == ["files", "a", "c"]
    assert changes[1].items[0].detail == "files changed: the list may be incomplete"
    assert "as if they were those of ami-1" in changes[1].notes[0]


def test_build_without_manifest_has_the_details_of_one_with_the_same_digest() -> None:
    other = replace(with_files(a="2"), salt="2")
    builds = [
        exact("ami-1", with_files(a="1")),
        replace(tags_only("ami-2", other), parts=other.components()),
        exact("ami-3", with_files(a="2")),
    ]
    first, second = changes_between(builds)
    assert subjects(first) == ["a", "settings"]
    assert subjects(second) == ["settings"], "salt is unknown, and files are the same"


def test_dirty_build_lists_the_changes_of_its_commit_and_says_that_it_may_be_incomplete() -> None:
    dirty = with_git(
        tags_only("ami-2", with_files(a="2", b="2"), "it was built with uncommitted changes"),
        with_files(a="2", b="1"),
    )
    (changes,) = changes_between([exact("ami-1", with_files(a="1", b="1")), dirty])
    assert [(item.subject, item.detail) for item in changes.items] == [
        ("files", "files changed: the list may be incomplete"),
        ("a", "a changed"),
    ]
    assert changes.notes == ("the files of ami-2 are not exactly known: it was built with uncommitted changes",)


def test_builds_without_a_components_tag_never_count_as_unchanged() -> None:
    builds = [PastBuild(ami=f"ami-{number}", digest=str(number)) for number in (1, 2, 2)]
    first, second = changes_between(builds, (ManifestPart.FILES, ManifestPart.TOOLS))
    assert [item.detail for item in first.items] == [
        "unknown whether files changed",
        "unknown whether Packer or a plugin changed",
    ]
    assert len(first.notes) == 4
    assert (second.items, second.notes) == ((), ()), "the digest is the same"


def test_file_with_the_name_of_the_part_is_not_the_part() -> None:
    builds = [
        exact("ami-1", replace(EMPTY, entries=(entry("files"),), variables=(("variables", "1"), ("var-files", "1")))),
        exact("ami-2", EMPTY),
    ]
    (changes,) = changes_between(builds)
    assert subjects(changes) == ["./files", "variable var-files", "variable variables"]


def test_one_build_has_no_changes() -> None:
    assert changes_between([exact("ami-1", EMPTY)]) == ()
    assert changes_between([]) == ()


class Knowledge(Enum):
    """What git knows about a build."""

    EXACT = "exact"
    NOTHING = "nothing"
    OTHER = "other"
    """The manifest in git is another one, as for a build with uncommitted changes."""


class Built(Frozen):
    manifest: Manifest
    knowledge: Knowledge
    in_git: Manifest


HASHES = st.sampled_from([hash_value(SECRET), hash_value("2")])
ENTRIES = st.lists(
    st.builds(
        Entry,
        path=st.sampled_from(["a", "b/c", "files", "é"]),
        kind=st.sampled_from([EntryKind.FILE, EntryKind.LINK]),
        executable=st.booleans(),
        sha256=HASHES,
        target=st.sampled_from(["x", "y"]),
    ),
    unique_by=lambda found: found.path,
).map(lambda found: tuple(sorted(found, key=lambda one: one.sort_key)))
NAMES = st.sampled_from(["x", "variables", "var-files", "environment x"])
MANIFESTS = st.builds(
    Manifest,
    image=st.just("app"),
    salt=st.sampled_from(["", "1"]),
    template=st.sampled_from(["t", "u"]),
    workdir=st.just("."),
    entries=ENTRIES,
    variables=st.dictionaries(NAMES, HASHES, max_size=2).map(lambda found: tuple(sorted(found.items()))),
    environment=st.dictionaries(NAMES, st.none() | HASHES, max_size=2).map(lambda found: tuple(sorted(found.items()))),
    var_files=st.sampled_from([(), ("a",), ("a", "b")]),
    only=st.sampled_from([(), ("a",)]),
    arguments=st.sampled_from([(), ("a b",), ("a", "b")]),
    base=st.sampled_from([(), (("", "ami-a"),), (("x", "ami-a"),)]),
    tools=st.sampled_from([(), (("packer", "1"),)]),
)
FIELDS = {
    ManifestPart.FILES: ("entries",),
    ManifestPart.VARIABLES: ("variables", "environment", "var_files"),
    ManifestPart.SETTINGS: ("salt", "template", "only", "arguments"),
    ManifestPart.BASE: ("base",),
    ManifestPart.TOOLS: ("tools",),
}


@st.composite
def histories(draw: st.DrawFn) -> list[Built]:
    """Builds whose parts come from few manifests, so that states return."""
    pool = draw(st.lists(MANIFESTS, min_size=2, max_size=3))

    def mixed(number: int) -> Manifest:
        """Returns a manifest with a part of the pool for each digit of the number."""
        fields = {}
        for names in FIELDS.values():
            number, digit = divmod(number, len(pool))
            fields.update({name: getattr(pool[digit], name) for name in names})
        return replace(EMPTY, **fields)

    numbers = st.integers(0, len(pool) ** len(FIELDS) - 1)
    built = st.builds(
        Built,
        manifest=numbers.map(mixed),
        knowledge=st.sampled_from(Knowledge),
        in_git=numbers.map(mixed),
    )
    return draw(st.lists(built, min_size=2, max_size=6))


HISTORIES = histories()


def past_builds(history: Sequence[Built]) -> list[PastBuild]:
    found = []
    for number, built in enumerate(history):
        build = tags_only(f"ami-{number}", built.manifest)
        build = replace(build, sources=tuple(sorted({ami for _, ami in built.manifest.base})))
        match built.knowledge:
            case Knowledge.EXACT:
                build = with_git(build, built.manifest)
            case Knowledge.OTHER:
                build = with_git(build, built.in_git)
            case Knowledge.NOTHING:
                pass
        found.append(build)
    return found


def ranges(changes: Sequence[BuildChanges]) -> Iterable[tuple[int, int]]:
    return ((i, j) for j in range(1, len(changes) + 1) for i in range(j))


def states(manifest: Manifest, part: ManifestPart) -> dict[object, object]:
    """The states of all subjects, by kind and name."""
    match part:
        case ManifestPart.FILES:
            return {("file", one.path): one for one in manifest.entries}
        case ManifestPart.VARIABLES:
            found: dict[object, object] = {("variable", name): value for name, value in manifest.variables}
            found |= {("environment", name): (value,) for name, value in manifest.environment}
            return {**found, "var-files": manifest.var_files}
        case ManifestPart.SETTINGS:
            return {name: getattr(manifest, name) for name in ("salt", "template", "only", "arguments")}
        case ManifestPart.BASE:
            return {"base": manifest.base}
        case ManifestPart.TOOLS:
            return {"tools": manifest.tools}


@given(HISTORIES)
def test_changes_of_any_range_compose_to_the_difference_of_its_ends(history: Sequence[Built]) -> None:
    changes = changes_between(past_builds(history))
    for i, j in ranges(changes):
        older, newer = history[i], history[j]
        if not (older.knowledge is newer.knowledge is Knowledge.EXACT):
            continue
        found = composed(changes[i:j])
        for part in PARTS:
            before, after = states(older.manifest, part), states(newer.manifest, part)
            moved = [subject for subject in {*before, *after} if before.get(subject) != after.get(subject)]
            assert len([1 for one, _ in found if one is part]) == len(moved)
            assert not [ends for key, ends in found.items() if key == (part, part.value) and part in IN_GIT]


@given(HISTORIES)
def test_a_range_is_unchanged_only_if_its_components_are_equal(history: Sequence[Built]) -> None:
    changes = changes_between(past_builds(history))
    for i, j in ranges(changes):
        found = composed(changes[i:j])
        before, after = (history[end].manifest.components() for end in (i, j))
        assert {part for part, _ in found} == {part for part in PARTS if before[part] != after[part]}


@settings(max_examples=40)
@given(HISTORIES)
def test_every_part_that_is_not_exactly_known_has_a_note(history: Sequence[Built]) -> None:
    changes = changes_between(past_builds(history))
    for number, change in enumerate(changes):
        unknown = {item.part for item in change.items if item.subject == item.part and item.part in IN_GIT}
        ends = (f"ami-{number}", f"ami-{number + 1}")
        for part in unknown:
            assert [note for note in change.notes if note.startswith(tuple(f"the {part} of {ami} are" for ami in ends))]


@settings(max_examples=40)
@given(HISTORIES)
def test_equal_numbers_are_equal_states(history: Sequence[Built]) -> None:
    changes = changes_between(past_builds(history))
    for i, j in ranges(changes):
        direct = changes_between([past_builds(history)[end] for end in (i, j)])[0]
        if history[i].knowledge is history[j].knowledge is Knowledge.EXACT:
            assert composed(changes[i:j]).keys() == {(item.part, item.subject) for item in direct.items}


@settings(max_examples=40)
@given(HISTORIES)
def test_hashes_of_values_and_contents_are_not_in_the_result(history: Sequence[Built]) -> None:
    shown = repr(changes_between(past_builds(history)))
    assert hash_value(SECRET) not in shown
    assert hash_value("2") not in shown


@settings(max_examples=40)
@given(HISTORIES)
def test_no_change_is_listed_twice_or_without_a_difference(history: Sequence[Built]) -> None:
    for change in changes_between(past_builds(history)):
        keys = [(item.part, item.subject) for item in change.items]
        assert len(keys) == len(set(keys))
        assert all(is_a_difference(item) for item in change.items)


def is_a_difference(item: BuildChange) -> bool:
    return item.before != item.after and bool(item.detail)
