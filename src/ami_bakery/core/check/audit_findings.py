"""Converts the findings of an audit to findings with line and advice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.audit.comparison import AuditFinding, AuditKind, AuditReport, listed_inputs
from ami_bakery.core.audit.mode import AuditMode
from ami_bakery.core.check.finding import Finding, Level
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.text.sanitize import one_line

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.template.location import SourceLocation

_SHOWN = 10
_NEVER_READ_SHOWN = 5


def audit_findings(report: AuditReport, image: ImageConfig, file: str, mode: AuditMode) -> tuple[Finding, ...]:
    """Converts the findings; all files that were never read are one finding.

    file  the configuration's path in messages
    """
    location = image.location(file, "inputs")
    found = (_finding(each, report, image, location, mode) for each in report.findings)
    never_read = report.of(AuditKind.NEVER_READ)
    single = (_never_read(never_read, image, location),) if never_read else ()
    unseen = (_unseen(why, location) for why in report.unseen)
    return (*(each for each in found if each is not None), *single, *unseen)


def _finding(
    each: AuditFinding, report: AuditReport, image: ImageConfig, location: SourceLocation, mode: AuditMode
) -> Finding | None:
    match each.kind:
        case AuditKind.NOT_IN_DIGEST:
            return Finding(
                level=Level.ERROR if mode is AuditMode.STRICT else Level.WARNING,
                code=each.kind,
                location=location,
                message=f"{each.path} is not in the digest: {accessed(each)}",
                todo=_how_to_add((each.path,), report, image),
            )
        case AuditKind.ABSENT:
            return Finding(
                level=Level.NOTICE,
                code=each.kind,
                location=location,
                message=f"{each.path} does not exist, and {each.process} looked for it",
                todo="If it is created later, the build reads it, and the digest does not change: add its folder to "
                "`inputs` if that matters.",
            )
        case AuditKind.HOST_CONTACTED:
            return Finding(
                level=Level.NOTICE,
                code=each.kind,
                location=location,
                message=f"{each.process} connected to {each.host}",
                todo="The digest does not cover what a host returns: use fixed versions and checksums.",
            )
        case AuditKind.NEVER_READ:
            return None


def _never_read(findings: Sequence[AuditFinding], image: ImageConfig, location: SourceLocation) -> Finding:
    more = f" and {len(findings) - _NEVER_READ_SHOWN} more" if len(findings) > _NEVER_READ_SHOWN else ""
    listed = ", ".join(each.path for each in findings[:_NEVER_READ_SHOWN])
    how = "move them out of AMI_DEFINITION_DIRS" if image.scheme is Scheme.SHA1 else "add them to `ignore`"
    return Finding(
        level=Level.NOTICE,
        code=AuditKind.NEVER_READ,
        location=location,
        message=f"the build did not open {len(findings)} file{'' if len(findings) == 1 else 's'} of the digest: "
        f"{listed}{more}",
        todo=f"A change of these files rebuilds the image: if it does not depend on them, {how}.",
    )


def _unseen(why: str, location: SourceLocation) -> Finding:
    todo = "The audit may have missed files. Declare them in `inputs`."
    return Finding(level=Level.NOTICE, code="not-fully-audited", location=location, message=why.rstrip("."), todo=todo)


def accessed(finding: AuditFinding) -> str:
    """Describes the access as a clause: `cat opened it`."""
    return f"{finding.process or 'a program'} {finding.how} it"


def _how_to_add(paths: Sequence[str], report: AuditReport, image: ImageConfig) -> str:
    if image.scheme is Scheme.SHA1:
        return "Move it into a folder of AMI_DEFINITION_DIRS, or add its folder there."
    declared = report.inputs[: len(report.inputs) - len(report.of(AuditKind.NOT_IN_DIGEST))]
    listed = listed_inputs((*declared, *paths))
    if not image.in_bakery_toml:
        return f"Define the image in a bakery.toml, with {listed}"
    return f"Add it to bakery.toml: {listed}"


def how_to_complete(report: AuditReport, image: ImageConfig) -> str:
    """Returns the advice that adds all missing paths."""
    if image.scheme is Scheme.SHA1:
        return "Move them into a folder of AMI_DEFINITION_DIRS, or add their folders there."
    listed = one_line(listed_inputs(report.inputs))
    if not image.in_bakery_toml:
        return f"Define the image in a bakery.toml, with what it depends on: {listed}"
    return f"Add what the image depends on to bakery.toml: {listed}"


def list_missed(findings: Iterable[AuditFinding]) -> Iterator[str]:
    """Yields a line for each missing file; after some, only their number."""
    missed = tuple(findings)
    for each in missed[:_SHOWN]:
        yield one_line(f"{each.path} is not in the digest: {accessed(each)}")
    if len(missed) > _SHOWN:
        yield f"and {len(missed) - _SHOWN} more"
