"""The remote side of scp's protocol for the files of an instance.

The remote commands are `scp -t` and `scp -f`. asyncssh has a remote side too, but it drops file modes, and it does not
create missing folders. (A `mkdir` on the instance is only recorded.)
"""

from __future__ import annotations

import argparse
import posixpath
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from ami_bakery.local.ssh.instance_files import InstanceFiles

_BLOCK = 1 << 18


class ScpReader(Protocol):
    async def readline(self) -> bytes: ...
    async def readexactly(self, n: int) -> bytes: ...
    async def read(self, n: int = -1) -> bytes: ...


class Writer(Protocol):
    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ScpRequest:
    path: str
    receives: bool
    """Whether the instance receives (`-t`) or sends (`-f`)."""
    recurses: bool
    into_folder: bool
    """Whether the path is a target folder, which may not exist yet."""


class ScpError(Exception):
    """An error that is sent to the client."""


def parse_scp(command: str) -> ScpRequest | None:
    """Parses a command line; None if it is not scp's remote side.

    Packer's `scp -vt DIR` and `scp -rvt DIR` always name a folder, with the options in one word. OpenSSH's client
    uses separate options (`scp -v -t PATH`) and may name the file.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if not words or posixpath.basename(words[0]) != "scp":
        return None
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    for option in "tfrdpvq":
        parser.add_argument(f"-{option}", action="store_true")
    parser.add_argument("path")
    try:
        options, unknown = parser.parse_known_args(words[1:])
    except (argparse.ArgumentError, SystemExit):
        return None
    if options.t == options.f or unknown:
        return None
    packer = any(word in ("-vt", "-rvt") for word in words)
    return ScpRequest(path=options.path, receives=options.t, recurses=options.r, into_folder=options.d or packer)


async def serve(request: ScpRequest, user: str, files: InstanceFiles, reader: ScpReader, writer: Writer) -> int:
    """Runs one scp; returns its exit status."""
    path = files.instance_path(request.path, user)
    try:
        if request.receives:
            await _receive(request, path, files, reader, writer)
        else:
            await _send(path, files.local_path(path), request.recurses, reader, writer, top=True)
    except (ScpError, OSError, ValueError) as error:
        writer.write(b"\x01scp: " + str(error).replace("\n", " ").encode() + b"\n")
        return 1
    return 0


async def _receive(request: ScpRequest, path: str, files: InstanceFiles, reader: ScpReader, writer: Writer) -> None:
    if request.into_folder:
        files.make_folder(path)
    folders = [path]
    writer.write(b"\0")
    while line := await reader.readline():
        kind, rest = line[:1], line[1:].rstrip(b"\n")
        if kind in (b"\x01", b"\x02"):
            raise ScpError(rest.decode("utf-8", "replace"))
        if kind == b"E":
            folders.pop()
        elif kind in (b"C", b"D"):
            mode, size, name = _header(rest)
            here = folders[-1]
            target = posixpath.join(here, name) if files.local_path(here).is_dir() else here
            if kind == b"D":
                files.make_folder(target)
                folders.append(target)
            else:
                await _receive_file(target, mode, size, files, reader, writer)
        elif kind != b"T":
            raise ScpError(f"protocol error: {line!r}")
        writer.write(b"\0")


def _header(rest: bytes) -> tuple[int, int, str]:
    """Returns mode, size and name of a `C` or `D` line."""
    mode, size, name = rest.split(b" ", 2)
    text = name.decode("utf-8", "surrogateescape")
    if text in ("", ".", "..") or "/" in text:
        raise ScpError(f"unexpected filename: {text}")
    return int(mode, 8) & 0o777, int(size), text


async def _receive_file(
    path: str, mode: int, size: int, files: InstanceFiles, reader: ScpReader, writer: Writer
) -> None:
    files.make_folder(posixpath.dirname(path))
    kept = files.local_path(path)
    with kept.open("wb") as file:
        writer.write(b"\0")
        left = size
        while left:
            block = await reader.readexactly(min(left, _BLOCK))
            file.write(block)
            left -= len(block)
    kept.chmod(mode)
    if await reader.readexactly(1) != b"\0":
        raise ScpError("the sender reported an error")
    files.record_upload(path)


async def _send(path: str, kept: Path, recurses: bool, reader: ScpReader, writer: Writer, *, top: bool) -> None:
    if top:
        await _acknowledged(reader)
    name = posixpath.basename(path).encode("utf-8", "surrogateescape") or b"/"
    if kept.is_dir():
        if not recurses:
            raise ScpError(f"{path}: not a regular file")
        writer.write(b"D0755 0 " + name + b"\n")
        await _acknowledged(reader)
        for child in sorted(kept.iterdir()):
            await _send(posixpath.join(path, child.name), child, recurses, reader, writer, top=False)
        writer.write(b"E\n")
        await _acknowledged(reader)
        return
    if not kept.is_file():
        raise ScpError(f"{path}: No such file or directory (only what was uploaded is there)")
    stat = kept.stat()
    writer.write(f"C{stat.st_mode & 0o777:04o} {stat.st_size} ".encode() + name + b"\n")
    await _acknowledged(reader)
    with kept.open("rb") as file:
        while block := file.read(_BLOCK):
            writer.write(block)
            await writer.drain()
    writer.write(b"\0")
    await _acknowledged(reader)


async def _acknowledged(reader: ScpReader) -> None:
    answer = await reader.read(1)
    if answer != b"\0":
        raise ScpError((await reader.readline()).decode("utf-8", "replace") or "the receiver hung up")
