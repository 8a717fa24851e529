"""The interface that receives the commands of a shell text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ami_bakery.template.shell.shell_builtins import ShellCommands
    from ami_bakery.template.shell.words import ShellCall, ShellWord


class Listener(Protocol):
    """Receives what a shell does. Paths are relative to `shell.folder`, as in the shell."""

    def may_continue(self) -> bool:
        """Whether to follow one more command; called before each of them."""

    def call(self, shell: ShellCommands, call: ShellCall) -> None: ...

    def limit_exceeded(self) -> None:
        """Records that a limit was exceeded, so that some inputs are unknown."""

    def redirection(self, shell: ShellCommands, sign: str, word: ShellWord, line: int, *, sure: bool) -> None: ...

    def assigned(self, shell: ShellCommands, text: str, line: int, *, exported: bool, name: str = "") -> None:
        """Receives the value of a variable; `name` is empty if the text is only a part of a value."""

    def nested(self, line: int) -> Listener:
        """Returns a listener for a text that `line` of this text runs."""

    def is_here(self, shell: ShellCommands, path: str) -> bool:
        """Whether the path is a file of the repository."""

    def loose(self, shell: ShellCommands, text: str, line: int) -> None:
        """Receives a text that does not parse; its words may be files."""

    def source(self, shell: ShellCommands, words: Sequence[ShellWord], line: int) -> None:
        """Receives `. FILE`, to be followed in the same shell."""

    def environment(self, name: str, line: int) -> str:
        """Returns the value of an environment variable, or `HOLE`."""

    def enter(self, folder: str, path: str) -> tuple[str, bool]:
        """Returns the folder after `cd path` in `folder`, and whether it exists."""

    def matching(self, shell: ShellCommands, pattern: str) -> tuple[str, ...]:
        """Returns the paths that match a pattern."""
