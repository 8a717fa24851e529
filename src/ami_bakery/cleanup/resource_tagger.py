"""Tags resources that Packer creates with the id of the run.

Without the tag, the resources of a killed run could not be found. The tagger runs in parallel with Packer, and is best
effort: if EC2 refuses, or Packer is faster, the build continues.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Self

from ami_bakery.core.ec2.ami import IMAGE_TAG
from ami_bakery.core.ec2.run import KEY_PAIR_TAG, RUN_TAG
from ami_bakery.core.orphan.orphan import RECORD_TAGS
from ami_bakery.core.packer.build_progress import CreatedKind, CreatedResource
from ami_bakery.errors import BakeryError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ami_bakery.ports import Ports

_PAUSES_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""EC2 may not know a new resource for a moment, and Packer prints a security group's name before it creates the group.
"""
_GRACE_SECONDS = 2.0
"""How long outstanding records may take after Packer has ended."""


class ResourceTagger:
    """A context manager that records and tags resources that Packer creates.

    It runs from before Packer starts until Packer has ended.

    region_of  returns the region of a builder, by the name that Packer prints
    record     called with names and values of resources, in the order of their creation
    """

    def __init__(
        self,
        ports: Ports,
        image: str,
        run: str,
        region_of: Callable[[str], str],
        record: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._ports = ports
        self._image = image
        self._run = run
        self._region_of = region_of
        self._record = record
        self._key_pairs: dict[str, str] = {}
        self._to_record: queue.SimpleQueue[CreatedResource | None] = queue.SimpleQueue()
        self._to_tag: queue.SimpleQueue[CreatedResource | None] = queue.SimpleQueue()
        self._packer_ended = threading.Event()
        self._closed = threading.Event()
        # Daemons, so that an unanswered call does not block exit; two, so that tags do not delay records.
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._record_all, self._tag_all)]
        self.resources: list[CreatedResource] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._packer_ended.set()
        self._to_record.put(None)
        self._to_tag.put(None)
        for thread in self._threads:
            thread.join(_GRACE_SECONDS / 2)
        self._closed.set()

    def created(self, resources: CreatedResource) -> None:
        self.resources.append(resources)
        self._to_record.put(resources)
        self._to_tag.put(resources)

    def _record_all(self) -> None:
        """Records all new resources in one call. The next call repeats a failed one."""
        records: dict[str, str] = {}
        while (resources := self._to_record.get()) is not None and not self._closed.is_set():
            records[RECORD_TAGS[resources.kind]] = resources.value
            if self._to_record.empty() or self._packer_ended.is_set():
                try:
                    self._record(records)
                    records = {}
                except Exception as error:
                    self._report(f"not recorded on the lock: {_describe(error)}")

    def _tag_all(self) -> None:
        while (resources := self._to_tag.get()) is not None and not self._closed.is_set():
            try:
                self._tag(resources)
            except Exception as error:
                # Any exception: the thread must continue for Packer's next resource.
                self._report(f"not tagged with its run: {_describe(error)}")

    def _report(self, text: str) -> None:
        self._ports.reporter.line(self._image, f"({text})")

    def _tag(self, resources: CreatedResource) -> None:
        region = self._region_of(resources.builder)
        tags = {RUN_TAG: self._run, IMAGE_TAG: self._image}
        if resources.kind is CreatedKind.KEY_PAIR:
            self._key_pairs[resources.builder] = resources.value
        if resources.kind in (CreatedKind.KEY_PAIR, CreatedKind.AMI_NAME):
            return
        if resources.kind is not CreatedKind.AMI and resources.builder in self._key_pairs:
            tags[KEY_PAIR_TAG] = self._key_pairs[resources.builder]
        for seconds in _PAUSES_SECONDS:
            if seconds and self._packer_ended.wait(seconds):
                return
            try:
                if ids := self._ids(resources, region):
                    self._ports.ec2.tag(region, ids, tags)
                    return
            except NotFoundError:
                continue

    def _ids(self, resources: CreatedResource, region: str) -> Sequence[str]:
        if resources.kind is not CreatedKind.SECURITY_GROUP:
            return [resources.value]
        return [group.id for group in self._ports.temporary_resources.security_groups(region, names=[resources.value])]


def _describe(error: Exception) -> str:
    """Describes an error; a foreign exception only by its type."""
    return str(error) if isinstance(error, BakeryError) else type(error).__name__
