"""Validates templates with `packer validate`, even before the parent image is built."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding, Level
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.define.base_resolution import PLACEHOLDER_AMI
from ami_bakery.define.resolver import ImageDefinition
from ami_bakery.define.test_definition import settings_of_test
from ami_bakery.errors import BakeryError, TemplateError
from ami_bakery.plan.build_request import build_request, request_for_test
from ami_bakery.plan.planner import Planned
from ami_bakery.template.facts import TemplateFormat
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.packer.machine_output import ValidationIssue
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.ports import BuildRequest
    from ami_bakery.template.facts import TemplateFacts

_AT_ONCE = 4
_PLACEHOLDER_DIGEST = Digest(Scheme.SHA256, "0" * 64)
_QUOTED = re.compile(r"""["']([\w.-]+)["']""")
_VARIABLE = re.compile(r'(?:Unset variable|required variable not set:|Undefined variable:?) "?([\w-]+)')


def placeholder_plan(resolver: Resolver, image: ImageConfig) -> Planned:
    """Returns a plan only for validation. The image could not be planned."""
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
    """Adds placeholders for an unknown source AMI and digest.

    They are only for `packer validate`, which does not call EC2.
    """
    definition = planned.definition
    base = definition.base
    if not base and definition.image.base is not None:
        base = (("", PLACEHOLDER_AMI),)
    scheme = definition.image.scheme
    digest = definition.digest or (_PLACEHOLDER_DIGEST if scheme is Scheme.SHA256 else None)
    return replace(planned, definition=replace(definition, base=base, digest=digest))


def facts_for_packer(resolver: Resolver, planned: Planned, *, digest: str | None = None) -> TemplateFacts:
    """Reads the template with all variables that Packer gets. `digest`: used instead of the image's digest."""
    definition = planned.definition
    if digest is not None:
        definition = replace(definition, digest=Digest(Scheme.SHA256, digest))
    facts = definition.facts or resolver.facts(definition.image)
    variables = resolver.handed_variables(definition, facts, planned.plan.regions[0])
    return resolver.facts(definition.image, dict(variables))


def validation_findings(resolver: Resolver, planned: Planned, facts: TemplateFacts) -> tuple[Finding, ...]:
    """Returns the errors of `packer validate`, with their lines if known.

    If it was not run, returns a finding that says why.
    """
    return _findings_of_request(resolver, planned.definition.image, build_request(resolver, planned, facts), facts)


def validation_findings_of_test(resolver: Resolver, planned: Planned) -> tuple[Finding, ...]:
    """Returns the same for the template of the image's test; nothing without a test. The plan has placeholders."""
    definition, region = planned.definition, planned.plan.regions[0]
    if definition.test is None:
        return ()
    request = request_for_test(resolver, definition, PLACEHOLDER_AMI, region)
    settings = settings_of_test(resolver.settings(definition.image), definition.test.test)
    return _findings_of_request(resolver, settings.image, request, settings.facts(dict(request.variables)))


def _findings_of_request(
    resolver: Resolver, image: ImageConfig, request: BuildRequest, facts: TemplateFacts
) -> tuple[Finding, ...]:
    why_not = resolver.ports.packer.why_not_validated(request, facts)
    if why_not:
        return (_not_validated(facts, why_not),)
    issues = resolver.ports.packer.validate(request)
    if issues:
        from ami_bakery.core.packer.plugins import how_to_install
    return tuple(
        Finding.error(
            "packer-validate",
            location_of_issue(resolver, image, facts, issue),
            message=_relative_to_root(resolver, issue.message),
            todo=how_to_install(issue.message) or "Fix the template (packer validate failed).",
        )
        for issue in dict.fromkeys(issues)
        if not _is_reported_by_plan(facts, issue)
    )


def _not_validated(facts: TemplateFacts, why_not: str) -> Finding:
    return Finding.warning(
        "not-validated",
        SourceLocation(file=facts.files[0], line=1),
        message=f"packer validate was not run: {why_not}; ami-bakery does not start programs of a definition to plan",
        todo="If you trust the definition, run `packer validate` yourself.",
    )


def _is_reported_by_plan(facts: TemplateFacts, issue: ValidationIssue) -> bool:
    """Whether the issue is a variable without a value, which planning reports."""
    named = _VARIABLE.search(issue.message)
    return named is not None and any(variable.missing and variable.name == named[1] for variable in facts.variables)


def location_of_issue(
    resolver: Resolver, image: ImageConfig, facts: TemplateFacts, issue: ValidationIssue
) -> SourceLocation:
    """Returns the line of an issue. Packer's paths are absolute or relative to its working directory."""
    tree = resolver.ports.tree
    if issue.file:
        file = tree.relative(posixpath.join(resolver.settings(image).absolute_workdir, issue.file))
        if tree.entry(file) is not None and not file.rpartition("/")[2].startswith("ami-bakery-"):
            return SourceLocation(file=file, line=issue.line)
        # The temporary file of variables, which no longer exists.
        return image.location(resolver.config.file, "vars")
    named = _VARIABLE.search(issue.message)
    for variable in facts.variables:
        if named is not None and variable.name == named[1]:
            return variable.location
    if facts.required_plugins:
        from ami_bakery.core.packer.plugins import is_missing

        if is_missing(issue.message):
            return facts.required_plugins[0].location
    if facts.format is TemplateFormat.JSON and (location := _only_line_with(resolver, facts, issue.message)):
        return location
    if len(facts.builders) == 1:
        return facts.builders[0].location
    return SourceLocation(file=facts.files[0] if facts.files else tree.relative(image.template), line=1)


def _only_line_with(resolver: Resolver, facts: TemplateFacts, message: str) -> SourceLocation | None:
    """Returns the only template line with a word from Packer's message.

    Returns None if there are several. Only for JSON templates, for which Packer reports no lines. Ignores the names of
    builders, which are less specific.
    """
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


def validate_early(resolver: Resolver, plans: Sequence[Planned]) -> Iterator[tuple[str, BakeryError]]:
    """Validates images that wait for their parent.

    Also validates the tests of images that are to be built. Yields the error of each image whose template, or whose
    test, Packer refuses. The other templates are validated by Packer when it builds them, before it creates anything.
    """
    names: list[str] = []
    validations: list[Callable[[], BakeryError | None]] = []
    for planned in plans:
        if planned.plan.action in (Action.BAKE, Action.PENDING):
            try:
                complete = with_placeholders(planned)
                for validation in _validations(resolver, complete):
                    validations.append(validation)
                    names.append(planned.plan.image)
            except BakeryError as error:
                yield planned.plan.image, error
    for name, invalid in zip(names, run_all(validations, at_once=_AT_ONCE), strict=True):
        if invalid is not None:
            yield name, invalid


def _validations(resolver: Resolver, planned: Planned) -> Iterator[Callable[[], BakeryError | None]]:
    """Yields what to validate, after installing missing plugins, as a bake does."""
    image, test = planned.definition.image, planned.definition.test
    if planned.plan.action is Action.PENDING:
        facts = facts_for_packer(resolver, planned)
        resolver.plugins(image, facts)
        doing = f"validating image {image.name} before its parent is built"
        yield partial(_validation_error, doing, partial(validation_findings, resolver, planned, facts))
    if test is not None:
        settings_of_test(resolver.settings(image), test.test).plugins(test.facts)
        doing = f"validating the test of image {image.name} before the image is built"
        yield partial(_validation_error, doing, partial(validation_findings_of_test, resolver, planned))


def _validation_error(doing: str, validate: Callable[[], Sequence[Finding]]) -> BakeryError | None:
    try:
        findings = validate()
    except BakeryError as error:
        return error
    findings = tuple(finding for finding in findings if finding.level is Level.ERROR)
    if not findings:
        return None
    wrong = "\n".join(f"{finding.location}: {finding.message}" for finding in findings)
    marks = tuple(finding.location.mark(finding.message) for finding in findings)
    return TemplateError(doing, wrong, findings[0].todo, marks=marks)
