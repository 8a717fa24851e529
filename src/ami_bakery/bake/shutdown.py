"""Waits until every Packer of an interrupted bake has cleaned up. The user can exit before that."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from ami_bakery.errors import Interrupted, LeaveNow

if TYPE_CHECKING:
    from collections.abc import Collection
    from concurrent.futures import Future

    from ami_bakery.ports import Ports

_POLL_SECONDS = 0.2


def wait_for_all(futures: Collection[Future[Any]], ports: Ports) -> None:
    """Waits for all builds. Raises `LeaveNow` if the user interrupts again, and confirms.

    The question lists the resources of the builds that are still cleaning up.
    """
    while _not_done(futures):
        if not ports.prompter.interrupted_again():
            continue
        if not ports.prompter.is_interactive():
            ports.reporter.note("interrupted again: still waiting for Packer to clean up")
            continue
        ports.reporter.close()
        if ports.prompter.confirm(_question(ports), lambda: bool(wait(futures, timeout=0).not_done)):
            raise LeaveNow("the person at the terminal")


def _not_done(futures: Collection[Future[Any]]) -> bool:
    try:
        return bool(wait(futures, timeout=_POLL_SECONDS).not_done)
    except Interrupted:
        # The bake ended without a signal, and this is the first one: every Packer was stopped already.
        return True


def _question(ports: Ports) -> str:
    lines = []
    for image, made in ports.packer.running_builds().items():
        resources = ", ".join(f"{one.kind.replace('-', ' ')} {one.value}" for one in made)
        lines.append(f"{image}: Packer is still cleaning up ({resources or 'it has created nothing yet'}).")
    lines.append("If you exit now, Packer keeps cleaning up in the background, and you won't see the result;")
    lines.append("`ami-bakery images --orphans` then shows what remains. Exit now? [y/N] ")
    return "\n".join(lines)
