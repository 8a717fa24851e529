"""Starts and stops an embedded EC2, and runs a command in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

from ami_bakery.errors import UsageError
from ami_bakery.local import namespace
from ami_bakery.local.environment import child_environment
from ami_bakery.local.local_settings import LocalSettings
from ami_bakery.local.shell_prompt import with_prompt
from ami_bakery.local.ssh.loopback import listen

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from ami_bakery.local.http.proxy import Proxy

_CHILD_PROGRAM = Path(__file__).with_name("child_program.py")
_SIGNALS_AT_ONCE = 4096
_FOLDER_PREFIX = "ami-bakery-local-"
_OWNER = "owner"
"""A file that the owner of a folder locks. If it is not locked, the folder is abandoned."""
_LOCKED_AFTER_SECONDS = 60
_WELCOME = """\
You are in a simulated AWS account (embedded EC2): nothing you do here reaches AWS or costs anything.
Packer, the aws CLI, Terraform and AWS SDKs use it without any change. Instances accept SSH, keep uploaded
files and record commands; nothing is executed on them. Type `exit` to leave and discard everything.
"""


class LocalAws:
    """An embedded EC2 in threads of this process; a context manager that starts and stops it.

    Raises `UsageError` on start if the SSH port of the instances cannot be bound.
    """

    def __init__(self, settings: LocalSettings | None = None, *, stderr: TextIO | None = None) -> None:
        self._settings = settings or LocalSettings()
        self._stderr = stderr
        self._folder: Path | None = None
        self._proxy: Proxy | None = None
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        # Imported here: moto takes a second.
        from ami_bakery.local.http.certificate_authority import Authority
        from ami_bakery.local.http.control_handler import ControlHandler
        from ami_bakery.local.http.proxy import Proxy
        from ami_bakery.local.http.service import Service
        from ami_bakery.local.recorder import Recorder
        from ami_bakery.local.ssh.ssh_server import SshHost

        listen(self._settings.ssh_port).close()
        with ExitStack() as undo:
            _remove_abandoned_folders()
            folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            owner = undo.enter_context(open(folder / _OWNER, "wb"))
            fcntl.flock(owner, fcntl.LOCK_EX)
            instances = folder / "instances"
            instances.mkdir()
            recorder = Recorder()
            host = SshHost(self._settings.ssh_port, instances, recorder)
            undo.callback(host.stop)
            service = Service(self._settings, host, recorder, self._note)
            undo.callback(service.close)
            proxy = Proxy(
                service=service,
                authority=Authority(folder),
                control=ControlHandler(service, host.reset),
                note=self._note,
            )
            undo.callback(proxy.stop)
            proxy.start()
            self._folder, self._proxy = folder, proxy
            self._undo = undo.pop_all()

    def stop(self) -> None:
        """Stops all threads, and removes all files. A second call does nothing."""
        self._undo.close()
        self._folder = self._proxy = None

    @property
    def url(self) -> str:
        """The control URL, for `Control`, which is also the proxy's URL."""
        if self._proxy is None:
            raise RuntimeError("the embedded EC2 is not started")
        return self._proxy.url

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Returns `base` changed so that children use this EC2 instead of AWS."""
        if self._folder is None:
            raise RuntimeError("the embedded EC2 is not started")
        return child_environment(
            base,
            settings=self._settings,
            proxy_url=self.url,
            authority=self._folder / "authority.pem",
            folder=self._folder,
        )

    @property
    def folder(self) -> Path | None:
        """The folder of its files; None if it is not started."""
        return self._folder

    def _note(self, text: str) -> None:
        stream = self._stderr or sys.stderr
        with suppress(OSError, ValueError):
            stream.write(f"embedded EC2: {text}\n")
            stream.flush()


def _remove_abandoned_folders() -> None:
    """Removes the folders of killed processes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            if is_ours and time.time() - status.st_mtime > _LOCKED_AFTER_SECONDS and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        with open(folder / _OWNER, "rb") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def run_local(
    command: Sequence[str], *, environment: Mapping[str, str], settings: LocalSettings, stderr: TextIO
) -> int:
    """Runs a command in an embedded EC2; returns its exit status, 128+n for signal n.

    An empty command means the user's shell. If the SSH port of the instances cannot be bound, everything runs in a new
    network namespace. Raises `UsageError` if the command cannot be started, or the port cannot be bound there either.
    """
    argv = list(command) or [environment.get("SHELL") or "/bin/sh"]
    _check_command(argv, environment)
    if not namespace.port_is_free(settings.ssh_port) and not namespace.entered(environment):
        again = namespace.command(command, settings, stderr)
        if again is not None:
            return foreground(again, environment)
    with LocalAws(settings, stderr=stderr) as local:
        inside = local.environment(environment)
        if not command and local.folder is not None:
            stderr.write(_WELCOME)
            stderr.flush()
            argv, inside = with_prompt(argv[0], inside, local.folder)
        return foreground(argv, inside, local.folder)


