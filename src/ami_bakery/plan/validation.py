"""Asks Packer whether it accepts a template, also while the source AMI of the image is still to be built."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.concurrency import run_all
from ami_bakery.core.check.finding import Finding, Level
from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.define.resolver import PLACEHOLDER_AMI, ImageDefinition
from ami_bakery.errors import BakeryError, TemplateError
from ami_bakery.plan.build_request import build_request
from ami_bakery.plan.planner import Planned
from ami_bakery.template.facts import TemplateFormat
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.packer.machine_output import ValidationIssue
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import TemplateFacts

_AT_ONCE = 4
_PLACEHOLDER_DIGEST = Digest(Scheme.SHA256, "0" * 64)
_QUOTED = re.compile(r"""["']([\w.-]+)["']""")
_VARIABLE = re.compile(r'(?:Unset variable|required variable not set:|Undefined variable:?) "?([\w-]+)')


def stand_in(resolver: Resolver, image: ImageConfig) -> Planned:
    """A plan for an image that could not be planned: enough for Packer to validate its template."""
    plan = ImagePlan(
        image=image.name,
        action=Action.PENDING,
        digest=None,
        reasons=(),
        regions=resolver.regions_of(image),
        amis={},
    )
    return Planned(definition=ImageDefinition(image=image), plan=plan, found=())


def with_placeholders(planned: Planned) -> Planned:
    """The same with a source AMI and a digest where they are not known yet. They are for Packer's validation, which
    does not ask EC2; nothing else may get them."""
    definition = planned.definition
    base = definition.base
    if not base and definition.image.base is not None:
        base = (("", PLACEHOLDER_AMI),)
    scheme = definition.image.scheme
    digest = definition.digest or (_PLACEHOLDER_DIGEST if scheme is Scheme.SHA256 else None)
    return replace(planned, definition=replace(definition, base=base, digest=digest))


def facts_for_packer(resolver: Resolver, planned: Planned, *, digest: str | None = None) -> TemplateFacts:
    """What the template says with all that Packer is handed over. `digest`: instead of the image's own."""
    definition = planned.definition
    if digest is not None:
        definition = replace(definition, digest=Digest(Scheme.SHA256, digest))
    facts = definition.facts or resolver.facts(definition.image)
    handed = resolver.handed_variables(definition, facts, planned.plan.regions[0])
    return resolver.facts(definition.image, dict(handed))


def validation_findings(resolver: Resolver, planned: Planned, facts: TemplateFacts) -> tuple[Finding, ...]:
    """What `packer validate` complains of, each at its line where Packer names one or where the template shows it; or
    why it was not run."""
    request = build_request(resolver, planned, facts)
    why_not = resolver.ports.packer.why_not_validated(request, facts)
    if why_not:
        return (_not_validated(facts, why_not),)
    complaints = resolver.ports.packer.validate(request)
    if complaints:
        from ami_bakery.core.packer.plugins import how_to_install
    return tuple(
        Finding(
            level=Level.ERROR,
            code="packer-validate",
            location=location_of_complaint(resolver, planned.definition.image, facts, complaint),
            message=_relative_to_root(resolver, complaint.message),
            todo=how_to_install(complaint.message) or "Correct the template: Packer refuses it.",
        )
        for complaint in dict.fromkeys(complaints)
        if not _is_told(facts, complaint)
    )


def _not_validated(facts: TemplateFacts, why_not: str) -> Finding:
    return Finding(
        level=Level.WARNING,
        code="not-validated",
        location=SourceLocation(file=facts.files[0], line=1),
        message=f"packer validate was not run: {why_not}; planning starts no program of a definition",
        todo="Run `packer validate` yourself, if you trust the definition.",
    )


def _is_told(facts: TemplateFacts, complaint: ValidationIssue) -> bool:
    """A variable without a value is an error of the plan already."""
    named = _VARIABLE.search(complaint.message)
    return named is not None and any(variable.missing and variable.name == named[1] for variable in facts.variables)


def location_of_complaint(
    resolver: Resolver, image: ImageConfig, facts: TemplateFacts, complaint: ValidationIssue
) -> SourceLocation:
    """Packer names files as it was told of them: relative to the folder it was started in, or absolute."""
    tree = resolver.ports.tree
    if complaint.file:
        file = tree.relative(posixpath.join(tree.absolute(resolver.workdir(image)), complaint.file))
        if tree.entry(file) is not None and not file.rpartition("/")[2].startswith("ami-bakery-"):
            return SourceLocation(file=file, line=complaint.line)
        # Our own file of variables, which is gone by now.
        return SourceLocation(file=resolver.config.file, line=image.line("vars"))
    named = _VARIABLE.search(complaint.message)
    for variable in facts.variables:
        if named is not None and variable.name == named[1]:
            return variable.location
    if facts.required_plugins:
        from ami_bakery.core.packer.plugins import is_missing

        if is_missing(complaint.message):
            return facts.required_plugins[0].location
    if facts.format is TemplateFormat.JSON and (location := _only_line_with(resolver, facts, complaint.message)):
        return location
    if len(facts.builders) == 1:
        return facts.builders[0].location
    return SourceLocation(file=facts.files[0] if facts.files else tree.relative(image.template), line=1)


def _only_line_with(resolver: Resolver, facts: TemplateFacts, message: str) -> SourceLocation | None:
    """The line of a JSON template with a word that Packer quotes, where it stands on one line alone: Packer names no
    lines there. The names of builders, which it quotes too, say less."""
    known = {word for builder in facts.builders for word in (builder.name, builder.type)}
    words = [word for word in _QUOTED.findall(message) if word not in known]
    for file in facts.files if words else ():
        lines = resolver.ports.tree.read(file).decode("utf-8", "replace").splitlines()
        for word in words:
            found = [number for number, line in enumerate(lines, 1) if f'"{word}"' in line]
            if len(found) == 1:
                return SourceLocation(file=file, line=found[0])
    return None


def _relative_to_root(resolver: Resolver, text: str) -> str:
    root = resolver.ports.tree.absolute(".").removesuffix(".").rstrip("/")
    return text.replace(f"{root}/", "") if root else text


def validate_waiting(resolver: Resolver, plans: Sequence[Planned]) -> Iterator[tuple[str, BakeryError]]:
    """Images that wait for their base and that Packer would refuse, each with the error that says why.

    Packer refuses the others by itself, before it makes anything.
    """
    waiting: list[tuple[Planned, TemplateFacts]] = []
    for planned in plans:
        if planned.plan.action is Action.PENDING:
            try:
                rehearsed = with_placeholders(planned)
                facts = facts_for_packer(resolver, rehearsed)
                # A bake fetches the plugins that are missing.
                resolver.plugins(rehearsed.definition.image, facts)
                waiting.append((rehearsed, facts))
            except BakeryError as error:
                yield planned.plan.image, error
    refusals = run_all([partial(_refusal, resolver, *pair) for pair in waiting], at_once=_AT_ONCE)
    for (planned, _), refusal in zip(waiting, refusals, strict=True):
        if refusal is not None:
            yield planned.plan.image, refusal


def _refusal(resolver: Resolver, planned: Planned, facts: TemplateFacts) -> BakeryError | None:
    try:
        findings = validation_findings(resolver, planned, facts)
    except BakeryError as error:
        return error
    findings = tuple(finding for finding in findings if finding.level is Level.ERROR)
    if not findings:
        return None
    wrong = "\n".join(f"{finding.location}: {finding.message}" for finding in findings)
    marks = tuple(finding.location.mark(finding.message) for finding in findings)
    doing = f"validating image {planned.plan.image} before its base is built"
    return TemplateError(doing, wrong, findings[0].todo, marks=marks)
