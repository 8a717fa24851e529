"""Checks the files that a bake reads and writes: local commands, outputs and uploads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding, Level
from ami_bakery.define.file_walk import VERSION_CONTROL, FileWalk
from ami_bakery.define.inputs import walks_of, would_be_input
from ami_bakery.template.facts import Certainty, LocalCommand
from ami_bakery.template.outputs import OutputNames
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.template.facts import Output, TemplateFacts
    from ami_bakery.template.location import SourceLocation
    from ami_bakery.template.source_tree import SourceTree

_MOST_NAMED = 3
_MOST_ASKED = 20


def reading_findings(
    tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts, inventory: Inventory
) -> Iterator[Finding]:
    yield from command_findings(image, facts)
    yield from _written_findings(tree, image, config_file, facts, inventory)
    yield from _upload_findings(tree, image, config_file, facts)
    yield from _git_findings(inventory)


def command_findings(image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    for command in facts.local_commands:
        yield Finding(
            level=Level.NOTICE if image.inputs else Level.WARNING,
            code="local-command",
            location=command.location,
            message=_describe_unknown(command),
            todo="Add the files and folders that it reads to `inputs`."
            if not image.inputs
            else "If it reads other files than those in `inputs`, add them.",
        )
    for name, location, why in facts.unhashed_environment:
        if name not in image.environment:
            yield Finding.notice(
                "environment-not-hashed",
                location,
                message=f"a local command reads {name}, which is not in the digest: {why}",
                todo=f'If the image depends on it, add it to the digest: env = ["{name}"].',
            )


def _describe_unknown(command: LocalCommand) -> str:
    programs = " and ".join(f"`{name}`" for name in command.programs[:_MOST_NAMED])
    if len(command.programs) > _MOST_NAMED:
        programs += f" and {len(command.programs) - _MOST_NAMED} more programs"
    parts = []
    if programs or not command.unknown:
        parts.append(f"runs {programs or 'a program'}, which may read more files than its arguments name")
    if command.unknown:
        locations = ", ".join(str(location) for location in command.unknown[:_MOST_NAMED])
        more = f" and {len(command.unknown) - _MOST_NAMED} more" if len(command.unknown) > _MOST_NAMED else ""
        parts.append(f"has arguments that cannot be determined ({locations}{more})")
    return f"this {command.component} {', and '.join(parts)}"


# --- files that the bake writes


def _written_findings(
    tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts, inventory: Inventory
) -> Iterator[Finding]:
    for reference, output in facts.overwritten:
        yield Finding.warning(
            "output-used",
            reference.location,
            message=f"{reference.shown} is not in the digest: the bake writes it ({output.location})",
            todo="Make sure that its sources are in the inputs, and set `generated = true` where it is uploaded.",
        )
    inputs = set(inventory.named_by)
    for reference, output in facts.contested:
        if reference.path in inputs:
            yield Finding.warning(
                "input-written",
                reference.location,
                message=f"{reference.path} is an input, and the bake may "
                f"{_does(output).removesuffix('s')} it ({output.location}): then the AMI does not get the digest",
                todo="Write to another path. If only the bake creates it, add it to `ignore` or set "
                "`generated = true`.",
            )
    yield from _touched_findings(facts, inputs)
    for source, is_input in facts.generated:
        state = "it counts as an input" if is_input else "it is not in the digest"
        yield Finding(
            level=Level.NOTICE if is_input or image.inputs else Level.WARNING,
            code="generated-unseen",
            location=source.location,
            message=f"{source.shown} has generated = true, but nothing in the template seems to create it: {state}",
            todo="If it exists before Packer runs, remove `generated`."
            if is_input
            else "Add its sources to `inputs`. If it exists before Packer runs, remove `generated`.",
        )
    yield from _output_findings(tree, image, config_file, facts)
    yield from _excluded_by_pattern(tree, image, config_file, facts, inputs)


def _touched_findings(facts: TemplateFacts, inputs: Collection[str]) -> Iterator[Finding]:
    """Finds commands that change an input's name, mode or times: `chmod`, `touch`, `mv`."""
    for path, location, does in facts.touched:
        changed = sorted(each for each in inputs if each == path or _lies_in(each, path))
        if changed:
            yield Finding.warning(
                "input-written",
                location,
                message=f"the bake {does} {_few(changed)}, which {'is an input' if len(changed) == 1 else 'are inputs'}"
                ": an AMI whose bake changes an input does not get the digest",
                todo="Let the command use a copy outside the inputs. A file mode can be committed: "
                "git update-index --chmod=+x FILE.",
            )


def _output_findings(tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts) -> Iterator[Finding]:
    contested = {output.path for _, output in facts.contested}
    uploads = [reference.path for reference in facts.references if reference.required]
    asked = 0
    removed = {output.path.removesuffix("/**") for output in facts.outputs if output.is_removed and output.pattern}
    for output in facts.outputs:
        if output.is_folder or output.path in contested or output.path.endswith("/**") or output.path in removed:
            continue
        # Absolute paths such as /tmp/x differ between machines.
        exists = not output.pattern and not output.path.startswith("/") and tree.entry(output.path) is not None
        if output.certainty is Certainty.PERHAPS:
            asked += 1
            if (
                output.pattern
                or asked > _MOST_ASKED
                or not would_be_input(tree, image, config_file, facts, output.path)
            ):
                continue
            yield _maybe_written(output, exists=exists)
        elif any(_lies_in(output.path, upload) for upload in uploads):
            yield Finding.warning(
                "output-inside",
                output.location,
                message=f"the bake {_does(output)} {output.shown} in an uploaded folder: it is not in the digest",
                todo="Write to another folder, so that the digest covers everything that is uploaded.",
            )
        elif exists:
            yield Finding.notice(
                "output-inside",
                output.location,
                message=f"the bake {_does(output)} {output.shown}: it is not in the digest",
                todo="If only the bake creates it, nothing to do. If it is an input, add this file to `inputs`.",
            )


