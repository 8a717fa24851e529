"""Finds, before it costs a build, what would go wrong or would weaken the digest: each finding with its location."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.concurrency import run_all
from ami_bakery.core.check.finding import (
    Finding,
    Level,
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
from ami_bakery.core.config.selection import with_parents
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.regions import REGIONS
from ami_bakery.core.plan.plan import Action
from ami_bakery.define.accounts import account_findings
from ami_bakery.define.base_lookup import NewestAmi, matching_amis, question_of_filter
from ami_bakery.define.drop_in import unseen_in, warnings
from ami_bakery.define.pitfalls import pitfalls
from ami_bakery.errors import AwsError, BakeryError
from ami_bakery.inspect.input_findings import input_findings
from ami_bakery.inspect.reading_findings import reading_findings
from ami_bakery.plan.planner import Planned, make_plans
from ami_bakery.plan.validation import facts_for_packer, stand_in, validation_findings, with_placeholders
from ami_bakery.template.env_inputs import why_not_hashed
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import TemplateFacts

JOBS = 4
"""How many Packers validate at once, unless asked for another number."""
CANNOT_BE_PLANNED = "plan-failed"


def check_images(resolver: Resolver, names: Sequence[str], jobs: int = JOBS) -> dict[str, tuple[Finding, ...]]:
    """The findings of each image: errors first, each kind in the order of its locations.

    A failure on the way is a finding, too. All images are looked up at once, as for a plan; then Packer validates their
    templates, as many at a time as there are `jobs`.
    """
    failures: dict[str, BakeryError] = {}
    try:
        plans = {item.plan.image: item for item in make_plans(resolver, names, failures=failures)}
    except BakeryError as error:
        plans, failures = {}, dict.fromkeys(names, error) | failures
    checks = [_Check(resolver=resolver, image=resolver.image(name)) for name in names]
    for check in checks:
        check.look_at_definition(plans.get(check.image.name))
    told: set[tuple[str, str]] = set()
    _tell_failures(resolver, checks, failures, told)
    _look_at_names(resolver, checks)
    counts: dict[NewestAmi, int] = {}
    for check in checks:
        check.look_at_bases(counts)
    run_all([check.validate for check in checks if check.planned is not None], at_once=jobs)
    for check in checks:
        if check.not_validated is not None:
            check.findings += _told_once(resolver, check.image, check.not_validated, told)
    return {check.image.name: check.sorted_findings() for check in checks}


class _Check:
    """What is found of one image.

    planned   with placeholders for what is not known yet; None where Packer need not, or cannot, be asked
    answered  whether it could be planned; if not, EC2 is not asked for more of it
    """

    def __init__(self, *, resolver: Resolver, image: ImageConfig) -> None:
        self.resolver = resolver
        self.image = image
        self.findings: list[Finding] = []
        self.planned: Planned | None = None
        self.facts: TemplateFacts | None = None
        self.by_digest: tuple[bool, ...] = ()
        self.answered = False
        self.not_validated: BakeryError | None = None

    def look_at_definition(self, planned: Planned | None) -> None:
        try:
            self.findings += _definition_findings(self.resolver, self.image)
            if planned is not None:
                self.findings += _equally_new_bases(planned)
            if planned is not None and planned.plan.action not in (Action.BAKE, Action.PENDING):
                return
            rehearsed = with_placeholders(planned or stand_in(self.resolver, self.image))
            self.facts = facts_for_packer(self.resolver, rehearsed)
            self.by_digest = _named_by_digest(self.resolver, rehearsed, self.facts)
            self.planned, self.answered = rehearsed, planned is not None
            known = [one for one in self.facts.builders if planned is not None or one.region in (None, *REGIONS)]
            self.findings += region_findings(known, rehearsed.plan.regions[0])
            self.findings += tag_findings(self.image, self.facts.builders)
            if planned is not None:
                self.findings += account_findings(self.resolver, self.facts, rehearsed.plan.regions[0])
            if self.image.max_age is not None:
                self.findings += aging_findings(self.facts.builders)
        except BakeryError as error:
            self.findings += failure_findings(self.resolver, self.image, error)

    @property
    def region(self) -> str:
        return self.planned.plan.regions[0] if self.planned is not None else ""

    @property
    def ami_names(self) -> tuple[str, ...]:
        builders = self.facts.builders if self.facts is not None and self.answered else ()
        return tuple(builder.ami_name for builder in builders if builder.ami_name)

    def look_at_names(self, taken: Iterable[str]) -> None:
        for builder, by_digest in zip(self.facts.builders if self.facts else (), self.by_digest, strict=True):
            finding = name_finding(builder, taken, by_digest=by_digest)
            if finding is not None:
                self.findings.append(finding)

    def look_at_bases(self, counts: dict[NewestAmi, int]) -> None:
        if not self.answered or self.facts is None or self.image.base is not None:
            return
        try:
            self.findings += _ambiguous_bases(self.resolver, self.facts, self.region, counts)
        except BakeryError:
            # A base that cannot be asked for is why the image cannot be planned, and is told as that.
            return

    def validate(self) -> None:
        assert self.planned is not None
        assert self.facts is not None
        try:
            self.findings += validation_findings(self.resolver, self.planned, self.facts)
        except BakeryError as error:
            self.not_validated = error

    def sorted_findings(self) -> tuple[Finding, ...]:
        """Each once: what is known to be wrong by a code of its own is also why the image cannot be planned."""
        told = {(finding.location, finding.message) for finding in self.findings if finding.code != CANNOT_BE_PLANNED}
        kept = {
            finding
            for finding in self.findings
            if finding.code != CANNOT_BE_PLANNED or (finding.location, finding.message) not in told
        }
        return tuple(
            sorted(kept, key=lambda finding: (finding.level.order, finding.location, finding.code, finding.message))
        )


def _named_by_digest(resolver: Resolver, planned: Planned, facts: TemplateFacts) -> tuple[bool, ...]:
    """Of each builder, whether its AMI's name changes with the digest: it is worked out with two of them."""
    if not facts.declares("config_checksum"):
        return (False,) * len(facts.builders)
    if planned.definition.image.scheme is Scheme.SHA1:
        hex = planned.definition.digest.hex if planned.definition.digest else ""
        return tuple(bool(hex) and hex in (builder.ami_name or "") for builder in facts.builders)
    one, other = (facts_for_packer(resolver, planned, digest=digit * 64).builders for digit in "0f")
    if not len(facts.builders) == len(one) == len(other):
        return (True,) * len(facts.builders)
    return tuple(left.ami_name != right.ami_name for left, right in zip(one, other, strict=True))


