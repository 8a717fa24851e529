"""Marks what Packer makes with its run as soon as it is there, so that what a killed run leaves can be found.

It is done beside Packer, and best effort: where EC2 refuses, or Packer is faster, the bake goes on without.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Self

from ami_bakery.core.ec2.image import IMAGE_TAG
from ami_bakery.core.ec2.run import KEY_PAIR_TAG, RUN_TAG
from ami_bakery.core.orphan.orphan import RECORD_TAGS
from ami_bakery.core.packer.build_progress import CreatedKind, CreatedResource
from ami_bakery.errors import AwsError, BakeryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ami_bakery.ports import Ports

_PAUSES_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""EC2 may not know at once what it has made; and Packer names a security group before it makes it."""
_LAST_SECONDS = 2.0
"""How long what is behind may take when Packer has ended: it is not to be lost because Packer was faster."""


class ResourceTagger:
    """As a context manager: from before Packer starts until it has ended.

    region_of  the region that a builder, by the name that Packer prints, works in
    note       is given things as names and values, in the order in which they are made
    """

    def __init__(
        self,
        ports: Ports,
        image: str,
        run: str,
        region_of: Callable[[str], str],
        note: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._ports = ports
        self._image = image
        self._run = run
        self._region_of = region_of
        self._note = note
        self._key_pairs: dict[str, str] = {}
        self._to_note: queue.SimpleQueue[CreatedResource | None] = queue.SimpleQueue()
        self._to_mark: queue.SimpleQueue[CreatedResource | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._over = threading.Event()
        # A call that EC2 does not answer must not keep the program from ending, nor a mark the next note.
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._note_all, self._mark_all)]
        self.made: list[CreatedResource] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._to_note.put(None)
        self._to_mark.put(None)
        for thread in self._threads:
            thread.join(_LAST_SECONDS / 2)
        self._over.set()

    def tell(self, made: CreatedResource) -> None:
        self.made.append(made)
        self._to_note.put(made)
        self._to_mark.put(made)

    def _note_all(self) -> None:
        """What came while the last note was written goes in one call; what could not be noted goes with the next."""
        notes: dict[str, str] = {}
        while (made := self._to_note.get()) is not None and not self._over.is_set():
            notes[RECORD_TAGS[made.kind]] = made.value
            if self._to_note.empty() or self._ended.is_set():
                try:
                    self._note(notes)
                    notes = {}
                except Exception as error:
                    self._tell(f"not noted on the lock: {_shown(error)}")

    def _mark_all(self) -> None:
        while (made := self._to_mark.get()) is not None and not self._over.is_set():
            try:
                self._mark(made)
            except Exception as error:
                # Not only ours: the thread must live on for what Packer makes next.
                self._tell(f"not marked with its run: {_shown(error)}")

    def _tell(self, text: str) -> None:
        self._ports.reporter.line(self._image, f"({text})")

    def _mark(self, made: CreatedResource) -> None:
        region = self._region_of(made.builder)
        tags = {RUN_TAG: self._run, IMAGE_TAG: self._image}
        if made.kind is CreatedKind.KEY_PAIR:
            self._key_pairs[made.builder] = made.value
        if made.kind in (CreatedKind.KEY_PAIR, CreatedKind.AMI_NAME):
            return
        if made.kind is not CreatedKind.AMI and made.builder in self._key_pairs:
            tags[KEY_PAIR_TAG] = self._key_pairs[made.builder]
        for seconds in _PAUSES_SECONDS:
            if seconds and self._ended.wait(seconds):
                return
            try:
                if ids := self._ids(made, region):
                    self._ports.ec2.tag(region, ids, tags)
                    return
            except AwsError as error:
                if not error.code.endswith(".NotFound"):
                    raise

    def _ids(self, made: CreatedResource, region: str) -> Sequence[str]:
        if made.kind is not CreatedKind.SECURITY_GROUP:
            return [made.value]
        return [group.id for group in self._ports.temporary_resources.security_groups(region, names=[made.value])]


def _shown(error: Exception) -> str:
    """Of an exception that is not ours only the type: its text may hold a secret."""
    return str(error) if isinstance(error, BakeryError) else type(error).__name__
