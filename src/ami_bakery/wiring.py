"""Finds the configuration, and creates the adapters for it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from ami_bakery.adapters.aws.credential_retry import with_retries
from ami_bakery.adapters.aws.ec2 import BotoEc2
from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.adapters.clock import SystemClock
from ami_bakery.adapters.files.source_tree import DiskTree
from ami_bakery.core.config.model import Config, ImageConfig
from ami_bakery.core.ec2.run import run_id
from ami_bakery.define.drop_in import drop_in_config, is_asked_for
from ami_bakery.errors import UsageError
from ami_bakery.ports import Ports

if TYPE_CHECKING:
    from contextlib import ExitStack
    from datetime import timedelta

    from ami_bakery.ports import (
        AmiUsage,
        Clock,
        Git,
        Locks,
        Packer,
        ParameterStore,
        Prompter,
        Reporter,
        TemplateReader,
        TemporaryResources,
    )
    from ami_bakery.template.source_tree import SourceTree

Adapter = TypeVar("Adapter")
_KILL_SECONDS = 15 * 60.0
_RENAMED_VARIABLES = {"AMI_BAKERY_LOCK_SECONDS": "AMI_BAKERY_LOCK_TTL_SECONDS"}
INIT_VARIABLE = "AMI_BAKERY_INIT"


def load_config(named: str | None, environment: Mapping[str, str]) -> Config:
    """Loads the configuration: the `named` file, or that of drop-in mode if it is enabled, or `bakery.toml`."""
    if named is None and is_asked_for(environment):
        return drop_in_config(environment, _current_folder())
    return find_bakery_toml(named, _ABSENT)


def template_config(path: str) -> Config:
    """Returns the configuration of a single template without a `bakery.toml`; its inputs come from the template.

    The root is the current folder if it contains the template; otherwise the template's git repository, or its folder.
    """
    absolute, folder = os.path.abspath(path), _current_folder()
    if not os.path.exists(absolute):
        raise UsageError(f"reading --template {path}", "no such file or folder", "Correct the path.")
    root = folder if f"{absolute}/".startswith(f"{folder.rstrip('/')}/") else _repository_of(os.path.dirname(absolute))
    name = re.sub(r"\.(pkr\.hcl|pkr\.json|json|hcl)$", "", os.path.basename(absolute.rstrip("/"))) or "template"
    image = ImageConfig(name=name, template=os.path.relpath(absolute, root), inputs=())
    return Config(root=root, file=path, images=(image,))


def folder_to_search(folder: str) -> tuple[str, SourceTree, TemplateReader]:
    """Returns a folder's path, its files, and a reader for its templates. The path is absolute and without links."""
    _current_folder()
    root = os.path.realpath(folder)
    if not os.path.isdir(root):
        wrong = "it is not a folder" if os.path.exists(root) else "no such folder"
        raise UsageError(f"searching {folder}", wrong, "Name a folder.")
    return root, DiskTree(root), _template_reader()


def known_file(text: str, path: str) -> Config:
    """Parses the text of a `bakery.toml` that is not written yet. Raises `ConfigError` if it is invalid."""
    from pathlib import Path

    from ami_bakery.adapters.files.config_file import parse_config_file

    return parse_config_file(text.encode(), Path(path))


def _repository_of(folder: str) -> str:
    above = folder
    while not os.path.exists(os.path.join(above, ".git")):
        if above == os.path.dirname(above):
            return folder
        above = os.path.dirname(above)
    return above


_ABSENT = "Propose one with `ami-bakery init`, pass its path with -C, or set PACKER_JSON_PATH."


def find_bakery_toml(named: str | None, todo: str) -> Config:
    """Reads the `named` file, or the nearest `bakery.toml`.

    The nearest one is in this folder or in the nearest folder above it.

    todo  the advice of the error if there is none
    """
    from pathlib import Path

    from ami_bakery.adapters.files.config_file import FILE_NAME, find_config, read_config_file

    if named is not None:
        return read_config_file(Path(named, FILE_NAME) if os.path.isdir(named) else Path(named))
    folder = Path(_current_folder())
    path = find_config(folder)
    if path is None:
        raise UsageError(
            f"looking for bakery.toml in {folder} and the folders above",
            "not found",
            todo,
        )
    return read_config_file(path)


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise UsageError(
            "looking for the current folder", error.strerror or str(error), "Change to a folder that exists."
        ) from error