def _tell_failures(
    resolver: Resolver, checks: Sequence[_Check], failures: Mapping[str, BakeryError], told: set[tuple[str, str]]
) -> None:
    """Why images cannot be planned. What an image is made from may be what cannot be planned: it is told there, if that
    is checked, too."""
    names = {check.image.name for check in checks}
    for check in checks:
        for of in with_parents(resolver.config, [check.image.name]):
            error = failures.get(of)
            if error is not None and (of == check.image.name or of not in names):
                check.findings += _told_once(resolver, check.image, error, told)
                break


def _told_once(
    resolver: Resolver, image: ImageConfig, error: BakeryError, told: set[tuple[str, str]]
) -> Iterator[Finding]:
    """What is wrong for many images, such as a credential, is told once: `told` has what was."""
    of_aws = isinstance(error, AwsError) and error.code != ""
    key = (error.wrong if of_aws else str(error), error.todo)
    if key not in told or (error.marks and not of_aws):
        yield from failure_findings(resolver, image, error)
    else:
        yield _not_fully_checked(resolver, image)
    told.add(key)


def failure_findings(resolver: Resolver, image: ImageConfig, error: BakeryError) -> Iterator[Finding]:
    """A failure as findings: one for each line that it is about. The location is not repeated in the message."""
    marks = error.marks or (SourceLocation(file=resolver.config.file, line=image.line("template")).mark(str(error)),)
    for mark in marks:
        location = SourceLocation(file=mark.file, line=mark.line)
        yield Finding(
            level=Level.ERROR,
            code=CANNOT_BE_PLANNED,
            location=location,
            message=_one_sentence(mark.message, location),
            todo=" ".join(error.todo.split()),
        )


def _one_sentence(text: str, location: SourceLocation) -> str:
    without_location = text.replace(f" ({location})", "").replace(f"{location}: ", "")
    return " ".join(without_location.split())


def _not_fully_checked(resolver: Resolver, image: ImageConfig) -> Finding:
    return Finding(
        level=Level.WARNING,
        code="not-fully-checked",
        location=SourceLocation(file=resolver.config.file, line=image.line("template")),
        message="not fully checked, for the same reason as an image above",
        todo="Correct that first, then check again.",
    )


