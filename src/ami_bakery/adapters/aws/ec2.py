"""EC2's images: every page, and every refusal as a message that says what to do."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.aws import ec2_xml
from ami_bakery.adapters.aws.errors import explained
from ami_bakery.adapters.aws.session import as_tags
from ami_bakery.core.ec2.image import DIGEST_TAG, IMAGE_TAG, Ami, AmiState
from ami_bakery.errors import DENIED, AwsError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sts import STSClient

    from ami_bakery.adapters.aws.session import AwsSession
    from ami_bakery.ports import BuilderAccount, CopyRequest
    from ami_bakery.template.facts import Login

_FILTER_VALUES = 200
"""The most values that EC2 takes in one call, those of all its filters counted together (FilterLimitExceeded)."""
_SNAPSHOT_CHANGES = 500
"""The most accounts that EC2 takes in one call for a snapshot (API reference, ModifySnapshotAttribute)."""
_PAGE = 1000
"""The largest page that EC2 gives."""
_UNKNOWN = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"})
_IDS = re.compile(r"ami-[0-9a-f]+")


class BotoEc2:
    """An `Ec2` port."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session
        self._account = ""
        self._accounts: dict[tuple[Login, str], BuilderAccount] = {}
        self._accounts_lock = threading.Lock()

    def default_region(self) -> str:
        return self._session.default_region()

    def known_regions(self) -> tuple[str, ...]:
        return self._session.known_regions()

    def warm_up(self, region: str | None) -> None:
        self._session.warm_up(region)

    def account(self, region: str) -> str:
        if not self._account:
            client: STSClient = self._session.client("sts", region)
            with explained(
                self._session.call("asking whose credentials these are", "STS", "GetCallerIdentity", region)
            ):
                self._account = client.get_caller_identity()["Account"]
        return self._account

    def account_of(self, region: str, login: Login, packer: str) -> BuilderAccount:
        from ami_bakery.adapters.aws.builder_account import AccountFinder

        with self._accounts_lock:
            key = (login, packer)
            if key not in self._accounts:
                finder = AccountFinder(
                    environment=self._session.environment,
                    ours=lambda: self.account(region),
                    of_keys=lambda keys: self._session.account_of(region, keys),
                )
                self._accounts[key] = finder.find(login, packer)
            return self._accounts[key]

    def find_by_digest(self, region: str, digests: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        return tuple(
            ami
            for values in _batches(digests)
            for ami in self._describe(
                "looking up AMIs by digest",
                region,
                Owners=list(owners),
                Filters=[_filter(f"tag:{DIGEST_TAG}", values)],
                IncludeDisabled=True,
            )
        )

    def find_by_image(self, region: str, images: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        return tuple(
            ami
            for values in _batches(images)
            for ami in self._describe(
                "listing the AMIs made so far",
                region,
                Owners=list(owners),
                Filters=[_filter(f"tag:{IMAGE_TAG}", values)],
                IncludeDisabled=True,
            )
        )

    def find_tagged(self, region: str, images: Sequence[str], tag: str) -> tuple[Ami, ...]:
        # The tag's own name is a value, too.
        return tuple(
            ami
            for values in _batches(images, _FILTER_VALUES - 1)
            for ami in self._describe(
                "looking for older AMIs that are shared",
                region,
                Owners=["self"],
                Filters=[_filter(f"tag:{IMAGE_TAG}", values), _filter("tag-key", (tag,))],
            )
        )

    def regions(self, region: str) -> tuple[str, ...]:
        client: EC2Client = self._session.client("ec2", region)
        with explained(self._session.call("listing the account's regions", "EC2", "DescribeRegions", region)):
            return tuple(sorted(found["RegionName"] for found in client.describe_regions()["Regions"]))

    def find_with_any_digest(self, region: str, owners: Sequence[str]) -> tuple[Ami, ...]:
        filters = [_filter("tag-key", (DIGEST_TAG,))]
        doing = "listing the AMIs made so far"
        return tuple(self._describe(doing, region, Owners=list(owners), Filters=filters, IncludeDisabled=True))

    def find_by_id(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        """By id and not by a filter, which would go through everybody's public AMIs; deprecated ones, too."""
        return tuple(ami for batch in _batches(ids) for ami in self._by_ids(region, batch))

    def find_own(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        return tuple(
            ami
            for batch in _batches(ids)
            for ami in self._describe("looking at AMIs", region, Owners=["self"], Filters=[_filter("image-id", batch)])
        )

    def _by_ids(self, region: str, wanted: Sequence[str]) -> tuple[Ami, ...]:
        found = self._plainly(region, {"ImageIds": wanted, "IncludeDeprecated": True})
        if found is not None:
            return tuple(_ami(image, region) for image in found)
        client: EC2Client = self._session.client("ec2", region)
        while wanted:
            try:
                with explained(self._session.call("looking at AMIs", "EC2", "DescribeImages", region)):
                    answer = client.describe_images(ImageIds=list(wanted), IncludeDeprecated=True)
                    return tuple(_ami(image, region) for image in answer["Images"])
            except AwsError as error:
                # One id that is not there fails the whole call; EC2 names those that are not.
                unknown = set(_IDS.findall(error.wrong)) if error.code in _UNKNOWN else set()
                if not unknown & set(wanted):
                    raise
                wanted = [ami for ami in wanted if ami not in unknown]
        return ()

    def find_snapshots_by_digest(self, region: str, digests: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for values in _batches(digests):
            for digest, snapshot in self._snapshots(region, [_filter(f"tag:{DIGEST_TAG}", values)]):
                found.setdefault(digest, []).append(snapshot)
        return {digest: tuple(sorted(ids)) for digest, ids in found.items()}

    def _snapshots(self, region: str, filters: Any) -> list[tuple[str, str]]:
        """The digest and the id of each."""
        asked = {"Owners": ["self"], "Filters": filters, "MaxResults": _PAGE}
        found = self._session.query.ask(region, "DescribeSnapshots", asked, ec2_xml.snapshots)
        if found is not None:
            return [_with_digest(snapshot) for snapshot in found]
        client: EC2Client = self._session.client("ec2", region)
        with explained(self._session.call("looking for what deleted AMIs left", "EC2", "DescribeSnapshots", region)):
            pages = client.get_paginator("describe_snapshots").paginate(
                OwnerIds=["self"], Filters=filters, PaginationConfig={"PageSize": _PAGE}
            )
            return [_with_digest(snapshot) for page in pages for snapshot in page["Snapshots"]]

    def find_matching(
        self,
        region: str,
        owners: Sequence[str],
        filters: Sequence[tuple[str, Sequence[str]]],
        *,
        deprecated: bool = False,
        in_any_state: bool = False,
    ) -> tuple[Ami, ...]:
        asked = [_filter(name, values) for name, values in filters]
        if not in_any_state and not any(name == "state" for name, _ in filters):
            asked.append(_filter("state", ("available",)))
        more = {"IncludeDeprecated": True} if deprecated else {}
        return tuple(self._describe("looking for the base image", region, Owners=list(owners), Filters=asked, **more))

    def find_by_name(self, region: str, names: Sequence[str]) -> tuple[Ami, ...]:
        return tuple(
            ami
            for values in _batches([_literal(name) for name in names])
            for ami in self._describe(
                "looking for AMIs by name",
                region,
                Owners=["self"],
                Filters=[_filter("name", values)],
                # A disabled one keeps its name.
                IncludeDisabled=True,
            )
        )

    def find_created_from(self, region: str, instances: Sequence[str]) -> tuple[Ami, ...]:
        return tuple(
            ami
            for batch in _batches(instances)
            for ami in self._describe(
                "looking for AMIs by their instance",
                region,
                Owners=["self"],
                Filters=[_filter("source-instance-id", batch)],
            )
        )

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        self._session.create_tags(region, ids, tags)

    def untag(self, region: str, ids: Sequence[str], names: Sequence[str]) -> None:
        client: EC2Client = self._session.client("ec2", region)
        try:
            with explained(self._session.call(f"taking tags off {', '.join(ids)}", "EC2", "DeleteTags", region)):
                client.delete_tags(Resources=list(ids), Tags=[{"Key": name} for name in names])
        except AwsError as error:
            # Packer's own policy has no DeleteTags. An empty value says as little as no tag.
            if error.code not in DENIED:
                raise
            self.tag(region, ids, dict.fromkeys(names, ""))

    def permissions(self, region: str, resource: str) -> frozenset[str]:
        client: EC2Client = self._session.client("ec2", region)
        found: Iterable[Mapping[str, Any]]
        if resource.startswith("snap-"):
            call = self._session.call(f"looking who may use {resource}", "EC2", "DescribeSnapshotAttribute", region)
            with explained(call):
                asked = client.describe_snapshot_attribute(SnapshotId=resource, Attribute="createVolumePermission")
            found = asked.get("CreateVolumePermissions", ())
        else:
            call = self._session.call(f"looking who may launch {resource}", "EC2", "DescribeImageAttribute", region)
            with explained(call):
                answer = client.describe_image_attribute(ImageId=resource, Attribute="launchPermission")
            found = answer.get("LaunchPermissions", ())
        return frozenset(str(target) for permission in found for target in permission.values())

    def grant(self, region: str, resource: str, targets: Sequence[str]) -> None:
        self._change_permissions(f"sharing {resource}", region, resource, "Add", targets)

    def revoke(self, region: str, resource: str, targets: Sequence[str]) -> None:
        self._change_permissions(f"taking back what {resource} was shared for", region, resource, "Remove", targets)

    def _change_permissions(self, doing: str, region: str, resource: str, how: str, targets: Sequence[str]) -> None:
        client: EC2Client = self._session.client("ec2", region)
        if resource.startswith("snap-"):
            for some in _batches(targets, _SNAPSHOT_CHANGES):
                with explained(self._session.call(doing, "EC2", "ModifySnapshotAttribute", region)):
                    client.modify_snapshot_attribute(
                        SnapshotId=resource,
                        Attribute="createVolumePermission",
                        CreateVolumePermission=_permission_change(how, some),
                    )
        else:
            with explained(self._session.call(doing, "EC2", "ModifyImageAttribute", region)):
                client.modify_image_attribute(ImageId=resource, LaunchPermission=_permission_change(how, targets))

    def copy(self, order: CopyRequest) -> str:
        client: EC2Client = self._session.client("ec2", order.region)
        source = order.source
        encryption: Any = {"Encrypted": True, "KmsKeyId": order.kms_key} if order.kms_key else {}
        tags: Any = [
            {"ResourceType": kind, "Tags": as_tags(these)}
            for kind, these in (("image", order.tags), ("snapshot", order.snapshot_tags))
            if these
        ]
        doing = f"copying {source.id} of {source.region}"
        with explained(self._session.call(doing, "EC2", "CopyImage", order.region)):
            answer = client.copy_image(
                Name=order.name,
                SourceImageId=source.id,
                SourceRegion=source.region,
                TagSpecifications=tags,
                **encryption,
            )
            return _ami_id(answer)

    def _describe(self, doing: str, region: str, **asked: Any) -> Iterator[Ami]:
        with self._session.waiting(doing, region):
            found = self._plainly(region, {**asked, "MaxResults": _PAGE})
            if found is None:
                yield from self._asked_of_botocore(doing, region, asked)
        yield from (_ami(image, region) for image in found or ())

    def _plainly(self, region: str, asked: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        return self._session.query.ask(region, "DescribeImages", asked, ec2_xml.image_dicts)

    def _asked_of_botocore(self, doing: str, region: str, asked: Mapping[str, Any]) -> Iterator[Ami]:
        client: EC2Client = self._session.client("ec2", region)
        with explained(self._session.call(doing, "EC2", "DescribeImages", region)):
            pages = client.get_paginator("describe_images").paginate(PaginationConfig={"PageSize": _PAGE}, **asked)
            for page in pages:
                for image in page["Images"]:
                    yield _ami(image, region)


def _permission_change(how: str, targets: Sequence[str]) -> Any:
    return {how: [{_permission_key(target): target} for target in targets]}


def _permission_key(target: str) -> str:
    """An account, or the ARN of an organization (`...:organization/o-...`) or an OU (`...:ou/o-.../ou-...`)."""
    if not target.startswith("arn:"):
        return "UserId"
    return "OrganizationalUnitArn" if ":ou/" in target else "OrganizationArn"


def _batches(values: Sequence[str], size: int = _FILTER_VALUES) -> Iterator[Sequence[str]]:
    distinct = sorted(set(values))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]


def _literal(text: str) -> str:
    """Without the wildcards of EC2's filters."""
    return re.sub(r"([*?\\])", r"\\\1", text)


def _filter(name: str, values: Sequence[str]) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}


def _ami_id(told: Mapping[str, Any]) -> str:
    """Raises `LookupError` where there is none: a template would be handed whatever it is."""
    ami_id: str = told["ImageId"]
    if not ami_id.startswith("ami-"):
        raise LookupError(f"{ami_id[:40]!r} is no AMI's id")
    return ami_id


def _ami(image: Mapping[str, Any], region: str) -> Ami:
    """An `Image` of EC2's answer; every member may be missing."""
    return Ami(
        id=_ami_id(image),
        region=region,
        name=image.get("Name", ""),
        state=_state(image.get("State", "")),
        created=_moment(image.get("CreationDate", "")),
        owner=image.get("OwnerId", ""),
        tags={tag["Key"]: tag["Value"] for tag in image.get("Tags", ())},
        source=image.get("SourceImageId"),
        source_region=image.get("SourceImageRegion"),
        source_instance=image.get("SourceInstanceId"),
        state_reason=image.get("StateReason", {}).get("Message", ""),
        deprecated_at=_moment(image.get("DeprecationTime", "")),
        snapshots=tuple(
            mapping["Ebs"]["SnapshotId"]
            for mapping in image.get("BlockDeviceMappings", ())
            if mapping.get("Ebs", {}).get("SnapshotId")
        ),
    )


def _with_digest(snapshot: Any) -> tuple[str, str]:
    tags = {tag["Key"]: tag["Value"] for tag in snapshot.get("Tags", ())}
    return tags.get(DIGEST_TAG, ""), snapshot["SnapshotId"]


def _state(text: str) -> AmiState:
    try:
        return AmiState(text)
    except ValueError:
        return AmiState.OTHER


def _moment(text: str) -> datetime | None:
    """EC2 writes `2026-01-31T12:00:00.000Z`."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None
