"""The temporary files of one instance, confined to one folder."""

from __future__ import annotations

import hashlib
import posixpath
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from ami_bakery.local.recorder import Upload

if TYPE_CHECKING:
    from pathlib import Path


class InstanceFiles:
    """Stores uploads; calls `recorded` for every complete file."""

    def __init__(self, instance_id: str, root: Path, recorded: Callable[[Upload], None]) -> None:
        self.root = root
        self._instance_id = instance_id
        self._recorded = recorded
        root.mkdir()

    def instance_path(self, path: str, user: str) -> str:
        """Returns the absolute path on the instance; `~` and relative paths start at the home folder."""
        home = "/root" if user == "root" else f"/home/{user.replace('/', '_')}"
        if path == "~" or path.startswith("~/"):
            path = home + path[1:]
        return posixpath.normpath(posixpath.join(home, path)).replace("//", "/")

    def local_path(self, path: str) -> Path:
        """Returns the local path of an absolute path of the instance. (The folder never contains links.)"""
        return self.root / posixpath.normpath(f"/{path}").lstrip("/")

    def make_folder(self, path: str) -> None:
        """Creates a folder and its parents. The client's `mkdir` command was only recorded."""
        self.local_path(path).mkdir(parents=True, exist_ok=True)

    def record_upload(self, path: str) -> None:
        """Records a file after it is completely written."""
        kept = self.local_path(path)
        with kept.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        stat = kept.stat()
        self._recorded(
            Upload(
                instance=self._instance_id,
                path=path,
                size=stat.st_size,
                sha256=digest,
                mode=f"{stat.st_mode & 0o7777:04o}",
            )
        )

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
