"""Decides whether Packer builds a folder of HCL2 files or each file."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Collection, Sequence

from ami_bakery.values import Frozen


class HclFile(Frozen):
    """The names that one HCL2 file declares and uses, such as `var.region`.

    builds  whether it has a `build` block
    """

    path: str
    declared: tuple[str, ...]
    used: frozenset[str]
    builds: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """The used names that other files of the folder must declare."""
        return tuple(sorted(self.used - set(self.declared)))


class TemplateUnit(Frozen):
    """What one `packer build` reads: a file or a folder."""

    path: str
    why: str = ""
    is_folder: bool = False


def units_of(folder: str, files: Sequence[HclFile], called: Collection[str], *, auto: bool) -> tuple[TemplateUnit, ...]:
    """Returns the units of a folder; none if no file has a `build` block.

    called  the paths that scripts pass to Packer
    auto    whether the folder has `*.auto.pkrvars.hcl` files, which Packer reads only for a folder
    """
    builds = [file for file in files if file.builds]
    whole = TemplateUnit(path=folder, is_folder=True)
    single = tuple(TemplateUnit(path=file.path, why=_alone(files)) for file in builds)
    if not builds:
        return ()
    declared = Counter(name for file in files for name in set(file.declared))
    twice = next((name for name, count in declared.items() if count > 1), "")
    if twice:
        return tuple(
            TemplateUnit(path=unit.path, why=f"two files of the folder declare {twice}, so it is no folder build")
            for unit in single
        )
    if folder in called:
        return (TemplateUnit(path=folder, is_folder=True, why="a script or CI file runs Packer for the folder"),)
    dependent = next((file for file in builds if file.missing), None)
    if dependent is not None:
        why = f"{posixpath.basename(dependent.path)} uses {dependent.missing[0]} of another file"
        return (TemplateUnit(path=folder, is_folder=True, why=why),)
    if any(unit.path in called for unit in single):
        return single
    if auto:
        why = "the folder has *.auto.pkrvars files, which Packer reads only for a folder"
        return (TemplateUnit(path=folder, is_folder=True, why=why),)
    others = [file for file in files if not file.builds]
    if others:
        why = f"{posixpath.basename(others[0].path)} belongs to it"
        return (TemplateUnit(path=whole.path, is_folder=True, why=why),)
    return single


def _alone(files: Sequence[HclFile]) -> str:
    return "each file is complete on its own" if len(files) > 1 else ""
