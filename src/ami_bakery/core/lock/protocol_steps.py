"""The steps of the locking protocol, and their results. protocol.py connects them.

Locks and AMIs are opaque names here. A lock is named by its key pair's id: two locks of one digest have different ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ami_bakery.core.lock.inherited import InheritedAmis


class Purpose(StrEnum):
    """Why a runner looks up the AMI."""

    GONE = "the lock is gone"
    FINISHED = "the holder has tagged its AMI"
    BEFORE = "we hold the lock, before a build"
    AFTER = "we hold the lock, and have built an AMI that has no digest yet"


class Ending(StrEnum):
    """How a bake ends: with an AMI, or with the reason for having no AMI."""

    BAKED = "baked"
    REUSED = "reused"
    COPIED = "copied"
    ADOPTED = "adopted"
    TESTED = "an AMI that existed has passed its test"
    ENABLED = "an AMI in quarantine was enabled"
    TEST_FAILED = "the AMI failed its test"
    NOT_BUILT = "the AMI does not exist, and building is disabled"
    BUSY = "another runner is baking, and waiting is disabled or timed out"
    NAME_TAKEN = "a key pair that is not a lock has the lock's name"
    LOST = "we lost the lock too often"
    CHANGED = "the definition has a new digest"
    FAILED = "a step failed"


# Steps. The result of each step is passed to `advance`.


@dataclass(frozen=True, slots=True)
class AcquireLock:
    """Create the lock. Results: `LockAcquired`, REFUSED, UNANSWERED, DENIED, FAILED."""

    inherited: InheritedAmis


@dataclass(frozen=True, slots=True)
class ReadLock:
    """Read the lock's tags. Results: `LockSeen`, `LockNotVisible`, DENIED, FAILED."""


