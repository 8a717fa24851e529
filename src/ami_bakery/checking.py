"""Finds, before it costs a bake, what would go wrong or would weaken the digest: each finding with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.bases import NewestAmi, matching, question_of_filter
from ami_bakery.build_request import build_request
from ami_bakery.core.digest import Scheme
from ami_bakery.core.environment import why_not_hashed
from ami_bakery.core.finding import (
    SECRET_SCAN_BYTES,
    Finding,
    Level,
    aging_findings,
    key_finding,
    link_findings,
    looks_secret,
    name_finding,
    owner_findings,
    region_findings,
    selection_findings,
    sharing_findings,
    template_findings,
)
from ami_bakery.core.manifest import EntryKind
from ami_bakery.core.place import Place
from ami_bakery.core.plan import Action
from ami_bakery.core.selection import with_parents
from ami_bakery.drop_in import unseen_in, warnings
from ami_bakery.errors import BakeryError
from ami_bakery.planning import Planned, make_plans
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.config import ImageConfig
    from ami_bakery.core.template import TemplateFacts
    from ami_bakery.inputs import Inventory
    from ami_bakery.ports import Outside
    from ami_bakery.resolve import Resolver


def check_images(resolver: Resolver, names: Sequence[str]) -> dict[str, tuple[Finding, ...]]:
    """The findings of each image: errors first, each kind in the order of its places.

    A failure on the way is a finding, too. All images are looked up at once, as for a plan.
    """
    failures: dict[str, BakeryError] = {}
    try:
        plans = {item.plan.image: item for item in make_plans(resolver, names, failures=failures)}
    except BakeryError as error:
        plans, failures = {}, dict.fromkeys(names, error) | failures
    checked: dict[str, tuple[Finding, ...]] = {}
    counts: dict[NewestAmi, int] = {}
    for name in names:
        # What an image is made from may be what cannot be planned.
        failure = next((failures[of] for of in with_parents(resolver.config, [name]) if of in failures), None)
        checked[name] = _check_image(resolver, name, failure or plans[name], counts)
    return checked


def _check_image(
    resolver: Resolver, name: str, planned: Planned | BakeryError, counts: dict[NewestAmi, int]
) -> tuple[Finding, ...]:
    image = resolver.image(name)
    findings: list[Finding] = []
    try:
        findings += _definition_findings(resolver, image)
        if isinstance(planned, BakeryError):
            raise planned
        findings += _equally_new_bases(planned)
        if planned.plan.action is Action.BAKE:
            findings += _bake_findings(resolver, planned, counts)
    except BakeryError as error:
        findings.append(_failure(resolver, image, error))
    return tuple(sorted(set(findings), key=lambda finding: (finding.level, finding.place, finding.code)))


def _failure(resolver: Resolver, image: ImageConfig, error: BakeryError) -> Finding:
    place = Place(file=resolver.config.file, line=image.line("template"))
    if error.marks:
        place = Place(file=error.marks[0].file, line=error.marks[0].line)
    return Finding(
        level=Level.ERROR,
        code="cannot-be-planned",
        place=place,
        message=str(error),
        todo=error.todo,
    )


def _definition_findings(resolver: Resolver, image: ImageConfig) -> Iterator[Finding]:
    """What needs neither AWS nor Packer."""
    if image.scheme is Scheme.SHA1:
        place = Place(file=resolver.config.file, line=1)
        todo = "Describe the image in a bakery.toml: its digest covers all of it."
        tree = resolver.outside.tree
        for warning in warnings(tree, image, resolver.outside.environment, unseen_in(tree, image)):
            yield Finding(level=Level.WARNING, code="not-covered", place=place, message=warning, todo=todo)
        yield from template_findings(resolver.facts(image))
        return
    facts, inventory = resolver.inputs(image)
    yield from template_findings(facts)
    yield from link_findings(inventory.entries, inventory.named_by)
    yield from _input_findings(resolver, image, inventory)
    yield from _environment_findings(image, facts)
    yield from _output_findings(resolver, facts)
    yield from _base_findings(image, facts)
    yield from sharing_findings(image, resolver.config.file)
    yield from owner_findings(image, resolver.config.file)
    if not facts.builders and (image.only or image.except_):
        everything = resolver.facts(replace(image, only=(), except_=())).builders
        yield from selection_findings(image, facts.builders, everything, resolver.config.file)
    unused_key = key_finding(resolver.config.image(image.name), image.regions, resolver.config.file)
    if unused_key is not None:
        yield unused_key


def _input_findings(resolver: Resolver, image: ImageConfig, inventory: Inventory) -> Iterator[Finding]:
    declared = [resolver.outside.tree.relative(path).rstrip("/") for path in image.inputs or ()]
    for entry in inventory.entries:
        place = inventory.named_by[entry.path][0]
        outside = entry.path.startswith(("../", "/", "~/"))
        if outside and not any(entry.path == path or entry.path.startswith(f"{path}/") for path in declared):
            yield Finding(
                level=Level.WARNING,
                code="input-outside",
                place=place,
                message=f"{entry.path} lies outside the folder of {resolver.config.file}, and not in `inputs`",
                todo="Name it in `inputs`, or move it inside: another machine may have something else there.",
            )
        if entry.kind is EntryKind.FILE and looks_secret(entry.path, _head(resolver, entry.path)):
            yield Finding(
                level=Level.WARNING,
                code="secret-among-inputs",
                place=place,
                message=f"{entry.path} looks like a secret: whoever has the AMI may have it, too",
                todo="Take it out of the inputs, or name it in `ignore`; give secrets to an instance when it starts.",
            )


def _head(resolver: Resolver, path: str) -> bytes:
    home = resolver.outside.environment.get("HOME", "")
    return resolver.outside.tree.head(path.replace("~", home, 1) if path.startswith("~/") else path, SECRET_SCAN_BYTES)


def _environment_findings(image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    for name, place in facts.environment:
        why = why_not_hashed(name, facts)
        if why is not None and name not in image.environment and not name.startswith("AWS_"):
            yield Finding(
                level=Level.WARNING,
                code="environment-not-hashed",
                place=place,
                message=f"the template reads {name}, which is not in the digest: {why}",
                todo=f'Do without it, or have its value hashed: env = ["{name}"].',
            )


def _output_findings(resolver: Resolver, facts: TemplateFacts) -> Iterator[Finding]:
    for output in facts.outputs:
        if resolver.outside.tree.entry(output.path) is not None:
            yield Finding(
                level=Level.WARNING,
                code="output-inside",
                place=output.place,
                message=f"Packer writes {output.path}: it is left out of the digest",
                todo="Let it write elsewhere, so that nothing that is uploaded is left out by mistake.",
            )


def _base_findings(image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    for builder in facts.builders:
        if image.base is None and builder.base_unknown:
            yield Finding(
                level=Level.WARNING,
                code="unresolved-base",
                place=builder.place,
                message=f"what {builder.name} starts from is not in the digest: {builder.base_unknown}",
                todo="Say it with `from` in bakery.toml: the id is hashed, and handed to Packer.",
            )


def _bake_findings(resolver: Resolver, planned: Planned, counts: dict[NewestAmi, int]) -> Iterator[Finding]:
    """What a bake of today would meet: names that are taken, and what Packer itself complains of."""
    outside = resolver.outside
    image, digest = planned.definition.image, planned.definition.digest
    region = planned.plan.regions[0]
    handed = dict(resolver.handed_variables(planned.definition, resolver.facts(image), region))
    facts = resolver.facts(image, handed)
    yield from region_findings(facts.builders, region)
    if image.max_age is not None:
        yield from aging_findings(facts.builders)
    names = [builder.ami_name for builder in facts.builders if builder.ami_name]
    taken = [ami.name for ami in outside.ec2.named(region, names)] if names else []
    for builder in facts.builders:
        finding = name_finding(builder, digest.hex if digest else "", taken)
        if finding is not None:
            yield finding
    template = Place(file=outside.tree.relative(image.template), line=1)
    complaints = outside.packer.validate(build_request(resolver, planned, facts))
    if complaints:
        from ami_bakery.core.plugins import how_to_install
    for complaint in complaints:
        place = template
        if complaint.file:
            folder = resolver.workdir(image)
            place = Place(file=outside.tree.relative(f"{folder}/{complaint.file}"), line=complaint.line)
        yield Finding(
            level=Level.ERROR,
            code="packer-validate",
            place=place,
            message=complaint.message,
            todo=how_to_install(complaint.message) or "Correct the template: Packer refuses it.",
        )
    yield from _ambiguous_bases(outside, image, facts, region, counts)


def _equally_new_bases(planned: Planned) -> Iterator[Finding]:
    facts, base = planned.definition.facts, planned.definition.base
    for builder in facts.builders if facts is not None else ():
        amis = [ami for name, ami in base if name == builder.name]
        if len(amis) > 1:
            yield Finding(
                level=Level.WARNING,
                code="equally-new-bases",
                place=builder.place,
                message=f"{' and '.join(amis)} match the filter of {builder.name} and are of the same second: "
                "Packer may take either, and the digest has them all",
                todo="Have the filters match one of them only, or say it with `from` in bakery.toml.",
            )


def _ambiguous_bases(
    outside: Outside, image: ImageConfig, facts: TemplateFacts, region: str, counts: dict[NewestAmi, int]
) -> Iterator[Finding]:
    """Filters of the template that Packer refuses, since it does not know which of several AMIs is meant. `counts`: of
    the filters asked for before, and of this."""
    for builder in facts.builders if image.base is None else ():
        asked = builder.source_ami_filter
        if asked is None or asked.most_recent or not asked.owners or builder.source_ami or builder.base_unknown:
            continue
        question = question_of_filter(asked, region, outside.packer)
        if question not in counts:
            # Packer looks at no state.
            counts[question] = len(matching(outside, question, in_any_state=True))
        if counts[question] > 1:
            yield Finding(
                level=Level.ERROR,
                code="ambiguous-base",
                place=builder.place,
                message=f"{counts[question]} AMIs match the filter of {builder.name}, and most_recent is not set",
                todo="Set most_recent to true, or have the filters match one AMI only.",
            )
