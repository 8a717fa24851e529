"""An SSH host on loopback that accepts every login, command and upload."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh


class _Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return True


class _Files(asyncssh.SFTPServer):
    """An SFTP folder in which every path exists as a folder; uploads get other names."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], root: Path) -> None:
        super().__init__(channel, chroot=str(root).encode())

    def stat(self, path: bytes) -> os.stat_result:
        self._at(path).mkdir(parents=True, exist_ok=True)
        return self._at(path).stat()

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        place = self._at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        return super().open(path + b".file" if place.is_dir() else path, pflags, attrs)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self._at(path).mkdir(parents=True, exist_ok=True)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Accepts every mode."""

    def _at(self, path: bytes) -> Path:
        return Path(self.map_path(path).decode("utf-8", "surrogateescape"))


async def _command(process: asyncssh.SSHServerProcess[str]) -> None:
    process.exit(0)


@contextmanager
def fake_remote(folder: Path) -> Iterator[int]:
    """Runs the host; yields its port. Stores uploads under `folder`."""
    loop = asyncio.new_event_loop()
    started: list[asyncssh.SSHAcceptor] = []
    ready = threading.Event()

    async def serve() -> None:
        started.append(
            await asyncssh.create_server(
                _Server,
                "127.0.0.1",
                0,
                server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
                process_factory=_command,
                sftp_factory=lambda channel: _Files(channel, folder),
                allow_scp=True,
            )
        )
        ready.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield started[0].get_port()
    finally:
        loop.call_soon_threadsafe(started[0].close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
