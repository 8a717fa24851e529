"""The facts of a report, which `render` renders as its document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.channel.builds_behind import Behind
    from ami_bakery.core.check.finding import Finding
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.ec2.lineage import AmiKey
    from ami_bakery.core.lock.lock import LockRecord
    from ami_bakery.core.orphan.orphan import Orphan
    from ami_bakery.core.plan.plan import ImagePlan
    from ami_bakery.core.plan.tested import AmiTestState
    from ami_bakery.core.prune.retention import PruneDecision
    from ami_bakery.core.report.build_history import BuildChanges
    from ami_bakery.core.report.image_states import BuildState, ImageState
    from ami_bakery.core.report.lineage_graph import LineageGraph
    from ami_bakery.errors import BakeryError
    from ami_bakery.inspect.used_amis import UsedAmi
    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.release.pruning import PruneRun


class ReportedAmi(Frozen):
    """One AMI, what uses it, and what prune would do with it.

    shared_with  None if the launch permissions were not, or could not be read
    gibibytes    the full size of its snapshots; None if unknown
    decision     None if prune does not consider the AMI
    """

    use: UsedAmi
    shared_with: tuple[str, ...] | None
    gibibytes: float | None
    decision: PruneDecision | None

    @property
    def ami(self) -> Ami:
        return self.use.made.ami


class ReportedBuild(Frozen):
    """One build, with its copies.

    id        the AMI that Packer created; EC2 may not have it any more
    amis      the AMI of the build region first
    commit    the commit in its tag, without `+dirty`
    parent    the image that built its source AMI; None if no image of this configuration did
    tested    None if the image has no test
    revoked   why it is revoked; empty if it is not
    channels  channels that have it in any region; None if they could not be read
    behind    how far it is behind the newest build; None if EC2 has no date
    changes   since the build before; None for the oldest build, or if they could not be read
    """

    id: AmiKey
    amis: tuple[ReportedAmi, ...]
    state: BuildState
    commit: str
    dirty: bool
    source_amis: tuple[str, ...]
    parent: str | None
    tested: AmiTestState | None
    revoked: str
    channels: tuple[str, ...] | None
    behind: Behind | None = None
    changes: BuildChanges | None = None

    @property
    def first(self) -> Ami:
        """The AMI of the build region, or else a copy."""
        return self.amis[0].ami

    @property
    def is_used(self) -> bool | None:
        """Whether anything uses one of its AMIs; None if unknown."""
        uses = [each.use.is_used for each in self.amis]
        return True if True in uses else None if None in uses else False


class ReportedDefinition(Frozen):
    """What the digest of an image covers. It has no value that a file, the environment or a secret had a part in.

    source       the key `from`, for users; None if the template decides
    variables    name and value; the value is None if `bakery.toml` does not state it, or if it is sensitive
    environment  names of environment variables
    tools        name and version
    """

    template: str
    workdir: str
    only: tuple[str, ...]
    except_: tuple[str, ...]
    source: str | None
    source_amis: tuple[str, ...]
    variables: tuple[tuple[str, str | None], ...]
    var_files: tuple[str, ...]
    environment: tuple[str, ...]
    tools: tuple[tuple[str, str], ...]
    salt: str
    test: str | None
    inputs: tuple[Entry, ...]


class ReportedImage(Frozen):
    """One image.

    plan        None if it failed
    error       why it failed
    lock        that of the runner that builds it now
    builds      newest first
    channels    None if they could not be read
    findings    None if `check` was not run, or failed
    """

    image: ImageConfig
    state: ImageState
    plan: ImagePlan | None
    error: BakeryError | None
    lock: LockRecord | None
    regions: tuple[str, ...]
    parent: str | None
    children: tuple[str, ...]
    definition: ReportedDefinition | None
    builds: tuple[ReportedBuild, ...]
    channels: tuple[ChannelRow, ...] | None
    findings: tuple[Finding, ...] | None = None

    @property
    def digest(self) -> Digest | None:
        return self.plan.digest if self.plan is not None else None


class ReportedRepository(Frozen):
    """The repository of the definitions. The pages are None if the host is unknown."""

    commit: str
    dirty: bool
    url: str | None = None
    commit_url: str | None = None


class ReportedCommit(Frozen):
    """A commit of a build. Parts are None if this clone does not have it, or if the host is unknown."""

    url: str | None = None
    subject: str | None = None
    committed: datetime | None = None


class ReportFacts(Frozen):
    """Everything that a report shows.

    now         this machine's time
    account     None if it could not be read
    job         the URL of the CI job; empty outside of CI
    unknown     what could not be read, and why, as sentences
    sources     source AMIs that no image here builds; None: EC2 does not show the AMI any more
    orphans     None if they could not be read
    prune       None if it could not be decided
    quarantine  how long prune would disable AMIs
    """

    now: datetime
    account: str | None
    regions: tuple[str, ...]
    repository: ReportedRepository | None
    job: str
    unknown: tuple[str, ...]
    images: tuple[ReportedImage, ...]
    sources: Mapping[AmiKey, Ami | None]
    lineage: LineageGraph
    orphans: tuple[Orphan, ...] | None
    prune: PruneRun | None
    quarantine: timedelta = timedelta(days=14)
    commits: Mapping[str, ReportedCommit] = field(default_factory=dict)
