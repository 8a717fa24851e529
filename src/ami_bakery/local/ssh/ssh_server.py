"""The SSH servers of instances: they keep uploads, record commands, and run nothing."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh

from ami_bakery.local.recorder import Recorder, SshCommand
from ami_bakery.local.ssh import scp
from ami_bakery.local.ssh.instance_files import InstanceFiles
from ami_bakery.local.ssh.loopback import listen

if TYPE_CHECKING:
    import socket

_SHOWN_CHARACTERS = 160
_START_SECONDS = 10
Result = TypeVar("Result")


class SshHost:
    """Runs the SSH servers of all instances, in one thread. The instances are of one embedded EC2."""

    def __init__(self, port: int, folder: Path, recorder: Recorder) -> None:
        self._port = port
        self._folder = folder
        self._recorder = recorder
        self._instances: dict[str, _Instance] = {}
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded-ec2-ssh")
        self._thread.start()

    def launch(self, instance_id: str, public_key: str | None) -> str:
        """Starts the server of a new instance; returns its address. Raises `UsageError` if the port cannot be bound."""
        listener = listen(self._port)
        address: str = listener.getsockname()[0]
        folder = Path(tempfile.mkdtemp(prefix=f"{instance_id}-", dir=self._folder)) / "root"
        files = InstanceFiles(instance_id, folder, self._recorder.upload)
        key = asyncssh.import_public_key(public_key) if public_key else None
        instance = _Instance(instance_id, address, key, files, self._recorder)
        self._instances[instance_id] = instance
        self._run(instance.open(listener, self._host_key))
        return address

    def set_running(self, instance_id: str, running: bool) -> None:
        instance = self._instances.get(instance_id)
        if instance is None or instance.running == running:
            return
        if running:
            self._run(instance.open(listen(self._port, instance.address), self._host_key))
        else:
            self._run(instance.close())

    def reset(self) -> None:
        """Closes all connections and deletes all uploads."""
        for instance in self._instances.values():
            self._run(instance.close())
        self._instances.clear()
        for folder in self._folder.iterdir():
            shutil.rmtree(folder, ignore_errors=True)

    def stop(self) -> None:
        self.reset()
        self._run(_finish_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=_START_SECONDS)


async def _finish_tasks() -> None:
    """Waits for the tasks of closed connections, and cancels late ones."""
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=2)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class _Instance:
    """One instance's SSH server."""

    def __init__(
        self,
        instance_id: str,
        address: str,
        key: asyncssh.SSHKey | None,
        files: InstanceFiles,
        recorder: Recorder,
    ) -> None:
        self.instance_id = instance_id
        self.address = address
        self.key = key
        self.files = files
        self.recorder = recorder
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None

    @property
    def running(self) -> bool:
        return self._acceptor is not None

    async def open(self, listener: socket.socket, host_key: asyncssh.SSHKey) -> None:
        self._acceptor = await asyncssh.listen(
            sock=listener,
            server_host_keys=[host_key],
            server_factory=lambda: _Login(self),
            process_factory=self._serve,
            sftp_factory=lambda channel: _Sftp(channel, self.files),
            encoding=None,
            agent_forwarding=False,
            x11_forwarding=False,
        )

    async def close(self) -> None:
        if self._acceptor is not None:
            acceptor, self._acceptor = self._acceptor, None
            acceptor.close()
            for connection in tuple(self.connections):
                connection.abort()
            await acceptor.wait_closed()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Serves one channel that is not sftp: runs scp, and records any other command."""
        user = process.get_extra_info("username")
        text = process.command
        if text is None:
            await self._shell(process, user)
            return
        request = scp.parse_scp(text)
        if request is not None:
            process.exit(await scp.serve(request, user, self.files, process.stdin, process.stdout))
            return
        self._record(process, user, text)
        process.exit(0)

    async def _shell(self, process: asyncssh.SSHServerProcess[bytes], user: str) -> None:
        process.stdout.write(b"[embedded EC2] there is no shell here: each line is recorded and not executed\r\n")
        try:
            async for line in process.stdin:
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                if text in ("exit", "logout"):
                    break
                self._record(process, user, text)
        except (asyncssh.BreakReceived, asyncssh.SignalReceived, asyncssh.TerminalSizeChanged):
            pass
        process.exit(0)

    def _record(self, process: asyncssh.SSHServerProcess[bytes], user: str, text: str) -> None:
        self.recorder.command(SshCommand(instance=self.instance_id, user=user, command=text.rstrip("\n")))
        shown = " ".join(text.split())
        if len(shown) > _SHOWN_CHARACTERS:
            shown = shown[: _SHOWN_CHARACTERS - 3] + "..."
        process.stdout.write(f"[embedded EC2] recorded, not executed: {shown}\n".encode())


class _Login(asyncssh.SSHServer):
    """Accepts the instance's key, if it has one, for any user name: the AMI's accounts are unknown."""

    def __init__(self, instance: _Instance) -> None:
        self._instance = instance
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._instance.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._instance.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return self._instance.key is not None

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        expected = self._instance.key
        return expected is not None and key.public_data == expected.public_data


class _Sftp(asyncssh.SFTPServer):
    """Serves sftp for the instance's files; creates missing folders, and refuses links."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], files: InstanceFiles) -> None:
        super().__init__(channel, chroot=bytes(files.root))
        self._files = files
        self._user = channel.get_extra_info("username")
        self._written: dict[int, str] = {}
        files.make_folder(files.instance_path("~", self._user))

    def map_path(self, path: bytes) -> bytes:
        return bytes(self._files.local_path(self._instance_path(path)))

    def _instance_path(self, path: bytes) -> str:
        return self._files.instance_path(path.decode("utf-8", "surrogateescape"), self._user)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        inside = self._instance_path(path)
        writes = bool(pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND))
        if writes:
            self._files.make_folder(inside.rpartition("/")[0] or "/")
        file = super().open(path, pflags, attrs)
        if writes:
            self._written[id(file)] = inside
        return file

    def close(self, file_obj: object) -> None:
        super().close(file_obj)
        if inside := self._written.pop(id(file_obj), None):
            self._files.record_upload(inside)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self._files.make_folder(self._instance_path(path))

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("the embedded EC2 keeps no links")

    link = symlink
