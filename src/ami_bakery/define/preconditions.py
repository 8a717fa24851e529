"""Checks that bakery.toml fits the template and the files on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.text.suggestions import nearest
from ami_bakery.errors import Annotation, ConfigError, TemplateError
from ami_bakery.template.facts import TemplateFormat
from ami_bakery.template.source_tree import FileKind, SourceTree, TreeEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.template.facts import TemplateFacts


def check_paths(tree: SourceTree, file: str, image: ImageConfig) -> None:
    """Raises if the template, a variable file, or `workdir` does not exist.

    `workdir` is Packer's working directory.

    file  bakery.toml
    """
    if image.scheme is Scheme.SHA256:
        folder = tree.entry(tree.relative(image.workdir), follow=True) if image.workdir is not None else None
        if image.workdir is not None and (folder is None or folder.kind is not FileKind.FOLDER):
            raise _misplaced(file, image, "workdir", image.workdir, folder, FileKind.FOLDER)
        for path in image.var_files:
            entry = tree.entry(tree.relative(path), follow=True)
            if entry is None or entry.kind is FileKind.FOLDER:
                raise _misplaced(file, image, "var_files", tree.relative(path), entry, FileKind.FILE)
    if tree.entry(tree.relative(image.template), follow=True) is None:
        what = f"the {image.section} template" if image.section else "the template"
        doing, wrong = f"reading {what} {tree.relative(image.template)}", "no such file"
        location = image.location(file, "template")
        named_by = "PACKER_JSON_PATH" if image.scheme is Scheme.SHA1 else location
        marks = () if image.scheme is Scheme.SHA1 else (location.mark(f"{doing}: {wrong}"),)
        raise TemplateError(f"{doing} ({named_by})", wrong, "Fix the path of the template.", marks=marks)


_CALLED = {FileKind.FILE: "file", FileKind.FOLDER: "folder"}


def _misplaced(
    file: str, image: ImageConfig, key: str, path: str, found: TreeEntry | None, wanted: FileKind
) -> ConfigError:
    """Returns the error for a path in bakery.toml. The path does not exist, or is of the wrong kind."""
    wrong = f"{image.table}.{key}: no such {_CALLED[wanted]}: {path}"
    if found is not None:
        what = _CALLED.get(found.kind)
        kind = f"a {what}" if what else "a pipe, a socket or a device"
        wrong = f"{image.table}.{key}: {path} is {kind}, not a {_CALLED[wanted]}"
    location = image.location(file, key)
    todo = f"Use a {_CALLED[wanted]}; the path is relative to the folder of bakery.toml."
    return ConfigError(f"reading {file}", f"{location}: {wrong}", todo, marks=(location.mark(wrong),))


def _subject(image: ImageConfig) -> str:
    return f"the {image.section} of image {image.name}" if image.section else f"image {image.name}"


def check_required(file: str, image: ImageConfig, facts: TemplateFacts) -> None:
    """Raises for variables that have neither a default nor a value: Packer would not build.

    file  bakery.toml
    """
    missing = [variable for variable in facts.variables if variable.missing]
    if not missing:
        return
    marks = tuple(
        variable.location.mark(f"the variable {variable.name!r} has no default and no value") for variable in missing
    )
    raise ConfigError(
        f"looking for the variables of {_subject(image)}",
        "\n".join(f"{mark.file}:{mark.line}: {mark.message}" for mark in marks),
        _how_to_set(missing[0].name, file, image, facts),
        marks=marks,
    )


def _how_to_set(name: str, file: str, image: ImageConfig, facts: TemplateFacts) -> str:
    values = f'vars = {{ {name} = "..." }}'
    environment = f", or set PKR_VAR_{name}" if facts.format is TemplateFormat.HCL2 else ""
    if image.in_bakery_toml:
        return f"Set it: {values} in {image.table} of {file}, or a file in var_files{environment}."
    return f"Set a default in the template{environment}, or define the image in a bakery.toml with {values}."


def check_variables(file: str, image: ImageConfig, facts: TemplateFacts, configured: Iterable[str]) -> None:
    """Raises for variables that the template does not declare. Packer would ignore a misspelt one.

    file        bakery.toml
    configured  the names of the variables that it sets
    """
    declared = [variable.name for variable in facts.variables]
    problems = [
        (
            image.line("vars", name),
            f"vars.{name}: {image.template} does not declare the variable {name!r}{nearest(name, declared)}",
        )
        for name in configured
        if name not in declared
    ]
    if image.base is not None and image.from_variable not in declared:
        key, receives = ("template", "the AMI under test") if image.section else ("from", "the source AMI id")
        required = f"{key}: {image.template} must declare the variable {image.from_variable!r} (receives {receives})"
        problems.append((image.line(key), required))
    if problems:
        own_name = "" if image.section else " (`from_variable` is the one for the source AMI)"
        within = f"{image.section}." if image.section else ""
        raise ConfigError(
            f"comparing {file} with {image.template}",
            "\n".join(f"{file}:{line}: {image.table}.{text}" for line, text in sorted(problems)),
            f"Declare it in the template, or fix the name{own_name}.",
            marks=tuple(Annotation(file, line, f"{within}{text}") for line, text in sorted(problems)),
        )
