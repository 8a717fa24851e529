"""Finds the AMIs to promote in each region of an image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.channel.promotable import PromotionRules, build_key, copies_of, same_build, why_not_promoted
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.ami import DIGEST_TAG, newest
from ami_bakery.core.plan.describe import reason_lines
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.errors import AwsError, BakeryError, UsageError
from ami_bakery.plan.planner import make_plans
from ami_bakery.release.channel_write import read_channel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.ports import Ports

_TODO = {
    Action.ENABLE: "Enable it first: ami-bakery bake {image}. Or promote another AMI with --ami.",
    Action.TEST: "Test it first: ami-bakery test {image}. Or promote another AMI with --ami.",
    Action.WAIT: "Wait until the other runner has finished, then run again.",
}
_BAKE = "Build it first: ami-bakery bake {image}. Or promote another AMI with --ami."


def channel_regions(resolver: Resolver, image: ImageConfig) -> tuple[str, ...]:
    """Returns the configured regions of the image, and those of its template.

    A template that cannot be read does not prevent a roll-back.
    """
    configured = resolver.regions_of(image)
    try:
        builders = resolver.facts(image).builders
    except BakeryError as error:
        resolver.ports.reporter.warn(
            f"{image.name}: cannot read its template, so other regions to which it copies AMIs are not known, and only "
            f"{', '.join(configured)} {'is' if len(configured) == 1 else 'are'} used: {error}. Fix the template, then "
            f"check the other regions: ami-bakery channels {image.name}"
        )
        return configured
    return tuple(dict.fromkeys((*configured, *(region for builder in builders for region in builder.ami_regions))))


def refuse_drop_in(image: ImageConfig, doing: str) -> None:
    if image.scheme is Scheme.SHA1:
        raise UsageError(doing, "drop-in mode has no channels", "Write a bakery.toml for this image.")


def amis_of_definitions(
    resolver: Resolver, names: Sequence[str], failures: dict[str, BakeryError]
) -> dict[str, Mapping[str, Ami]]:
    """Returns the AMIs of the current definitions by image and region. `failures` receives the other images."""
    plans = {planned.plan.image: planned.plan for planned in make_plans(resolver, names, failures=failures)}
    found: dict[str, Mapping[str, Ami]] = {}
    for name in names:
        if name not in plans:
            continue
        if plans[name].action is Action.REUSE:
            found[name] = plans[name].amis
        else:
            failures[name] = _not_finished(plans[name])
    return found


def _not_finished(plan: ImagePlan) -> BakeryError:
    why = "; ".join(reason_lines(plan.reasons))
    wrong = f"no finished AMI of the current definition in {', '.join(plan.missing or plan.regions)}: {one_line(why)}"
    if plan.action is Action.TEST:
        wrong = f"its AMI did not pass the current test: {one_line(why)}"
    if plan.action is Action.ENABLE:
        wrong = f"its AMI is in quarantine: {one_line(why)}"
    todo = _TODO.get(plan.action, _BAKE).format(image=plan.image)
    return AwsError(f"looking for the AMI of image {plan.image}", wrong, todo)


def own_builds(ports: Ports, regions: Sequence[str], digests: Collection[str]) -> tuple[Ami, ...]:
    """Returns this account's AMIs with these digests, in `regions` and any state."""
    wanted = sorted(digest for digest in digests if digest)
    if not wanted:
        return ()
    lookup = ports.ec2.find_by_digest
    return tuple(
        ami for amis in run_all([partial(lookup, region, wanted, ("self",)) for region in regions]) for ami in amis
    )


def find_amis(ports: Ports, ids: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], Ami]:
    """Returns existing AMIs by region and id. `ids`: by region. One call for each region.

    Disabled AMIs are found only if they have a digest.
    """
    wanted = {region: sorted(set(amis)) for region, amis in ids.items() if amis}
    lookup = ports.ec2.find_by_id
    answers = run_all([partial(lookup, region, amis) for region, amis in wanted.items()])
    return {(ami.region, ami.id): ami for amis in answers for ami in amis}


def copies_of_ami(resolver: Resolver, image: ImageConfig, regions: Sequence[str], ami_id: str) -> Mapping[str, Ami]:
    """Returns the AMI, and its copies in the other regions. Raises `AwsError` if a region has none."""
    doing = f"looking for {ami_id} and its copies"
    found = find_amis(resolver.ports, {region: [ami_id] for region in regions})
    build = next(iter(found.values()), None)
    if build is None:
        raise AwsError(
            doing,
            f"no AMI of this account with this id in {', '.join(regions)}",
            f"Correct the id: ami-bakery images {image.name}",
        )
    copies = own_builds(resolver.ports, regions, [build.tags.get(DIGEST_TAG, "")]) if len(regions) > 1 else ()
    return build_in_regions(resolver, image, regions, build, copies, doing)


