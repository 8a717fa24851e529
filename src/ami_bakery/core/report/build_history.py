"""Computes what changed between the builds of an image.

The changes between any two builds can be composed from the changes between consecutive ones.

Every build gets a state for each subject: a file, a variable, a setting, or a whole part of the definition. The changes
of a build are the subjects whose state differs from the build before. So the first `before` and the last `after` of a
subject in a range of builds are its states at the ends of the range, also if details are unknown in between.

The state of a part is the digest in the AMI's tag. Details come from manifests; they are exact if a manifest has the
digest of the tag. All builds with the same digest of a part have the same details. The part itself is a subject, too:
for its exact details it has one state, and for each digest without them another. So a comparison with such a build has
a change of the part, which says that the list may be incomplete.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.core.definition.diff import compare_manifests, component_change
from ami_bakery.core.definition.manifest import Manifest, ManifestPart
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.core.definition.diff import Change

LISTED_PARTS = (ManifestPart.FILES, ManifestPart.VARIABLES, ManifestPart.SETTINGS)
"""Parts whose details a manifest from git has. The source AMI and the tools of a build are only in its tags."""

Fingerprint: TypeAlias = Hashable
"""Equal fingerprints of one subject are equal states. May contain hashes of values: never shown."""


class PastBuild(Frozen):
    """What is known about the definition of one build.

    ami         the AMI that Packer created
    digest      of the whole definition; empty if unknown
    parts       digest of each part, from the AMI's tags
    sources     its source AMIs
    manifest    its definition in git; None if it is unknown
    in_manifest  digest of each part of `manifest`; those of an exact one are the same as in `parts`
    caveats     why details of a part are unknown or not exact, as a clause without subject: `it has no commit tag`
    """

    ami: str
    digest: str = ""
    parts: Mapping[ManifestPart, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    manifest: Manifest | None = None
    in_manifest: Mapping[ManifestPart, str] = field(default_factory=dict)
    caveats: Mapping[ManifestPart, str] = field(default_factory=dict)


class BuildChange(Frozen):
    """A subject that differs between two builds.

    subject  a file, a variable, a setting; or the part itself, for what is not known in detail
    before   number of the state in the older build; None if the subject is absent
    after    the same, in the newer build
    detail   a clause for exactly these two builds
    """

    part: ManifestPart
    subject: str
    before: int | None
    after: int | None
    detail: str


class BuildChanges(Frozen):
    """The difference between a build and the one before.

    since  the AMI of the build before
    notes  what is unknown, and why, as clauses
    """

    since: str
    items: tuple[BuildChange, ...]
    notes: tuple[str, ...]


class _State(Frozen):
    """The state of one part in a build.

    key       equal keys are equal states
    is_tagged  whether a tag of the build has the digest of the part
    sources   the source AMIs, if this is the state of the base
    manifest  the definition that has the details; None if no build of the image has one
    is_exact  whether the details are exactly those of the build
    stand_in  the AMI whose details are used, because those of the build are unknown; empty if they are known
    """

    key: Fingerprint
    is_tagged: bool
    sources: tuple[str, ...] = ()
    manifest: Manifest | None = None
    is_exact: bool = False
    stand_in: str = ""


def changes_between(
    builds: Sequence[PastBuild], parts: Sequence[ManifestPart] = tuple(ManifestPart)
) -> tuple[BuildChanges, ...]:
    """Returns the changes of each build but the first since the one before. `builds`: oldest first."""
    numbers = _StateNumbers()
    states = {part: _states(builds, part) for part in parts}
    numbered = {part: [numbers.of(part, state) for state in states[part]] for part in parts}
    found = []
    for position in range(1, len(builds)):
        items: list[BuildChange] = []
        notes: dict[str, None] = {}
        for part in parts:
            ends = states[part][position - 1], states[part][position]
            changed = tuple(_changed(part, *ends, *numbered[part][position - 1 : position + 1]))
            items += changed
            for build, state in zip(builds[position - 1 : position + 1], ends, strict=True):
                if changed and (note := _note(part, build, state)):
                    notes[note] = None
        found.append(BuildChanges(since=builds[position - 1].ami, items=tuple(items), notes=tuple(notes)))
    return tuple(found)


def _states(builds: Sequence[PastBuild], part: ManifestPart) -> list[_State]:
    """Returns the state of a part in each build: a function of the part's digest.

    Details are those of an exact manifest, else those of git's, else those of the nearest build that has some.
    """
    keys = [_key(build, part) for build in builds]
    own: dict[Fingerprint, _State] = {}
    owners: dict[Fingerprint, str] = {}
    for build, key in zip(builds, keys, strict=True):
        if part not in LISTED_PARTS or build.manifest is None:
            continue
        is_exact = part in build.parts and build.in_manifest.get(part) == build.parts[part]
        if key not in own or (is_exact and not own[key].is_exact):
            own[key] = _State(key=key, is_tagged=part in build.parts, manifest=build.manifest, is_exact=is_exact)
            owners[key] = build.ami
    nearest = next((key for key in keys if key in own), None)
    for build, key in zip(builds, keys, strict=True):
        if key in owners:
            nearest = key
        elif key not in own:
            manifest = own[nearest].manifest if nearest is not None else None
            owner = owners.get(nearest, "") if nearest is not None else ""
            own[key] = _State(
                key=key, is_tagged=part in build.parts, sources=build.sources, manifest=manifest, stand_in=owner
            )
    return [own[key] for key in keys]


def _key(build: PastBuild, part: ManifestPart) -> Fingerprint:
    if part in build.parts:
        return "part", build.parts[part], build.sources if part is ManifestPart.BASE else ()
    # Equal digests have equal parts. Builds without any tag have nothing in common.
    return ("digest", build.digest) if build.digest else ("build", build.ami)


class _StateNumbers:
    """Numbers the states of each subject of an image, from 1, in order of their first build."""

    def __init__(self) -> None:
        self._known: dict[tuple[ManifestPart, str], dict[Fingerprint, int]] = {}
        self._of_state: dict[tuple[ManifestPart, Fingerprint], Mapping[str, int]] = {}

    def of(self, part: ManifestPart, state: _State) -> Mapping[str, int]:
        """Returns the number of each subject of a part."""
        if (part, state.key) not in self._of_state:
            subjects = dict(_subjects(state.manifest, part)) if state.manifest is not None else {}
            subjects[part.value] = None if state.is_exact else state.key
            self._of_state[part, state.key] = {
                subject: self._number(part, subject, fingerprint) for subject, fingerprint in subjects.items()
            }
        return self._of_state[part, state.key]

    def _number(self, part: ManifestPart, subject: str, fingerprint: Fingerprint) -> int:
        known = self._known.setdefault((part, subject), {})
        return known.setdefault(fingerprint, len(known) + 1)


def _subjects(manifest: Manifest, part: ManifestPart) -> Iterator[tuple[str, Fingerprint]]:
    """Yields the subjects of a part with their states. Settings with no value are absent."""
    match part:
        case ManifestPart.FILES:
            for entry in manifest.entries:
                yield _file(entry.path), (entry.kind, entry.executable, entry.sha256, entry.target)
        case ManifestPart.VARIABLES:
            for name, sha256 in manifest.variables:
                yield _variable(name), sha256
            for name, value in manifest.environment:
                yield _environment(name), (value,)
            if manifest.var_files:
                yield _VAR_FILES, manifest.var_files
        case ManifestPart.SETTINGS:
            settings: Mapping[str, Fingerprint] = {
                "salt": manifest.salt,
                "template": manifest.template,
                "workdir": manifest.workdir,
                "only": tuple(sorted(manifest.only)),
                "except": tuple(sorted(manifest.except_)),
                "arguments": manifest.arguments,
                "digest_exclude": manifest.left_out,
            }
            yield from ((name, value) for name, value in settings.items() if value)
        case ManifestPart.BASE | ManifestPart.TOOLS:
            return


_VAR_FILES = "var-files"


def _file(path: str) -> str:
    """Returns the subject of a file. The name of the part itself means what is unknown."""
    return f"./{path}" if path == ManifestPart.FILES else path


def _variable(name: str) -> str:
    is_ambiguous = name in (ManifestPart.VARIABLES, _VAR_FILES) or name.startswith(("environment ", "variable "))
    return f"variable {name}" if is_ambiguous else name


def _environment(name: str) -> str:
    return f"environment {name}"


def _subject_of(change: Change) -> str:
    if change.kind.startswith("file-"):
        return _file(change.subject)
    if change.kind.startswith("environment-"):
        return _environment(change.subject)
    return _variable(change.subject) if change.kind.startswith("variable-") else change.subject


def _changed(
    part: ManifestPart, old: _State, new: _State, before: Mapping[str, int], after: Mapping[str, int]
) -> Iterator[BuildChange]:
    """Yields the subjects of a part whose states differ: the part itself first, then the others by name."""
    details: Mapping[str, str] = {}
    if old.manifest is not None and new.manifest is not None and old.manifest is not new.manifest:
        details = {_subject_of(change): change.detail for change in compare_manifests(old.manifest, new.manifest, part)}
    moved = {subject for subject in {*before, *after} if before.get(subject) != after.get(subject)}
    for subject in sorted(moved, key=lambda subject: (subject != part, subject)):
        detail = _detail_of_part(part, old, new, bool(details)) if subject == part else None
        yield BuildChange(
            part=part,
            subject=subject,
            before=before.get(subject),
            after=after.get(subject),
            detail=detail or details.get(subject, f"{subject} changed"),
        )


def _detail_of_part(part: ManifestPart, old: _State, new: _State, is_listed: bool) -> str:
    what = component_change(part).detail
    if not (old.is_tagged and new.is_tagged):
        return f"unknown whether {what}"
    if part is ManifestPart.BASE:
        return _base_detail(old, new)
    if part is ManifestPart.TOOLS:
        return what
    return f"{what}: the list may be incomplete" if is_listed else f"{what}: the details are unknown"


def _base_detail(old: _State, new: _State) -> str:
    if old.sources == new.sources:
        return "the builders of the source AMI changed"
    before, after = (", ".join(state.sources) or "unknown" for state in (old, new))
    return f"the source AMI changed from {before} to {after}"


def _note(part: ManifestPart, build: PastBuild, state: _State) -> str:
    """Returns why the details of a part are not exact; empty if they are, or if there are never any."""
    if state.is_exact or (part not in LISTED_PARTS and state.is_tagged):
        return ""
    if part not in LISTED_PARTS:
        return f"the {part} of {build.ami} is unknown: no tag records it"
    why = build.caveats.get(part) or "no commit has them"
    if state.manifest is not None and not state.stand_in:
        return f"the {part} of {build.ami} are not exactly known: {why}"
    listed = f"; changes are listed as if they were those of {state.stand_in}" if state.stand_in else ""
    return f"the {part} of {build.ami} are unknown: {why}{listed}"
