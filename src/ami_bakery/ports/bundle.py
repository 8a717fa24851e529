"""All interfaces that a command uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.core.config.model import Config
    from ami_bakery.ports.aws_amis import Ec2, ParameterStore
    from ami_bakery.ports.aws_usage import AmiUsage
    from ami_bakery.ports.build_resources import Locks, TemporaryResources
    from ami_bakery.ports.packer_program import Packer
    from ami_bakery.ports.source_files import Git, StampReader, TemplateReader
    from ami_bakery.ports.user_and_time import Clock, Prompter, Reporter
    from ami_bakery.template.source_tree import SourceTree


class Ports(Frozen):
    """All external systems that a command uses."""

    tree: SourceTree
    stamps: StampReader
    templates: TemplateReader
    ec2: Ec2
    temporary_resources: TemporaryResources
    locks: Locks
    parameters: ParameterStore
    usage: AmiUsage
    packer: Packer
    git: Git
    clock: Clock
    reporter: Reporter
    prompter: Prompter
    parse_config: Callable[[bytes, Config], Config]
    """Parses the text of a bakery.toml, with the root and file of the given configuration. Raises `ConfigError`."""
    new_run: Callable[[], str]
    """Returns a unique id for a run."""
    environment: Mapping[str, str] = field(repr=False)
