"""Restores the signal settings that a program has when a user starts it in a terminal."""

from __future__ import annotations

import signal

_PYTHON_IGNORES = {signal.SIGPIPE, getattr(signal, "SIGXFSZ", signal.SIGPIPE)}
"""Python ignores these itself; `subprocess` restores them for its children."""


def use_default_signals() -> None:
    """Resets inherited settings: `nohup` ignores SIGHUP, `sh` ignores SIGINT and SIGQUIT for `make test &`.

    Programs that the tests start inherit ignored and blocked signals, and would ignore what the tests send.
    """
    for number in signal.valid_signals() - _PYTHON_IGNORES:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def restore_python_signals() -> None:
    """Restores the signals that Python ignores, in a forked child, as `subprocess` does."""
    for number in _PYTHON_IGNORES:
        signal.signal(number, signal.SIG_DFL)
