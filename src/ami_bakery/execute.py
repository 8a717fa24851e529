"""Carries a plan out for one image: bake, verify, tag, copy. Each step is safe to repeat after a failure.

The order is the promise: the digest goes on an AMI last, after Packer has finished, EC2 says that the AMI is there,
and the inputs have been hashed again and are the same. What fails on the way leaves an AMI without a digest, and says
which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import NoReturn

from ami_bakery.build_request import build_request
from ami_bakery.core.config import BaseImage
from ami_bakery.core.digest import Scheme
from ami_bakery.core.image import DIGEST_TAG, Ami, AmiState, finished_tags, snapshot_tags
from ami_bakery.core.outcome import Outcome, Result
from ami_bakery.core.packer_output import Artifact
from ami_bakery.core.plan import Action, ImagePlan
from ami_bakery.core.schedule import Schedule
from ami_bakery.errors import AwsError, BakeryError, VerificationError
from ami_bakery.planning import Planned, make_plans, parent_of, warn_of_unseen, with_parents
from ami_bakery.resolve import Definition, Resolver

_POLL_SECONDS = 5.0
_WAIT_SECONDS = 60 * 60.0
"""EC2 takes minutes for an AMI of some GB, and up to an hour for one of some hundred GB."""
_SIGHT_SECONDS = 60.0
"""How long EC2 may take to show an AMI that it has made: it is eventually consistent."""


def bake_all(resolver: Resolver, names: Sequence[str], *, forced: frozenset[str], jobs: int) -> Iterator[Outcome]:
    """Make sure that these images' AMIs exist, and those of what they are made from; outcomes as they come.

    A failure stops what is made from the image that failed, not the rest. All images are looked up at once to begin
    with; one that is to be baked is defined and looked up again when its turn comes: files, bases and other runners
    may have moved meanwhile. An interruption reaches every Packer, and all are waited for.
    """
    settled: dict[str, Ami | None] = {}
    failures: dict[str, BakeryError] = {}
    plans = make_plans(resolver, names, forced=forced, failures=failures)
    warn_of_unseen(resolver, plans)
    first = {planned.plan.image: planned for planned in plans}
    schedule = Schedule({name: parent_of(resolver.config, name) for name in with_parents(resolver.config, names)})
    running: dict[Future[Outcome], str] = {}
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            while schedule.unfinished:
                for name in schedule.start_ready():
                    turn = partial(_take_turn, resolver, name, first.get(name), forced, dict(settled), dict(failures))
                    running[pool.submit(turn)] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name, outcome = running.pop(future), future.result()
                    schedule.finish([name])
                    if outcome.error is not None:
                        failures[name] = outcome.error
                    settled[name] = outcome.amis.get(outcome.plan.regions[0]) if outcome.plan.regions else None
                    yield outcome
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            resolver.outside.packer.interrupt()
            resolver.outside.clock.interrupt()
            raise


def _take_turn(
    resolver: Resolver,
    image: str,
    first: Planned | None,
    forced: frozenset[str],
    settled: Mapping[str, Ami | None],
    failures: Mapping[str, BakeryError],
) -> Outcome:
    base = resolver.config.image(image).base
    if isinstance(base, BaseImage) and base.image in failures:
        error = VerificationError(
            f"baking image {image}", f"its base {base.image} failed", "Mend that first, then run again."
        )
        return _failed(image, error)
    if first is None:
        return _failed(image, failures[image])
    parent = settled.get(base.image) if isinstance(base, BaseImage) else None
    stands = parent is None or first.definition.base == (("", parent.id),)
    if first.plan.action is Action.REUSE and stands:
        return _attempt(resolver, first)
    resolver = resolver.afresh()
    try:
        (planned,) = make_plans(resolver, [image], forced=forced, known=settled)
    except BakeryError as error:
        return _failed(image, error)
    return _attempt(resolver, planned)


def _failed(image: str, error: BakeryError) -> Outcome:
    """An image that could not so much as be planned."""
    plan = ImagePlan(image=image, action=Action.UNKNOWN, digest=None, reasons=(), regions=(), amis={})
    return Outcome(plan=plan, result=Result.FAILED, error=error)


def _attempt(resolver: Resolver, planned: Planned) -> Outcome:
    """Do what is planned for one image; a failure is an outcome, too."""
    clock, watcher = resolver.outside.clock, resolver.outside.watcher
    started = clock.monotonic()
    if planned.plan.action is not Action.REUSE:
        because = "; ".join(reason.detail for reason in planned.plan.reasons)
        watcher.note(f"{planned.plan.image}: {planned.plan.action}: {because}")
    try:
        baker = _Baker(resolver, planned)
        result, amis = baker.run()
        baker.share(amis)
        error = None
    except BakeryError as raised:
        result, amis, error = Result.FAILED, {}, raised
    finally:
        watcher.done(planned.plan.image)
    return Outcome(
        plan=planned.plan,
        result=result,
        amis={region: amis[region] for region in planned.plan.regions if region in amis},
        seconds=clock.monotonic() - started,
        error=error,
    )


_NAME_LENGTH = 128
"""The longest name of an AMI (EC2 API reference, CopyImage)."""


class _Baker:
    """One image's bake, from its plan to its AMIs."""

    def __init__(self, resolver: Resolver, planned: Planned) -> None:
        self.resolver = resolver
        self.outside = resolver.outside
        self.definition: Definition = planned.definition
        self.planned = planned
        self.image = planned.definition.image
        self.commit = ""

    def run(self) -> tuple[Result, dict[str, Ami]]:
        match self.planned.plan.action:
            case Action.REUSE:
                return Result.REUSED, dict(self.planned.plan.amis)
            case Action.COPY:
                return Result.COPIED, self._copy_to_all(dict(self.planned.plan.amis))
            case Action.WAIT:
                return Result.REUSED, self._wait_for_pending()
            case Action.BAKE:
                return Result.BAKED, self._copy_to_all(self._bake())
            case Action.UNKNOWN:
                raise AssertionError(f"{self.image.name} is planned again when its base is baked")

    def share(self, amis: Mapping[str, Ami]) -> None:
        """Let others launch what is finished; who may already is left as it is."""
        for region, ami in amis.items() if self.image.share_with else ():
            granted = self.outside.ec2.share(region, ami.id, self.image.share_with)
            if granted:
                self.outside.watcher.note(f"{self.image.name}: {ami.id} of {region} shared with {', '.join(granted)}")

    def _bake(self) -> dict[str, Ami]:
        facts = self.definition.facts or self.resolver.facts(self.image)
        if self.definition.manifest is None or "plugin-versions" in self.image.digest_without:
            # Nobody has asked for the plugins yet, so those that the template requires may not be here.
            self.resolver.plugins(self.image, facts)
        self._check_bases()
        # Before Packer runs: what it writes into the tree does not make the definition dirty.
        self.commit = self.outside.git.commit(self.resolver.config.root)
        artifacts = self.outside.packer.build(build_request(self.resolver, self.planned, facts), self.outside.watcher)
        self._step("checking the AMI in EC2")
        amis = self._verified(self._one_per_region(artifacts))
        self._check_inputs(amis)
        return self._tagged(amis)

    def _check_bases(self) -> None:
        """Before it costs anything: Packer would find out when it has made a key pair and a security group."""
        home = self.planned.plan.regions[0]
        bases = sorted({base for _, base in self.definition.base})
        there = {ami.id for ami in self.outside.ec2.by_ids(home, bases)} if bases else set()
        gone = [base for base in bases if base not in there]
        if gone:
            raise AwsError(
                f"looking at the base of image {self.image.name} in {home}",
                f"{', '.join(gone)} is not there, or not shared with this account",
                "Name another base: `from` in bakery.toml, or the template's source_ami.",
            )

    def _one_per_region(self, artifacts: Sequence[Artifact]) -> dict[str, str]:
        """AMI ids by region. Raises where Packer made none in the region of the bake, or several in one."""
        doing = f"reading what Packer made of image {self.image.name}"
        if not artifacts:
            raise VerificationError(
                doing,
                "Packer ended well, but says of no AMI that it made it",
                "Look for skip_create_ami, or for a builder that makes no AMI, in the template.",
            )
        by_region: dict[str, list[str]] = {}
        for artifact in artifacts:
            made = by_region.setdefault(artifact.region, [])
            if artifact.ami not in made:
                made.append(artifact.ami)
        several = {region: made for region, made in by_region.items() if len(made) > 1}
        if several and self.image.scheme is Scheme.SHA256:
            self._reject(
                by_region,
                doing,
                "; ".join(f"Packer made {' and '.join(made)} in {region}" for region, made in several.items()),
                "An image is one AMI: choose one builder with `only`, and make an image of each.",
            )
        for region, made in several.items():
            message = f"Packer made {len(made)} AMIs in {region}; the last is the answer, as it was with the original"
            self.outside.watcher.warn(message)
        chosen = {region: made[-1] for region, made in by_region.items()}
        home = self.planned.plan.regions[0]
        if home not in chosen:
            self._reject(
                by_region,
                doing,
                f"the AMI is wanted in {home}, and Packer made {_listed(chosen)}",
                "Correct `regions`, or the region in the template (a variable `aws_region` is handed to it).",
            )
        return chosen

    def _verified(self, ids: Mapping[str, str]) -> dict[str, Ami]:
        """The AMIs as EC2 tells of them. Raises where one is not there, not available, or made from another base."""
        amis: dict[str, Ami] = {}
        for region, ami_id in ids.items():
            ami = self._seen(region, ami_id)
            doing = f"checking {ami_id} of image {self.image.name} in {region}"
            if ami is None:
                self._reject(ids, doing, "EC2 does not know it", "Look at Packer's log, and bake again.")
            try:
                amis[region] = ami if ami.available else self._wait_available(ami)
            except AwsError as error:
                self._reject(ids, error.doing, error.wrong, error.todo)
        home = amis[self.planned.plan.regions[0]]
        expected = {ami for _, ami in self.definition.base}
        if home.source and expected and home.source not in expected:
            self._reject(
                ids,
                f"checking the base of {home.id}",
                f"it was made from {home.source}, and {' or '.join(sorted(expected))} was hashed",
                "If the base moved meanwhile, bake again; with `from` in bakery.toml it is pinned.",
            )
        return amis

    def _check_inputs(self, amis: Mapping[str, Ami]) -> None:
        """Hash everything again: what moved while Packer read it may be in the AMI as it was before, or after."""
        before = self.definition.manifest
        if before is None or self.definition.inventory is None:
            return
        self._step("hashing the inputs again")
        ids = {region: ami.id for region, ami in amis.items()}
        doing = f"hashing the inputs of image {self.image.name} again after the bake"
        todo = "Bake again when nothing writes to the inputs."
        try:
            _, inventory = self.resolver.inputs(self.image)
        except BakeryError as error:
            self._reject(ids, doing, str(error), todo)
        old = {entry.path: entry for entry in before.entries}
        new = {entry.path: entry for entry in inventory.entries}
        moved = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
        if moved:
            more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
            self._reject(ids, doing, f"{', '.join(moved[:3])}{more} changed while Packer ran", todo)

    def _tagged(self, amis: Mapping[str, Ami]) -> dict[str, Ami]:
        """The last step of a bake: from here on the AMI is found by its digest."""
        self._step("tagging the AMI")
        home = self.planned.plan.regions[0]
        tagged = {}
        # The region of the bake first: with that AMI found, what is missing elsewhere is a copy and not a bake.
        for region, ami in sorted(amis.items(), key=lambda item: item[0] != home):
            tags = self._tags(ami, amis[home].id)
            if tags:
                self._tag_or_tell(ami, tags, [other for other in amis.values() if other.region not in tagged])
            tagged[region] = replace(ami, tags={**ami.tags, **tags})
        return tagged

    def _tag_or_tell(self, ami: Ami, tags: Mapping[str, str], left: Sequence[Ami]) -> None:
        try:
            self.outside.ec2.tag(ami.region, [ami.id], tags)
            if ami.snapshots:
                self.outside.ec2.tag(ami.region, ami.snapshots, snapshot_tags(tags))
        except AwsError as error:
            listed = ", ".join(f"{other.id} of {other.region}" for other in left)
            todo = f"{error.todo} {listed} was left, verified but without the digest."
            raise AwsError(error.doing, error.wrong, todo, code=error.code) from error

    def _tags(self, ami: Ami, origin: str) -> dict[str, str]:
        digest = self.definition.digest
        assert digest is not None
        return finished_tags(
            image=self.image.name,
            digest=digest,
            components=self.definition.components,
            base=" ".join(sorted({base for _, base in self.definition.base})),
            commit=self.commit,
            origin=origin,
            template_wrote_digest=ami.tags.get(DIGEST_TAG) == digest.hex,
        )

    def _copy_to_all(self, amis: dict[str, Ami]) -> dict[str, Ami]:
        """Every copy carries the tags of what it was copied from; it counts only when it is available."""
        source = amis.get(self.planned.plan.regions[0]) or next(iter(amis.values()))
        pending: dict[str, Ami] = {}
        for region in self.planned.plan.regions:
            if region not in amis:
                self._step(f"copying {source.id} to {region}")
                pending[region] = self._started_copy(source, region)
        for region, copy in pending.items():
            self._step(f"waiting for the copy {copy.id} in {region}")
            amis[region] = self._wait_available(copy)
            self.outside.ec2.tag(region, [copy.id], source.tags)
        return amis

    def _started_copy(self, source: Ami, region: str) -> Ami:
        """A copy that another run has started, or left untagged, is taken over: its name would be in the way."""
        for ami in self.outside.ec2.named(region, [source.name]) if source.name else ():
            if ami.source == source.id and (ami.available or ami.state is AmiState.PENDING):
                return ami
        copy = self._copied(source, region)
        return Ami(id=copy, region=region, name=source.name, state=AmiState.PENDING, created=None, owner=source.owner)

    def _copied(self, source: Ami, region: str) -> str:
        """A name is taken once in a region; a copy whose name is taken by something else gets one of its own."""
        try:
            return self.outside.ec2.copy(source, region, source.name)
        except AwsError as error:
            if error.code != "InvalidAMIName.Duplicate":
                raise
            return self.outside.ec2.copy(source, region, f"{source.name[: _NAME_LENGTH - 30]}-{source.id}")

    def _wait_for_pending(self) -> dict[str, Ami]:
        pending = next(ami for ami in self.planned.found if ami.state is AmiState.PENDING)
        self._step(f"waiting for {pending.id} in {pending.region}, which another run makes")
        return {pending.region: self._wait_available(pending)}

    def _wait_available(self, ami: Ami) -> Ami:
        deadline = self.outside.clock.monotonic() + _WAIT_SECONDS
        doing = f"waiting for {ami.id} of image {self.image.name} in {ami.region}"
        while self.outside.clock.monotonic() < deadline:
            seen = self._seen(ami.region, ami.id)
            if seen is None:
                raise AwsError(doing, "EC2 does not know it any more", "Bake again.")
            if seen.available:
                return seen
            if seen.state is not AmiState.PENDING:
                why = f": {seen.state_reason}" if seen.state_reason else ""
                raise AwsError(
                    doing,
                    f"its state is {seen.state}{why}",
                    f"Deregister {ami.id} if nobody needs it, then bake again.",
                )
            self.outside.clock.sleep(_POLL_SECONDS)
        raise AwsError(
            doing,
            f"it is still pending after {_WAIT_SECONDS / 60:.0f} minutes",
            f"Look at {ami.id} in EC2: when it is finished, or deregistered, run again.",
        )

    def _seen(self, region: str, ami_id: str) -> Ami | None:
        deadline = self.outside.clock.monotonic() + _SIGHT_SECONDS
        while True:
            found = self.outside.ec2.by_ids(region, [ami_id])
            if found or self.outside.clock.monotonic() >= deadline:
                return found[0] if found else None
            self.outside.clock.sleep(_POLL_SECONDS)

    def _reject(self, ids: Mapping[str, str] | Mapping[str, list[str]], doing: str, wrong: str, todo: str) -> NoReturn:
        """Take the digest, which Packer may have written, off what was made, and say what was left."""
        left = [
            (region, ami_id) for region, made in ids.items() for ami_id in ([made] if isinstance(made, str) else made)
        ]
        listed = ", ".join(f"{ami_id} of {region}" for region, ami_id in left)
        try:
            for region, ami_id in left:
                self.outside.ec2.untag(region, [ami_id], [DIGEST_TAG])
        except BakeryError as error:
            remove = f"Deregister {listed}: it was left, and the tag {DIGEST_TAG} could not be taken off ({error})."
            raise VerificationError(doing, wrong, f"{todo} {remove}") from error
        raise VerificationError(doing, wrong, f"{todo} {listed} was left, without the digest.")

    def _step(self, text: str) -> None:
        self.outside.watcher.step(self.image.name, text)


def _listed(chosen: Mapping[str, str]) -> str:
    return ", ".join(f"{ami} in {region}" for region, ami in chosen.items())
