"""Python imports this at its start if it is on PYTHONPATH: logs imports, opened files and started processes."""

import os
import sys

_LOG = os.open(os.environ["AMI_BAKERY_AUDIT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
_PROCESSES = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec")


def _log(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "import") and isinstance(arguments[0], str | bytes):
        os.write(_LOG, b"%b %b\n" % (event.encode(), os.fsencode(arguments[0])))
    elif event in _PROCESSES:
        os.write(_LOG, b"process\n")


sys.addaudithook(_log)