def _definition_findings(resolver: Resolver, image: ImageConfig) -> Iterator[Finding]:
    """What needs neither AWS nor Packer."""
    if image.scheme is Scheme.SHA1:
        location = SourceLocation(file=resolver.config.file, line=1)
        todo = "Describe the image in a bakery.toml: its digest covers all of it."
        tree = resolver.ports.tree
        for warning in warnings(tree, image, resolver.ports.environment, unseen_in(tree, image)):
            yield Finding(level=Level.WARNING, code="not-covered", location=location, message=warning, todo=todo)
        yield from template_findings(resolver.facts(image))
        return
    facts, inventory = resolver.inputs(image)
    yield from template_findings(facts)
    yield from link_findings(inventory.entries, inventory.named_by)
    yield from input_findings(resolver, image, inventory)
    yield from _git_findings(resolver)
    yield from pitfalls(resolver.ports, facts, resolver.arguments)
    yield from _environment_findings(image, facts)
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
    words, _, todo = refusal.partition("; ")
    if refusal:
        yield Finding(
            level=Level.WARNING,
            code="git-refused",
            location=SourceLocation(file=resolver.config.file, line=1),
            message=f"AMIs carry no commit, and a plan cannot say what changed: {words}",
            todo=f"{todo[:1].upper()}{todo[1:]}",
        )


def _environment_findings(image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    for name, location in facts.environment:
        why = why_not_hashed(name, facts)
        if why is not None and name not in image.environment and not name.startswith("AWS_"):
            yield Finding(
                level=Level.WARNING,
                code="environment-not-hashed",
                location=location,
                message=f"the template reads {name}, which is not in the digest: {why}",
                todo=f'Do without it, or have its value hashed: env = ["{name}"].',
            )


def _base_findings(image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    if any(variable.missing for variable in facts.variables):
        return  # it is not known for want of that variable, which is told by itself
    for builder in facts.builders:
        if image.base is None and builder.base_unknown:
            yield Finding(
                level=Level.WARNING,
                code="unresolved-base",
                location=builder.location,
                message=f"what {builder.name} starts from is not in the digest: {builder.base_unknown}",
                todo="Say it with `from` in bakery.toml: the id is hashed, and handed to Packer.",
            )


def _look_at_names(resolver: Resolver, checks: Sequence[_Check]) -> None:
    """Whether the names of the AMIs are taken: one question for each region."""
    asked: dict[str, dict[str, None]] = {}
    for check in checks:
        if check.ami_names:
            asked.setdefault(check.region, {}).update(dict.fromkeys(check.ami_names))
    regions = [region for region, names in asked.items() if names]
    taken: dict[str, frozenset[str]] = {}
    try:
        answers = run_all([partial(resolver.ports.ec2.find_by_name, region, list(asked[region])) for region in regions])
        taken = {region: frozenset(ami.name for ami in amis) for region, amis in zip(regions, answers, strict=True)}
    except BakeryError as error:
        first = next(check for check in checks if check.ami_names)
        if not any(finding.code == CANNOT_BE_PLANNED for finding in first.findings):
            first.findings += failure_findings(resolver, first.image, error)
    for check in checks:
        if check.planned is not None:
            check.look_at_names(taken.get(check.region, ()))


def _equally_new_bases(planned: Planned) -> Iterator[Finding]:
    facts, base = planned.definition.facts, planned.definition.base
    for builder in facts.builders if facts is not None else ():
        amis = [ami for name, ami in base if name == builder.name]
        if len(amis) > 1:
            yield Finding(
                level=Level.WARNING,
                code="equally-new-bases",
                location=builder.location,
                message=f"{' and '.join(amis)} match the filter of {builder.name} and are of the same second: "
                "Packer may take either, and the digest has them all",
                todo="Have the filters match one of them only, or say it with `from` in bakery.toml.",
            )


def _ambiguous_bases(
    resolver: Resolver, facts: TemplateFacts, region: str, counts: dict[NewestAmi, int]
) -> Iterator[Finding]:
    """Filters of the template that Packer refuses, since it does not know which of several AMIs is meant. `counts`: of
    the filters asked for before, and of this."""
    ports = resolver.ports
    for builder in facts.builders:
        asked = builder.source_ami_filter
        if asked is None or asked.most_recent or not asked.owners or builder.source_ami or builder.base_unknown:
            continue
        question = question_of_filter(asked, region, ports.packer)
        if question not in counts:
            # Packer looks at no state.
            counts[question] = len(matching_amis(ports, question, in_any_state=True))
        if counts[question] > 1:
            yield Finding(
                level=Level.ERROR,
                code="ambiguous-base",
                location=builder.location,
                message=f"{counts[question]} AMIs match the filter of {builder.name}, and most_recent is not set",
                todo="Set most_recent to true, or have the filters match one AMI only.",
            )
