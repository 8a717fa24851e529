"""Renders plans, outcomes and findings as Markdown for CI job summary pages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding, Level, group_findings, images_named
from ami_bakery.core.plan.describe import reason_lines, step_lines
from ami_bakery.core.plan.outcome import Outcome, Result
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.core.prune.retention import PruneAction
from ami_bakery.core.text.sanitize import one_line, printable

if TYPE_CHECKING:
    from enum import StrEnum

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.errors import BakeryError
    from ami_bakery.release.promotion import ChannelChange
    from ami_bakery.release.pruning import PruneRun
    from ami_bakery.release.revocation import RevocationChange

_PUNCTUATION = re.compile(r"[\\`*_{}\[\]()#+!|~]")
_LONGEST_ERROR = 8000
"""Maximum length of an error. GitHub discards a step's summary of more than 1 MiB."""


def plans_markdown(plans: Sequence[ImagePlan]) -> str:
    rows = [
        (_word(plan.action), _text(plan.image), _code(_digest(plan)), _amis(plan.amis), _why(plan)) for plan in plans
    ]
    counted = _counted((plan.action for plan in plans), Action)
    return _section(
        f"ami-bakery plan: {counted or 'nothing to do'}", ("action", "image", "digest", "AMIs", "why"), rows
    )


def plan_comment(plans: Sequence[ImagePlan], limit: int) -> str:
    """Renders a pull request comment of at most `limit` bytes in UTF-8.

    A table of the actions comes first. Details and images to reuse are in collapsed sections. If images do not fit,
    their number is shown. A script finds the comment again by the mark in its first line.
    """
    to_do, done = [plan for plan in plans if plan.to_do], [plan for plan in plans if not plan.to_do]
    counted = _counted((plan.action for plan in plans), Action)
    head = f"{COMMENT_MARK}\n### ami-bakery plan: {counted or 'nothing to do'}\n"
    space = limit - len(head.encode()) - _LONGEST_NOTE
    rows, space = _fitting([_comment_row(plan) for plan in to_do], space - len(_COMMENT_HEAD))
    details, space = _fitting([_details(plan) for plan in to_do[: len(rows)] if len(_lines(plan)) > 1], space)
    reused = [_row((_muted(plan.image), _code(_digest(plan)), _amis(plan.amis))) + "\n" for plan in done]
    heading = f"{len(done)} image{'' if len(done) == 1 else 's'} to reuse"
    around = _collapsed(heading, f"{_row(('image', 'digest', 'AMIs'))}\n{_row(['---'] * 3)}\n")
    kept, space = _fitting(reused, space - len(around.encode()))
    table = _COMMENT_HEAD + "".join(rows) if rows else ""
    below = around.replace("\n</details>", f"{''.join(kept)}\n</details>") if kept else ""
    omitted = len(to_do) - len(rows) + len(done) - len(kept)
    few = len([plan for plan in to_do if len(_lines(plan)) > 1]) - len(details)
    note = "\nThe comment is too short for the whole plan: see the job's log.\n" if omitted or few else ""
    note += f"Not shown: {omitted} image{'' if omitted == 1 else 's'}.\n" if omitted else ""
    return f"{head}{table}{''.join(details)}{below}{note}"


COMMENT_MARK = "<!-- ami-bakery plan -->"
_LONGEST_NOTE = 200
_COMMENT_HEAD = "\n| action | image | digest | why |\n| --- | --- | --- | --- |\n"


def _fitting(texts: Sequence[str], space: int) -> tuple[list[str], int]:
    """Returns the first texts that fit, and the free space, in bytes."""
    kept: list[str] = []
    for text in texts:
        size = len(text.encode())
        if size > space:
            break
        kept.append(text)
        space -= size
    return kept, space


def _comment_row(plan: ImagePlan) -> str:
    first, *others = _lines(plan) or [""]
    more = f" (and {len(others)} more)" if others else ""
    return _row((_word(plan.action), _muted(plan.image), _code(_digest(plan)), f"{_muted(first)}{more}")) + "\n"


def _details(plan: ImagePlan) -> str:
    return _collapsed(f"{plan.image}: {plan.action}", "".join(f"- {_muted(line)}\n" for line in _lines(plan)))


def _collapsed(heading: str, content: str) -> str:
    return f"\n<details><summary>{_muted(heading)}</summary>\n\n{content}\n</details>\n"


def _muted(text: str) -> str:
    """Escapes text for a comment. A zero-width space after `@` keeps a path such as `@org/x` from notifying anyone."""
    return _text(text).replace("@", "@&#8203;")


def _lines(plan: ImagePlan) -> list[str]:
    return [*reason_lines(plan.reasons), *(f"> {line}" for line in step_lines(plan))]


def outcomes_markdown(outcomes: Sequence[Outcome]) -> str:
    """Renders a row for each image. The errors of failed images follow below the table."""
    rows = [
        (
            _word(outcome.result),
            _text(outcome.image),
            _code(_digest(outcome.plan)),
            _amis(outcome.amis),
            f"{outcome.seconds:.0f} s",
            _why(outcome.plan),
        )
        for outcome in outcomes
    ]
    counted = _counted((outcome.result for outcome in outcomes), Result)
    table = _section(
        f"ami-bakery bake: {counted or 'nothing to do'}", ("outcome", "image", "digest", "AMIs", "time", "why"), rows
    )
    failures = (
        f"#### {_text(outcome.image)}\n\n{_fenced(_shortened_error(outcome.error))}\n"
        for outcome in outcomes
        if outcome.error is not None
    )
    return "\n".join([table, *failures])


