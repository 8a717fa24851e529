"""Audits the build of one image, and may refuse the digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.audit.comparison import AuditKind, AuditReport
from ami_bakery.core.audit.mode import AuditMode
from ami_bakery.core.check.audit_findings import audit_findings, how_to_complete, list_missed
from ami_bakery.core.check.finding import Level
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.define.audited import audit_report
from ami_bakery.errors import BakeryError, PackerError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.audit.trace import Trace
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.ports import BuildRequest
    from ami_bakery.template.facts import TemplateFacts


class BuildAudit:
    """The audit of one build; without effect if the image has no `audit`."""

    def __init__(self, resolver: Resolver, definition: ImageDefinition) -> None:
        self._resolver = resolver
        self._definition = definition
        self._image: ImageConfig = definition.image
        self._mode = self._image.audit
        self._trace: Trace | None = None
        self._failure: BakeryError | None = None
        self._report: AuditReport | None = None

    def check(self) -> None:
        """Raises `PackerError` if a strict audit is impossible; else only warns."""
        if self._mode is None:
            return
        try:
            self._resolver.ports.packer.check_tracing()
        except PackerError as error:
            if self._mode is AuditMode.STRICT:
                raise
            self._mode = None
            self._resolver.ports.reporter.warn(f"{self._image.name} is built without an audit: {error}. {error.todo}")

    def traced(self, request: BuildRequest) -> BuildRequest:
        return request if self._mode is None else replace(request, traced=self._receive)

    def _receive(self, trace: Trace) -> None:
        self._trace = trace

    def report(self, facts: TemplateFacts) -> None:
        """Compares the trace with the digest, and shows the findings."""
        if self._mode is None or self._trace is None:
            return
        try:
            self._report = audit_report(self._resolver, self._image, facts, self._definition.inventory, self._trace)
        except BakeryError as error:
            self._failure = error
            self._resolver.ports.reporter.warn(f"{self._image.name}: the audit failed: {error}. {error.todo}")
            return
        self._resolver.audits[self._image.name] = self._report
        self._show(self._report, self._mode)

    def _show(self, report: AuditReport, mode: AuditMode) -> None:
        reporter = self._resolver.ports.reporter
        for finding in audit_findings(report, self._image, self._resolver.config.file, mode):
            text = one_line(f"{self._image.name}: {finding.message} [{finding.code}]. {finding.todo}")
            if finding.level is Level.NOTICE:
                reporter.note(text)
            elif mode is not AuditMode.STRICT:  # With `strict`, the error has the findings.
                reporter.warn(text)
        if len(report.of(AuditKind.NOT_IN_DIGEST)) > 1 and mode is not AuditMode.STRICT:
            reporter.warn(one_line(f"{self._image.name}: {how_to_complete(report, self._image)}"))

    def refusal(self) -> tuple[str, str, str] | None:
        """Returns why the AMI must not get the digest; None if it may."""
        doing = f"auditing the build of image {self._image.name}"
        if self._mode is not AuditMode.STRICT:
            return None
        if self._report is None:
            wrong = str(self._failure) if self._failure is not None else "there is no trace"
            return doing, wrong, "Fix this and bake again, or use --audit=warn."
        missed = self._report.of(AuditKind.NOT_IN_DIGEST)
        if missed:
            return doing, "\n".join(list_missed(missed)), f"{how_to_complete(self._report, self._image).rstrip('.')}."
        if self._trace is not None and not self._trace.complete:
            return doing, "the trace ends before Packer: strace was stopped", "Bake again, or use --audit=warn."
        return None