def build_in_regions(
    resolver: Resolver, image: ImageConfig, regions: Sequence[str], build: Ami, found: Iterable[Ami], doing: str
) -> Mapping[str, Ami]:
    """Returns the AMIs of a build by region. Raises `AwsError` if a region has none.

    found  this account's AMIs with its digest, in all regions
    """
    if len(regions) == 1:
        return {build.region: build}
    digest = build.tags.get(DIGEST_TAG, "")
    copies = copies_of(build, found)
    missing = [region for region in regions if region not in copies]
    if missing:
        wrong = f"{build.id} ({build.region}) has no copy in {', '.join(missing)}"
        if not digest:
            wrong += f": it has no tag {DIGEST_TAG}, by which copies are found"
        todo = (
            f"`ami-bakery bake {image.name}` copies the AMI of the current definition. Otherwise use another AMI, or "
            f"remove {', '.join(missing)} from the image's `regions`."
        )
        raise AwsError(doing, wrong, todo)
    keys = resolver.kms_keys(image)
    return {region: _best(copies[region], keys.get(region, "")) for region in regions}


def _best(copies: Collection[Ami], kms_key: str) -> Ami:
    """Returns the newest usable copy; one with the configured key is preferred."""
    usable = [ami for ami in copies if ami.available and not ami.revoked] or copies
    best = newest(ami for ami in usable if ami.kms_key == kms_key) or newest(usable)
    assert best is not None
    return best


def amis_of_channel(resolver: Resolver, image: ImageConfig, regions: Sequence[str], channel: str) -> Mapping[str, Ami]:
    """Returns the AMIs of another channel by region. Raises `AwsError` if its regions differ."""
    parameter = resolver.config.channels.parameter(image.name, channel)
    doing = f"reading channel {channel} of image {image.name}"
    parameters = read_channel(resolver.ports, regions, parameter)
    missing = [each.region for each in parameters if each.current is None or not each.current.holds_amis]
    if missing:
        wrong = f"{parameter} does not exist, or is no channel, in {', '.join(missing)}"
        raise AwsError(doing, wrong, f"Promote to it first: ami-bakery promote {image.name} --to {channel}")
    found = find_amis(resolver.ports, {each.region: [each.value] for each in parameters})
    amis = {each.region: found.get((each.region, each.value)) for each in parameters}
    gone = [each for each in parameters if amis[each.region] is None]
    if gone:
        wrong = f"{parameter} names {gone[0].value} in {gone[0].region}, which does not exist, or is disabled"
        raise AwsError(doing, wrong, f"Promote another AMI to {channel}, or roll it back, first.")
    there = {region: ami for region, ami in amis.items() if ami is not None}
    if not same_build(there.values()):
        ids = ", ".join(f"{ami.id} ({region})" for region, ami in there.items())
        todo = f"Run the last promotion or roll-back of {channel} again, so that all regions have one build."
        raise AwsError(doing, f"its regions have AMIs of different builds: {ids}", todo)
    return there


def check_promotable(resolver: Resolver, image: ImageConfig, amis: Mapping[str, Ami], doing: str) -> Mapping[str, Ami]:
    """Reads the AMIs again. Raises `AwsError` if one must not be promoted.

    Another runner may have changed them while this one waited for the lock: a test that fails removes the digest.
    """
    ports, regions = resolver.ports, tuple(amis)
    digests = {ami.tags.get(DIGEST_TAG, "") for ami in amis.values()}
    own = {(ami.region, ami.id): ami for ami in own_builds(ports, regions, digests)}
    others = {region: [ami.id] for region, ami in amis.items() if (region, ami.id) not in own}
    known = {**own, **find_amis(ports, others)}
    gone = next((ami for region, ami in amis.items() if (region, ami.id) not in known), None)
    if gone is not None:
        wrong = f"{gone.id} ({gone.region}) cannot be promoted: it does not exist any more, or is disabled"
        raise AwsError(doing, wrong, f"Promote another AMI: ami-bakery images {image.name} lists them.")
    now = {region: known[region, ami.id] for region, ami in amis.items()}
    account = ports.ec2.account(regions[0])
    rules = PromotionRules(image=image.name, account=account, tested=image.test is not None)
    revoked = next((ami for ami in own.values() if ami.revoked and _is_copy(ami, now)), None)
    found = (revoked, f"it is revoked: {revoked.revoked}") if revoked else why_not_promoted(now.values(), rules)
    if found is not None:
        ami, why = found
        todo = f"Promote another AMI: ami-bakery images {image.name} lists them."
        raise AwsError(doing, f"{ami.id} ({ami.region}) cannot be promoted: {one_line(why)}", todo)
    return now


def _is_copy(ami: Ami, amis: Mapping[str, Ami]) -> bool:
    return any(build_key(ami) == build_key(other) for other in amis.values())
