"""Builds one image with Packer, and verifies its AMIs.

An AMI is verified after Packer has finished, EC2 shows the AMI, and a second hashing has found the inputs unchanged.
After an earlier failure the AMI has no digest, and the error names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from ami_bakery.bake.build_audit import BuildAudit
from ami_bakery.bake.packer_run import PackerRun
from ami_bakery.core.check.finding import built_elsewhere
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.definition.stamp import replaced
from ami_bakery.core.ec2.ami import DIGEST_TAG, IMAGE_TAG, Ami
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.define.accounts import account_findings, check_account
from ami_bakery.errors import AwsError, BakeryError, PackerError, TemplateError, VerificationError
from ami_bakery.plan.build_checks import check_build_can_succeed, missing_base_error
from ami_bakery.plan.build_request import build_request
from ami_bakery.plan.changes import commit_of

if TYPE_CHECKING:
    from ami_bakery.bake.waiters import AmiWaiter
    from ami_bakery.core.definition.stamp import Stamps
    from ami_bakery.core.packer.arguments import PackerArguments
    from ami_bakery.core.packer.build_progress import Tolerated
    from ami_bakery.core.packer.machine_output import Artifact, Built
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.template.facts import TemplateFacts


class Baker:
    """The build of one image.

    run     id of the run; created resources are tagged with it
    record  called with names and values of the resources that Packer creates, in the order of their creation
    stamps  status of the inputs before they were hashed; None in drop-in mode
    """

    def __init__(
        self,
        resolver: Resolver,
        planned: Planned,
        waiter: AmiWaiter,
        *,
        run: str,
        record: Callable[[Mapping[str, str]], None],
        stamps: Stamps | None,
    ) -> None:
        self.resolver = resolver
        self.ports = resolver.ports
        self.waiter = waiter
        self.definition: ImageDefinition = planned.definition
        self.planned = planned
        self.image = planned.definition.image
        self.commit: str | None = None
        self.run = run
        self.record = record
        self.stamps = stamps
        self.audit = BuildAudit(resolver, planned.definition)

    def build(self) -> dict[str, Ami]:
        """Runs Packer. Returns its AMIs by region: available, verified, and without the digest."""
        facts = self.definition.facts or self.resolver.facts(self.image)
        if self.definition.manifest is None or "plugin-versions" in self.image.digest_exclude:
            # The plugins have not been resolved yet, so those that the template requires may not be installed.
            self.resolver.plugins(self.image, facts)
        check_build_can_succeed(self.resolver, self.planned)
        self._check_account(facts)
        self._check_bases()
        self.audit.check()
        # Read before Packer runs: files that Packer writes into the tree do not make the definition dirty.
        self.commit = commit_of(self.resolver, self.definition)
        built = self._run_packer(facts)
        self.waiter.step("verifying the AMI in EC2")
        ids = self._ami_by_region(built.artifacts)
        try:
            amis = self._verify(ids)
            self._check_provisioners(built.tolerated, facts, amis)
            self._check_inputs(amis)
            self._check_audit(facts, amis)
        except AwsError as error:
            # EC2 does not respond, so nothing is known about these AMIs except that they exist.
            listed = ", ".join(f"{ami_id} of {region}" for region, ami_id in ids.items())
            todo = f"{error.todo} {listed} remains, unverified."
            raise error.revised(todo=todo) from error
        return amis

    def _run_packer(self, facts: TemplateFacts) -> Built:
        run = PackerRun(
            ports=self.ports,
            run=self.run,
            record=self.record,
            facts=facts,
            home=self.planned.plan.regions[0],
            keep_reason=_keep_reason(self.resolver.arguments),
        )
        try:
            return run.carry_out(self.audit.traced(build_request(self.resolver, self.planned, facts)), [])
        except PackerError as error:
            raise self._describe_name_conflict(error) from error

    def _describe_name_conflict(self, error: PackerError) -> PackerError:
        """Adds a description of the AMI that has the name. Packer reports only its id."""
        if not error.taken_by:
            return error
        home = self.planned.plan.regions[0]
        found = self.ports.ec2.find_by_id(home, [error.taken_by])
        if not found:
            return error
        holder = found[0]
        whose = f"of image {holder.tags[IMAGE_TAG]}" if IMAGE_TAG in holder.tags else "of an unknown image"
        if holder.test_failed:
            todo = (
                f"{holder.id} has the name: an AMI {whose} that failed its test. Put {{{{timestamp}}}} into ami_name."
            )
        elif holder.verified:
            todo = f"{holder.id} has the name: a finished AMI {whose}. Put {{{{timestamp}}}} into ami_name."
        else:
            command = f"ami-bakery images {self.image.name} --orphans"
            todo = f"{holder.id} has the name: an unfinished AMI {whose}. `{command}` shows whether it is orphaned."
        return PackerError(error.doing, error.wrong, f"{todo} {error.todo}", taken_by=error.taken_by)

    def _check_account(self, facts: TemplateFacts) -> None:
        """Checks the account and region. In drop-in mode, no earlier step has read the template."""
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
        """Checks that the source AMIs exist.

        It does so before Packer creates a key pair and a security group. Source AMIs that a filter has just found are
        known to exist.
        """
        home = self.planned.plan.regions[0]
        bases = sorted({base for _, base in self.definition.base} - set(self.resolver.bases.amis(home)))
        there = {ami.id for ami in self.ports.ec2.find_by_id(home, bases)} if bases else set()
        gone = [base for base in bases if base not in there]
        if gone:
            raise missing_base_error(self.image.name, home, gone)

    def _ami_by_region(self, artifacts: Sequence[Artifact]) -> dict[str, str]:
        """Returns AMI ids by region. Raises if there is none in the home region, or more than one in a region."""
        doing = f"reading the AMIs that Packer reported for image {self.image.name}"
        if not artifacts:
            raise VerificationError(
                doing,
                "Packer succeeded, but reported no AMI",
                "Check for skip_create_ami, a builder that creates no AMI, or an only or except that matches no build.",
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
                "; ".join(f"Packer created {' and '.join(made)} in {region}" for region, made in several.items()),
                "An image is one AMI: select one builder with `only`, and configure one image for each builder.",
            )
        for region, made in several.items():
            message = f"Packer created {len(made)} AMIs in {region}; using the last one, as the original did"
            self.ports.reporter.warn(message)
        chosen = {region: made[-1] for region, made in by_region.items()}
        home = self.planned.plan.regions[0]
        if home not in chosen:
            self._reject(
                by_region,
                doing,
                f"expected an AMI in {home}, but Packer created {_listed(chosen)}",
                "Correct `regions`, or the region in the template (it gets the variable `aws_region`).",
            )
        lacking = [region for region in self.definition.regions_of_template if region not in chosen]
        if lacking:
            self._reject(
                by_region,
                doing,
                f"the template's ami_regions has {', '.join(lacking)}, but Packer created {_listed(chosen)}",
                "Check Packer's log for the copy, then bake again.",
            )
        return chosen

    def _verify(self, ids: Mapping[str, str]) -> dict[str, Ami]:
        """Returns the AMIs as EC2 shows them. Raises if one is missing, unavailable, or has another source AMI."""
        amis: dict[str, Ami] = {}
        found = {region: self.waiter.wait_own_visible(region, ami_id) for region, ami_id in ids.items()}
        foreign = {region: why for region, ami in found.items() if (why := self._why_foreign(ids[region], region, ami))}
        for region, why in foreign.items():
            # Nothing is changed on an AMI that this build did not create.
            ours = {other: ami_id for other, ami_id in ids.items() if other not in foreign}
            doing = f"checking {ids[region]} of image {self.image.name} in {region}"
            self._reject(ours, doing, why, "Check Packer's log for the builder or post-processor that reported it.")
        for region, ami_id in ids.items():
            ami = found[region]
            if ami is None:
                doing = f"checking {ami_id} of image {self.image.name} in {region}"
                wrong, todo = self._why_missing()
                self._reject(ids, doing, wrong, todo)
            try:
                amis[region] = ami if ami.available else self.waiter.wait_available(ami)
            except AwsError as error:
                self._reject(ids, error.doing, error.wrong, error.todo)
        home = amis[self.planned.plan.regions[0]]
        expected = {ami for _, ami in self.definition.base}
        if expected and not self.is_made_from(home, expected):
            self._reject(
                ids,
                f"checking the source AMI of {home.id}",
                f"its source AMI is {home.source}, but the digest covers {' or '.join(sorted(expected))}",
                "If the source AMI changed during the build, bake again; `from` in bakery.toml pins it.",
            )
        return amis

    def _why_missing(self) -> tuple[str, str]:
        """Returns why a reported AMI does not exist, and what to do. Packer reported the AMI."""
        facts = self.definition.facts or self.resolver.facts(self.image)
        logins = [builder.login for builder in facts.builders if builder.login is not None]
        if not logins:
            return "it does not exist in EC2", "Check Packer's log, and bake again."
        named = ", ".join(f"{' and '.join(login.named)} at {login.location}" for login in logins)
        account = self.ports.ec2.account(self.planned.plan.regions[0])
        return (
            f"it does not exist in the account {account}: the builder has its own credentials ({named})",
            "Run ami-bakery with the builder's credentials; the AMI remains in the account that it was built in.",
        )

    def _why_foreign(self, ami_id: str, region: str, ami: Ami | None) -> str:
        """Returns why the reported AMI was not created by this build; empty if nothing indicates that."""
        if ami is None:
            others = self.ports.ec2.find_by_id(region, [ami_id])
            return f"it belongs to the account {others[0].owner}" if others else ""
        if ami.verified:
            return "it was finished before this build"
        if ami.tags.get(RUN_TAG, self.run) != self.run:
            return f"another run created it: {ami.tags[RUN_TAG]}"
        return ""

    def _check_provisioners(self, failed: Sequence[Tolerated], facts: TemplateFacts, amis: Mapping[str, Ami]) -> None:
        """Rejects AMIs if a provisioner failed, even if the template tolerates it. Packer then exits with success."""
        if not failed:
            return
        steps = "; ".join(f"{one.step or 'a provisioner'} ({one.builder}) failed with {one.error}" for one in failed)
        allowed = ", ".join(f"{location} ({kind})" for kind, location in facts.tolerant)
        self._reject(
            {region: ami.id for region, ami in amis.items()},
            f"checking the provisioners of image {self.image.name}",
            f"{steps}, and the template lets the build continue{f': {allowed}' if allowed else ''} (continue_on_error)",
            "Fix it and bake again; if the failure does not matter, make the command exit 0 (`|| true`).",
        )

    def is_made_from(self, home: Ami, expected: set[str]) -> bool:
        """Whether the AMI was created from one of the expected source AMIs.

        An AMI that Packer encrypts (`encrypt_boot`) is a copy of an intermediate AMI, which Packer has deregistered.
        EC2 may still show the intermediate AMI for a while. After that, the template must still find the same source
        AMI as before.
        """
        if not home.source or home.source in expected:
            return True
        sources = self.ports.ec2.find_by_id(home.region, [home.source])
        if sources:
            return sources[0].source in expected
        if self.image.base is not None:
            return True  # pinned: the template uses the variable that it gets
        again = self.resolver.without_cache().define(self.image, {})
        return {ami for _, ami in again.base} == expected

    def _check_audit(self, facts: TemplateFacts, amis: Mapping[str, Ami]) -> None:
        """Rejects AMIs whose strict audit found files outside the digest."""
        self.audit.report(facts)
        refusal = self.audit.refusal()
        if refusal is not None:
            self._reject({region: ami.id for region, ami in amis.items()}, *refusal)

    def _check_inputs(self, amis: Mapping[str, Ami]) -> None:
        """Hashes the inputs again. If one changed while Packer ran, the AMI may contain either version.

        An input that was changed and restored has the same hash, but another stamp.
        """
        before = self.definition.manifest
        if before is None or self.definition.inventory is None:
            return
        self.waiter.step("verifying that inputs are unchanged")
        ids = {region: ami.id for region, ami in amis.items()}
        doing = f"verifying after the build that the inputs of image {self.image.name} are unchanged"
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
        changes = [f"{self._display_path(path)} {how}" for path, how in replaced(self.stamps, now)]
        if changes:
            more = f"; and {len(changes) - 3} more" if len(changes) > 3 else ""
            self._reject(
                ids,
                doing,
                f"{'; '.join(changes[:3])}{more} while Packer ran: even if the content is the same again, Packer may "
                "have read other content",
                "Bake again when nothing changes the inputs. If the build itself touches them (chmod, touch, sed -i, a "
                "temporary file beside them), let it do so outside the inputs.",
            )

    def _display_path(self, path: str) -> str:
        root = self.resolver.config.root
        return path.removeprefix(root.rstrip("/") + "/") if path != root else "."

    def _reject(self, ids: Mapping[str, str] | Mapping[str, list[str]], doing: str, wrong: str, todo: str) -> NoReturn:
        """Removes the digest tag, and raises an error that names the AMIs. Packer may have written the tag."""
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
            remove = f"Deregister {listed}: it remains, and the tag {DIGEST_TAG} could not be removed ({error})."
            raise VerificationError(doing, wrong, f"{todo} {remove}") from error
        raise VerificationError(doing, wrong, f"{todo} {listed} remains, without the digest.")


def _keep_reason(arguments: PackerArguments) -> str:
    """Returns why resources that still exist must be kept; empty if they may be removed."""
    if arguments.debug:
        return "-debug is set"
    if arguments.on_error in ("abort", "ask"):
        return f"-on-error={arguments.on_error}"
    return ""


def _listed(chosen: Mapping[str, str]) -> str:
    return ", ".join(f"{ami} in {region}" for region, ami in chosen.items())
