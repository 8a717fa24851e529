"""The outcomes in docs/contributing/faults.md: a table of calls and faults, and the messages of failed runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tests.faults import kills, walk

if TYPE_CHECKING:
    from tests.faults.recovery import Outcome

_OK = "·"
_MAX_LENGTH = 180
_HEAD = """\
# Faults and kills

A test injects every fault into every call of a bake, and kills the bake at every call.
`python -m tests.faults --results FOLDER --write docs/contributing/faults.md` writes this page.

AMI Bakery and Packer ({packer}) bake an image in two regions in the embedded EC2. One run has a
fault or is killed; the next run bakes the same image. After each pair, the test checks:

- The next run succeeds and prints the only finished AMI of each region. If the first run printed an
  id, it is the same.
- Finished work is not done again.
- A run that fails says why, and lists all resources that it could not delete in EC2.
- `images --orphans` lists the orphaned resources of both runs, and `--clean` deletes all of them.

The tables show two exceptions. *reported only*: the resource could not be tagged (no permission, no
service or no credentials), and only the message of the failed run names it. *without a trace*:
Packer created it just before everything was killed, and nothing was recorded yet: a key pair or a
security group, which cost nothing.

Locks expired after 8 s here. {count} pairs; {broken}.
"""
_FAULTS = """\
## Every call, every fault

`{ok}`: the run built the image, nothing remained, and the next run reused its AMI. Otherwise the
cell shows how the first run ended, what the next one did, and in brackets what remained at the end.
(2), (3): the second and third such call of the run. Calls of one action run concurrently, so their
numbers can differ between runs. `–`: the run did not make that call.

| fault | description |
|---|---|
| throttled, InternalError | the call returns that error once (`RequestLimitExceeded`) |
| connection lost | the call has no effect, and the connection is closed, once |
| response lost | the call has its effect, and the connection is closed, once |
| no response | the call has no effect, and there is no response for 35 s, once |
| denied, down | this call and all later ones of the same action and caller return `UnauthorizedOperation`, or `Unavailable` |
| credentials expire | this call and all later ones of both callers return `RequestExpired` |
"""
_MESSAGES = """\
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
_TEST = """\
## Every call of a test

The same for an image with a test, which makes an AMI: the calls from the start of the test to the
digest.
"""
_LINES = """\
## Killed between Packer's steps

The same, after Packer printed this line.
"""


def document(outcomes: Sequence[Outcome], packer: str) -> str:
    tables = {
        table: [outcome for outcome in outcomes if outcome.table == table]
        for table in dict.fromkeys(o.table for o in outcomes)
    }
    broken = sum(1 for outcome in outcomes if outcome.problems)
    parts = [
        _HEAD.format(
            packer=packer,
            count=len(outcomes),
            broken=f"{broken} of them failed" if broken else "all of them passed",
        ),
        _FAULTS.format(ok=_OK),
        _matrix("call", tables.get(walk.TABLE, ()), tuple(walk.FAULTS), _fault_cell),
        _MESSAGES,
        *_messages(tables.get(walk.TABLE, ())),
        "",
        _KILLS,
        _matrix("call", tables.get(kills.TABLE, ()), tuple(kills.KILLS), _kill_cell),
        _TEST,
        _matrix("call", tables.get(walk.TABLE_OF_TEST, ()), tuple(walk.FAULTS), _fault_cell),
        _matrix("call", tables.get(kills.TABLE_OF_TEST, ()), tuple(kills.KILLS), _kill_cell),
        _LINES,
        _matrix("Packer", tables.get(kills.TABLE_OF_LINES, ()), tuple(kills.TARGETS), _kill_cell),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _matrix(head: str, outcomes: Iterable[Outcome], faults: Sequence[str], cell: Callable[[Outcome], str]) -> str:
    cells = {(outcome.step, outcome.fault): cell(outcome) for outcome in outcomes}
    rows = [f"| {head} | {' | '.join(faults)} |", "|---" * (len(faults) + 1) + "|"]
    for step in dict.fromkeys(step for step, _ in cells):
        rows.append(f"| {step} | {' | '.join(cells.get((step, fault), '') for fault in faults)} |")
    return "\n".join([*rows, ""])


def _fault_cell(outcome: Outcome) -> str:
    if outcome.first == "not reached":
        return "–"
    if (outcome.first, outcome.second, outcome.remaining) == ("baked", "reused", ""):
        return _OK
    return f"{outcome.first.partition(':')[0]}; {_short(outcome.second)}{_remaining(outcome)}"


def _kill_cell(outcome: Outcome) -> str:
    return "–" if outcome.first == "not reached" else _short(outcome.second) + _remaining(outcome)


def _remaining(outcome: Outcome) -> str:
    return f" ({outcome.remaining})" if outcome.remaining else ""


def _short(said: str) -> str:
    return said.partition(":")[0]


def _messages(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yields one row for each message, with all faults that led to it."""
    messages: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.first.startswith("failed: "):
            messages.setdefault((outcome.step, _cell(outcome.first.removeprefix("failed: "))), []).append(outcome.fault)
    yield "| call | fault | message |"
    yield "|---|---|---|"
    for (step, said), faults in messages.items():
        yield f"| {step} | {', '.join(faults)} | {said} |"


def _cell(text: str) -> str:
    short = text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
    return short.replace("|", "\\|").replace("<", "&lt;")