def _excluded_by_pattern(
    tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts, inputs: Collection[str]
) -> Iterator[Finding]:
    """Finds files in the folders of bakery.toml that match an output's pattern: a name with unknown parts, or a folder.

    inputs  paths that something else names; they are not reported
    """
    patterns = [each for each in facts.outputs if each.pattern and each.certainty is not Certainty.PERHAPS]
    declared, _ = walks_of(tree, image, config_file, facts) if patterns else ([], [])
    found: dict[Output, dict[str, None]] = {}
    for walk in declared:
        for _ in walk:
            pass
        for path, name in _excluded(walk):
            output = OutputNames(patterns).match(path)
            if name not in VERSION_CONTROL and output is not None and path not in inputs:
                by = next((each for each in patterns if each.pattern == output.pattern), output)
                found.setdefault(by, {})[path] = None
    for output in patterns:
        base = output.path.removesuffix("/**")
        is_one_path = "*" not in base and not base.endswith("__pycache__") and not base.startswith("/")
        exists = is_one_path and tree.entry(base) is not None
        if output not in found and base != output.path and exists:
            found[output] = {base: None}
    for output, paths in found.items():
        yield Finding.notice(
            "output-inside",
            output.location,
            message=f"the bake {_does(output)} {output.shown}: existing files are not in the digest ({_few([*paths])})",
            todo="If only the bake creates them, nothing to do. If one is an input, add this file to `inputs`.",
        )


def _few(names: Sequence[str]) -> str:
    shown = names if len(names) == _MOST_NAMED + 1 else names[:_MOST_NAMED]
    more = len(names) - len(shown)
    return f"{', '.join(shown)} and {more} more" if more else ", ".join(shown)


def _does(output: Output) -> str:
    return "removes" if output.is_removed else "writes"


def _lies_in(path: str, folder: str) -> bool:
    return folder == "." or path.startswith(f"{folder.rstrip('/')}/")


def _maybe_written(output: Output, *, exists: bool) -> Finding:
    return Finding.notice(
        "input-written",
        output.location,
        message=f"{output.shown} {'is' if exists else 'will be'} an input, and the bake conditionally {_does(output)} "
        "it: if it changes, the AMI does not get the digest",
        todo="If only the bake creates it, add it to `ignore`.",
    )


# --- files that are uploaded


def _upload_findings(tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts) -> Iterator[Finding]:
    """Finds files in uploaded folders that are not in the digest."""
    _, named = walks_of(tree, image, config_file, facts)
    reported: set[tuple[str, str]] = set()
    for walk in named:
        entry = tree.entry(walk.path, follow=True)
        uploads = walk.origin.required or walk.origin.guessed
        if not uploads or entry is None or entry.kind is not FileKind.FOLDER:
            continue
        for _ in walk:
            pass
        new = [found for found in _excluded(walk) if found not in reported]
        reported.update(new)
        version_control = [path for path, name in new if name in VERSION_CONTROL]
        outputs = [path for path, name in new if name not in VERSION_CONTROL]
        if version_control:
            yield _not_in_digest(walk, version_control, is_git=True)
        if outputs:
            yield _not_in_digest(walk, outputs, is_git=False)


def _excluded(walk: FileWalk) -> Iterator[tuple[str, str]]:
    """Yields (path, name) of excluded outputs and version-control folders. Omits those that `ignore` excludes."""
    for folder, names in sorted(walk.left_out.items()):
        for name in sorted(names):
            path = f"{walk.walked[folder][0]}/{name}".removeprefix("./") if folder in walk.walked else name
            if name in VERSION_CONTROL or walk.outputs.holds(f"{folder.rstrip('/')}/{name}"):
                yield path, name


def _not_in_digest(walk: FileWalk, paths: Sequence[str], *, is_git: bool) -> Finding:
    reads = "a folder that a local command gets contains" if walk.origin.guessed else "the uploaded folder contains"
    names = _few(paths)
    not_in_digest = f"which {'is' if len(paths) == 1 else 'are'} not in the digest"
    if is_git:
        wrong = f"{reads} {names}, {not_in_digest} and changes with each commit"
        todo = "Upload a folder without it: a subfolder, a copy, or the output of `git archive`."
    else:
        wrong = f"{reads} {names}, {not_in_digest}: bakes write it"
        todo = "Run Packer in another folder (`workdir`), write to another folder, or upload a folder without it."
    return Finding(
        level=Level.NOTICE if walk.origin.guessed else Level.WARNING,
        code="upload-not-in-digest",
        location=walk.origin.location,
        message=wrong,
        todo=todo,
    )


def _git_findings(inventory: Inventory) -> Iterator[Finding]:
    reported: set[SourceLocation] = set()
    for path, locations in inventory.named_by.items():
        if ".git" not in path.split("/") or not _is_new(locations, reported):
            continue
        yield Finding.warning(
            "input-in-git",
            locations[0],
            message=f"{path} is an input: every commit changes the digest",
            todo="Do not use it in the template: AMIs have the commit in the tag `ami-bakery:commit`.",
        )


def _is_new(locations: Collection[SourceLocation], reported: set[SourceLocation]) -> bool:
    new = reported.isdisjoint(locations)
    reported.update(locations)
    return new
