"""Finds, tags, shares and copies AMIs in EC2; errors are `AwsError` with a fix."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.aws import ec2_xml
from ami_bakery.adapters.aws.batches import FILTER_VALUES, batches
from ami_bakery.adapters.aws.errors import explained
from ami_bakery.adapters.aws.session import as_tags
from ami_bakery.core.ec2.ami import DIGEST_TAG, IMAGE_TAG, TEST_FAILED_TAG, Ami, AmiState
from ami_bakery.errors import DeniedError, NotFoundError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sts import STSClient

    from ami_bakery.adapters.aws.session import AwsSession
    from ami_bakery.ports import BuilderAccount, CopyRequest
    from ami_bakery.template.facts import Login

_SNAPSHOT_CHANGES = 500
"""EC2's maximum number of accounts per call for a snapshot (API reference, ModifySnapshotAttribute)."""
_PAGE = 1000
"""EC2's maximum page size."""
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

    def account(self, region: str) -> str:
        if not self._account:
            client: STSClient = self._session.client("sts", region)
            with explained(
                self._session.call("getting the account of the credentials", "STS", "GetCallerIdentity", region)
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
                    own_account=lambda: self.account(region),
                    account_of_keys=lambda keys: self._session.account_of(region, keys),
                )
                self._accounts[key] = finder.find(login, packer)
            return self._accounts[key]

    def find_by_digest(self, region: str, digests: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        name = f"tag:{DIGEST_TAG}"
        return self._find("looking up AMIs by digest", region, name, digests, owners, IncludeDisabled=True)

    def find_by_image(self, region: str, images: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        return self._find("listing built AMIs", region, f"tag:{IMAGE_TAG}", images, owners, IncludeDisabled=True)

    def find_tagged(self, region: str, images: Sequence[str], tag: str) -> tuple[Ami, ...]:
        doing = f"looking up AMIs with the tag {tag}"
        return self._find(doing, region, f"tag:{IMAGE_TAG}", images, key=tag, IncludeDisabled=True)

    def find_test_failed(self, region: str, digests: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        return self._find("looking up AMIs that failed their test", region, f"tag:{TEST_FAILED_TAG}", digests, owners)

    def _find(
        self,
        doing: str,
        region: str,
        name: str,
        values: Iterable[str],
        owners: Sequence[str] = ("self",),
        *,
        key: str = "",
        **more: Any,
    ) -> tuple[Ami, ...]:
        """Finds AMIs by any number of values of one filter. `key`: the name of a tag that they must also have."""
        also = [_filter("tag-key", (key,))] if key else []
        return tuple(
            ami
            for some in batches(values, FILTER_VALUES - len(also))
            for ami in self._describe(doing, region, Owners=list(owners), Filters=[_filter(name, some), *also], **more)
        )

    def regions(self, region: str) -> tuple[str, ...]:
        client: EC2Client = self._session.client("ec2", region)
        with explained(self._session.call("listing the account's regions", "EC2", "DescribeRegions", region)):
            return tuple(sorted(found["RegionName"] for found in client.describe_regions()["Regions"]))

    def find_with_any_digest(self, region: str, owners: Sequence[str]) -> tuple[Ami, ...]:
        filters = [_filter("tag-key", (DIGEST_TAG,))]
        doing = "listing built AMIs"
        return tuple(self._describe(doing, region, Owners=list(owners), Filters=filters, IncludeDisabled=True))

    def find_everything(self, region: str) -> tuple[Ami, ...]:
        return tuple(self._describe("listing AMIs", region, Owners=["self"], IncludeDisabled=True))

    def find_by_id(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        """Looks up ids directly: a filter would search all public AMIs. Includes deprecated AMIs."""
        return tuple(ami for batch in batches(ids) for ami in self._by_ids(region, batch))

    def find_own(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        return self._find("looking up AMIs by id", region, "image-id", ids)

    def _by_ids(self, region: str, wanted: Sequence[str]) -> tuple[Ami, ...]:
        found = self._describe_directly(region, {"ImageIds": wanted, "IncludeDeprecated": True})
        if found is not None:
            return tuple(_ami(image, region) for image in found)
        client: EC2Client = self._session.client("ec2", region)
        while wanted:
            try:
                with explained(self._session.call("looking up AMIs by id", "EC2", "DescribeImages", region)):
                    response = client.describe_images(ImageIds=list(wanted), IncludeDeprecated=True)
                    return tuple(_ami(image, region) for image in response["Images"])
            except NotFoundError as error:
                # One id that does not exist fails the whole call; EC2's message names such ids.
                unknown = set(_IDS.findall(error.wrong))
                if not unknown & set(wanted):
                    raise
                wanted = [ami for ami in wanted if ami not in unknown]
        return ()

    def find_snapshots_by_digest(self, region: str, digests: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for values in batches(digests):
            for digest, snapshot in self._snapshots(region, [_filter(f"tag:{DIGEST_TAG}", values)]):
                found.setdefault(digest, []).append(snapshot)
        return {digest: tuple(sorted(ids)) for digest, ids in found.items()}

    def _snapshots(self, region: str, filters: Any) -> list[tuple[str, str]]:
        """Returns the digest and id of each snapshot."""
        request = {"Owners": ["self"], "Filters": filters, "MaxResults": _PAGE}
        found = self._session.query.call(region, "DescribeSnapshots", request, ec2_xml.snapshots)
        if found is not None:
            return [_with_digest(snapshot) for snapshot in found]
        client: EC2Client = self._session.client("ec2", region)
        with explained(self._session.call("looking up snapshots by digest", "EC2", "DescribeSnapshots", region)):
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
        conditions = [_filter(name, values) for name, values in filters]
        if not in_any_state and not any(name == "state" for name, _ in filters):
            conditions.append(_filter("state", ("available",)))
        more = {"IncludeDeprecated": True} if deprecated else {}
        return tuple(
            self._describe("looking up the source AMI", region, Owners=list(owners), Filters=conditions, **more)
        )

    def find_by_name(self, region: str, names: Sequence[str]) -> tuple[Ami, ...]:
        # The name of a disabled AMI is still in use.
        return self._find("looking up AMIs by name", region, "name", map(_literal, names), IncludeDisabled=True)

    def find_created_from(self, region: str, instances: Sequence[str]) -> tuple[Ami, ...]:
        return self._find("looking up AMIs by source instance", region, "source-instance-id", instances)

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        self._session.create_tags(region, ids, tags)

    def untag(self, region: str, ids: Sequence[str], names: Sequence[str]) -> None:
        client: EC2Client = self._session.client("ec2", region)
        try:
            with explained(self._session.call(f"removing tags from {', '.join(ids)}", "EC2", "DeleteTags", region)):
                client.delete_tags(Resources=list(ids), Tags=[{"Key": name} for name in names])
        except DeniedError:
            # The IAM policy in Packer's documentation has no DeleteTags. An empty value is equivalent to no tag.
            self.tag(region, ids, dict.fromkeys(names, ""))

    def drop_empty_tags(self, region: str, ids: Sequence[str], names: Sequence[str]) -> None:
        client: EC2Client = self._session.client("ec2", region)
        try:
            with explained(self._session.call(f"removing tags from {', '.join(ids)}", "EC2", "DeleteTags", region)):
                # With a value, EC2 deletes the tag only if it has this value (API reference, DeleteTags).
                client.delete_tags(Resources=list(ids), Tags=[{"Key": name, "Value": ""} for name in names])
        except DeniedError:
            pass

    def permissions(self, region: str, resource: str) -> frozenset[str]:
        client: EC2Client = self._session.client("ec2", region)
        found: Iterable[Mapping[str, Any]]
        of_snapshot = resource.startswith("snap-")
        action = "DescribeSnapshotAttribute" if of_snapshot else "DescribeImageAttribute"
        with explained(self._session.call(f"reading the permissions of {resource}", "EC2", action, region)):
            if of_snapshot:
                snapshot = client.describe_snapshot_attribute(SnapshotId=resource, Attribute="createVolumePermission")
                found = snapshot.get("CreateVolumePermissions", ())
            else:
                ami = client.describe_image_attribute(ImageId=resource, Attribute="launchPermission")
                found = ami.get("LaunchPermissions", ())
        return frozenset(str(target) for permission in found for target in permission.values())

    def grant(self, region: str, resource: str, targets: Sequence[str]) -> None:
        self._change_permissions(f"sharing {resource}", region, resource, "Add", targets)

    def revoke(self, region: str, resource: str, targets: Sequence[str]) -> None:
        self._change_permissions(f"revoking access to {resource}", region, resource, "Remove", targets)

    def _change_permissions(self, doing: str, region: str, resource: str, how: str, targets: Sequence[str]) -> None:
        client: EC2Client = self._session.client("ec2", region)
        if resource.startswith("snap-"):
            for some in batches(targets, _SNAPSHOT_CHANGES):
                with explained(self._session.call(doing, "EC2", "ModifySnapshotAttribute", region)):
                    client.modify_snapshot_attribute(
                        SnapshotId=resource,
                        Attribute="createVolumePermission",
                        CreateVolumePermission=_permission_change(how, some),
                    )
        else:
            with explained(self._session.call(doing, "EC2", "ModifyImageAttribute", region)):
                client.modify_image_attribute(ImageId=resource, LaunchPermission=_permission_change(how, targets))

    def copy(self, request: CopyRequest) -> str:
        client: EC2Client = self._session.client("ec2", request.region)
        source = request.source
        encryption: Any = {"Encrypted": True, "KmsKeyId": request.kms_key} if request.kms_key else {}
        tags: Any = [
            {"ResourceType": kind, "Tags": as_tags(these)}
            for kind, these in (("image", request.tags), ("snapshot", request.snapshot_tags))
            if these
        ]
        doing = f"copying {source.id} from {source.region}"
        with explained(self._session.call(doing, "EC2", "CopyImage", request.region)):
            response = client.copy_image(
                Name=request.name,
                SourceImageId=source.id,
                SourceRegion=source.region,
                TagSpecifications=tags,
                **encryption,
            )
            return _ami_id(response)

    def _describe(self, doing: str, region: str, **request: Any) -> Iterator[Ami]:
        with self._session.waiting(doing, region):
            found = self._describe_directly(region, {**request, "MaxResults": _PAGE})
            if found is None:
                yield from self._describe_with_botocore(doing, region, request)
        yield from (_ami(image, region) for image in found or ())

    def _describe_directly(self, region: str, request: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        return self._session.query.call(region, "DescribeImages", request, ec2_xml.image_dicts)

    def _describe_with_botocore(self, doing: str, region: str, request: Mapping[str, Any]) -> Iterator[Ami]:
        client: EC2Client = self._session.client("ec2", region)
        with explained(self._session.call(doing, "EC2", "DescribeImages", region)):
            pages = client.get_paginator("describe_images").paginate(PaginationConfig={"PageSize": _PAGE}, **request)
            for page in pages:
                for image in page["Images"]:
                    yield _ami(image, region)


def _permission_change(how: str, targets: Sequence[str]) -> Any:
    return {how: [{_permission_key(target): target} for target in targets]}


def _permission_key(target: str) -> str:
    """Returns EC2's key for a target: an account id, `all`, or the ARN of an organization or OU."""
    if target == "all":
        return "Group"
    if not target.startswith("arn:"):
        return "UserId"
    return "OrganizationalUnitArn" if ":ou/" in target else "OrganizationArn"


def _literal(text: str) -> str:
    """Escapes the wildcards of EC2's filters."""
    return re.sub(r"([*?\\])", r"\\\1", text)


def _filter(name: str, values: Sequence[str]) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}


def _ami_id(image: Mapping[str, Any]) -> str:
    """Returns the id, which is passed to templates. Raises `LookupError` if it is missing or malformed."""
    ami_id: str = image["ImageId"]
    if not ami_id.startswith("ami-"):
        raise LookupError(f"{ami_id[:40]!r} is not an AMI id")
    return ami_id


def _ami(image: Mapping[str, Any], region: str) -> Ami:
    """Converts an `Image` of EC2's response. Any member except the id may be missing."""
    return Ami(
        id=_ami_id(image),
        region=region,
        name=image.get("Name", ""),
        state=state_of(image.get("State", "")),
        created=moment_of(image.get("CreationDate", "")),
        owner=image.get("OwnerId", ""),
        tags={tag["Key"]: tag["Value"] for tag in image.get("Tags", ())},
        source=image.get("SourceImageId"),
        source_region=image.get("SourceImageRegion"),
        source_instance=image.get("SourceInstanceId"),
        state_reason=image.get("StateReason", {}).get("Message", ""),
        deprecated_at=moment_of(image.get("DeprecationTime", "")),
        snapshots=tuple(
            mapping["Ebs"]["SnapshotId"]
            for mapping in image.get("BlockDeviceMappings", ())
            if mapping.get("Ebs", {}).get("SnapshotId")
        ),
        last_launched=moment_of(image.get("LastLaunchedTime", "")),
        deregistration_protection=image.get("DeregistrationProtection", ""),
    )


def _with_digest(snapshot: Any) -> tuple[str, str]:
    tags = {tag["Key"]: tag["Value"] for tag in snapshot.get("Tags", ())}
    return tags.get(DIGEST_TAG, ""), snapshot["SnapshotId"]


def state_of(text: str) -> AmiState:
    """Returns the state that EC2 names; OTHER for one that is not known."""
    try:
        return AmiState(text)
    except ValueError:
        return AmiState.OTHER


def moment_of(text: str) -> datetime | None:
    """Parses EC2's dates, such as `2026-01-31T12:00:00.000Z`; None if malformed."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None
