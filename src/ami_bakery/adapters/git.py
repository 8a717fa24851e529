"""Asks git which commit a folder is at."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping


class GitProgram:
    """A `Git` port over the `git` program. Where there is none, or no repository, the commit is not known: no error."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**environment, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}

    def commit(self, folder: str) -> str:
        head = self._ask(folder, "rev-parse", "--verify", "HEAD")
        if head is None:
            return ""
        changes = self._ask(folder, "status", "--porcelain", "--untracked-files=normal")
        return f"{head.strip()}+dirty" if changes is None or changes.strip() else head.strip()

    def _ask(self, folder: str, *arguments: str) -> str | None:
        try:
            answer = subprocess.run(
                ["git", "-C", folder, *arguments],
                capture_output=True,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.decode("utf-8", "replace") if answer.returncode == 0 else None
