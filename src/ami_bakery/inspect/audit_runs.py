"""Audits images: builds each one in an embedded EC2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.config.model import BaseId, BaseImage
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.stand_in import StandIn, matching_stand_in
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.define.audited import audit_report
from ami_bakery.define.base_lookup import AmiQuery, ParameterQuery, ask, base_queries
from ami_bakery.errors import BakeryError, PackerError
from ami_bakery.plan.build_request import build_request
from ami_bakery.plan.planner import Planned
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from ami_bakery.core.audit.comparison import AuditReport
    from ami_bakery.core.audit.trace import Trace
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.base_lookup import BaseQuery
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.template.facts import TemplateFacts

AddAmi = Callable[[StandIn], str]
"""Adds an AMI to the embedded EC2; returns its id."""


class AuditResult(Frozen):
    """The audit of one image.

    report  None if the build did not start
    error   why the build failed; the report has what it opened before
    """

    image: ImageConfig
    report: AuditReport | None = None
    error: BakeryError | None = None


def audit_images(resolver: Resolver, names: Sequence[str], add_ami: AddAmi) -> Iterator[AuditResult]:
    """Builds and audits the images, one after the other. Raises `PackerError` if builds cannot be traced."""
    resolver.ports.packer.check_tracing()
    for name in names:
        yield _audit(resolver, resolver.image(name), add_ami)


def _audit(resolver: Resolver, image: ImageConfig, add_ami: AddAmi) -> AuditResult:
    try:
        facts, inventory = (resolver.facts(image), None) if image.scheme is Scheme.SHA1 else resolver.inputs(image)
        parents = _provide_bases(resolver, image, facts, add_ami)
        # The source AMIs are looked up again.
        resolver = resolver.without_cache()
        definition = resolver.define(image, parents, None if inventory is None else (facts, inventory))
        resolver.plugins(image, facts)
        trace, error = _build(resolver, definition, facts)
        report = audit_report(resolver, image, facts, inventory, trace) if trace is not None else None
    except BakeryError as failure:
        return AuditResult(image=image, error=failure)
    finally:
        resolver.ports.reporter.done(image.name)
    return AuditResult(image=image, report=report, error=error)


def _build(
    resolver: Resolver, definition: ImageDefinition, facts: TemplateFacts
) -> tuple[Trace | None, PackerError | None]:
    ports, image = resolver.ports, definition.image
    regions = (resolver.region_of(image),)
    plan = ImagePlan(
        image=image.name, action=Action.BAKE, digest=definition.digest, reasons=(), regions=regions, amis={}
    )
    traces: list[Trace] = []
    request = build_request(resolver, Planned(definition=definition, plan=plan, found=()), facts)
    request, error = replace(request, traced=traces.append), None
    try:
        ports.packer.build(request, ports.reporter, lambda _: None)
    except PackerError as failure:
        error = failure
    except BaseException:
        ports.packer.interrupt()
        raise
    return (traces[0] if traces else None), error


def _provide_bases(
    resolver: Resolver, image: ImageConfig, facts: TemplateFacts, add_ami: AddAmi
) -> dict[str, Ami | None]:
    """Adds missing source AMIs. Returns a placeholder for the parent image."""
    region = resolver.region_of(image)
    ec2 = resolver.ports.ec2
    if isinstance(image.base, BaseImage):
        added = add_ami(StandIn(region=region, name=f"{image.base.image} (stand-in for {image.name})"))
        (parent,) = ec2.find_by_id(region, [added])
        return {image.base.image: parent}
    for query, answer in ask(resolver.ports, base_queries(image, facts, lambda: region, resolver.ports.packer)).items():
        if answer == () or isinstance(answer, BakeryError):
            add_ami(_stand_in(query))
    named = [image.base.ami] if isinstance(image.base, BaseId) else []
    if image.base is None:
        named = [builder.source_ami for builder in facts.builders if builder.source_ami]
    existing = {ami.id for ami in ec2.find_by_id(region, named)} if named else set()
    for ami_id in dict.fromkeys(named):
        if ami_id not in existing:
            add_ami(StandIn(region=region, id=ami_id))
    return {}


def _stand_in(query: BaseQuery) -> StandIn:
    match query:
        case AmiQuery():
            return matching_stand_in(query.region, query.owners, query.filters)
        case ParameterQuery():
            return StandIn(region=query.region, parameter=query.name)
