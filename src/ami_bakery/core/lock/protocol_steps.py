"""The words of the locking protocol: what a runner does, and what it can see of that. single_flight.py joins them.

Locks and AMIs are opaque names here. A lock is a key pair's id: of two locks of one digest each has its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ami_bakery.core.lock.inherited import InheritedAmis


class Purpose(StrEnum):
    """Why a runner looks for the AMI."""

    GONE = "the lock is gone"
    FINISHED = "the holder has tagged its AMI"
    BEFORE = "we hold the lock, and nothing is done yet"
    AFTER = "we hold the lock, and have baked an AMI that has no digest yet"


class Ending(StrEnum):
    """How it ends: with an AMI, or why not."""

    BAKED = "baked"
    REUSED = "reused"
    COPIED = "copied"
    ADOPTED = "adopted"
    BUSY = "somebody else bakes, and we are not to wait any longer"
    TAKEN = "something that is no lock has the lock's name"
    LOST = "we lost the lock again and again"
    MOVED = "the definition has another digest now"
    FAILED = "a step failed"


# What a runner does: each is carried out, and what was seen of it is handed to `advance`.


@dataclass(frozen=True, slots=True)
class TakeLock:
    """Create it. Seen: `LockAcquired`, REFUSED, UNANSWERED, DENIED, FAILED."""

    left: InheritedAmis


@dataclass(frozen=True, slots=True)
class ReadLock:
    """Seen: `LockSeen`, `NotShown`, DENIED, FAILED."""


@dataclass(frozen=True, slots=True)
class BreakLock:
    """Delete this lock and no other. Seen: DONE, UNANSWERED, DENIED, FAILED."""

    lock: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Seen: DONE, TIMED_OUT, FAILED."""


@dataclass(frozen=True, slots=True)
class Look:
    """Look for the AMI of the digest. Seen: `LookupResult`, MOVED, FAILED.

    settled  not to be told that there is none before the settling time has passed since we took the lock
    """

    purpose: Purpose
    settled: bool = False


@dataclass(frozen=True, slots=True)
class CheckInherited:
    """Whether the AMI is there, may be used, and was given up by nobody. Seen: DONE if so, REFUSED, FAILED."""

    ami: str


@dataclass(frozen=True, slots=True)
class AbandonInherited:
    """Mark those AMIs as given up that others left unfinished and that would be in the way. The call names our lock,
    too, so that it does nothing where that is gone. Where there are any, the settling time passes before, and if an AMI
    is finished after all, that is seen. Seen: `AmisAbandoned`, `LookupResult`, LOST, FAILED."""

    lock: str | None
    left: InheritedAmis


@dataclass(frozen=True, slots=True)
class RemoveLeft:
    """Deregister what was given up. Seen: DONE, UNANSWERED, DENIED, FAILED."""

    amis: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bake:
    """Run Packer and verify. Seen: `Baked`, LOST, FAILED."""


@dataclass(frozen=True, slots=True)
class NoteVerified:
    """Renew the lock, and note on it that our AMI is verified. Seen: DONE, LOST, UNANSWERED, FAILED."""

    lock: str
    ami: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Write the digest on the AMI, in one call with the lock: all or nothing. Seen: DONE, LOST, UNANSWERED, FAILED."""

    lock: str | None
    ami: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Deregister the AMI that we have baked in vain. Seen: DONE, UNANSWERED, DENIED, FAILED."""

    ami: str


@dataclass(frozen=True, slots=True)
class CopyToRegions:
    """Copy what is finished to the other regions. Seen: DONE, FAILED."""

    ami: str


@dataclass(frozen=True, slots=True)
class WaitVisible:
    """Wait until our own look-up shows the AMI: the next holder's should, too. Seen: DONE, FAILED."""

    ami: str


@dataclass(frozen=True, slots=True)
class Release:
    """Delete our lock; with `keep`, let it expire now in place, for what is noted on it. Seen: anything."""

    lock: str
    keep: bool = False


@dataclass(frozen=True, slots=True)
class End:
    ending: Ending
    ami: str | None = None


Step = (
    TakeLock
    | ReadLock
    | BreakLock
    | Pause
    | Look
    | CheckInherited
    | AbandonInherited
    | RemoveLeft
    | Bake
    | NoteVerified
    | Finish
    | Discard
    | CopyToRegions
    | WaitVisible
    | Release
    | End
)


# What is seen of a step.


class ProtocolEvent(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    UNANSWERED = "no answer: it may have been carried out, or will be later"
    DENIED = "no right to do it"
    LOST = "our lock is not there any more"
    TIMED_OUT = "timed out"
    MOVED = "the definition has another digest now"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LockAcquired:
    lock: str


@dataclass(frozen=True, slots=True)
class LockSeen:
    """A lock of this digest as EC2 shows it, which may be as it was a moment ago.

    finished  the holder's digest is written
    """

    lock: str
    ours: bool
    expired: bool
    finished: bool = False
    left: InheritedAmis = field(default=InheritedAmis())


@dataclass(frozen=True, slots=True)
class NotShown:
    """`overdue`: although its name was refused again after longer than a lock can be hidden."""

    overdue: bool = False


@dataclass(frozen=True, slots=True)
class LookupResult:
    """The finished AMI of the digest, if there is one; `whole`: in every region that it is wanted in."""

    ami: str | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class AmisAbandoned:
    amis: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Baked:
    """`finished`: the template has written the digest itself, and that counts (the original's checksum)."""

    ami: str
    finished: bool = False


Seen = ProtocolEvent | LockAcquired | LockSeen | NotShown | LookupResult | AmisAbandoned | Baked
