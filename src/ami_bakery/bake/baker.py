"""Bakes one image with Packer, and makes sure of what came of it: verify, hash again, tag.

The order is the promise: the digest goes on an AMI last, after Packer has finished, EC2 says that the AMI is there,
and the inputs have been hashed again and are the same; and in one call with the lock, so that it is not written where
somebody else has that. What fails on the way leaves an AMI without a digest, and says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from ami_bakery.bake.resource_tagger import ResourceTagger
from ami_bakery.cleanup.post_build import Sweep
from ami_bakery.core.check.finding import built_elsewhere
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.definition.stamp import replaced
from ami_bakery.core.ec2.image import DIGEST_TAG, IMAGE_TAG, Ami, finished_tags, regions_tag, snapshot_tags
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.plan.desired_state import DesiredState
from ami_bakery.define.accounts import account_findings, check_account
from ami_bakery.errors import AwsError, BakeryError, PackerError, TemplateError, VerificationError
from ami_bakery.plan.build_request import build_request
from ami_bakery.plan.changes import commit_of
from ami_bakery.plan.planner import check_it_can_end_well
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.bake.waiters import AmiWaiter
    from ami_bakery.core.definition.stamp import Stamps
    from ami_bakery.core.packer.arguments import PackerArguments
    from ami_bakery.core.packer.build_progress import CreatedResource, Tolerated
    from ami_bakery.core.packer.machine_output import Artifact, Built
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.template.facts import TemplateFacts


class Baker:
    """One image's bake.

    run     what it makes is marked with this id
    note    is given what Packer makes as names and values, in the order in which they are made
    stamps  the status of the inputs before they were hashed; None in drop-in mode
    """

    def __init__(
        self,
        resolver: Resolver,
        planned: Planned,
        sight: AmiWaiter,
        *,
        run: str,
        note: Callable[[Mapping[str, str]], None],
        stamps: Stamps | None,
    ) -> None:
        self.resolver = resolver
        self.ports = resolver.ports
        self.sight = sight
        self.definition: ImageDefinition = planned.definition
        self.planned = planned
        self.image = planned.definition.image
        self.commit: str | None = None
        self.run = run
        self.note = note
        self.stamps = stamps

    def make(self) -> dict[str, Ami]:
        """The AMIs that Packer made, by region: available and verified, and without the digest."""
        facts = self.definition.facts or self.resolver.facts(self.image)
        if self.definition.manifest is None or "plugin-versions" in self.image.digest_exclude:
            # Nobody has asked for the plugins yet, so those that the template requires may not be here.
            self.resolver.plugins(self.image, facts)
        check_it_can_end_well(self.resolver, self.planned)
        self._check_account(facts)
        self._check_bases()
        # Before Packer runs: what it writes into the tree does not make the definition dirty.
        self.commit = commit_of(self.resolver, self.definition)
        built = self._built(facts)
        self.sight.step("checking the AMI in EC2")
        ids = self._one_per_region(built.artifacts)
        try:
            amis = self._verified(ids)
            self._check_provisioners(built.tolerated, facts, amis)
            self._check_inputs(amis)
        except AwsError as error:
            # EC2 does not tell: nothing is known of what Packer has made, but that it is there.
            listed = ", ".join(f"{ami_id} of {region}" for region, ami_id in ids.items())
            todo = f"{error.todo} {listed} was left, without having been checked."
            raise AwsError(error.doing, error.wrong, todo, code=error.code) from error
        return amis

    def _built(self, facts: TemplateFacts) -> Built:
        def region_of(builder: str) -> str:
            return facts.region_of(builder) or self.planned.plan.regions[0]

        request = build_request(self.resolver, self.planned, facts)
        try:
            with ResourceTagger(self.ports, self.image.name, self.run, region_of, self.note) as marks:
                built = self.ports.packer.build(request, self.ports.reporter, marks.tell)
        except PackerError as error:
            self.sight.step("looking whether Packer has left something in EC2")
            self._sweep(facts, marks.made, region_of).sweep()
            raise self._with_taken_name(error) from error
        self._sweep(facts, marks.made, region_of).sweep_scaffold()
        return built

    def _sweep(self, facts: TemplateFacts, made: Sequence[CreatedResource], region_of: Callable[[str], str]) -> Sweep:
        copies = [region for builder in facts.builders for region in builder.ami_regions]
        return Sweep(
            ports=self.ports,
            image=self.image.name,
            run=self.run,
            made=made,
            region_of=region_of,
            regions=copies,
            hands_off=_hands_off(self.resolver.arguments),
            interrupted=self.ports.packer.interrupted(),
        )

    def _with_taken_name(self, error: PackerError) -> PackerError:
        """Says what the AMI is that has the name: Packer knows its id only."""
        if not error.taken_by:
            return error
        home = self.planned.plan.regions[0]
        found = self.ports.ec2.find_by_id(home, [error.taken_by])
        if not found:
            return error
        holder = found[0]
        whose = f"of image {holder.tags[IMAGE_TAG]}" if IMAGE_TAG in holder.tags else "of no image that we know"
        if holder.verified:
            todo = f"{holder.id} has the name: a finished AMI {whose}. Put {{{{timestamp}}}} into ami_name."
        else:
            command = f"ami-bakery images {self.image.name} --orphans"
            todo = f"{holder.id} has the name: an unfinished AMI {whose}. `{command}` shows whether a dead run left it."
        return PackerError(error.doing, error.wrong, f"{todo} {error.todo}", taken_by=error.taken_by)

    def _check_account(self, facts: TemplateFacts) -> None:
        """Also with the original's checksum, whose template nobody has read before."""
        home = self.planned.plan.regions[0]
        check_account(self.resolver, self.image.name, facts, home)
        elsewhere = built_elsewhere(facts, home)
        if elsewhere is not None:
            doing = f"looking at which region image {self.image.name} is built in ({elsewhere.location})"
            marks = (elsewhere.location.mark(elsewhere.message),)
            raise TemplateError(doing, elsewhere.message, elsewhere.todo, marks=marks)
        for finding in account_findings(self.resolver, facts, home):
            self.ports.reporter.warn(f"{finding.location}: {finding.message}. {finding.todo}")

    def _check_bases(self) -> None:
        """Before it costs anything: Packer would find out when it has made a key pair and a security group.

        What a filter has just found is there.
        """
        home = self.planned.plan.regions[0]
        bases = sorted({base for _, base in self.definition.base} - set(self.resolver.known_bases(home)))
        there = {ami.id for ami in self.ports.ec2.find_by_id(home, bases)} if bases else set()
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
                "Look for skip_create_ami, a builder that makes no AMI, or an only or except that leaves no build.",
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
            self.ports.reporter.warn(message)
        chosen = {region: made[-1] for region, made in by_region.items()}
        home = self.planned.plan.regions[0]
        if home not in chosen:
            self._reject(
                by_region,
                doing,
                f"the AMI is wanted in {home}, and Packer made {_listed(chosen)}",
                "Correct `regions`, or the region in the template (a variable `aws_region` is handed to it).",
            )
        lacking = [region for region in self.definition.regions_of_template if region not in chosen]
        if lacking:
            self._reject(
                by_region,
                doing,
                f"the template's ami_regions names {', '.join(lacking)}, and Packer made {_listed(chosen)}",
                "Look at Packer's log for what became of the copy, then bake again.",
            )
        return chosen

    def _verified(self, ids: Mapping[str, str]) -> dict[str, Ami]:
        """The AMIs as EC2 tells of them. Raises where one is not there, not available, or made from another base."""
        amis: dict[str, Ami] = {}
        found = {region: self.sight.seen_own(region, ami_id) for region, ami_id in ids.items()}
        anothers = {
            region: why for region, ami in found.items() if (why := self._why_not_ours(ids[region], region, ami))
        }
        for region, why in anothers.items():
            # Nothing is taken off what is not ours.
            ours = {other: ami_id for other, ami_id in ids.items() if other not in anothers}
            doing = f"checking {ids[region]} of image {self.image.name} in {region}"
            self._reject(
                ours, doing, why, "Look at Packer's log: which builder or post-processor says that it made it?"
            )
        for region, ami_id in ids.items():
            ami = found[region]
            if ami is None:
                doing = f"checking {ami_id} of image {self.image.name} in {region}"
                wrong, todo = self._why_unknown()
                self._reject(ids, doing, wrong, todo)
            try:
                amis[region] = ami if ami.available else self.sight.wait_available(ami)
            except AwsError as error:
                self._reject(ids, error.doing, error.wrong, error.todo)
        home = amis[self.planned.plan.regions[0]]
        expected = {ami for _, ami in self.definition.base}
        if expected and not self.is_made_from(home, expected):
            self._reject(
                ids,
                f"checking the base of {home.id}",
                f"it was made from {home.source}, and {' or '.join(sorted(expected))} was hashed",
                "If the base moved meanwhile, bake again; with `from` in bakery.toml it is pinned.",
            )
        return amis

    def _why_unknown(self) -> tuple[str, str]:
        """Why an AMI that Packer says it made is not there, and what to do."""
        facts = self.definition.facts or self.resolver.facts(self.image)
        logins = [builder.login for builder in facts.builders if builder.login is not None]
        if not logins:
            return "EC2 does not know it", "Look at Packer's log, and bake again."
        named = ", ".join(f"{' and '.join(login.named)} at {login.location}" for login in logins)
        account = self.ports.ec2.account(self.planned.plan.regions[0])
        return (
            f"EC2 does not know it in the account {account}: the builder has credentials of its own ({named})",
            "Run ami-bakery with the builder's credentials; the AMI stays in the account that it was built in.",
        )

    def _why_not_ours(self, ami_id: str, region: str, ami: Ami | None) -> str:
        """What Packer says that it made may be somebody's AMI all the same; empty where nothing speaks against it."""
        if ami is None:
            others = self.ports.ec2.find_by_id(region, [ami_id])
            return f"it belongs to the account {others[0].owner}" if others else ""
        if ami.verified:
            return "it was finished before, and is not what Packer has just made"
        if ami.tags.get(RUN_TAG, self.run) != self.run:
            return f"it was made by another run, {ami.tags[RUN_TAG]}"
        return ""

    def _check_provisioners(self, failed: Sequence[Tolerated], facts: TemplateFacts, amis: Mapping[str, Ami]) -> None:
        """Packer's status says nothing of a provisioner that was allowed to fail; without it the image is another."""
        if not failed:
            return
        steps = "; ".join(f"{one.step or 'a provisioner'} ({one.builder}) failed with {one.error}" for one in failed)
        allowed = ", ".join(f"{location} ({kind})" for kind, location in facts.tolerant)
        self._reject(
            {region: ami.id for region, ami in amis.items()},
            f"looking whether every provisioner of image {self.image.name} did its work",
            f"{steps}, and the template lets the build go on{f': {allowed}' if allowed else ''} (continue_on_error)",
            "Mend it and bake again; where the failure does not matter, let the command end well (`|| true`).",
        )

    def is_made_from(self, home: Ami, expected: set[str]) -> bool:
        """What Packer encrypts (`encrypt_boot`) is a copy of an AMI that it made first and has deregistered since. EC2
        may show that one for a while; when it is gone, what the template finds must still be what was hashed."""
        if not home.source or home.source in expected:
            return True
        sources = self.ports.ec2.find_by_id(home.region, [home.source])
        if sources:
            return sources[0].source in expected
        if self.image.base is not None:
            return True  # pinned: the template was seen to use what it is handed
        again = self.resolver.without_cache().define(self.image, {})
        return {ami for _, ami in again.base} == expected

    def _check_inputs(self, amis: Mapping[str, Ami]) -> None:
        """Hash everything again: what changed while Packer ran may be in the AMI as it was before, or after.

        What was changed and changed back has the same hash: its stamp differs.
        """
        before = self.definition.manifest
        if before is None or self.definition.inventory is None:
            return
        self.sight.step("hashing the inputs again")
        ids = {region: ami.id for region, ami in amis.items()}
        doing = f"hashing the inputs of image {self.image.name} again after the bake"
        todo = "Bake again when nothing writes to the inputs; what the build itself writes there belongs in `ignore`."
        try:
            facts, inventory = self.resolver.inputs(self.image)
            stamps = self.resolver.stamps(self.image, facts)
        except BakeryError as error:
            self._reject(ids, doing, str(error), todo)
        old = {entry.path: entry for entry in before.entries}
        new = {entry.path: entry for entry in inventory.entries}
        moved = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
        if moved:
            more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
            self._reject(ids, doing, f"{', '.join(moved[:3])}{more} changed while Packer ran", todo)
        self._check_stamps(stamps, ids, doing)

    def _check_stamps(self, now: Stamps, ids: Mapping[str, str], doing: str) -> None:
        assert self.stamps is not None
        told = [f"{self._told_path(path)} {how}" for path, how in replaced(self.stamps, now)]
        if told:
            more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
            self._reject(
                ids,
                doing,
                f"{'; '.join(told[:3])}{more} while Packer ran: even where the content is the same again, Packer may "
                "have read something else",
                "Bake again when nothing changes the inputs. If the build itself touches them (chmod, touch, sed -i, a "
                "temporary file beside them), let it do so outside the inputs.",
            )

    def _told_path(self, path: str) -> str:
        root = self.resolver.config.root
        return path.removeprefix(root.rstrip("/") + "/") if path != root else "."

    def finish(
        self, amis: Mapping[str, Ami], tag: Callable[[Sequence[str], Mapping[str, str]], bool] | None
    ) -> dict[str, Ami] | None:
        """Write the digest on the AMI of the home region: from here on it is found, and what is missing elsewhere is a
        copy and not a bake. `tag` does that in one call with the lock; None where it refuses: nothing is written then.
        """
        self.sight.step("tagging the AMI")
        home = amis[self.planned.plan.regions[0]]
        finished, others = self._finished_tags(home, home), DesiredState.of(self.image).ami_tags
        if self.image.scheme is Scheme.SHA256:
            others = {**others, **regions_tag(region for region in amis if region != home.region)}
        try:
            if others:
                # In a call of their own: the lock, which gets the same as the AMI, has no room for so many.
                self.ports.ec2.tag(home.region, [home.id], others)
            self._tag_snapshots(home, {**others, **finished})
            if finished and tag is None:
                self.ports.ec2.tag(home.region, [home.id], finished)
            elif finished and tag is not None and not tag([home.id], finished):
                return None
        except AwsError as error:
            raise self._untagged(error, amis.values(), kept=tag is not None) from error
        return {**amis, home.region: replace(home, tags={**home.tags, **others, **finished})}

    def finish_others(self, amis: Mapping[str, Ami]) -> dict[str, Ami]:
        """What has come with the AMI that is finished: what Packer has made in other regions."""
        home = amis[self.planned.plan.regions[0]]
        tagged = {home.region: home}
        for region, ami in amis.items():
            if region == home.region:
                continue
            tags = {**DesiredState.of(self.image).ami_tags, **self._finished_tags(ami, home)}
            try:
                self._tag_snapshots(ami, tags)
                if tags:
                    self.ports.ec2.tag(region, [ami.id], tags)
            except AwsError as error:
                raise self._untagged(error, [one for one in amis.values() if one.region not in tagged]) from error
            tagged[region] = replace(ami, tags={**ami.tags, **tags})
        return tagged

    def _tag_snapshots(self, ami: Ami, ami_tags: Mapping[str, str]) -> None:
        """Before the AMI has the digest: nobody comes back to the snapshots of one that is finished."""
        tags = snapshot_tags(ami_tags, dict(self.image.tags))
        if ami.snapshots and tags:
            self.ports.ec2.tag(ami.region, ami.snapshots, tags)

    def _untagged(self, error: AwsError, left: Iterable[Ami], *, kept: bool = False) -> AwsError:
        listed = ", ".join(f"{ami.id} of {ami.region}" for ami in left)
        later = ": the next run takes it up" if kept else ""
        todo = f"{error.todo} {listed} was left, verified but without the digest{later}."
        return AwsError(error.doing, error.wrong, todo, code=error.code)

    def _finished_tags(self, ami: Ami, home: Ami) -> dict[str, str]:
        digest = self.definition.digest
        assert digest is not None
        if self.commit is None:
            self.commit = commit_of(self.resolver, self.definition)
        bases = sorted({base for _, base in self.definition.base})
        return finished_tags(
            image=self.image.name,
            digest=digest,
            components=self.definition.components,
            base=home.source if home.source in bases else " ".join(bases),
            commit=self.commit,
            origin=home.id,
            run=ami.tags.get(RUN_TAG, self.run),
            template_wrote_digest=ami.tags.get(DIGEST_TAG) == digest.hex,
        )

    def _reject(self, ids: Mapping[str, str] | Mapping[str, list[str]], doing: str, wrong: str, todo: str) -> NoReturn:
        """Take the digest, which Packer may have written, off what was made, and say what was left."""
        left = [
            (region, ami_id) for region, made in ids.items() for ami_id in ([made] if isinstance(made, str) else made)
        ]
        listed = ", ".join(f"{ami_id} of {region}" for region, ami_id in left)
        if not left:
            raise VerificationError(doing, wrong, todo)
        try:
            for region, ami_id in left:
                self.ports.ec2.untag(region, [ami_id], [DIGEST_TAG])
        except BakeryError as error:
            remove = f"Deregister {listed}: it was left, and the tag {DIGEST_TAG} could not be taken off ({error})."
            raise VerificationError(doing, wrong, f"{todo} {remove}") from error
        raise VerificationError(doing, wrong, f"{todo} {listed} was left, without the digest.")


def _hands_off(arguments: PackerArguments) -> str:
    """Why what Packer has left is none of our business; empty where it is."""
    if arguments.debug:
        return "a person works with -debug"
    if arguments.on_error in ("abort", "ask"):
        return f"-on-error={arguments.on_error}"
    return ""


def _listed(chosen: Mapping[str, str]) -> str:
    return ", ".join(f"{ami} in {region}" for region, ami in chosen.items())
