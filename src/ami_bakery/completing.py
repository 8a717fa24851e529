"""What a shell is offered to complete: the names of images, their tags, and the repository's branches and tags."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ami_bakery.errors import BakeryError
from ami_bakery.outside import find_images

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from ami_bakery.core.config import Config


def offer_values(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """Tell argcomplete where the values of a command's arguments come from. Where none can be had, none are offered."""

    def config_of(arguments: argparse.Namespace) -> Config | None:
        try:
            return find_images(getattr(arguments, "config", None), environment)
        except BakeryError:
            return None

    def names(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
        config = config_of(parsed_args)
        return [image.name for image in config.images if image.enabled] if config else []

    def tags(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
        config = config_of(parsed_args)
        held = [tag for image in config.images if image.enabled for tag in image.tags] if config else []
        return sorted({text for name, value in held for text in (name, f"{name}={value}")})

    def revisions(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
        from ami_bakery.adapters.git import GitProgram

        config = config_of(parsed_args)
        return GitProgram(environment).references(config.root if config else os.curdir)

    completers = {"image": names, "tag": tags, "changed_since": revisions}
    for action in parser._actions:
        if action.dest in completers:
            action.completer = completers[action.dest]  # type: ignore[attr-defined]
