"""Warns of things that the digests do not cover, and of known problems of builds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.plan.plan import Action
from ami_bakery.template.env_inputs import MACHINE_VARIABLES, why_not_hashed

if TYPE_CHECKING:
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.template.facts import TemplateFacts


def warn_of_unseen(resolver: Resolver, plans: Iterable[Planned]) -> None:
    """Warns of things that the digests do not cover."""
    for planned in plans:
        for message in planned.definition.unseen:
            resolver.ports.reporter.warn(message)
        image = resolver.config.image(planned.plan.image)
        if image.kms_keys.everywhere and max(len(image.regions), len(planned.plan.regions)) < 2:
            location = f"{resolver.config.file}:{image.line('kms_key')}"
            resolver.ports.reporter.warn(f"{location}: image {image.name}: kms_key has no effect: there are no copies")
        if planned.definition.facts is not None and planned.definition.manifest is not None:
            for message in _unseen(planned.definition, planned.definition.facts, resolver.ports.environment):
                resolver.ports.reporter.warn(message)
        _warn_of_pitfalls(resolver, planned)


def _warn_of_pitfalls(resolver: Resolver, planned: Planned) -> None:
    """Warns of known problems of a build. Without a build, warns only of things that the digest does not cover."""
    facts, action = planned.definition.facts, planned.plan.action
    if facts is None or planned.definition.image.scheme is Scheme.SHA1:
        return
    if action is Action.REUSE and not any(name.startswith("HCP_") for name in resolver.ports.environment):
        return
    from ami_bakery.define.pitfalls import ENFORCED, pitfalls

    for finding in pitfalls(resolver.ports, facts, resolver.arguments):
        if action in (Action.BAKE, Action.PENDING) or finding.code == ENFORCED:
            resolver.ports.reporter.warn(f"{finding.location}: {finding.message}. {finding.todo}")


def _unseen(definition: ImageDefinition, facts: TemplateFacts, environment: Mapping[str, str]) -> Iterator[str]:
    for item in facts.unresolved:
        yield f"{item.location}: cannot determine {item.expression} ({item.why}): its files are not in the digest"
    for builder in facts.builders:
        if definition.image.base is None and builder.base_unknown:
            yield f"{builder.location}: the source AMI of {builder.name} is not in the digest: {builder.base_unknown}"
    for name, _ in facts.environment:
        if name in environment and name not in MACHINE_VARIABLES and name not in definition.image.environment:
            why = why_not_hashed(name, facts)
            if why is not None:
                yield f'{name} is set, but is not in the digest: {why}. To add its value: env = ["{name}"]'
