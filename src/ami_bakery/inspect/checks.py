"""Checks images before a bake, and returns problems with file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import (
    Finding,
    aging_findings,
    key_finding,
    link_findings,
    name_finding,
    owner_findings,
    region_findings,
    selection_findings,
    sharing_findings,
    template_findings,
)
from ami_bakery.core.check.tag_limit import tag_findings
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.config.selection import with_parents
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.regions import REGIONS
from ami_bakery.core.plan.plan import Action
from ami_bakery.define.accounts import account_findings
from ami_bakery.define.base_lookup import AmiQuery, matching_amis, query_of_filter
from ami_bakery.define.drop_in import uncovered_in, warnings
from ami_bakery.define.pitfalls import pitfalls
from ami_bakery.define.test_definition import define_test
from ami_bakery.errors import AwsError, BakeryError
from ami_bakery.inspect.ami_test_checks import ami_test_findings
from ami_bakery.inspect.input_findings import environment_findings, input_findings
from ami_bakery.inspect.reading_findings import reading_findings
from ami_bakery.plan.planner import Planned, Plans, plan_each
from ami_bakery.plan.validation import (
    facts_for_packer,
    placeholder_plan,
    validation_findings,
    validation_findings_of_test,
    with_placeholders,
)
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import TemplateFacts

JOBS = 4
"""The default number of concurrent `packer validate` runs."""
PLAN_FAILED = "plan-failed"


def check_images(
    resolver: Resolver, names: Sequence[str], jobs: int = JOBS, plans: Plans | None = None
) -> dict[str, tuple[Finding, ...]]:
    """Returns the findings of each image: errors first, then by file and line.

    A failure during the check is a finding, too. All images are looked up together, as for a plan; then Packer
    validates their templates, `jobs` at a time.

    plans  those of the images, if they are known
    """
    plans = plan_each(resolver, names) if plans is None else plans
    planned = {each.plan.image: each for each in plans.planned}
    checks = [_Check(resolver=resolver, image=resolver.image(name)) for name in names]
    for check in checks:
        check.check_definition(planned.get(check.image.name))
    reported: set[tuple[str, str]] = set()
    _report_failures(resolver, checks, plans.failures, reported)
    _check_names(resolver, checks)
    counts: dict[AmiQuery, int] = {}
    for check in checks:
        check.check_bases(counts)
    run_all([check.validate for check in checks if check.planned or check.tested], at_once=jobs)
    for check in checks:
        if check.not_validated is not None:
            check.findings += _reported_once(resolver, check.image, check.not_validated, reported)
    return {check.image.name: check.sorted_findings() for check in checks}


class _Check:
    """The check of one image.

    planned   its plan, with placeholders for unknown values; None if Packer does not validate it
    tested    the same; None if Packer does not validate its test
    answered  whether planning succeeded; if not, there are no further calls to EC2
    """

    def __init__(self, *, resolver: Resolver, image: ImageConfig) -> None:
        self.resolver = resolver
        self.image = image
        self.findings: list[Finding] = []
        self.planned: Planned | None = None
        self.tested: Planned | None = None
        self.facts: TemplateFacts | None = None
        self.by_digest: tuple[bool, ...] = ()
        self.answered = False
        self.not_validated: BakeryError | None = None

    def check_definition(self, planned: Planned | None) -> None:
        try:
            self.findings += _definition_findings(self.resolver, self.image)
            if planned is not None:
                self.findings += _equally_new_bases(planned)
            if planned is not None and planned.plan.tests_existing_ami:
                self.tested = with_placeholders(planned)
            if planned is not None and planned.plan.action not in (Action.BAKE, Action.PENDING):
                return
            complete = with_placeholders(planned or placeholder_plan(self.resolver, self.image))
            self.facts = facts_for_packer(self.resolver, complete)
            self.by_digest = _named_by_digest(self.resolver, complete, self.facts)
            self.planned, self.answered = complete, planned is not None
            known = [each for each in self.facts.builders if planned is not None or each.region in (None, *REGIONS)]
            self.findings += region_findings(known, complete.plan.regions[0])
            self.findings += tag_findings(self.image, self.facts.builders)
            if planned is not None:
                self.findings += account_findings(self.resolver, self.facts, complete.plan.regions[0])
            if self.image.max_age is not None:
                self.findings += aging_findings(self.facts.builders)
            if self.image.test is not None:
                test = complete.definition.test or define_test(self.resolver, self.image)
                self.tested = replace(complete, definition=replace(complete.definition, test=test))
        except BakeryError as error:
            self.findings += failure_findings(self.resolver, self.image, error)

    @property
    def region(self) -> str:
        return self.planned.plan.regions[0] if self.planned is not None else ""

    @property
    def ami_names(self) -> tuple[str, ...]:
        builders = self.facts.builders if self.facts is not None and self.answered else ()
        return tuple(builder.ami_name for builder in builders if builder.ami_name)

    def check_names(self, existing: Iterable[str]) -> None:
        for builder, by_digest in zip(self.facts.builders if self.facts else (), self.by_digest, strict=True):
            finding = name_finding(builder, existing, by_digest=by_digest)
            if finding is not None:
                self.findings.append(finding)

    def check_bases(self, counts: dict[AmiQuery, int]) -> None:
        if not self.answered or self.facts is None or self.image.base is not None:
            return
        try:
            self.findings += _ambiguous_bases(self.resolver, self.facts, self.region, counts)
        except BakeryError:
            # If the source AMI cannot be looked up, planning fails, and that failure is already a finding.
            return

    def validate(self) -> None:
        try:
            if self.planned is not None and self.facts is not None:
                self.findings += validation_findings(self.resolver, self.planned, self.facts)
            if self.tested is not None:
                self.findings += validation_findings_of_test(self.resolver, self.tested)
        except BakeryError as error:
            self.not_validated = error

    def sorted_findings(self) -> tuple[Finding, ...]:
        """Returns each problem once: a finding with a specific code replaces the same message of `plan-failed`."""
        specific = {(finding.location, finding.message) for finding in self.findings if finding.code != PLAN_FAILED}
        kept = {
            finding
            for finding in self.findings
            if finding.code != PLAN_FAILED or (finding.location, finding.message) not in specific
        }
        return tuple(
            sorted(kept, key=lambda finding: (finding.level.order, finding.location, finding.code, finding.message))
        )


def _named_by_digest(resolver: Resolver, planned: Planned, facts: TemplateFacts) -> tuple[bool, ...]:
    """Whether each builder's AMI name changes with the digest. The template is evaluated with two digests."""
    if not facts.declares("config_checksum"):
        return (False,) * len(facts.builders)
    if planned.definition.image.scheme is Scheme.SHA1:
        hex = planned.definition.digest.hex if planned.definition.digest else ""
        return tuple(bool(hex) and hex in (builder.ami_name or "") for builder in facts.builders)
    one, other = (facts_for_packer(resolver, planned, digest=digit * 64).builders for digit in "0f")
    if not len(facts.builders) == len(one) == len(other):
        return (True,) * len(facts.builders)
    return tuple(left.ami_name != right.ami_name for left, right in zip(one, other, strict=True))


