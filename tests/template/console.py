"""Evaluates expressions with `packer console`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class _Failed:
    def __repr__(self) -> str:
        return "FAILED"


FAILED = _Failed()
"""Packer fails to evaluate the expression."""


def answers(
    packer: Path, folder: Path, template: str, expressions: Sequence[str], environment: Mapping[str, str]
) -> list[object]:
    """Returns each expression's value as JSON, or `FAILED`; one process evaluates all."""
    items = "\n".join(f"    try(jsonencode({text}), null)," for text in expressions)
    (folder / "a.pkr.hcl").write_text(f"{template}\nlocals {{\n  all = [\n{items}\n  ]\n}}\n")
    ran = subprocess.run(
        [packer, "console", "."],
        input="jsonencode(local.all)\n",
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CHECKPOINT_DISABLE": "1",
            "PACKER_NO_COLOR": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.startswith("["), (ran.stdout + ran.stderr)[-3000:]
    return [FAILED if answer is None else answer for answer in json.loads(ran.stdout)]
