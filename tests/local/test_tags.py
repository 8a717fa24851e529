"""Tags of key pairs and of several resources in one call, which the lock in EC2 relies on."""

from __future__ import annotations

import email.utils
import time
from typing import Any

from ami_bakery.local import Control

from .conftest import Client, bake
from .test_images import refusal

LOCK = [{"Key": "lock", "Value": "a"}]


def key_pair(ec2: Any, name: str) -> str:
    tagged = [{"ResourceType": "key-pair", "Tags": LOCK}]
    made: str = ec2.create_key_pair(KeyName=name, KeyType="ed25519", TagSpecifications=tagged)["KeyPairId"]
    return made


def tags(ec2: Any, *filters: tuple[str, str]) -> dict[tuple[str, str], str]:
    asked = [{"Name": name, "Values": [value]} for name, value in filters]
    return {(tag["ResourceId"], tag["Key"]): tag["Value"] for tag in ec2.describe_tags(Filters=asked)["Tags"]}


def test_call_with_a_missing_resource_tags_nothing(ec2: Any) -> None:
    ami, gone, there = bake(ec2, "one"), key_pair(ec2, "gone"), key_pair(ec2, "there")
    ec2.delete_key_pair(KeyPairId=gone)
    code, message = refusal(ec2.create_tags, Resources=[ami, gone], Tags=[{"Key": "done", "Value": "1"}])
    assert code == "InvalidKeyPair.NotFound"
    assert gone in message
    assert tags(ec2, ("key", "done")) == {}
    ec2.deregister_image(ImageId=ami)
    assert refusal(ec2.create_tags, Resources=[there, ami], Tags=[{"Key": "done", "Value": "1"}])[0] == (
        "InvalidAMIID.NotFound"
    )
    assert tags(ec2, ("key", "done")) == {}


def test_call_with_too_many_tags_for_one_resource_tags_nothing(ec2: Any) -> None:
    full, other = key_pair(ec2, "full"), key_pair(ec2, "other")
    ec2.create_tags(Resources=[full], Tags=[{"Key": str(number), "Value": ""} for number in range(49)])
    code, _ = refusal(ec2.create_tags, Resources=[other, full], Tags=[{"Key": "one more", "Value": ""}])
    assert code == "TagLimitExceeded"
    assert tags(ec2, ("key", "one more")) == {}


def test_key_pairs_are_found_by_tag_and_tags_by_key_pair_id(ec2: Any) -> None:
    first, second = key_pair(ec2, "first"), key_pair(ec2, "second")
    ec2.create_tags(Resources=[second], Tags=[{"Key": "lock", "Value": "b"}, {"Key": "note", "Value": "n"}])
    found = tags(ec2, ("key", "lock"), ("value", "b"), ("resource-type", "key-pair"))
    assert found == {(second, "lock"): "b"}
    assert tags(ec2, ("resource-id", second)) == {(second, "lock"): "b", (second, "note"): "n"}
    assert tags(ec2, ("tag:lock", "a")) == {(first, "lock"): "a"}
    assert tags(ec2, ("resource-type", "image")) == {}
    assert refusal(ec2.describe_tags, Filters=[{"Name": "name", "Values": ["x"]}])[0] == "InvalidParameterValue"
    values = [str(number) for number in range(201)]
    assert refusal(ec2.describe_tags, Filters=[{"Name": "value", "Values": values}])[0] == "FilterLimitExceeded"


def test_tags_are_paged(ec2: Any, control: Control) -> None:
    pairs = {key_pair(ec2, str(number)) for number in range(5)}
    control.change(page_cap=2)
    pages = list(ec2.get_paginator("describe_tags").paginate())
    assert [len(one["Tags"]) for one in pages] == [2, 2, 1]
    assert {tag["ResourceId"] for one in pages for tag in one["Tags"]} == pairs


def test_key_pair_changes_have_the_same_lag_as_ami_changes(ec2: Any, control: Control) -> None:
    old = key_pair(ec2, "old")
    control.change(lag_seconds=600)
    new = key_pair(ec2, "new")
    assert tags(ec2, ("key", "lock")) == {(old, "lock"): "a"}
    assert refusal(ec2.create_tags, Resources=[new], Tags=LOCK)[0] == "InvalidKeyPair.NotFound"
    assert refusal(ec2.create_key_pair, KeyName="new")[0] == "InvalidKeyPair.Duplicate", "a name is never late"
    ec2.create_tags(Resources=[old], Tags=[{"Key": "lock", "Value": "b"}])
    assert tags(ec2, ("key", "lock")) == {(old, "lock"): "a"}
    ec2.delete_key_pair(KeyPairId=old)
    ec2.create_tags(Resources=[old], Tags=[{"Key": "note", "Value": "to nobody"}])
    assert tags(ec2, ("key", "lock")) == {(old, "lock"): "a"}
    control.change(lag_seconds=0)
    assert tags(ec2, ("key", "lock")) == {(new, "lock"): "a"}
    assert refusal(ec2.create_tags, Resources=[old], Tags=LOCK)[0] == "InvalidKeyPair.NotFound"


def test_answers_and_errors_have_a_date_header(ec2: Any, client: Client) -> None:
    before = int(time.time())
    answer = ec2.create_key_pair(KeyName="one")["ResponseMetadata"]["HTTPHeaders"]["date"]
    refused = ""
    try:
        ec2.create_key_pair(KeyName="one")
    except ec2.exceptions.ClientError as error:
        refused = error.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    for date in (answer, refused):
        assert before <= email.utils.parsedate_to_datetime(date).timestamp() <= time.time()