def _report_failures(
    resolver: Resolver, checks: Sequence[_Check], failures: Mapping[str, BakeryError], reported: set[tuple[str, str]]
) -> None:
    """Adds why images cannot be planned. A parent's failure is reported at the parent, if that is checked, too."""
    names = {check.image.name for check in checks}
    for check in checks:
        for name in with_parents(resolver.config, [check.image.name]):
            error = failures.get(name)
            if error is not None and (name == check.image.name or name not in names):
                check.findings += _reported_once(resolver, check.image, error, reported)
                break


def _reported_once(
    resolver: Resolver, image: ImageConfig, error: BakeryError, reported: set[tuple[str, str]]
) -> Iterator[Finding]:
    """Reports an error of many images for the first of them only. An example is invalid credentials."""
    is_from_aws = isinstance(error, AwsError) and error.code != ""
    key = (error.wrong if is_from_aws else str(error), error.todo)
    if key not in reported or (error.marks and not is_from_aws):
        yield from failure_findings(resolver, image, error)
    else:
        yield _not_fully_checked(resolver, image)
    reported.add(key)


def failure_findings(resolver: Resolver, image: ImageConfig, error: BakeryError) -> Iterator[Finding]:
    """Converts an error to findings, one for each line that it marks. The message does not repeat the line."""
    marks = error.marks or (image.location(resolver.config.file, "template").mark(str(error)),)
    for mark in marks:
        location = SourceLocation(file=mark.file, line=mark.line)
        yield Finding.error(
            PLAN_FAILED,
            location,
            message=_one_sentence(mark.message, location),
            todo=" ".join(error.todo.split()),
        )


def _one_sentence(text: str, location: SourceLocation) -> str:
    without_location = text.replace(f" ({location})", "").replace(f"{location}: ", "")
    return " ".join(without_location.split())


def _not_fully_checked(resolver: Resolver, image: ImageConfig) -> Finding:
    return Finding.warning(
        "not-fully-checked",
        image.location(resolver.config.file, "template"),
        message="not fully checked, for the same reason as an image above",
        todo="Fix that first, then run check again.",
    )


