"""The outcomes in docs/contributing/faults.md: tables of calls and faults, and the messages of failed runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tests.faults import channel_steps, enabling_steps, kills, prune_walk, walk

if TYPE_CHECKING:
    from tests.faults.recovery import Outcome

_OK = "·"
_MAX_LENGTH = 180
_HEAD = """\
# Faults and kills

A test injects every fault into every call of a command, and kills the command at every call.
`python -m tests.faults --results FOLDER --write docs/contributing/faults.md` writes the tables of
this page for which the folder has results.

## What is checked

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

Locks expired after 8 s here.
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
_CHANNELS = """\
## Every call of promote, rollback, revoke and unrevoke

The image is in two regions, and its AMIs are made without Packer. After each pair, the same command
runs again. Then the channel must have the right AMI in both regions, and only the right AMIs must
be revoked; none after `unrevoke`. A lock that is still there must not block the next promotion.
`revoke` runs with `--descendants` and `--rollback-channels`, and looks for copies in every region
of the account; the calls in one of the other regions are walked. `·`: the first run did it.
`killed`: during the call, before or after AWS carried it out. Faults without a column, and calls
with an empty cell or no row, were not walked for this page.
"""
_TEST = """\
## Every call of a test

The same for an image with a test, which makes an AMI: the calls from the start of the test to the
digest.
"""
_ENABLING = """\
## Every call of a bake that enables an AMI

The AMI of the current definition and its copy are in quarantine, and were shared. After each pair,
`bake` runs again. Then both AMIs must be available and shared as before, and Packer must not have
run. `·`: the first run did it.
"""
_LINES = """\
## Killed between Packer's steps

The same, after Packer printed this line.
"""


def document(outcomes: Sequence[Outcome], packer: str, before: str) -> str:
    """Returns the page. Sections of tables without outcomes are taken from the page `before`."""
    tables: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        tables.setdefault(outcome.table, []).append(outcome)
    faults, killed = tables.get(walk.TABLE, ()), tables.get(kills.TABLE, ())
    tested, killed_tests = tables.get(walk.TABLE_OF_TEST, ()), tables.get(kills.TABLE_OF_TEST, ())
    lines = tables.get(kills.TABLE_OF_LINES, ())
    channels = [each for name in channel_steps.TABLES for each in tables.get(name, ())]
    enabling = tables.get(enabling_steps.TABLE, ())
    sections = [
        (
            faults,
            [_FAULTS.format(ok=_OK), _matrix("call", faults, tuple(walk.FAULTS), _fault_cell)],
        ),
        (faults, [_MESSAGES, *_messages(faults), ""]),
        (killed, [_KILLS, _matrix("call", killed, tuple(kills.KILLS), _kill_cell)]),
        (
            [*tested, *killed_tests],
            [
                _TEST,
                _matrix("call", tested, tuple(walk.FAULTS), _fault_cell),
                _matrix("call", killed_tests, tuple(kills.KILLS), _kill_cell),
            ],
        ),
        (lines, [_LINES, _matrix("Packer", lines, tuple(kills.TARGETS), _kill_cell)]),
        (channels, [_CHANNELS, *(part for name in channel_steps.TABLES for part in _channel_table(name, tables))]),
        (enabling, [_ENABLING, *_channel_matrix(enabling)]),
    ]
    old = {_heading(section): section for section in before.split("\n## ")[1:]}
    parts = [_HEAD.format(packer=packer)]
    for counted, section in sections:
        if counted:
            parts += [*section[:1], _count(counted), *section[1:]] if section[0] != _MESSAGES else section
        elif previous := old.get(_heading(section[0].removeprefix("## "))):
            parts.append(f"## {previous.rstrip()}\n")
    if of_prune := old.get(prune_walk.HEADING.removeprefix("## ")):
        parts.append(f"## {of_prune}")
    return "\n".join(parts).rstrip() + "\n"


def _heading(section: str) -> str:
    return section.partition("\n")[0]


def _count(outcomes: Sequence[Outcome]) -> str:
    broken = sum(1 for outcome in outcomes if outcome.problems)
    return f"{len(outcomes)} pairs; {f'{broken} of them failed' if broken else 'all of them passed'}.\n"


def _channel_table(name: str, tables: Mapping[str, Sequence[Outcome]]) -> Iterator[str]:
    outcomes = tables.get(name, ())
    if outcomes:
        yield f"### {name}\n"
        yield from _channel_matrix(outcomes)


def _channel_matrix(outcomes: Sequence[Outcome]) -> Iterator[str]:
    walked = {outcome.fault for outcome in outcomes}
    faults = [fault for fault in channel_steps.FAULTS + channel_steps.KILLS if fault in walked]
    yield _matrix("call", outcomes, faults, _channel_cell)


def _channel_cell(outcome: Outcome) -> str:
    if outcome.first == "not reached":
        return "–"
    return _OK if outcome.first in ("done", "enabled") else "; ".join(filter(None, (outcome.first, outcome.second)))


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
