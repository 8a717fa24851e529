"""EC2's answers in XML, with their members named as botocore names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element


class Ec2Response(Frozen):
    """One page, or a part of it. All names in EC2's answers are of one namespace."""

    element: Element
    namespace: str

    @classmethod
    def of(cls, action: str, body: bytes) -> Self:
        """Raises `ParseError` and `ValueError` for what is no answer to this action."""
        from xml.etree.ElementTree import XMLParser, fromstring

        # UTF-8 whatever it says of itself, as botocore has it.
        root = fromstring(body, XMLParser(encoding="utf-8"))  # noqa: S314 - of AWS, over TLS
        namespace = root.tag.partition("}")[0] + "}"
        if root.tag != f"{namespace}{action}Response":
            raise ValueError(f"not an answer to {action}: {root.tag}")
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


def image_dicts(answer: Ec2Response) -> list[dict[str, Any]]:
    found = [_image(item) for item in answer.items("imagesSet")]
    if not all(image.get("ImageId", "").startswith("ami-") for image in found):
        raise ValueError("an image without an id")
    return found


def security_groups(answer: Ec2Response) -> list[dict[str, Any]]:
    found = [
        {"GroupId": item.text("groupId"), "GroupName": item.text("groupName") or "", "Tags": _tags(item)}
        for item in answer.items("securityGroupInfo")
    ]
    if not all(group["GroupId"] for group in found):
        raise ValueError("a security group without an id")
    return found


def snapshots(answer: Ec2Response) -> list[dict[str, Any]]:
    found = [{"SnapshotId": item.text("snapshotId"), "Tags": _tags(item)} for item in answer.items("snapshotSet")]
    if not all(snapshot["SnapshotId"] for snapshot in found):
        raise ValueError("a snapshot without an id")
    return found


def key_pair(answer: Ec2Response) -> list[str]:
    """The id of one that was made."""
    made = answer.text("keyPairId")
    if not made:
        raise ValueError("a key pair without an id")
    return [made]


def done(answer: Ec2Response) -> list[bool]:
    """Of an action whose answer says no more than that, if so much."""
    if answer.text("return") not in (None, "true"):
        raise ValueError("it was not done")
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
}
"""What EC2's XML and botocore call the members of an image that are one text."""
