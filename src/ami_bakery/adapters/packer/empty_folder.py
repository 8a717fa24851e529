"""An empty folder for Packer. Before 1.11, Packer starts plugins in its current folder."""

from __future__ import annotations

import os
import threading

from ami_bakery.errors import PackerError


class EmptyFolder:
    """Creates the folder at first use, and removes it on `close`.

    A prefetch may still be running in it then, because nothing waits for prefetches.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: str | None = None
        self._closed = False

    def path(self) -> str:
        with self._lock:
            if self._path is None or self._closed:
                self._path = self._create()
            return self._path

    def file(self, name: str) -> str:
        """Creates an empty file, and returns its path. The folder contains nothing else."""
        path = os.path.join(self.path(), name)
        with open(path, "w", encoding="utf-8"):
            return path

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._path is not None:
                import shutil

                shutil.rmtree(self._path, ignore_errors=True)

    def _create(self) -> str:
        import tempfile

        doing, todo = (
            "creating a temporary folder for Packer",
            "Free disk space, or set TMPDIR to another folder.",
        )
        if self._closed:
            raise PackerError(doing, "the program is exiting", todo)
        try:
            return tempfile.mkdtemp(prefix="ami-bakery-")
        except OSError as error:
            raise PackerError(doing, error.strerror or str(error), todo) from error
