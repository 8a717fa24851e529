"""Commands in an embedded EC2: exit status, signals, messages, cleanup."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from ami_bakery.errors import UsageError
from ami_bakery.local import LocalAws, LocalSettings, child_program, run_local
from ami_bakery.local.shell_prompt import with_prompt

from .conftest import client_of, launch, until

_RUN = (
    "import os, sys; from ami_bakery.local import LocalSettings, run_local; from ami_bakery.errors import BakeryError\n"
    "try:\n"
    "    status = run_local(sys.argv[1:], environment=os.environ, settings=LocalSettings(), stderr=sys.stderr)\n"
    "except BakeryError as error:\n"
    "    print(error, error.todo, file=sys.stderr); status = error.exit_status\n"
    "sys.exit(status)\n"
)


def start(*command: str, **options: object) -> subprocess.Popen[str]:
    process: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-c", _RUN, *command],
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,  # type: ignore[call-overload]
    )
    return process


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def end_session(process: subprocess.Popen[str]) -> None:
    """Ends a session leader with its children, so that a failed test leaves no processes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_command_keeps_its_exit_status_and_output() -> None:
    assert finish(start("sh", "-c", "echo out; echo err >&2; exit 7")) == (7, "out\n", "err\n")


def test_command_killed_by_a_signal_exits_with_128_plus_its_number() -> None:
    assert finish(start("sh", "-c", "kill -KILL $$"))[0] == 128 + signal.SIGKILL


def test_aws_cli_uses_the_embedded_ec2() -> None:
    if shutil.which("aws") is None:
        pytest.skip("the aws cli is not installed")
    wanted = ("--filters", "Name=name,Values=debian-12-*")
    query = ("--query", "Images[].Name", "--output", "text")
    status, out, err = finish(start("aws", "ec2", "describe-images", "--owners", "136693071363", *wanted, *query))
    assert (status, out, err) == (0, "debian-12-amd64-20240901-1857\n", "")


