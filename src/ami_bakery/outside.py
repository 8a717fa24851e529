"""The real outside world: finds the configuration, and puts the adapters together for it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ami_bakery.core.run import run_id
from ami_bakery.errors import UsageError
from ami_bakery.ports import Outside, Watcher

if TYPE_CHECKING:
    from ami_bakery.core.config import Config

_KILL_TIMEOUT = timedelta(minutes=15)


def find_images(named: str | None, environment: Mapping[str, str]) -> Config:
    """The configuration to work on: the one `named`, else the drop-in's where it is asked for, else `bakery.toml`."""
    from ami_bakery.drop_in import drop_in_config, is_asked_for

    if named is None and is_asked_for(environment):
        return drop_in_config(environment, str(_current_folder()))
    return find_bakery_toml(named)


def find_bakery_toml(named: str | None) -> Config:
    """The one `named`, else the one in this folder or in the nearest above it."""
    from ami_bakery.adapters.config_file import find_config, load_config

    if named is not None:
        return load_config(Path(named))
    folder = _current_folder()
    path = find_config(folder)
    if path is None:
        raise UsageError(
            f"looking for bakery.toml in {folder} and the folders above",
            "there is none",
            "Write one (docs/configuration.md), name one with --config, or set PACKER_JSON_PATH.",
        )
    return load_config(path)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            "looking for the current folder", error.strerror or str(error), "Change to a folder that exists."
        ) from error


def real_outside(
    config: Config,
    environment: Mapping[str, str],
    watcher: Watcher,
    *,
    packer: str = "packer",
    kill_timeout: timedelta = _KILL_TIMEOUT,
    terminal: BinaryIO,
) -> Outside:
    """`packer` names the program, which may clean up for `kill_timeout`; `terminal` is where it speaks to a person in
    debug mode."""
    from ami_bakery.adapters.clock import SystemClock
    from ami_bakery.adapters.config_file import parse
    from ami_bakery.adapters.ec2 import AwsSession, BotoEc2, BotoParameters
    from ami_bakery.adapters.git import GitProgram
    from ami_bakery.adapters.packer import HashicorpPacker
    from ami_bakery.adapters.scaffold import BotoScaffold
    from ami_bakery.adapters.source_tree import DiskTree
    from ami_bakery.adapters.template import PackerTemplateReader

    session = AwsSession(environment)
    clock = SystemClock()
    return Outside(
        tree=DiskTree(config.root),
        templates=PackerTemplateReader(),
        ec2=BotoEc2(session),
        scaffold=BotoScaffold(session),
        parameters=BotoParameters(session),
        packer=HashicorpPacker(packer, environment, terminal, kill_seconds=kill_timeout.total_seconds()),
        git=GitProgram(environment),
        clock=clock,
        watcher=watcher,
        parse_config=lambda data, like: parse(data, Path(like.root) / like.file),
        new_run=lambda: run_id(clock.now(), secrets.token_hex(4)),
        environment=environment,
    )
