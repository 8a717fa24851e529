"""Says more of what is wrong with a template: Packer's words, or the folder that it is meant to be built from."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ami_bakery.errors import Annotation, BakeryError, TemplateError, TemplateSyntaxError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.ports import BuildRequest, Packer
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.source_tree import SourceTree


def in_packers_words(tree: SourceTree, packer: Packer, request: BuildRequest, error: TemplateError) -> BakeryError:
    """A syntax error as Packer tells it; `error` where Packer is not here, or finds nothing wrong.

    Of errors with the same words, or of the same line, the first is told: Packer goes on after it as well as it can.
    """
    try:
        complaints = packer.validate(request, syntax_only=True)
    except BakeryError:
        return error
    marks: list[Annotation] = []
    for each in complaints:
        same = any(each.message == mark.message or each.line == mark.line for mark in marks)
        if each.file and not same:
            marks.append(Annotation(tree.relative(posixpath.join(request.workdir, each.file)), each.line, each.message))
    if not marks:
        return error
    wrong = "\n".join(f"{mark.file}:{mark.line}: {mark.message}" for mark in marks)
    return TemplateSyntaxError(
        error.doing.partition(":")[0], wrong, "Correct the file; these are Packer's words.", marks=tuple(marks)
    )


class BetterFolder(Frozen):
    """A folder to start Packer in. `found`: how many of the `missing` paths are there, seen from it."""

    workdir: str
    found: int
    missing: int

    def advice(self, image: str, file: str) -> str:
        paths = "path is" if self.missing == 1 else "paths are"
        return (
            f'Write workdir = "{self.workdir}" in [images.{image}] of {file}: '
            f"from there, {self.found} of {self.missing} missing {paths} found."
        )


def better_folder(
    tree: SourceTree, workdir: str, template_folder: str, read: Callable[[str], TemplateFacts]
) -> BetterFolder | None:
    """The folder from which most of what is missing is found; None where no other folder finds more.

    Tried are the root, the template's folder, and all folders above it and above `workdir`.

    read  what the template says where Packer is started in a folder; raises where it cannot be read from there
    """
    before = _missing(tree, read, workdir)
    best: tuple[int, str] | None = None
    for candidate in dict.fromkeys((".", *_upwards(template_folder), *_upwards(workdir))):
        if candidate == workdir:
            continue
        after = _missing(tree, read, candidate)
        if after is not None and (best is None or len(after) < best[0]):
            best = len(after), candidate
    if best is None or (before is not None and best[0] >= len(before)):
        return None
    # A template that cannot be read at all, for want of a file, lacks at least that one.
    missing = len(before) if before is not None else best[0] + 1
    return BetterFolder(workdir=best[1], found=missing - best[0], missing=missing)


def _missing(tree: SourceTree, read: Callable[[str], TemplateFacts], workdir: str) -> frozenset[str] | None:
    """The paths that must be there and are not; None where the template cannot be read from this folder."""
    try:
        references = read(workdir).references
        return frozenset(
            reference.path
            for reference in references
            if reference.required and tree.entry(reference.path, follow=True) is None
        )
    except BakeryError:
        return None


def _upwards(folder: str) -> Iterator[str]:
    """A folder and those above it, up to the root; nothing of one outside the root."""
    while folder and not folder.startswith(("/", "..")):
        yield folder
        if folder == ".":
            return
        folder = posixpath.dirname(folder) or "."
