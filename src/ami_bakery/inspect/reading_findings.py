"""What `check` says of what a bake reads and writes: uploads that are not in the digest, local commands, outputs."""

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
            message=_what_is_unknown(command),
            todo="Name the files and folders that it reads in `inputs`."
            if not image.inputs
            else "If it reads files that `inputs` does not have, name them there.",
        )
    for name, location, why in facts.unhashed_environment:
        if name not in image.environment:
            yield Finding(
                level=Level.NOTICE,
                code="environment-not-hashed",
                location=location,
                message=f"a local command reads {name}, which is not in the digest: {why}",
                todo=f'If the image depends on it, have its value hashed: env = ["{name}"].',
            )


def _what_is_unknown(command: LocalCommand) -> str:
    programs = " and ".join(f"`{name}`" for name in command.programs[:_MOST_NAMED])
    if len(command.programs) > _MOST_NAMED:
        programs += f" and {len(command.programs) - _MOST_NAMED} more programs"
    parts = []
    if programs or not command.unknown:
        parts.append(f"runs {programs or 'a program'}, which may read more than the files that its words name")
    if command.unknown:
        locations = ", ".join(str(location) for location in command.unknown[:_MOST_NAMED])
        more = f" and {len(command.unknown) - _MOST_NAMED} more" if len(command.unknown) > _MOST_NAMED else ""
        parts.append(f"has words that cannot be worked out ({locations}{more})")
    return f"this {command.component} {', and '.join(parts)}"


# --- what the bake writes


def _written_findings(
    tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts, inventory: Inventory
) -> Iterator[Finding]:
    for reference, output in facts.overwritten:
        yield Finding(
            level=Level.WARNING,
            code="output-used",
            location=reference.location,
            message=f"{reference.shown} is not in the digest: the bake writes it ({output.location})",
            todo="See that what it is made of is among the inputs, and say so with `generated = true` where it is "
            "uploaded.",
        )
    inputs = set(inventory.named_by)
    for reference, output in facts.contested:
        if reference.path in inputs:
            yield Finding(
                level=Level.WARNING,
                code="input-written",
                location=reference.location,
                message=f"{reference.path} is an input, and the bake may {_does(output).removesuffix('s')} it "
                f"({output.location}): an AMI whose bake changes it gets no digest",
                todo="Let the bake write elsewhere; or name it in `ignore`, or set `generated = true`, if it is made "
                "by the bake alone.",
            )
    yield from _touched_findings(facts, inputs)
    for source, is_input in facts.generated:
        counts = "it counts as an input" if is_input else "it is not in the digest"
        yield Finding(
            level=Level.NOTICE if is_input or image.inputs else Level.WARNING,
            code="generated-unseen",
            location=source.location,
            message=f"{source.shown} is said to be generated, and nothing in the template is seen to make it: {counts}",
            todo="Take `generated` out if it is there before Packer runs."
            if is_input
            else "Name what it is made of in `inputs`; take `generated` out if it is there before Packer runs.",
        )
    yield from _output_findings(tree, image, config_file, facts)
    yield from _left_out_by_pattern(tree, image, config_file, facts, inputs)


