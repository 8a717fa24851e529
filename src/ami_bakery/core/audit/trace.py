"""What a build opened, ran and looked for on this machine."""

from __future__ import annotations

import re
from enum import StrEnum

from ami_bakery.values import Frozen

_OF_PACKER = re.compile(r"packer(?:-(?:plugin|builder|provisioner|post-processor|datasource)[-_].*)?(?:\.exe)?")


class AccessKind(StrEnum):
    """What a process did with a path."""

    OPENED = "opened"
    RAN = "ran"
    LOOKED_FOR = "looked for"
    """It asked whether the path exists, or for its type or target, and did not open it."""


class Access(Frozen):
    """The first access of the strongest kind to one path.

    path     absolute, links resolved
    named    absolute, as the process named it
    process  absolute path of the program
    links    absolute paths of the links on the way to `path`
    """

    path: str
    kind: AccessKind
    process: str
    named: str = ""
    links: tuple[str, ...] = ()


class Contact(Frozen):
    """A network connection. `host` is an IP address."""

    host: str
    port: int
    process: str
    by_packer: bool


class Trace(Frozen):
    """What a build did. The paths are absolute; what the build wrote before it read it is not included.

    repositories  the folders that are the repository
    found         paths that existed
    absent        paths that did not exist, and that the build did not create
    contacts      connections, to other hosts and to this machine
    running       programs that still ran when the trace ended, without Packer's plugins
    blind         programs that can read files in a way that strace does not see, and how
    complete      whether the trace reaches to the end of Packer
    """

    repositories: tuple[str, ...]
    found: tuple[Access, ...] = ()
    absent: tuple[Access, ...] = ()
    contacts: tuple[Contact, ...] = ()
    running: tuple[str, ...] = ()
    blind: tuple[tuple[str, str], ...] = ()
    complete: bool = True


def is_of_packer(program: str) -> bool:
    """Whether a program is Packer or one of its plugins."""
    return bool(_OF_PACKER.fullmatch(program.rpartition("/")[2]))