def create_ports(
    config: Config,
    environment: Mapping[str, str],
    reporter: Reporter,
    prompter: Prompter,
    stack: ExitStack,
    *,
    packer: str = "packer",
    fetch_plugins: bool = False,
    trusted: bool = False,
    kill_timeout: timedelta | None = None,
    terminal: BinaryIO,
) -> Ports:
    """Creates all adapters. `stack` closes them.

    packer         name or path of the program
    fetch_plugins  whether `packer init` may install missing plugins; AMI_BAKERY_INIT=1 also allows it
    trusted        whether programs of the repository may run: True for a bake, False for a plan
    kill_timeout   grace period for the cleanup of an interrupted Packer
    terminal       where Packer prompts the user in debug mode
    """
    _refuse_renamed_variables(environment)
    kill_seconds = _KILL_SECONDS if kill_timeout is None else kill_timeout.total_seconds()
    may_fetch = fetch_plugins or environment.get(INIT_VARIABLE) == "1"
    session = AwsSession(environment, reporter.note, repository="" if trusted else config.root)
    stack.callback(session.close)
    clock = SystemClock()
    tree = DiskTree(config.root)
    return Ports(
        tree=tree,
        stamps=tree,
        templates=_later(_template_reader),
        ec2=with_retries(BotoEc2(session), session, clock.sleep),
        temporary_resources=_later(lambda: with_retries(_temporary_resources(session), session, clock.sleep)),
        locks=_later(lambda: with_retries(_locks(session), session, clock.sleep)),
        parameters=_later(lambda: with_retries(_parameters(session), session, clock.sleep)),
        usage=_later(lambda: with_retries(_usage(session), session, clock.sleep)),
        packer=_later(
            lambda: _packer(
                stack,
                packer,
                environment,
                terminal,
                kill_seconds=kill_seconds,
                repository=config.root,
                may_fetch=may_fetch,
                trusted=trusted,
            )
        ),
        git=_later(lambda: _git(environment)),
        clock=clock,
        reporter=reporter,
        prompter=prompter,
        parse_config=_parse_config,
        new_run=lambda: _new_run(clock),
        environment=environment,
    )


def _refuse_renamed_variables(environment: Mapping[str, str]) -> None:
    for old, new in _RENAMED_VARIABLES.items():
        if old in environment:
            raise UsageError(f"reading the environment variable {old}", f"it was renamed: use {new}", f"Rename {old}.")


def _template_reader() -> TemplateReader:
    from ami_bakery.template.template_reader import PackerTemplateReader

    return PackerTemplateReader()


def _packer(
    stack: ExitStack, program: str, environment: Mapping[str, str], terminal: BinaryIO, **settings: Any
) -> Packer:
    from ami_bakery.adapters.packer import HashicorpPacker

    packer = HashicorpPacker(program, environment, terminal, **settings)
    stack.callback(packer.close)
    return packer


def _temporary_resources(session: AwsSession) -> TemporaryResources:
    from ami_bakery.adapters.aws.temporary_resources import BotoTemporaryResources

    return BotoTemporaryResources(session)


def _locks(session: AwsSession) -> Locks:
    from ami_bakery.adapters.aws.ec2_lock import KeyPairLocks

    return KeyPairLocks(session)


def _parameters(session: AwsSession) -> ParameterStore:
    from ami_bakery.adapters.aws.ssm import BotoParameters

    return BotoParameters(session)


def _usage(session: AwsSession) -> AmiUsage:
    from ami_bakery.adapters.aws.ami_usage import BotoAmiUsage

    return BotoAmiUsage(session)


def _new_run(clock: Clock) -> str:
    import secrets

    return run_id(clock.now(), secrets.token_hex(4))


def _git(environment: Mapping[str, str]) -> Git:
    from ami_bakery.adapters.git import GitProgram

    return GitProgram(environment)


def _parse_config(data: bytes, like: Config) -> Config:
    from pathlib import Path

    from ami_bakery.adapters.files.config_file import parse_config_file

    return parse_config_file(data, Path(like.root) / like.file)


def _later(make: Callable[[], Adapter]) -> Adapter:
    """Returns an adapter that is created on first use. Its module is imported then, too."""
    return cast("Adapter", _Later(make))


class _Later:
    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._adapter: object = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> object:
        with self._lock:
            if self._adapter is None:
                self._adapter = self._make()
        return getattr(self._adapter, name)