def changes_markdown(command: str, changes: Sequence[ChannelChange]) -> str:
    """Renders a row for each image. The errors of failed images follow below the table."""
    rows = [
        (f"**{change.result}**", _text(change.image), _text(change.channel), _amis(change.amis)) for change in changes
    ]
    counts = Counter(change.result.value for change in changes)
    counted = ", ".join(f"{count} {result}" for result, count in counts.items())
    heading = f"ami-bakery {command}: {counted or 'nothing to do'}"
    failures = (
        f"#### {_text(change.image)}\n\n{_fenced(_shortened_error(change.error))}\n"
        for change in changes
        if change.error is not None
    )
    return "\n".join([_section(heading, ("outcome", "image", "channel", "AMIs"), rows), *failures])


def revocation_markdown(command: str, changes: Sequence[RevocationChange], rolled_back: Sequence[ChannelChange]) -> str:
    """Renders a row for each AMI, and what happened to the channels."""
    rows = [
        (f"**{change.result}**", _text(change.image), f"{_code(change.ami.id)} {_text(change.ami.region)}")
        for change in changes
    ]
    table = _section(f"ami-bakery {command}", ("outcome", "image", "AMI"), rows)
    return "\n".join([table, changes_markdown("rollback", rolled_back)]) if rolled_back else table


def prune_markdown(run: PruneRun) -> str:
    """Renders a row for each AMI that is, or would be, changed. The errors of failed AMIs follow below the table."""
    rows = [
        (
            f"**{each.decision.action}**" if each.outcome.value == "planned" else f"**{each.outcome}**",
            _text(each.ami.image),
            f"{_code(each.ami.key.id)} {_text(each.ami.key.region)}",
            _text(each.why or each.decision.why),
        )
        for each in run.amis
        if each.outcome.value not in ("planned", "kept") or each.decision.action.value not in ("keep", "wait")
    ]
    counted = _counted((each.decision.action for each in run.amis), PruneAction)
    table = _section(
        f"ami-bakery prune: {counted or 'no AMIs'}",
        ("result" if run.applied else "action", "image", "AMI", "why"),
        rows,
    )
    failures = (
        f"#### {_text(each.ami.key.id)}\n\n{_fenced(_shortened_error(each.error))}\n"
        for each in run.amis
        if each.error is not None
    )
    return "\n".join([table, *failures])


def findings_markdown(found: Mapping[str, Sequence[Finding]]) -> str:
    """Renders findings in the order of the images; a finding that several images share is listed once."""
    grouped = group_findings(found)
    rows = [
        (
            _word(finding.level),
            _text(images_named(images).partition(" ")[2]),
            _code(str(finding.location)),
            f"{_text(finding.message)} ({_code(finding.code)})",
            _text(finding.todo),
        )
        for images, finding in grouped
    ]
    counted = _counted((finding.level for _, finding in grouped), Level)
    heading = f"ami-bakery check: {counted or 'no problems'}"
    return _section(heading, ("level", "image", "location", "finding", "what to do"), rows)


def error_markdown(command: str, error: BakeryError) -> str:
    """Renders the error of a command that failed."""
    return f"### ami-bakery {command}: failed\n\n{_fenced(_shortened_error(error))}\n"


def _shortened_error(error: BakeryError) -> str:
    text = f"{error.doing}\n{error.wrong}\n{error.todo}"
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}\n... (the log has the rest)"


def _section(heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"### {heading}", ""]
    if rows:
        lines += [_row(columns), _row(["---"] * len(columns)), *map(_row, rows), ""]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _counted(words: Iterable[StrEnum], order: Iterable[StrEnum]) -> str:
    """`2 bake, 1 reuse`."""
    counts = Counter(words)
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])


def _word(word: StrEnum) -> str:
    return f"**{word}**" if word not in (Level.WARNING, Level.NOTICE, Result.REUSED) else str(word)


def _digest(plan: ImagePlan) -> str:
    return plan.digest.short if plan.digest else ""


def _amis(amis: Mapping[str, Ami]) -> str:
    return "<br>".join(f"{_code(ami.id)} {_text(region)}" for region, ami in amis.items())


def _why(plan: ImagePlan) -> str:
    return "<br>".join(map(_text, _lines(plan)))


def _text(text: str) -> str:
    """Escapes text for Markdown and HTML, on one line."""
    shown = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _PUNCTUATION.sub(lambda match: f"\\{match[0]}", shown)


def _code(text: str) -> str:
    """Returns a code span; as escaped text if it has characters that a span in a table cannot contain."""
    return f"`{text}`" if text and re.fullmatch(r"[ -_a-{}~]+", text) else _text(text)


def _fenced(text: str) -> str:
    """Returns the text as a code block. Its fence is longer than any run of backticks in it."""
    shown = printable(text)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"
