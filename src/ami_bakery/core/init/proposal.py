"""The proposal of `init`: images, reasons, and open decisions."""

from __future__ import annotations

from ami_bakery.values import Frozen


class ProposedImage(Frozen):
    """One image. Empty values are not written, so that the defaults apply.

    template       relative to the root
    only           the builder, if the template has several
    reads_only     whether `inputs = []` is proposed: only the files that the template reads
    region         where the template builds, if known
    parent         the image that it starts from; `from_variable` receives its AMI
    notes          decisions and their reasons, as clauses
    todos          what the user must decide, as sentences; each may be followed by lines to uncomment
    """

    name: str
    template: str
    only: str = ""
    reads_only: bool = False
    workdir: str = ""
    var_files: tuple[str, ...] = ()
    region: str = ""
    parent: str = ""
    from_variable: str = ""
    notes: tuple[str, ...] = ()
    todos: tuple[Todo, ...] = ()


class Todo(Frozen):
    """Something that `init` cannot know. `lines`: TOML that the user can uncomment."""

    text: str
    lines: tuple[str, ...] = ()


class UnusedFile(Frozen):
    """A file or folder without an image. `is_broken`: it looks like a template, but cannot be used."""

    path: str
    why: str
    is_broken: bool = False


class Proposal(Frozen):
    """A whole `bakery.toml`.

    regions  for [defaults]: where all templates build; empty if they differ or are unknown
    todos    what the user must decide for every image
    unused   in the order of their paths
    is_cut   whether the search ended early, because the folder has too many files
    """

    images: tuple[ProposedImage, ...]
    regions: tuple[str, ...] = ()
    todos: tuple[Todo, ...] = ()
    unused: tuple[UnusedFile, ...] = ()
    is_cut: bool = False