def foreground(argv: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> int:
    """Runs a program in the foreground, like a shell; returns its exit status.

    Signals of the terminal reach the program directly; SIGTERM and SIGHUP are forwarded to it. If this process is
    killed, the program and its children are ended, and `folder` is removed.
    """
    control, ours = os.pipe()
    reading, failure = os.pipe()
    words = (str(control), str(failure), str(folder or ""), *argv)
    try:
        with open(reading, "rb") as failed, _forward_signals() as adopt, _signals() as signals:
            try:
                process = subprocess.Popen(
                    (sys.executable, "-I", "-S", str(_CHILD_PROGRAM), *words),
                    env=dict(environment),
                    pass_fds=(control, failure),
                )
            finally:
                os.close(control)
                os.close(failure)
            adopt(process)
            while signals is not None and process.poll() is None:
                os.read(signals, _SIGNALS_AT_ONCE)
            wrong = failed.read().decode()
            status = process.wait()
    except OSError as error:
        raise _cannot_start(argv[0], error.strerror or str(error)) from None
    finally:
        os.close(ours)
    if wrong:
        raise _cannot_start(argv[0], wrong)
    return 128 - status if status < 0 else status


def _check_command(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Checks that the command exists, before the embedded EC2 starts (two seconds)."""
    if shutil.which(argv[0], path=environment.get("PATH", os.defpath)) is None:
        raise _cannot_start(argv[0], "no such executable on the PATH")


def _cannot_start(name: str, wrong: str) -> UsageError:
    return UsageError(
        "running a command in the embedded EC2",
        f"{name}: {wrong}",
        "Check its spelling and your PATH, or omit the command to start a shell.",
    )


@contextmanager
def _forward_signals() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Forwards SIGTERM and SIGHUP to the child.

    SIGINT and SIGQUIT have no effect here, because a terminal also sends them to the child. (They are not ignored, as
    the child would inherit that.)
    """
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        # A child may run before it is registered.
        if not children:
            early.append(number)
        for child in children:
            child.send_signal(number)

    def register(child: subprocess.Popen[bytes]) -> None:
        children.append(child)
        while early:
            child.send_signal(early.pop(0))

    def do_nothing(number: int, _: FrameType | None) -> None:
        pass

    if threading.current_thread() is not threading.main_thread():
        yield register
        return
    handlers = {
        signal.SIGINT: do_nothing,
        signal.SIGQUIT: do_nothing,
        signal.SIGTERM: forward,
        signal.SIGHUP: forward,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield register
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _signals() -> Iterator[int | None]:
    """Yields a pipe's reading end, which gets a byte for each signal; None outside the main thread.

    The kernel may deliver a signal to any thread, but Python runs handlers in the main thread only. A main thread that
    waits for the child would not notice; one that reads this pipe wakes up. SIGCHLD is among the signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    handler = signal.signal(signal.SIGCHLD, lambda *_: None)
    before = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    try:
        yield woken
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGCHLD, handler)
        os.close(woken)
        os.close(waking)
