"""Locks in EC2: key pairs with unique names (docs/concepts/locking.md)."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.aws.batches import FILTER_VALUES, batches
from ami_bakery.adapters.aws.ec2_xml import key_pair, resource_tags
from ami_bakery.adapters.aws.errors import explained
from ami_bakery.adapters.aws.session import as_tags
from ami_bakery.core.lock.lock import LOCK_TAG, LockRecord
from ami_bakery.errors import AwsError, NotFoundError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.adapters.aws.session import AwsSession

_READY_AFTER_SECONDS = 1.0
"""By then Packer and its plugins, which use all cores while they start, are waiting for EC2."""
_DUPLICATE = "InvalidKeyPair.Duplicate"


class KeyPairLocks:
    """A `Locks` port."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def holder(self) -> str:
        return f"{socket.gethostname()} (pid {os.getpid()})"

    def now(self, region: str) -> datetime:
        return self._session.clocks.now(region)

    def acquire(self, region: str, name: str, tags: Mapping[str, str]) -> str | None:
        tagged: Any = [{"ResourceType": "key-pair", "Tags": as_tags(tags)}]
        request: Any = {"KeyName": name, "KeyType": "ed25519", "TagSpecifications": tagged}
        # The private key in the response is not needed, and is discarded.
        created = self._session.query.call(region, "CreateKeyPair", request, key_pair)
        if created is not None:
            # The checks after the build need botocore, which `Ec2Query` does not load.
            threading.Thread(target=self._prepare_clients, args=(region,), daemon=True).start()
            return created[0]
        # A repeated call is safe, like a retry by botocore: if only the response was lost, the tags name our run.
        client: EC2Client = self._session.client("ec2", region)
        try:
            with explained(self._session.call("acquiring the lock", "EC2", "CreateKeyPair", region)):
                return client.create_key_pair(**request)["KeyPairId"]
        except AwsError as error:
            if error.code == _DUPLICATE:
                return None
            raise

    def _prepare_clients(self, region: str) -> None:
        time.sleep(_READY_AFTER_SECONDS)
        # The call that needs the client reports the failure.
        with suppress(Exception):
            self._session.client("ec2", region)
            self._session.client("ec2", region, retry=False)

    def of_digests(self, region: str, digests: Sequence[str]) -> tuple[LockRecord, ...]:
        found = [
            tag["ResourceId"]
            for batch in batches(digests, FILTER_VALUES - 2)
            for tag in self._tags(region, {"key": [LOCK_TAG], "value": batch, "resource-type": ["key-pair"]})
        ]
        tags: dict[str, dict[str, str]] = {}
        for batch in batches(found):
            for tag in self._tags(region, {"resource-id": batch}):
                tags.setdefault(tag["ResourceId"], {})[tag["Key"]] = tag.get("Value", "")
        now = self.now(region)
        seen = tuple(LockRecord(id=lock, region=region, tags=tags[lock], seen_at=now) for lock in found if lock in tags)
        return self._dated(region, seen)

    def _dated(self, region: str, locks: tuple[LockRecord, ...]) -> tuple[LockRecord, ...]:
        """Adds creation times to locks with implausible tags. Does nothing if the credentials may not read them."""
        doubtful = [lock.id for lock in locks if lock.exceeds_maximum and not lock.expired]
        if not doubtful:
            return locks
        client: EC2Client = self._session.client("ec2", region)
        try:
            with explained(self._session.call("reading a lock's creation time", "EC2", "DescribeKeyPairs", region)):
                pairs = client.describe_key_pairs(KeyPairIds=doubtful)["KeyPairs"]
                created = {pair["KeyPairId"]: pair.get("CreateTime") for pair in pairs}
        except AwsError:
            # The IAM policy in Packer's documentation does not allow it, or the lock was released meanwhile.
            return locks
        return tuple(replace(lock, exists_since=created.get(lock.id)) for lock in locks)

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str], *, retry: bool = True) -> bool:
        try:
            self._session.create_tags(region, ids, tags, retry=retry)
        except NotFoundError:
            return False
        return True

    def delete(self, region: str, lock: str) -> None:
        client: EC2Client = self._session.client("ec2", region)
        with explained(self._session.call("releasing the lock", "EC2", "DeleteKeyPair", region)):
            client.delete_key_pair(KeyPairId=lock)

    def _tags(self, region: str, filters: Mapping[str, Sequence[str]]) -> Iterator[Any]:
        conditions: Any = [{"Name": name, "Values": list(values)} for name, values in filters.items()]
        found = self._session.query.call(region, "DescribeTags", {"Filters": conditions}, resource_tags)
        if found is not None:
            yield from found
            return
        client: EC2Client = self._session.client("ec2", region)
        with explained(self._session.call("reading the lock", "EC2", "DescribeTags", region)):
            for page in client.get_paginator("describe_tags").paginate(Filters=conditions):
                yield from page["Tags"]
