"""A signal that another thread receives is handled immediately in the main thread."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, threading, time
from ami_bakery.adapters.terminal.prompt import TerminalPrompter
from ami_bakery.errors import Interrupted

def deliver():
    time.sleep(0.2)
    # The kernel may choose any thread; here it is never the main thread.
    signal.pthread_kill(threading.get_ident(), signal.{name})
    threading.Event().wait()

# The parent process may ignore the signal (nohup).
signal.signal(signal.{name}, signal.SIG_DFL)
other = threading.Thread(target=deliver, daemon=True)
other.start()
try:
    with TerminalPrompter(None, sys.stderr) as prompter:
        {waits}
except Interrupted as interrupted:
    print(interrupted)
print(signal.getsignal(signal.{name}) is signal.SIG_DFL, threading.active_count())
"""
WAITS = {
    "a lock": "threading.Event().wait()",
    "a thread": "other.join()",
    "a socket": "import socket; pair = socket.socketpair(); pair[0].recv(1)",
    "a process": "import subprocess; subprocess.run(['sleep', '60'])",
}


@pytest.mark.parametrize("waits", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_waiting_main_thread_is_woken(name: str, waits: str) -> None:
    program = PROGRAM.format(name=name, waits=waits)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert run.stdout.splitlines() == [name, "True 2"], run.stderr
    assert run.stderr == ""


FLOOD = """
import signal, sys, threading
from ami_bakery.adapters.terminal.signal_wakeup import Waker

sys.setswitchinterval(1e-5)
signal.signal(signal.SIGTERM, lambda *_: None)
for _ in range(2000):
    waker = Waker()
    waker.start()
    signal.raise_signal(signal.SIGTERM)
    waker.stop()
print(threading.active_count())
"""


def test_the_waker_can_be_stopped_while_it_wakes() -> None:
    run = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, timeout=120, check=False)
    assert (run.stdout, run.stderr) == ("1\n", "")


LATE = """
import signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from ami_bakery.adapters.terminal.prompt import TerminalPrompter
from ami_bakery.bake.shutdown import wait_for_all

done = []
with TerminalPrompter(None, sys.stderr) as prompter, ThreadPoolExecutor() as pool:
    cleaning = pool.submit(lambda: time.sleep(2) or done.append(1))
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    wait_for_all([cleaning], SimpleNamespace(prompter=prompter))
    print(done)
"""


def test_a_first_signal_during_packers_cleanup_does_not_end_the_wait() -> None:
    """The bake may have ended for another reason than a signal."""
    run = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=300, check=False)
    assert (run.stdout, run.stderr) == ("[1]\n", "")
