"""The interface to which a followed shell text reports its commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ami_bakery.template.shell.shell_builtins import ShellCommands
    from ami_bakery.template.shell.words import ShellCall, ShellWord


class Listener(Protocol):
    """What is done with what a shell does. Paths are as the shell has them: `shell.folder` is where it is."""

    def goes_on(self) -> bool:
        """Asked before each command: whether there is no end of them."""

    def call(self, shell: ShellCommands, call: ShellCall) -> None: ...

    def lost(self) -> None:
        """There is more of something than is looked at."""

    def redirection(self, shell: ShellCommands, sign: str, word: ShellWord, line: int, *, sure: bool) -> None: ...

    def assigned(self, shell: ShellCommands, text: str, line: int, *, exported: bool, name: str = "") -> None:
        """`name`: of the variable, where the text is all of its value."""

    def further_down(self, line: int) -> Listener:
        """This one for a text that is run by a line of the text here."""

    def is_here(self, shell: ShellCommands, path: str) -> bool:
        """Whether a file of the repository."""

    def loose(self, shell: ShellCommands, text: str, line: int) -> None:
        """A text that is not understood; its words may be files."""

    def source(self, shell: ShellCommands, words: Sequence[ShellWord], line: int) -> None:
        """`. file`: to be run by the same shell."""

    def environment(self, name: str, line: int) -> str:
        """The value of an environment variable, or `HOLE`."""

    def enter(self, folder: str, path: str) -> tuple[str, bool]:
        """The folder that `cd path` leads to from `folder`, and whether it is there."""

    def matching(self, shell: ShellCommands, pattern: str) -> tuple[str, ...]:
        """What a pattern stands for here."""
