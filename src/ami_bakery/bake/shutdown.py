"""The end of an interrupted bake: waits until every Packer has cleaned up, and lets a person leave before that."""

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
    """Raises `LeaveNow` where the person at the terminal insists, is told what that leaves behind, and says yes."""
    while _not_done(futures):
        if not ports.prompter.interrupted_again():
            continue
        if not ports.prompter.is_interactive():
            ports.reporter.note("told to end once more: still waiting until Packer has cleaned up")
            continue
        ports.reporter.close()
        if ports.prompter.confirm(_question(ports), lambda: bool(wait(futures, timeout=0).not_done)):
            raise LeaveNow("the person at the terminal")


def _not_done(futures: Collection[Future[Any]]) -> bool:
    try:
        return bool(wait(futures, timeout=_POLL_SECONDS).not_done)
    except Interrupted:
        # Something else than a signal had ended the bake, and this is the first one: every Packer was told already.
        return True


def _question(ports: Ports) -> str:
    lines = []
    for image, made in ports.packer.running_builds().items():
        things = ", ".join(f"{one.kind.replace('-', ' ')} {one.value}" for one in made)
        lines.append(f"{image}: Packer is still cleaning up ({things or 'it has made nothing yet'}).")
    lines.append("If you leave now, it goes on alone, and nobody tells you whether it ended well;")
    lines.append("`ami-bakery images --orphans` shows what is left then. Leave now? [y/N] ")
    return "\n".join(lines)