def _definition_findings(resolver: Resolver, image: ImageConfig) -> Iterator[Finding]:
    """Yields the findings that need neither AWS nor Packer."""
    if image.scheme is Scheme.SHA1:
        location = SourceLocation(file=resolver.config.file, line=1)
        todo = "Define the image in a bakery.toml: its digest covers the whole definition."
        tree = resolver.ports.tree
        for warning in warnings(tree, image, resolver.ports.environment, uncovered_in(tree, image)):
            yield Finding.warning("not-covered", location, message=warning, todo=todo)
        yield from template_findings(resolver.facts(image))
        return
    facts, inventory = resolver.inputs(image)
    yield from template_findings(facts)
    yield from link_findings(inventory.entries, inventory.named_by)
    yield from input_findings(resolver, image, inventory)
    yield from _git_findings(resolver)
    yield from pitfalls(resolver.ports, facts, resolver.arguments)
    yield from environment_findings(image, facts)
    yield from ami_test_findings(resolver, image, facts)
    yield from reading_findings(resolver.ports.tree, image, resolver.config.file, facts, inventory)
    yield from _base_findings(image, facts)
    yield from sharing_findings(image, resolver.config.file)
    yield from owner_findings(image, resolver.config.file)
    if not facts.builders and (image.only or image.except_):
        everything = resolver.facts(replace(image, only=(), except_=())).builders
        yield from selection_findings(image, facts.builders, everything, resolver.config.file)
    unused_key = key_finding(resolver.config.image(image.name), image.regions, resolver.config.file)
    if unused_key is not None:
        yield unused_key


def _git_findings(resolver: Resolver) -> Iterator[Finding]:
    refusal = resolver.ports.git.refusal(resolver.config.root)
    reason, _, todo = refusal.partition("; ")
    if refusal:
        yield Finding.warning(
            "git-refused",
            SourceLocation(file=resolver.config.file, line=1),
            message=f"AMIs are tagged without a commit, and plan cannot show what changed: {reason}",
            todo=f"{todo[:1].upper()}{todo[1:]}",
        )


def _base_findings(image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    if any(variable.missing for variable in facts.variables):
        return  # the missing variable is the reason, and has its own finding
    for builder in facts.builders:
        if image.base is None and builder.base_unknown:
            yield Finding.warning(
                "unresolved-base",
                builder.location,
                message=f"the source AMI of {builder.name} is not in the digest: {builder.base_unknown}",
                todo="Set `from` in bakery.toml: the id is hashed and passed to Packer.",
            )


def _check_names(resolver: Resolver, checks: Sequence[_Check]) -> None:
    """Checks whether AMIs with the images' names exist: one call for each region."""
    names: dict[str, dict[str, None]] = {}
    for check in checks:
        if check.ami_names:
            names.setdefault(check.region, {}).update(dict.fromkeys(check.ami_names))
    existing: dict[str, frozenset[str]] = {}
    try:
        answers = run_all(
            [partial(resolver.ports.ec2.find_by_name, region, list(named)) for region, named in names.items()]
        )
        existing = {region: frozenset(ami.name for ami in amis) for region, amis in zip(names, answers, strict=True)}
    except BakeryError as error:
        first = next(check for check in checks if check.ami_names)
        if not any(finding.code == PLAN_FAILED for finding in first.findings):
            first.findings += failure_findings(resolver, first.image, error)
    for check in checks:
        if check.planned is not None:
            check.check_names(existing.get(check.region, ()))


def _equally_new_bases(planned: Planned) -> Iterator[Finding]:
    facts, base = planned.definition.facts, planned.definition.base
    for builder in facts.builders if facts is not None else ():
        amis = [ami for name, ami in base if name == builder.name]
        if len(amis) > 1:
            yield Finding.warning(
                "equally-new-bases",
                builder.location,
                message=f"{' and '.join(amis)} match the filter of {builder.name} and were created in the same second: "
                "Packer may use any of them, and the digest covers all",
                todo="Narrow the filter to one of them, or set `from` in bakery.toml.",
            )


def _ambiguous_bases(
    resolver: Resolver, facts: TemplateFacts, region: str, counts: dict[AmiQuery, int]
) -> Iterator[Finding]:
    """Finds filters that Packer refuses because several AMIs match.

    counts  the number of AMIs by filter; filters counted before are not looked up again
    """
    ports = resolver.ports
    for builder in facts.builders:
        ami_filter = builder.source_ami_filter
        if ami_filter is None or ami_filter.most_recent or not ami_filter.owners:
            continue
        if builder.source_ami or builder.base_unknown:
            continue
        query = query_of_filter(ami_filter, region, ports.packer)
        if query not in counts:
            # Packer does not filter by state.
            counts[query] = len(matching_amis(ports, query, in_any_state=True))
        if counts[query] > 1:
            yield Finding.error(
                "ambiguous-base",
                builder.location,
                message=f"{counts[query]} AMIs match the filter of {builder.name}, and most_recent is not set",
                todo="Set most_recent to true, or narrow the filter to one AMI.",
            )