@pytest.mark.parametrize("name", ["no-such-command", "/etc/passwd", "/"])
def test_command_that_cannot_start_is_an_error(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        run_local([name], environment=os.environ, settings=LocalSettings(), stderr=io.StringIO())
    assert name in caught.value.wrong


def test_script_without_interpreter_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("\0")
    script.chmod(0o755)
    with pytest.raises(UsageError, match="Exec format error"):
        run_local([str(script)], environment=os.environ, settings=LocalSettings(), stderr=io.StringIO())


def test_shell_shows_a_welcome_message(tmp_path: Path) -> None:
    shell = start(stdin=subprocess.PIPE, env=os.environ | {"SHELL": "/bin/sh"})
    out, err = shell.communicate("echo $AMI_BAKERY_LOCAL_URL; exit 3\n", timeout=300)
    assert (shell.returncode, out.startswith("http://127.0.0.1:")) == (3, True)
    for word in ("costs", "nothing is executed", "exit"):
        assert word in err


def test_sigterm_is_forwarded() -> None:
    process = start("sh", "-c", "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert finish(process)[:2] == (5, "told\n")


_SLOW_SPAWN = (
    "import os, runpy, sys, time\n"
    "spawn = os.posix_spawnp\n"
    "def slow(*words, **options):\n"
    "    pid = spawn(*words, **options); time.sleep(1); return pid\n"
    "os.posix_spawnp = slow\n"
    "runpy.run_path(sys.argv.pop(1), run_name='__main__')\n"
)


def test_early_sigterm_reaches_the_command() -> None:
    """The command may be ready before the program that started it continues."""
    control, ours = os.pipe()
    reading, failure = os.pipe()
    command = ("sh", "-c", "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_SPAWN, child_program.__file__, str(control), str(failure), "", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=(control, failure),
        start_new_session=True,
    )
    os.close(control)
    os.close(failure)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 5
        assert process.stdout.read() == "told\n"
    finally:
        os.close(ours)
        os.close(reading)
        end_session(process)


_TERM_IN_A_THREAD = (
    "import os, signal, sys, threading, time; from pathlib import Path\n"
    "from ami_bakery.local.local_session import foreground\n"
    "ready = Path(sys.argv.pop(1))\n"
    "def term():\n"
    "    while not ready.exists(): time.sleep(0.05)\n"
    "    time.sleep(0.5)\n"
    "    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
    "threading.Thread(target=term).start()\n"
    "sys.exit(foreground(sys.argv[1:], os.environ))\n"
)


def test_sigterm_delivered_to_another_thread_is_forwarded(tmp_path: Path) -> None:
    """Python runs handlers only in the main thread, which waits for the command."""
    ready = tmp_path / "ready"
    command = ("sh", "-c", f"trap 'echo told; exit 5' TERM; : > '{ready}'; while :; do sleep 0.05; done")
    process = subprocess.Popen(
        [sys.executable, "-c", _TERM_IN_A_THREAD, str(ready), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (5, "told\n", "")
    finally:
        end_session(process)


def test_ctrl_c_reaches_the_command_while_the_server_keeps_running() -> None:
    ask = "curl -s --noproxy '*' $AMI_BAKERY_LOCAL_URL/report | head -c 9"
    script = f'interrupted() {{ echo "got=$({ask})"; exit 6; }}; trap interrupted INT'
    command = ["sh", "-c", f"{script}; echo ready; while :; do sleep 0.05; done"]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", _RUN, *command])
    seen = b""
    with open(terminal, "rb", buffering=0, closefd=True) as screen:
        while b"ready" not in seen:
            seen += screen.read(1000)
        os.write(screen.fileno(), b"\x03")
        try:
            while block := screen.read(1000):
                seen += block
        except OSError:  # the other end of the terminal is closed
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6
    assert b'got={"counts' in seen
    assert b"Traceback" not in seen


def test_stop_removes_threads_sockets_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set(threading.enumerate())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        with LocalAws(LocalSettings(pending_seconds=0)) as local:
            ec2 = client_of(local)
            address = launch(ec2)["PublicIpAddress"]
            with socket.create_connection((address, 22)) as idle:
                idle.recv(10)
                url = local.url
                local.stop()
            ec2.close()
    until(lambda: set(threading.enumerate()) <= threads)
    assert list(tmp_path.iterdir()) == []
    until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors + 2)
    for where in ((address, 22), ("127.0.0.1", int(url.rpartition(":")[2]))):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where)


def _without_the_right(*dropped: str) -> list[str]:
    """Returns a prefix that runs a command without root's capabilities."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    return ["setpriv", f"--bounding-set={','.join(f'-{right}' for right in dropped)}", "--inh-caps=-all"]


@pytest.mark.parametrize("dropped", [("net_bind_service",), ("net_bind_service", "sys_admin")])
def test_command_runs_in_a_network_namespace_if_the_port_is_in_use(dropped: tuple[str, ...]) -> None:
    script = "curl -s --noproxy '*' $AMI_BAKERY_LOCAL_URL/report; exit 4"
    prefix = _without_the_right(*dropped)
    if subprocess.run([*prefix, "unshare", "-Urn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no user namespaces")
    done = subprocess.run(
        [*prefix, sys.executable, "-c", _RUN, "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, '"counts"' in done.stdout) == (4, True), done.stderr
    (line,) = done.stderr.splitlines()
    assert "with loopback only" in line


def test_error_without_port_and_namespaces_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [*_without_the_right("net_bind_service"), "env", f"PATH={tmp_path}", sys.executable, "-c", _RUN, "/bin/true"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    for words in ("port 22", "Permission denied", "sudo sysctl net.ipv4.ip_unprivileged_port_start=22"):
        assert words in done.stderr
    assert "Traceback" not in done.stderr


# Killed


def alive(mark: str) -> list[str]:
    """Returns command lines of processes with this text in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if int(folder.name) and mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def kill_marked(mark: str) -> None:
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if int(folder.name) and mark.encode() in (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)


@pytest.mark.parametrize(
    "command",
    [
        "echo ready; while :; do sleep 0.1; done",
        "echo ready; trap '' TERM HUP INT; while :; do sleep 0.1; done",
        "(setsid sh -c 'setsid sleep 600 & sleep 600' &); sleep 0.2; echo ready; exec sleep 600",
        "nohup sleep 600 >/dev/null 2>&1 & echo ready; exit 0 & wait; sleep 600",
    ],
    ids=["a script", "one that ignores signals", "daemons", "nohup"],
)
def test_killed_embedded_ec2_leaves_no_folder_and_no_process(tmp_path: Path, command: str) -> None:
    mark = f"TEST_MARK={tmp_path}"
    process = start("sh", "-c", command, env=os.environ | {"TMPDIR": str(tmp_path), "TEST_MARK": str(tmp_path)})
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert len(alive(mark)) > 2
    process.kill()
    until(lambda: alive(mark) == [])
    until(lambda: list(tmp_path.iterdir()) == [])
    finish(process)


def test_daemons_of_a_finished_command_keep_running(tmp_path: Path) -> None:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = start("sh", "-c", "sleep 601 & exit 4", env=os.environ | {"TEST_MARK": str(tmp_path)}, **quiet)
    assert process.wait(timeout=300) == 4
    (left,) = alive(f"TEST_MARK={tmp_path}")
    assert left == "sleep 601 "
    kill_marked(f"TEST_MARK={tmp_path}")


def test_next_start_removes_the_folder_of_a_killed_embedded_ec2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, young, other = (tmp_path / name for name in ("ami-bakery-local-dead", "ami-bakery-local-new", "ami-bakery-x"))
    for folder in (dead, young, other):
        folder.mkdir()
        (folder / "owner").touch()
    with LocalAws() as local:
        assert local.folder is not None
        for folder in (dead, other, local.folder):
            os.utime(folder, (0, 0))
        with LocalAws():
            assert [folder.exists() for folder in (dead, young, other)] == [False, True, True]
            assert local.folder.exists(), "its owner lives"


def test_command_inherits_no_ignored_signal_and_no_descriptor() -> None:
    script = "grep SigIgn /proc/self/status; ls /proc/self/fd | tr '\\n' ' '"
    status, out, _ = finish(start("sh", "-c", script))
    assert status == 0
    (ignored,) = re.findall(r"SigIgn:\s(\w+)\n", out)
    assert [
        number.name for number in signal.valid_signals() if number < 32 and int(ignored, 16) >> number - 1 & 1
    ] == []
    assert out.splitlines()[1].split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("shell", ["bash", "sh", "dash", "zsh", "fish", "ksh"])
def test_shell_prompt_shows_the_embedded_ec2(tmp_path: Path, shell: str) -> None:
    """The user's start-up files are also read."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / ".bashrc").write_text("MINE=own-settings\n")
    (tmp_path / "profile").write_text("MINE=own-settings\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ENV": str(tmp_path / "profile"), "TERM": "dumb"}
    folder = tmp_path / "folder"
    folder.mkdir()
    command, changed = with_prompt(program, environment, folder)
    primary, secondary = pty.openpty()
    of_its_own = ["setsid", "--ctty", "--wait", *command]  # fish checks which process group owns the terminal
    process = subprocess.Popen(
        of_its_own, env=changed, stdin=secondary, stdout=secondary, stderr=secondary, cwd=tmp_path
    )
    os.close(secondary)
    os.write(primary, b"echo mine=$MINE; exit\n")
    seen = b""
    with suppress(OSError):
        while chunk := os.read(primary, 4096):
            seen += chunk
    process.wait()
    os.close(primary)
    assert b"(ami-bakery local) " in seen
    assert b"mine=own-settings" in seen or shell in ("zsh", "fish")


def test_unknown_shell_is_started_unchanged(tmp_path: Path) -> None:
    assert with_prompt("/bin/nu", {"A": "b"}, tmp_path) == (["/bin/nu"], {"A": "b"})
