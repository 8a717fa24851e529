"""Results of the library: plans, bakes, channels and revocations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

# get_type_hints of the classes below needs these at run time.
from ami_bakery.core.channel.parameter import ChannelResult, RevocationResult  # noqa: TC001
from ami_bakery.core.plan.desired_state import Step  # noqa: TC001
from ami_bakery.core.plan.outcome import Result  # noqa: TC001
from ami_bakery.core.plan.plan import Action, Reason  # noqa: TC001
from ami_bakery.core.prune.prunable import PruneOutcome  # noqa: TC001
from ami_bakery.core.prune.retention import PruneAction, PruneReason  # noqa: TC001
from ami_bakery.errors import BakeryError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from datetime import datetime


class PlannedImage(Frozen):
    """What a bake would do for one image.

    digest   as hex digits; None if its parent image has not been built yet
    regions  the image is built in the first one
    amis     ids of existing AMIs, by region; for the actions `test` and `enable`, they do not count yet
    steps    the steps of a bake, in order: the build, copies, tags and permissions
    """

    name: str
    action: Action
    reasons: tuple[Reason, ...]
    digest: str | None
    regions: tuple[str, ...]
    amis: Mapping[str, str]
    steps: tuple[Step, ...] = ()


class BakedImage(Frozen):
    """The result for one image.

    amis   ids by region, in the order of the image's regions; it was built in the first one. For a failed image, the
           AMIs that were finished anyway
    error  the error if the outcome is `failed`
    """

    name: str
    outcome: Result
    digest: str | None
    amis: Mapping[str, str]
    seconds: float
    error: BakeryError | None = None

    @property
    def ami_id(self) -> str:
        """The AMI in the image's first region. Raises `error` if the image failed."""
        if self.error is not None:
            raise self.error
        return next(iter(self.amis.values()))


class ChannelUpdate(Frozen):
    """The result of a promotion or roll-back for one image.

    parameter  the name of the SSM parameter, which is the same in each region
    amis       the ids that the channel has now, by region; after a failure, only regions that have the new AMI
    error      the error if the outcome is `failed`
    """

    name: str
    channel: str
    parameter: str
    outcome: ChannelResult
    digest: str | None
    amis: Mapping[str, str]
    error: BakeryError | None = None


class ChannelEntry(Frozen):
    """A channel of an image in one region.

    ami      None if this region has no parameter, or one that is not a channel
    behind   the number of newer builds of the image in this region; None if unknown
    by       the ARN of the last writer
    revoked  why the AMI is revoked; None if it is not
    differs  whether it has another build than the region that was written last
    problem  what is wrong with it, for users; empty if nothing is
    """

    name: str
    channel: str
    region: str
    parameter: str
    ami: str | None
    version: int | None
    digest: str | None
    behind: int | None
    since: datetime | None
    by: str | None
    revoked: str | None
    differs: bool
    problem: str


class RevokedAmi(Frozen):
    """The result of a revocation, or of taking it back, for one AMI.

    name     its image; None if its tags name none
    outcome  `unchanged`: it was revoked for the same reason, or was not revoked, before
    error    the error if the outcome is `failed`
    """

    name: str | None
    region: str
    ami: str
    digest: str | None
    outcome: RevocationResult
    error: BakeryError | None = None


class Revocation(Frozen):
    """The result of `Bakery.revoke`.

    amis      the AMIs with all their copies, by region
    channels  the roll-backs of channels that had one of them, if they were requested
    in_use    channels that still have one of them; None if they could not be read
    """

    amis: tuple[RevokedAmi, ...]
    channels: tuple[ChannelUpdate, ...] = ()
    in_use: tuple[ChannelEntry, ...] | None = ()


class PrunedImageAmi(Frozen):
    """What prune does with one finished AMI, why, and the result.

    name       its image
    build      the AMI that Packer created; the AMI itself if it is no copy
    detail     the channel, resource, account or date that decides; empty if there is nothing to add
    outcome    `planned` if `apply` was not given: nothing was changed
    gibibytes  the full size of its snapshots; None if unknown
    skipped    why it was skipped; empty if it was not
    error      the error if the outcome is `failed`
    """

    name: str
    region: str
    ami: str
    build: str
    created: datetime | None
    action: PruneAction
    reason: PruneReason
    detail: str
    outcome: PruneOutcome
    gibibytes: float | None
    skipped: str = ""
    error: BakeryError | None = None


class ChannelFailed(BakeryError):
    """A promotion or roll-back failed. `images`: the results of all images.

    The message, and the `__cause__`, are those of the first image that failed.
    """

    def __init__(self, images: tuple[ChannelUpdate, ...], first: BakeryError) -> None:
        super().__init__(first.doing, first.wrong, first.todo)
        self.images = images


class BakeFailed(BakeryError):
    """An image failed.

    images  the results of all images and their parents; parents first

    The message, and the `__cause__`, are those of the first image that failed itself.
    """

    def __init__(self, images: tuple[BakedImage, ...], first: BakeryError) -> None:
        super().__init__(first.doing, first.wrong, first.todo)
        self.images = images


class RevocationFailed(BakeryError):
    """An AMI could not be revoked, or a channel not be rolled back. `result` has all results.

    The message, and the `__cause__`, are those of the first failure.
    """

    def __init__(self, result: Revocation, first: BakeryError) -> None:
        super().__init__(first.doing, first.wrong, first.todo)
        self.result = result


class PruneFailed(BakeryError):
    """An AMI could not be disabled, enabled or deregistered. `amis`: the results of all AMIs.

    The message, and the `__cause__`, are those of the first failure.
    """

    def __init__(self, amis: tuple[PrunedImageAmi, ...], first: BakeryError) -> None:
        super().__init__(first.doing, first.wrong, first.todo)
        self.amis = amis
