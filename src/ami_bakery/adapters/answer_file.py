"""Writes answers to files: whole or not at all."""

from __future__ import annotations

import contextlib
import os

from ami_bakery.errors import OutputError


def replace_file(path: str, text: str, todo: str) -> None:
    """Write beside `path`, then rename over it, so that a reader sees the old content or the new one.

    `todo` is what to do where that fails. The mode is that of the file that was there, else what the umask gives. A
    file that has the text already is left alone: nobody has to wait for the disk, or look at it again.
    """
    if _holds(path, text):
        return
    import tempfile

    folder, name = os.path.split(os.path.abspath(path))
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".new", dir=folder)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _mode(path))
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise _refused(path, error, todo) from error


def _holds(path: str, text: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read() == text.encode("utf-8")
    except OSError:
        return False


def append_file(path: str, text: str, todo: str) -> None:
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _refused(path, error, todo) from error


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _refused(path: str, error: OSError, todo: str) -> OutputError:
    return OutputError(f"writing the answer to {path}", error.strerror or str(error), todo)
