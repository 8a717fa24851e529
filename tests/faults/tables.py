"""The outcomes in docs/contributing/faults.md: a table of calls and faults, and the messages of failed runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tests.faults import kills, walk

if TYPE_CHECKING:
    from tests.faults.recovery import Outcome

_WELL = "·"
_LONGEST = 180
_HEAD = """\
# Faults and kills

A test injects every fault into every call of a bake, and kills the bake at every call.
`python -m tests.faults --results FOLDER --write docs/contributing/faults.md` writes this page.

AMI Bakery and Packer ({packer}) bake an image in two regions in the embedded EC2. One run has a
fault or is killed; the next run bakes the same image. After each pair, the test checks:

- The next run succeeds and prints the only finished AMI of each region. If the first run printed an
  id, it is the same.
- Finished work is not done again.
- A run that fails says why, and lists all resources that it left in EC2.
- `images --orphans` lists the resources that both left behind, and `--clean` deletes all of them.

The tables show two exceptions. *reported only*: the resource could not be tagged (no permission, no
service or no credentials), and only the message of the failed run names it. *without a trace*:
Packer created it just before everything was killed, and nothing was recorded yet: a key pair or a
security group, which cost nothing.

Locks expired after 8 s here. {count} pairs; {broken}.
"""
_FAULTS = """\
## Every call, every fault

`{well}`: the run built the image, nothing remained, and the next run reused its AMI. Otherwise the
cell shows how the first run ended, what the next one did, and in brackets what remained at the end.
(2), (3): the second and third such call of the run. Calls of one action run concurrently, so their
numbers can differ between runs. `–`: the run did not make that call.

| fault | |
|---|---|
| throttled, InternalError | the call returns that error once (`RequestLimitExceeded`) |
| connection lost | the call has no effect, and the connection is closed, once |
| answer lost | the call has its effect, and the connection is closed, once |
| no answer | the call has no effect, and there is no response for 35 s, once |
| denied, down | this call and all later ones of the same action and caller return `UnauthorizedOperation`, or `Unavailable` |
| credentials expire | this call and all later ones of both callers return `RequestExpired` |
"""
_SAID = """\
## Messages of failed runs

Ids and paths are shortened.
"""
_KILLS = """\
## Killed at every call

Killed while the call was in progress, before or after it had its effect in EC2: the process of AMI
Bakery; its process group; or everything at once, as when a container or a machine is gone (AMI
Bakery, the watchdog, Packer and its plugins). The cell shows what the next run did, and in brackets
what remained at the end.
"""
_LINES = """\
## Killed between Packer's steps

The same, after Packer printed this line.
"""


def document(outcomes: Sequence[Outcome], packer: str) -> str:
    tables = {
        table: [one for one in outcomes if one.table == table] for table in dict.fromkeys(o.table for o in outcomes)
    }
    broken = sum(1 for one in outcomes if one.problems)
    parts = [
        _HEAD.format(
            packer=packer,
            count=len(outcomes),
            broken=f"{broken} of them failed" if broken else "all of them passed",
        ),
        _FAULTS.format(well=_WELL),
        _matrix("call", tables.get(walk.TABLE, ()), tuple(walk.FAULTS), _fault_cell),
        _SAID,
        *_said(tables.get(walk.TABLE, ())),
        "",
        _KILLS,
        _matrix("call", tables.get(kills.TABLE, ()), tuple(kills.BLOWS), _kill_cell),
        _LINES,
        _matrix("Packer", tables.get(kills.TABLE_OF_LINES, ()), tuple(kills.WHOM), _kill_cell),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _matrix(head: str, outcomes: Iterable[Outcome], blows: Sequence[str], cell: Callable[[Outcome], str]) -> str:
    cells = {(one.step, one.blow): cell(one) for one in outcomes}
    rows = [f"| {head} | {' | '.join(blows)} |", "|---" * (len(blows) + 1) + "|"]
    for step in dict.fromkeys(step for step, _ in cells):
        rows.append(f"| {step} | {' | '.join(cells.get((step, blow), '') for blow in blows)} |")
    return "\n".join([*rows, ""])


def _fault_cell(outcome: Outcome) -> str:
    if outcome.first == "not reached":
        return "–"
    if (outcome.first, outcome.second, outcome.left) == ("baked", "reused", ""):
        return _WELL
    return f"{outcome.first.partition(':')[0]}; {_short(outcome.second)}{_left(outcome)}"


def _kill_cell(outcome: Outcome) -> str:
    return "–" if outcome.first == "not reached" else _short(outcome.second) + _left(outcome)


def _left(outcome: Outcome) -> str:
    return f" ({outcome.left})" if outcome.left else ""


def _short(said: str) -> str:
    return said.partition(":")[0]


def _said(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """One row for what several said in the same words."""
    told: dict[tuple[str, str], list[str]] = {}
    for one in outcomes:
        if one.first.startswith("failed: "):
            told.setdefault((one.step, _cell(one.first.removeprefix("failed: "))), []).append(one.blow)
    yield "| call | fault | what it said |"
    yield "|---|---|---|"
    for (step, said), blows in told.items():
        yield f"| {step} | {', '.join(blows)} | {said} |"


def _cell(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return short.replace("|", "\\|").replace("<", "&lt;")
