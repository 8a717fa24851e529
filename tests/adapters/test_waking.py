"""A signal that the kernel gives to another thread than the main one is handled at once all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, threading, time
from ami_bakery.adapters.person import Person
from ami_bakery.errors import Interrupted

def deliver():
    time.sleep(0.2)
    # Whatever thread the kernel chooses; here it is never the main one.
    signal.pthread_kill(threading.get_ident(), signal.{name})
    threading.Event().wait()

other = threading.Thread(target=deliver, daemon=True)
other.start()
try:
    with Person(None, sys.stderr) as person:
        {waits}
except Interrupted as told:
    print(told)
print(signal.getsignal(signal.{name}) in (signal.SIG_DFL, signal.default_int_handler), threading.active_count())
"""
WAITS = {
    "a lock": "threading.Event().wait()",
    "a thread": "other.join()",
    "a socket": "import socket; pair = socket.socketpair(); pair[0].recv(1)",
    "a process": "import subprocess; subprocess.run(['sleep', '60'])",
}


@pytest.mark.parametrize("waits", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_main_thread_that_waits_is_woken(name: str, waits: str) -> None:
    program = PROGRAM.format(name=name, waits=waits)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert run.stdout.splitlines() == [name, "True 2"], run.stderr
    assert run.stderr == ""
