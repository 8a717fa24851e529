"""Improves the messages and the advice of template errors."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ami_bakery.define.inputs import template_folder
from ami_bakery.errors import Annotation, BakeryError, TemplateError, TemplateSyntaxError, TooLargeError
from ami_bakery.ports import BuildRequest
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.template_settings import TemplateSettings
    from ami_bakery.ports import Packer
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.source_tree import SourceTree


def improve_template_error(settings: TemplateSettings, error: TemplateError) -> BakeryError:
    """Returns the error with Packer's message, or with advice on folders.

    A syntax error gets Packer's message, and any other error the advice.
    """
    if isinstance(error, TemplateSyntaxError):
        return _in_packers_words(settings, error)
    return with_folder_advice(settings, error)


def with_folder_advice(settings: TemplateSettings, error: BakeryError) -> BakeryError:
    """Replaces the advice if a submodule or another `workdir` helps."""
    if isinstance(error, TooLargeError):
        return error
    todo = _folder_advice(settings, error)
    return error if todo is None else error.revised(todo=todo)


def _folder_advice(settings: TemplateSettings, error: BakeryError) -> str | None:
    tree, image = settings.ports.tree, settings.image
    submodule = None if settings.is_past else _missing_submodule(settings, error)
    if submodule is not None:
        return f"Check the submodule out: `git submodule update --init --recursive {submodule}`."
    found = better_folder(
        tree,
        settings.workdir,
        template_folder(tree, image.template),
        lambda workdir: replace(settings, image=replace(image, workdir=workdir)).facts(),
    )
    return None if found is None else found.advice(image, settings.config.file)


def _missing_submodule(settings: TemplateSettings, error: BakeryError) -> str | None:
    """Returns the missing submodule that would contain the missing file."""
    tree = settings.ports.tree
    declared = {tree.relative(path) for path in settings.image.inputs or ()}
    missing = map(tree.relative, settings.ports.git.missing_submodules(settings.config.root))
    return next((path for path in missing if f" {path}/" in error.doing or path in declared), None)


def _in_packers_words(settings: TemplateSettings, error: TemplateError) -> BakeryError:
    """Returns Packer's syntax error, which has a more precise line."""
    if settings.is_past:
        return error
    tree, image = settings.ports.tree, settings.image
    request = BuildRequest(
        image=image.name,
        template=settings.template_argument,
        workdir=settings.absolute_workdir,
        region=next(iter(image.regions), "us-east-1"),
        var_files=tuple(tree.absolute(path) for path in settings.var_files),
        hcl2=True,
    )
    return packers_syntax_error(tree, settings.ports.packer, request, error)


def packers_syntax_error(tree: SourceTree, packer: Packer, request: BuildRequest, error: TemplateError) -> BakeryError:
    """Returns Packer's own syntax errors; `error` if Packer is not installed or finds no error.

    Of several errors with the same message or line, only the first is returned: the others follow from it.
    """
    try:
        issues = packer.validate(request, syntax_only=True)
    except BakeryError:
        return error
    marks: list[Annotation] = []
    for each in issues:
        same = any(each.message == mark.message or each.line == mark.line for mark in marks)
        if each.file and not same:
            marks.append(Annotation(tree.relative(posixpath.join(request.workdir, each.file)), each.line, each.message))
    if not marks:
        return error
    wrong = "\n".join(f"{mark.file}:{mark.line}: {mark.message}" for mark in marks)
    return TemplateSyntaxError(
        error.doing.partition(":")[0], wrong, "Fix the file (this is Packer's message).", marks=tuple(marks)
    )


class BetterFolder(Frozen):
    """A working directory in which Packer would find missing paths. It would find `found` of the `missing` paths."""

    workdir: str
    found: int
    missing: int

    def advice(self, image: ImageConfig, file: str) -> str:
        paths = "path is" if self.missing == 1 else "paths are"
        key = f'workdir = "{self.workdir}"'
        how = f"Set {key} in [{image.table}] of {file}"
        if not image.in_bakery_toml:
            how = f"Define the image in a bakery.toml with {key}"
        return f"{how}: there, {self.found} of {self.missing} missing {paths} found."


def better_folder(
    tree: SourceTree, workdir: str, template_folder: str, read: Callable[[str], TemplateFacts]
) -> BetterFolder | None:
    """Returns the folder in which most of the missing paths exist; None if no folder is better.

    It tries the root, the template's folder, and all parents of it and of `workdir`.

    read  reads the template with a working directory; raises if it cannot be read
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
    # If the template cannot be read because of a missing file, at least that one is missing.
    missing = len(before) if before is not None else best[0] + 1
    return BetterFolder(workdir=best[1], found=missing - best[0], missing=missing)


def _missing(tree: SourceTree, read: Callable[[str], TemplateFacts], workdir: str) -> frozenset[str] | None:
    """Returns the missing required paths; None if the template cannot be read with this working directory."""
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
    """Yields a folder and its parents up to the root; nothing for a folder outside the root."""
    while folder and not folder.startswith(("/", "..")):
        yield folder
        if folder == ".":
            return
        folder = posixpath.dirname(folder) or "."