@dataclass(frozen=True, slots=True)
class BreakLock:
    """Delete the lock with this id. Results: DONE, UNANSWERED, DENIED, FAILED."""

    lock: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next attempt. Results: DONE, TIMED_OUT, FAILED."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Look up the AMI of the digest. Results: `LookupResult`, CHANGED, FAILED.

    settled  report a missing AMI only after the settling time has passed since we acquired the lock
    """

    purpose: Purpose
    settled: bool = False


@dataclass(frozen=True, slots=True)
class CheckInherited:
    """Check that the AMI exists, is usable, and is not abandoned. Results: DONE if so, REFUSED, FAILED."""

    ami: str


@dataclass(frozen=True, slots=True)
class EnableAmi:
    """Enable an AMI in quarantine, and its copies, and wait until they are available.

    Results: DONE, also if it was available; REFUSED if it does not exist any more; LOST, FAILED.
    """

    lock: str
    ami: str


@dataclass(frozen=True, slots=True)
class EndQuarantine:
    """Restore the launch permissions of an enabled AMI. Then empty the tags of its quarantine.

    One call changes the tags of the AMI and of the lock, all or nothing. Prune writes the tag of an AMI that it will
    deregister in the same way. So for each AMI, only one of them succeeds.

    Results: DONE, REFUSED if the AMI does not exist any more, LOST, UNANSWERED, FAILED.
    """

    lock: str
    ami: str


@dataclass(frozen=True, slots=True)
class AbandonInherited:
    """Tag unfinished AMIs as abandoned if their names conflict with the bake.

    The same call tags our lock, so it changes nothing if the lock is lost. If there are such AMIs, wait for the
    settling time first, because one of them may turn out to be finished: then it is the result.

    Results: `AmisAbandoned`, `LookupResult`, LOST, FAILED.
    """

    lock: str | None
    inherited: InheritedAmis


@dataclass(frozen=True, slots=True)
class RemoveAbandoned:
    """Deregister abandoned AMIs. Results: DONE, UNANSWERED, DENIED, FAILED."""

    amis: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bake:
    """Run Packer and verify. Results: `Baked`, LOST, FAILED."""


@dataclass(frozen=True, slots=True)
class RecordVerified:
    """Renew the lock, and record on it that our AMI is verified. Results: DONE, LOST, UNANSWERED, FAILED."""

    lock: str
    ami: str


@dataclass(frozen=True, slots=True)
class RunTest:
    """Run the image's test on the AMI. Results: `AmiTested`, LOST, FAILED (the test could not run).

    The lock has the AMI's record, so if we are killed, the next holder tests this AMI.
    """

    lock: str
    ami: str


@dataclass(frozen=True, slots=True)
class MarkFailed:
    """Tag the AMI as failed and remove its digest.

    One call changes the AMI and the lock, all or nothing.
    Results: DONE if the AMI is kept, `AmisAbandoned` if it is also tagged as abandoned, LOST, UNANSWERED, FAILED.
    """

    lock: str
    ami: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Write the digest on the AMI and the lock in one call.

    The call writes both or nothing. Results: DONE, LOST, UNANSWERED, FAILED.
    """

    lock: str | None
    ami: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Deregister our AMI: another one is used, or it failed its test. Results: DONE, UNANSWERED, DENIED, FAILED."""

    ami: str


@dataclass(frozen=True, slots=True)
class CopyToRegions:
    """Copy the finished AMI to the other regions. Results: DONE, FAILED."""

    ami: str


@dataclass(frozen=True, slots=True)
class WaitVisible:
    """Wait until our look-up shows the AMI. Then the next holder sees it, too. Results: DONE, FAILED."""

    ami: str


@dataclass(frozen=True, slots=True)
class Release:
    """Delete our lock; with `keep`, set it to expired and keep its records. Results: any."""

    lock: str
    keep: bool = False


@dataclass(frozen=True, slots=True)
class End:
    ending: Ending
    ami: str | None = None


LockStep = AcquireLock | ReadLock | BreakLock | Pause | Release
BuildStep = LookUp | CheckInherited | AbandonInherited | RemoveAbandoned | Bake
EnableStep = EnableAmi | EndQuarantine
TestStep = RunTest | MarkFailed
PublishStep = RecordVerified | Finish | Discard | CopyToRegions | WaitVisible
ProtocolStep = LockStep | BuildStep | EnableStep | TestStep | PublishStep | End


# Results of steps.


class ProtocolEvent(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    UNANSWERED = "no response: it may have been carried out, or may be later"
    DENIED = "no permission"
    LOST = "our lock does not exist any more"
    TIMED_OUT = "timed out"
    CHANGED = "the definition has a new digest"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LockAcquired:
    lock: str


@dataclass(frozen=True, slots=True)
class LockSeen:
    """A lock of this digest as EC2 shows it. This may be some seconds old.

    finished  the holder has written the digest on its AMI
    failed    the holder's AMI has failed our test
    """

    lock: str
    ours: bool
    expired: bool
    finished: bool = False
    inherited: InheritedAmis = field(default=InheritedAmis())
    failed: bool = False


@dataclass(frozen=True, slots=True)
class LockNotVisible:
    """No lock is visible. `overdue`: its name has been refused for longer than a lock can be invisible."""

    overdue: bool = False


@dataclass(frozen=True, slots=True)
class LookupResult:
    """The finished AMI of the digest, if any. `complete`: it exists in every configured region.

    quarantined  if there is none: an AMI that prune disabled, or that is not completely enabled yet
    untested     if there is none: an AMI of the digest that lacks only the current test; it may be `quarantined`
    """

    ami: str | None = None
    complete: bool = True
    quarantined: str | None = None
    untested: str | None = None


@dataclass(frozen=True, slots=True)
class AmisAbandoned:
    amis: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Baked:
    """A verified AMI. `finished`: in drop-in mode, the template itself has written the digest."""

    ami: str
    finished: bool = False


@dataclass(frozen=True, slots=True)
class AmiTested:
    passed: bool


StepResult = ProtocolEvent | LockAcquired | LockSeen | LockNotVisible | LookupResult | AmisAbandoned | Baked | AmiTested