def _touched_findings(facts: TemplateFacts, inputs: Collection[str]) -> Iterator[Finding]:
    """Commands that change what a file is called, its mode or its times: such as `chmod`, `touch` and `mv`."""
    for path, location, does in facts.touched:
        changed = sorted(each for each in inputs if each == path or _lies_in(each, path))
        if changed:
            yield Finding(
                level=Level.WARNING,
                code="input-written",
                location=location,
                message=f"the bake {does} {_few(changed)}, which {'is an input' if len(changed) == 1 else 'are inputs'}"
                ": an AMI whose bake changes an input gets no digest",
                todo="Let the command work on a copy outside the inputs. A file mode can be committed: "
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
        # What another machine has in its /tmp is no matter of this repository.
        there = not output.pattern and not output.path.startswith("/") and tree.entry(output.path) is not None
        if output.certainty is Certainty.PERHAPS:
            asked += 1
            if (
                output.pattern
                or asked > _MOST_ASKED
                or not would_be_input(tree, image, config_file, facts, output.path)
            ):
                continue
            yield _maybe_written(output, there)
        elif any(_lies_in(output.path, upload) for upload in uploads):
            yield Finding(
                level=Level.WARNING,
                code="output-inside",
                location=output.location,
                message=f"the bake {_does(output)} {output.shown} in a folder that is uploaded: it is left out of the "
                "digest",
                todo="Let it write elsewhere, so that nothing that is uploaded is left out by mistake.",
            )
        elif there:
            yield Finding(
                level=Level.NOTICE,
                code="output-inside",
                location=output.location,
                message=f"the bake {_does(output)} {output.shown}: it is left out of the digest",
                todo="Nothing, if the bake alone makes it. If it is an input, name this very file in `inputs`.",
            )


def _left_out_by_pattern(
    tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts, inputs: Collection[str]
) -> Iterator[Finding]:
    """What lies in the folders of bakery.toml and is taken for an output, since a name with unknown parts fits it, or
    all of its folder is. `inputs`: those are named by something else."""
    patterns = [each for each in facts.outputs if each.pattern and each.certainty is not Certainty.PERHAPS]
    declared, _ = walks_of(tree, image, config_file, facts) if patterns else ([], [])
    found: dict[Output, dict[str, None]] = {}
    for walk in declared:
        for _ in walk:
            pass
        for path, name in _left_out(walk):
            output = OutputNames(patterns).match(path)
            if name not in VERSION_CONTROL and output is not None and path not in inputs:
                by = next((each for each in patterns if each.pattern == output.pattern), output)
                found.setdefault(by, {})[path] = None
    for output in patterns:
        base = output.path.removesuffix("/**")
        names_one = "*" not in base and not base.endswith("__pycache__") and not base.startswith("/")
        is_there = names_one and tree.entry(base) is not None
        if output not in found and base != output.path and is_there:
            found[output] = {base: None}
    for output, paths in found.items():
        yield Finding(
            level=Level.NOTICE,
            code="output-inside",
            location=output.location,
            message=f"the bake {_does(output)} {output.shown}: what is there is not in the digest ({_few([*paths])})",
            todo="Nothing, if the bake alone makes it. If it is an input, name this very file in `inputs`.",
        )


def _few(names: Sequence[str]) -> str:
    shown = names if len(names) == _MOST_NAMED + 1 else names[:_MOST_NAMED]
    more = len(names) - len(shown)
    return f"{', '.join(shown)} and {more} more" if more else ", ".join(shown)


def _does(output: Output) -> str:
    return "removes" if output.is_removed else "writes"


def _lies_in(path: str, folder: str) -> bool:
    return folder == "." or path.startswith(f"{folder.rstrip('/')}/")


def _maybe_written(output: Output, there: bool) -> Finding:
    return Finding(
        level=Level.NOTICE,
        code="input-written",
        location=output.location,
        message=f"{output.shown} {'is' if there else 'will be'} an input, and the bake {_does(output)} it on a "
        "condition: an AMI whose bake changes it gets no digest",
        todo="Name it in `ignore` if the bake alone makes it.",
    )


# --- what is uploaded


def _upload_findings(tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts) -> Iterator[Finding]:
    """What lies in uploaded folders and is not in the digest."""
    _, named = walks_of(tree, image, config_file, facts)
    said: set[tuple[str, str]] = set()
    for walk in named:
        entry = tree.entry(walk.path, follow=True)
        uploads = walk.origin.required or walk.origin.guessed
        if not uploads or entry is None or entry.kind is not FileKind.FOLDER:
            continue
        for _ in walk:
            pass
        new = [found for found in _left_out(walk) if found not in said]
        said.update(new)
        of_git = [path for path, name in new if name in VERSION_CONTROL]
        of_bakes = [path for path, name in new if name not in VERSION_CONTROL]
        if of_git:
            yield _not_in_digest(walk, of_git, of_git=True)
        if of_bakes:
            yield _not_in_digest(walk, of_bakes, of_git=False)


def _left_out(walk: FileWalk) -> Iterator[tuple[str, str]]:
    """Files of bakes and of version control; what `ignore` leaves out is meant."""
    for folder, names in sorted(walk.left_out.items()):
        for name in sorted(names):
            path = f"{walk.walked[folder][0]}/{name}".removeprefix("./") if folder in walk.walked else name
            if name in VERSION_CONTROL or walk.outputs.holds(f"{folder.rstrip('/')}/{name}"):
                yield path, name


def _not_in_digest(walk: FileWalk, paths: Sequence[str], *, of_git: bool) -> Finding:
    reads = "a local command is given" if walk.origin.guessed else "what is uploaded has"
    names = _few(paths)
    not_in_digest = f"which {'is' if len(paths) == 1 else 'are'} not in the digest"
    if of_git:
        wrong = f"{reads} {names} in it, which each commit changes, and {not_in_digest}"
        todo = "Upload a folder that does not have it: a folder below, or what `git archive` or a copy makes."
    else:
        wrong = f"{reads} {names} in it, which bakes write, and {not_in_digest}"
        todo = "Run Packer elsewhere (`workdir`), let it write elsewhere, or upload a folder that does not have it."
    return Finding(
        level=Level.NOTICE if walk.origin.guessed else Level.WARNING,
        code="upload-not-in-digest",
        location=walk.origin.location,
        message=wrong,
        todo=todo,
    )


def _git_findings(inventory: Inventory) -> Iterator[Finding]:
    said: set[SourceLocation] = set()
    for path, locations in inventory.named_by.items():
        if ".git" not in path.split("/") or not _new(locations, said):
            continue
        yield Finding(
            level=Level.WARNING,
            code="input-in-git",
            location=locations[0],
            message=f"{path} is an input: the digest is another one after each commit, whatever it changes",
            todo="Give the commit to the template in another way, such as a tag that the bakery writes "
            "(`ami-bakery:commit`), or leave it out.",
        )


def _new(locations: Collection[SourceLocation], said: set[SourceLocation]) -> bool:
    new = said.isdisjoint(locations)
    said.update(locations)
    return new
