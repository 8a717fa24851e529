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

A test injects every fault into every call of a bake, and kills it at every call. These are the results.

Made by `python -m tests.faults --results FOLDER --write docs/contributing/faults.md`, which does all that is told here: the real program and the real Packer ({packer}) bake an image
in two regions in the embedded EC2; one call is struck; the next run bakes the same. After each pair it was found that

- the next run ends well, and says the one finished AMI that is there in each region; where the struck run has said an answer, it is the same one,
- what was finished before is not baked again,
- a struck run that fails says why, and names all that it has left in EC2,
- `images --orphans` shows all that both have left, and `--clean` removes it: nothing is there afterwards. Two exceptions are in the tables, each where it was seen: *told only* is what could not be marked,
  for want of the right, the service or the credentials, so that the message of the struck run alone names it; *without a trace* is what Packer made in the moment before everything was killed at once, when
  nothing had been noted yet: a key pair or a security group, which cost nothing.

Locks lived for 8 s here, so that nobody had to wait long for a dead run's. {count} pairs; {broken}.
"""
_FAULTS = """\
## Every call, every fault

`{well}`: the run baked, nothing was left, and the next run reused its AMI. Otherwise: how the struck run ended, what the next one did, and in brackets what was left when both had ended.
(2), (3): the second and third such call of the same run. Calls of one action are made side by side, so their numbers differ a little from run to run; `–`: the run came by without that call.

| fault | |
|---|---|
| throttled, InternalError | the call is answered with that once (`RequestLimitExceeded`) |
| connection lost | the call is not carried out, and the connection is closed, once |
| answer lost | the call is carried out, and the connection is closed, once |
| no answer | the call is not carried out, and nothing comes for 35 s, once |
| denied, down | this call and all later ones of its kind by the same caller are answered with `UnauthorizedOperation`, or with `Unavailable` |
| credentials expire | this call and all later ones of both callers are answered with `RequestExpired` |
"""
_SAID = """\
## What the struck runs said

Where they failed; ids and paths are shortened.
"""
_KILLS = """\
## Killed at every call

While the call was in flight, before or after EC2 had carried it out: the bakery's process; its process group; or everything at once, as when a container or a machine is gone (the bakery, the
guard beside Packer, Packer and its plugins). What the next run did, and in brackets what was left when it had ended.
"""
_LINES = """\
## Killed between Packer's steps

The same, when Packer had just said this.
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
            broken=f"{broken} of them broke a promise" if broken else "all of them kept all of it",
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
