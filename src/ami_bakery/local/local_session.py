"""An embedded EC2 from start to stop, and a command run inside one."""

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
"""A file that its owner holds a lock on: a folder whose file is not locked belongs to nobody any more."""
_SURELY_LOCKED_SECONDS = 60
_WELCOME = """\
You are in a simulated AWS account (embedded EC2): nothing you do here reaches AWS or costs anything.
Packer, the aws CLI, Terraform and AWS SDKs use it without any change. Instances accept SSH, keep uploaded
files and record commands; nothing is executed on them. Type `exit` to leave and discard everything.
"""


class LocalAws:
    """An embedded EC2 in threads of this process. As a context manager: started on entering, stopped on leaving.

    Raises `UsageError` on entering where the instances' SSH port cannot be had.
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
        from ami_bakery.local.report import Recorder
        from ami_bakery.local.ssh.ssh_server import SshHost

        listen(self._settings.ssh_port).close()
        with ExitStack() as undo:
            _remove_folders_of_the_dead()
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
                control=ControlHandler(service, host.forget_all),
                note=self._note,
            )
            undo.callback(proxy.stop)
            proxy.start()
            self._folder, self._proxy = folder, proxy
            self._undo = undo.pop_all()

    def stop(self) -> None:
        """Leaves no thread, socket or file. A second call does nothing."""
        self._undo.close()
        self._folder = self._proxy = None

    @property
    def url(self) -> str:
        """The control URL, for `Control`; it is the proxy's, too."""
        if self._proxy is None:
            raise RuntimeError("the embedded EC2 is not started")
        return self._proxy.url

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The environment for a child that shall reach this EC2 in place of AWS; `base` is what it would have had."""
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
        """Its own; None if it is not started."""
        return self._folder

    def _note(self, text: str) -> None:
        stream = self._stderr or sys.stderr
        with suppress(OSError, ValueError):
            stream.write(f"embedded EC2: {text}\n")
            stream.flush()


def _remove_folders_of_the_dead() -> None:
    """What was killed before it had started a command, or together with it, could not remove its folder."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            if is_ours and time.time() - status.st_mtime > _SURELY_LOCKED_SECONDS and _is_abandoned(folder):
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
    """Run a command inside an embedded EC2 that lives as long as the command does; its exit status, 128+n for signal n.

    An empty command is the user's shell. Where the instances' SSH port cannot be had, the whole of it runs in a network
    namespace of its own. Raises `UsageError` where the command cannot be started, or the port cannot be had at all.
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
    """Run a program as a shell would, and outlive it: what the terminal sends reaches it directly, SIGTERM and SIGHUP
    that reach only us are handed on. If we are killed, it is ended with all that it started, and `folder` is removed.
    """
    control, ours = os.pipe()
    reading, failure = os.pipe()
    words = (str(control), str(failure), str(folder or ""), *argv)
    try:
        with open(reading, "rb") as failed, _handed_on() as adopt, _signals() as signals:
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
    """Before anything is started: a misspelt command should not cost two seconds."""
    if shutil.which(argv[0], path=environment.get("PATH", os.defpath)) is None:
        raise _cannot_start(argv[0], "no such command on the PATH, or not executable")


def _cannot_start(name: str, wrong: str) -> UsageError:
    return UsageError(
        "running a command in the embedded EC2",
        f"{name}: {wrong}",
        "Check its spelling and your PATH, or leave the command out for a shell.",
    )


@contextmanager
def _handed_on() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """While inside: SIGINT and SIGQUIT, which a terminal sends to the child as well, do nothing to us (they cannot be
    ignored, or the child would inherit that); SIGTERM and SIGHUP go on to the child."""
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def hand_on(number: int, _: FrameType | None) -> None:
        # A child may be running before we are told of it.
        if not children:
            early.append(number)
        for child in children:
            child.send_signal(number)

    def register(child: subprocess.Popen[bytes]) -> None:
        children.append(child)
        while early:
            child.send_signal(early.pop(0))

    def leave_alone(number: int, _: FrameType | None) -> None:
        pass

    if threading.current_thread() is not threading.main_thread():
        yield register
        return
    handlers = {
        signal.SIGINT: leave_alone,
        signal.SIGQUIT: leave_alone,
        signal.SIGTERM: hand_on,
        signal.SIGHUP: hand_on,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield register
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _signals() -> Iterator[int | None]:
    """The reading end of a pipe that gets a byte for each signal; None outside the main thread, which gets no signals.

    The kernel may give a signal to any thread, but Python runs handlers in the main thread alone. A main thread that
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
