"""Whether bakery.toml, the template that it names and the disk agree, before anything is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.digest import Scheme
from ami_bakery.core.spelling import nearest
from ami_bakery.errors import ConfigError, Mark, TemplateError
from ami_bakery.ports import FileKind, SourceTree

if TYPE_CHECKING:
    from ami_bakery.core.config import Config, ImageConfig
    from ami_bakery.core.template import TemplateFacts


def check_places(tree: SourceTree, file: str, image: ImageConfig) -> None:
    """Raises where the template, a file of variables, or the folder that Packer is to run in is not there.

    file  bakery.toml
    """
    if image.scheme is Scheme.SHA256:
        folder = tree.entry(tree.relative(image.workdir), follow=True) if image.workdir is not None else None
        if image.workdir is not None and (folder is None or folder.kind is not FileKind.FOLDER):
            raise _missing(file, image, "workdir", "folder", image.workdir)
        for path in image.var_files:
            if tree.entry(tree.relative(path), follow=True) is None:
                raise _missing(file, image, "var_files", "file", tree.relative(path))
    if tree.entry(tree.relative(image.template), follow=True) is None:
        named_by = "PACKER_JSON_PATH" if image.scheme is Scheme.SHA1 else f"{file}:{image.line('template')}"
        raise TemplateError(
            f"reading the template {tree.relative(image.template)} ({named_by})",
            "there is no such file",
            "Correct the path of the template.",
        )


def _missing(file: str, image: ImageConfig, key: str, what: str, path: str) -> ConfigError:
    line, wrong = image.line(key), f"images.{image.name}.{key}: there is no such {what}"
    return ConfigError(
        f"reading {file}",
        f"{file}:{line}: {wrong}: {path}",
        "Correct the path: it is relative to the folder of bakery.toml.",
        marks=(Mark(file, line, wrong),),
    )


def check_variables(config: Config, image: ImageConfig, facts: TemplateFacts) -> None:
    """Packer passes over variables that a template does not declare, so that a misspelt one changes nothing."""
    declared = [variable.name for variable in facts.variables]
    configured = dict(config.image(image.name).variables)
    problems = [
        (
            image.line("vars", name),
            f"vars.{name}: {image.template} declares no variable {name!r}{nearest(name, declared)}",
        )
        for name in configured
        if name not in declared
    ]
    if image.base is not None and image.from_variable not in declared:
        wanted = f"from: {image.template} declares no variable {image.from_variable!r}, which gets the base's id"
        problems.append((image.line("from"), wanted))
    if problems:
        raise ConfigError(
            f"comparing {config.file} with {image.template}",
            "\n".join(f"{config.file}:{line}: images.{image.name}.{text}" for line, text in sorted(problems)),
            "Declare it in the template, or correct the name (`from_variable` names the base's).",
            marks=tuple(Mark(config.file, line, text) for line, text in sorted(problems)),
        )
