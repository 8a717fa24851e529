"""Shell completion of images, tags, regions, git revisions and Packer's options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ami_bakery.errors import BakeryError
from ami_bakery.wiring import load_config

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from ami_bakery.core.config.model import Config


def offer_values(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """Sets argcomplete's completers for the values of a command's arguments."""

    def config_of(arguments: argparse.Namespace) -> Config | None:
        try:
            return load_config(getattr(arguments, "config", None), environment)
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

    def regions(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
        """Returns bakery.toml's regions first, then all regions that the SDK knows."""
        config = config_of(parsed_args)
        configured = [region for image in config.images for region in image.regions] if config else []
        return list(dict.fromkeys((*configured, *_aws_regions())))

    def folders(prefix: str, **_: object) -> Iterable[str]:
        from argcomplete.completers import DirectoriesCompleter

        return list(DirectoriesCompleter()(prefix))

    completers = {"image": names, "tag": tags, "changed_since": revisions, "region": regions, "folder": folders}
    for action in parser._actions:
        if action.dest in completers:
            action.completer = completers[action.dest]  # type: ignore[attr-defined]


def _aws_regions() -> Iterable[str]:
    """Returns the regions of all partitions from botocore's data, without a session."""
    import json
    from importlib.resources import files

    partitions = json.loads(files("botocore").joinpath("data/endpoints.json").read_text())["partitions"]
    return [region for partition in partitions for region in partition["regions"]]


PACKER_OPTIONS = (
    "-debug",
    "-except=",
    "-force",
    "-on-error=abort",
    "-on-error=ask",
    "-on-error=cleanup",
    "-on-error=run-cleanup-provisioner",
    "-only=",
    "-parallel-builds=",
    "-timestamp-ui",
    "-var",
    "-var-file=",
)


def offer_packer_options(environment: Mapping[str, str]) -> bool:
    """Completes a word after `--`, which argcomplete does not. Returns whether the word is after `--`.

    argcomplete's protocol: the line and the cursor are in COMP_LINE and COMP_POINT; the words go to descriptor 8.
    """
    line = environment.get("COMP_LINE", "")
    words = line[: int(environment.get("COMP_POINT") or len(line))].split(" ")
    if "--" not in words[:-1] or "local" in words[: words.index("--")]:
        return False
    found = [option for option in PACKER_OPTIONS if option.startswith(words[-1])]
    if "=" in words[-1] and environment.get("_ARGCOMPLETE_SHELL") == "bash":
        # bash replaces only what is after `=`.
        found = [option.partition("=")[2] for option in found]
    file = environment.get("_ARGCOMPLETE_STDOUT_FILENAME")
    with open(file, "w", encoding="utf-8") if file else os.fdopen(8, "w", encoding="utf-8") as answer:
        answer.write(environment.get("_ARGCOMPLETE_IFS", "\013").join(option for option in found if option))
    return True
