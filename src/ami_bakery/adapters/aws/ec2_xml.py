"""Parses EC2's XML responses into dictionaries with botocore's member names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element


class Ec2Response(Frozen):
    """One page of a response, or an element of it. All names are in one XML namespace."""

    element: Element
    namespace: str

    @classmethod
    def of(cls, action: str, body: bytes) -> Self:
        """Parses a response to `action`. Raises `ParseError` or `ValueError` if it is not one."""
        from xml.etree.ElementTree import XMLParser, fromstring

        # Always UTF-8, as in botocore; the XML declaration is ignored.
        root = fromstring(body, XMLParser(encoding="utf-8"))  # noqa: S314 - of AWS, over TLS
        namespace = root.tag.partition("}")[0] + "}"
        if root.tag != f"{namespace}{action}Response":
            raise ValueError(f"not a response to {action}: {root.tag}")
        return cls(element=root, namespace=namespace)

    @property
    def next_token(self) -> str:
        """Empty on the last page."""
        return self.text("nextToken") or ""

    def text(self, *path: str) -> str | None:
        return self.element.findtext(self.namespace + f"/{self.namespace}".join(path))

    def items(self, name: str) -> Iterator[Ec2Response]:
        for element in self.element.iterfind(f"{self.namespace}{name}/{self.namespace}item"):
            yield Ec2Response(element=element, namespace=self.namespace)


def image_dicts(response: Ec2Response) -> list[dict[str, Any]]:
    found = [_image(item) for item in response.items("imagesSet")]
    if not all(image.get("ImageId", "").startswith("ami-") for image in found):
        raise ValueError("an image without an id")
    return found


def security_groups(response: Ec2Response) -> list[dict[str, Any]]:
    found = [
        {"GroupId": item.text("groupId"), "GroupName": item.text("groupName") or "", "Tags": _tags(item)}
        for item in response.items("securityGroupInfo")
    ]
    if not all(group["GroupId"] for group in found):
        raise ValueError("a security group without an id")
    return found


def snapshots(response: Ec2Response) -> list[dict[str, Any]]:
    found = [{"SnapshotId": item.text("snapshotId"), "Tags": _tags(item)} for item in response.items("snapshotSet")]
    if not all(snapshot["SnapshotId"] for snapshot in found):
        raise ValueError("a snapshot without an id")
    return found


def resource_tags(response: Ec2Response) -> list[dict[str, Any]]:
    found = [
        {"ResourceId": item.text("resourceId"), "Key": item.text("key") or "", "Value": item.text("value") or ""}
        for item in response.items("tagSet")
    ]
    if not all(tag["ResourceId"] for tag in found):
        raise ValueError("a tag without a resource id")
    return found


def key_pair(response: Ec2Response) -> list[str]:
    """Returns the id of a created key pair."""
    key_pair_id = response.text("keyPairId")
    if not key_pair_id:
        raise ValueError("a key pair without an id")
    return [key_pair_id]


def done(response: Ec2Response) -> list[bool]:
    """Reads the response to an action that returns no data. Raises `ValueError` for `<return>false</return>`."""
    if response.text("return") not in (None, "true"):
        raise ValueError("EC2 did not confirm the action")
    return [True]


def _image(item: Ec2Response) -> dict[str, Any]:
    image: dict[str, Any] = {member: value for name, member in _TEXTS.items() if (value := item.text(name))}
    image["Tags"] = _tags(item)
    image["StateReason"] = {"Message": item.text("stateReason", "message") or ""}
    image["BlockDeviceMappings"] = [
        {"Ebs": {"SnapshotId": mapping.text("ebs", "snapshotId")}} for mapping in item.items("blockDeviceMapping")
    ]
    return image


def _tags(item: Ec2Response) -> list[dict[str, str]]:
    return [{"Key": tag.text("key") or "", "Value": tag.text("value") or ""} for tag in item.items("tagSet")]


_TEXTS = {
    "imageId": "ImageId",
    "name": "Name",
    "imageState": "State",
    "creationDate": "CreationDate",
    "imageOwnerId": "OwnerId",
    "sourceImageId": "SourceImageId",
    "sourceImageRegion": "SourceImageRegion",
    "sourceInstanceId": "SourceInstanceId",
    "deprecationTime": "DeprecationTime",
    "lastLaunchedTime": "LastLaunchedTime",
    "deregistrationProtection": "DeregistrationProtection",
}
"""Text members of an image: EC2's XML name, and botocore's name."""
