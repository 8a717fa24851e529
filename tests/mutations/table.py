"""The table in docs/reference/rebuild-triggers.md: read by the tests, written by `python -m tests.mutations.table`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent.parent / "docs/reference/rebuild-triggers.md"
START, END = "<!-- generated: matrix -->\n", "<!-- end -->"


@dataclass(frozen=True, kw_only=True)
class Row:
    must_move: bool
    drop_in_moves: bool | None
    """None if drop-in mode has no equivalent."""


def documented() -> dict[str, Row]:
    text = DOCUMENT.read_text().partition(START)[2].partition(END)[0]
    rows = {}
    for line in text.splitlines()[2:]:
        name, must, drop_in = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = Row(must_move=must == "rebuild", drop_in_moves={"rebuild": True, "no rebuild": False}.get(drop_in))
    return rows


def main() -> None:
    """Runs every case in drop-in mode, and writes the results; tests check the other column."""
    from ami_bakery.local import Control, LocalAws, LocalSettings
    from tests.conftest import aws_client
    from tests.harness import Harness
    from tests.mutations.cases import BEFORE, MOVE, STAY, Case
    from tests.mutations.repository import plant

    lines = ["| change | `bakery.toml` | drop-in mode |", "|---|---|---|"]
    with LocalAws(LocalSettings(pending_seconds=0)) as local:
        ec2, ssm, sts = (aws_client(local, service) for service in ("ec2", "ssm", "sts"))
        for name, mutate in (MOVE | STAY).items():
            word = "not available"
            if name not in BEFORE:
                Control(local.url).reset()
                (base, *_) = ec2.describe_images(Owners=["099720109477"])["Images"]
                ec2.copy_image(Name="golden-1", SourceImageId=base["ImageId"], SourceRegion="us-east-1")
                with tempfile.TemporaryDirectory() as folder:
                    harness = Harness(Path(folder), local)
                    plant(Path(folder) / "checkout", "json")
                    case = Case(
                        form="json", harness=harness, folder=Path(folder) / "checkout", ec2=ec2, ssm=ssm, sts=sts
                    )
                    before = case.drop_in_checksum()
                    mutate(case)
                    case.arguments = []
                    word = "rebuild" if case.drop_in_checksum() != before else "no rebuild"
            lines.append(f"| {name} | {'rebuild' if name in MOVE else 'no rebuild'} | {word} |")
    head, _, rest = DOCUMENT.read_text().partition(START)
    DOCUMENT.write_text(head + START + "\n".join(lines) + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
