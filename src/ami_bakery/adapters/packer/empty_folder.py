"""An empty folder to start Packer in: before 1.11 it starts plugins that lie in its current folder."""

from __future__ import annotations

import os
import threading

from ami_bakery.errors import PackerError


class EmptyFolder:
    """A folder to start Packer in: made when it is needed, gone when it is closed. Packer may still run in it then,
    since nobody waits for what was only expected."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: str | None = None
        self._closed = False

    def path(self) -> str:
        with self._lock:
            if self._path is None or self._closed:
                self._path = self._made()
            return self._path

    def file(self, name: str) -> str:
        """The path of an empty file, which is all that is ever there."""
        path = os.path.join(self.path(), name)
        with open(path, "w", encoding="utf-8"):
            return path

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._path is not None:
                import shutil

                shutil.rmtree(self._path, ignore_errors=True)

    def _made(self) -> str:
        import tempfile

        doing, todo = (
            "making an empty folder for Packer",
            "Make room for temporary files, or name another folder in TMPDIR.",
        )
        if self._closed:
            raise PackerError(doing, "the program ends", todo)
        try:
            return tempfile.mkdtemp(prefix="ami-bakery-")
        except OSError as error:
            raise PackerError(doing, error.strerror or str(error), todo) from error
