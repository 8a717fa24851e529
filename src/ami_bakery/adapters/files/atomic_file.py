"""Writes files atomically."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import BinaryIO

from ami_bakery.errors import OutputError

_MOST_LINKS = 40
"""Linux's limit for symbolic links in one path."""


def replace_file(path: str, text: str, todo: str, *, follow: bool = True) -> None:
    """Writes a file atomically: readers see either the old or the new content.

    Writes a new file next to `path` and renames it. Replaces the target of a symbolic link, not the link. Writes in
    place to devices, pipes and the file that is our stdout, which cannot be replaced. Does not touch a file that
    already has the text. Raises `OutputError`.

    todo    how the user can fix a failure
    follow  False for a path that the user did not choose: replaces a link there, because anyone can have created it
    """
    data = text.encode("utf-8")
    try:
        if not follow:
            _replace(os.path.abspath(path), data, None)
            return
        there = _status(path)
        if there is not None and not _is_replaceable(path, there):
            _write_in_place(path, data)
        elif there is None or not _holds(path, data, there):
            _replace(os.path.realpath(path), data, there)
    except OSError as error:
        raise _refused(path, error, todo) from error


def create_file(path: str, text: str, todo: str) -> None:
    """Creates a file atomically: it has the whole text, or does not exist. Raises `OutputError` if it exists.

    A symbolic link counts as existing, even if its target does not exist.
    """
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.new")
    try:
        with _new_file(temporary, 0o666) as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        _publish(temporary, path)
    except OSError as error:
        raise _refused(path, error, todo) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _publish(temporary: str, path: str) -> None:
    """Gives a complete file its name, unless another file has it. Unlike a rename, a hard link does not overwrite."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # This file system has no hard links: another file of this name may appear between the two steps.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        os.replace(temporary, path)


def append_file(path: str, text: str, todo: str) -> None:
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _refused(path, error, todo) from error


def _status(path: str) -> os.stat_result | None:
    """Returns the status of the file, following links. None if it does not exist."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _is_replaceable(path: str, there: os.stat_result) -> bool:
    """Returns whether it is a regular file. Our stdout and stderr (`> file`) do not count."""
    return stat.S_ISREG(there.st_mode) and not _is_open(there) and not _is_descriptor(path)


def _is_descriptor(path: str) -> bool:
    """Returns whether it is a path such as `/dev/stdout` or `/dev/fd/3`. These are links into `/proc/self/fd`."""
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(os.path.abspath(path))
        folder = os.path.realpath(folder)
        path = os.path.join(folder, name)
        if folder.startswith("/proc/"):
            return True
        if not os.path.islink(path):
            return False
        path = os.path.join(folder, os.readlink(path))
    return False


def _is_open(there: os.stat_result) -> bool:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(there, os.fstat(descriptor)):
                return True
    return False


def _write_in_place(path: str, data: bytes) -> None:
    """Writes to the existing file. Opens it without blocking: a named pipe without a reader is an error (ENXIO)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
    with open(descriptor, "wb") as file:
        os.set_blocking(file.fileno(), True)
        file.write(data)


def _holds(path: str, data: bytes, there: os.stat_result) -> bool:
    if there.st_size != len(data):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(data) + 1) == data
    except OSError:
        return False


def _replace(target: str, data: bytes, there: os.stat_result | None) -> None:
    """Replaces `target`. A new file's mode follows the umask; a replaced file keeps its mode."""
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.new")
    try:
        with _new_file(temporary, 0o666 if there is None else 0o600) as file:
            if there is not None:
                os.fchmod(file.fileno(), there.st_mode & 0o777)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _new_file(path: str, mode: int) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags, mode), "wb")


def _refused(path: str, error: OSError, todo: str) -> OutputError:
    reason = "no program reads from this pipe" if error.errno == errno.ENXIO else error.strerror or str(error)
    return OutputError(f"writing the answer to {path}", reason, todo)
