"""A small template that Packer 1.6.6 builds, and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Case:
    """`extra`: files that are found although Packer does not open them; the name says why."""

    name: str
    template: str
    files: Mapping[str, str]
    workdir: str = "."
    variables: Mapping[str, str] = field(default_factory=dict)
    var_files: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    extra: frozenset[str] = frozenset()
    run_local: bool = False
