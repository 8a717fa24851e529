"""A runner's state in the locking protocol, and its shared transitions."""

from __future__ import annotations

from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.protocol_steps import (
    AbandonInherited,
    CopyToRegions,
    End,
    Ending,
    Finish,
    LookUp,
    Pause,
    ProtocolStep,
    Purpose,
    ReadLock,
    RecordVerified,
    Release,
    RunTest,
)
from ami_bakery.values import Frozen, field, replace

_MAX_LOSSES = 2
"""A runner that loses its lock more often than this fails: its machine or network pauses for minutes."""


class ProtocolState(Frozen):
    """The state of a runner. `step` is its next step.

    forced     bake even if an AMI exists
    tests      test an AMI before it is finished
    builds     build if there is no AMI; otherwise end
    required   fail if the credentials do not allow locking
    waits      wait for another runner's bake; otherwise fail immediately
    lock       our lock
    contended  another runner may have held the lock until just now; its changes may not be visible yet
    refusals   how often the name was refused since we last saw the holder: 0, 1, or 2 for more
    past_locks locks that we have deleted or lost; EC2 may still show them
    ami        the AMI that the bake will return
    recorded   whether our lock has records that the next runner needs if we end here
    ending     how the bake ends once the lock is released
    """

    step: ProtocolStep
    forced: bool = False
    tests: bool = False
    builds: bool = True
    required: bool = True
    waits: bool = True
    lock: str | None = None
    contended: bool = False
    refusals: int = 0
    unanswered: int = 0
    losses: int = 0
    past_locks: frozenset[str] = field(default=frozenset())
    inherited: InheritedAmis = field(default=InheritedAmis())
    ami: str | None = None
    recorded: bool = False
    ending: Ending | None = None


def hold(state: ProtocolState, lock: str) -> ProtocolState:
    """Continues with our new lock: the second look-up is next."""
    return replace(
        state,
        step=LookUp(Purpose.BEFORE, settled=state.contended and not state.forced),
        lock=lock,
        contended=False,
        refusals=0,
        unanswered=0,
        recorded=bool(state.inherited),
    )


def without_permission(state: ProtocolState) -> ProtocolState:
    """Ends, or in drop-in mode continues without a lock."""
    if state.required:
        return end(state, Ending.FAILED)
    return replace(state, step=LookUp(Purpose.BEFORE), lock=None)


def wait(state: ProtocolState) -> ProtocolState:
    """Waits for the holder, or ends if waiting is disabled."""
    return replace(state, step=Pause()) if state.waits else end(state, Ending.BUSY)


def tag_step(state: ProtocolState, ami: str) -> ProtocolStep:
    """Returns the next step to finish our AMI: `Finish`, or with a lock `RecordVerified`."""
    return Finish(None, ami) if state.lock is None else RecordVerified(state.lock, ami)


def build_step(state: ProtocolState) -> ProtocolState:
    """Continues with a build, after AMIs with conflicting names are abandoned. Ends if building is disabled."""
    if not state.builds:
        return end(state, Ending.NOT_BUILT)
    return replace(state, step=AbandonInherited(state.lock, state.inherited))


def test_or_finish(state: ProtocolState, ami: str) -> ProtocolStep:
    """Returns the next step of a verified AMI that our lock records."""
    if state.tests and state.lock is not None:
        return RunTest(state.lock, ami)
    return Finish(state.lock, ami)


def use_finished(state: ProtocolState, ami: str, ending: Ending) -> ProtocolState:
    """Ends with an AMI that another runner has finished. Copies it first if regions are missing."""
    if ending is Ending.COPIED:
        return replace(state, step=CopyToRegions(ami), ami=ami, ending=ending)
    return end(state, ending, ami)


def lose(state: ProtocolState) -> ProtocolState:
    """Queues again after losing the lock. Keeps a verified AMI of our own as inherited."""
    if state.losses == _MAX_LOSSES:
        return end(replace(state, lock=None), Ending.LOST)
    assert state.lock is not None
    return replace(
        state,
        step=ReadLock(),
        lock=None,
        contended=True,
        losses=state.losses + 1,
        past_locks=state.past_locks | {state.lock},
        inherited=InheritedAmis(state.ami) | state.inherited,
        ami=None,
        recorded=False,
        ending=None,
    )


def end(state: ProtocolState, ending: Ending, ami: str | None = None) -> ProtocolState:
    """Ends, after releasing the lock. After a failure, the expired lock is kept for its records."""
    if state.lock is None:
        return ProtocolState(step=End(ending, ami))
    keep = state.recorded and ending in (Ending.FAILED, Ending.CHANGED)
    return ProtocolState(step=Release(state.lock, keep), lock=state.lock, ami=ami, ending=ending)
