"""SSM parameters of data type aws:ec2:image: SSM answers 200 first, and validates the AMI id later."""

from __future__ import annotations

from typing import Any

import pytest

from ami_bakery.local import Control

from .conftest import Client, bake, base_image, launch
from .test_images import refusal
from .test_policy import allow, policy

NAME = "/ami-bakery/app/prod"
OTHER = "444455556666"


@pytest.fixture
def ssm(client: Client) -> Any:
    return client("ssm")


def put(ssm: Any, value: str, **options: Any) -> int:
    kind = {} if options.get("Overwrite") else {"Type": "String"}
    call = {"Name": NAME, "Value": value, "DataType": "aws:ec2:image"} | kind | options
    version: int = ssm.put_parameter(**call)["Version"]
    return version


def value(ssm: Any) -> str:
    """Returns the parameter's value, or the error code."""
    found = ssm.get_parameters(Names=[NAME])["Parameters"]
    return str(found[0]["Value"]) if found else "absent"


def test_id_of_an_available_ami_becomes_the_value(ssm: Any, ec2: Any) -> None:
    made = bake(ec2, "app")
    assert put(ssm, made) == 1
    found = ssm.get_parameter(Name=NAME)["Parameter"]
    assert (found["Value"], found["DataType"], found["Version"]) == (made, "aws:ec2:image", 1)


def test_value_appears_only_after_validation(ssm: Any, ec2: Any, control: Control) -> None:
    first, second = bake(ec2, "app-1"), bake(ec2, "app-2")
    control.change(validation_seconds=1000)
    assert (put(ssm, first), value(ssm)) == (1, "absent")
    control.change(validation_seconds=0)
    assert value(ssm) == first
    control.change(validation_seconds=1000)
    assert (put(ssm, second, Overwrite=True), value(ssm)) == (2, first)
    control.change(validation_seconds=0)
    assert value(ssm) == second


@pytest.mark.parametrize("invalid", ["ami-0123456789abcdef0", "not-an-ami", "i-12345678"])
def test_value_that_is_no_ami_is_accepted_and_never_appears(ssm: Any, ec2: Any, invalid: str) -> None:
    assert (put(ssm, invalid), value(ssm)) == (1, "absent")
    made = bake(ec2, "app")
    put(ssm, made)
    assert (put(ssm, invalid, Overwrite=True), value(ssm)) == (2, made)
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == 1


def test_ami_of_another_region_never_appears(ssm: Any, client: Client) -> None:
    put(ssm, bake(client(region="eu-west-1"), "app"))
    assert value(ssm) == "absent"


def test_ami_of_another_account_appears_only_if_it_is_shared(ssm: Any, client: Client) -> None:
    other = client(account=1)
    made = bake(other, "app")
    put(ssm, made)
    assert value(ssm) == "absent"
    other.modify_image_attribute(ImageId=made, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    put(ssm, made)
    assert value(ssm) == made


def test_public_ami_appears(ssm: Any, ec2: Any) -> None:
    put(ssm, base_image(ec2))
    assert value(ssm) == base_image(ec2)


def test_pending_and_disabled_amis_never_appear(ssm: Any, ec2: Any, control: Control) -> None:
    made = bake(ec2, "disabled")
    ec2.disable_image(ImageId=made)
    put(ssm, made)
    assert value(ssm) == "absent"
    control.change(pending_seconds=1000)
    put(ssm, bake(ec2, "pending"))
    assert value(ssm) == "absent"


def test_caller_without_describe_images_gets_200_and_no_value(ssm: Any, ec2: Any, control: Control) -> None:
    made = bake(ec2, "app")
    control.enforce(policy(allow("ssm:*")))
    try:
        assert (put(ssm, made), value(ssm)) == (1, "absent")
    finally:
        control.enforce(None)
    assert value(ssm) == "absent"


def test_second_write_during_validation_is_refused(ssm: Any, ec2: Any, control: Control) -> None:
    made = bake(ec2, "app")
    put(ssm, made)
    control.change(validation_seconds=1000)
    put(ssm, made, Overwrite=True)
    assert refusal(put, ssm=ssm, value=made, Overwrite=True)[0] == "TooManyUpdates"
    assert value(ssm) == made


def test_overwriting_keeps_the_data_type_and_cannot_change_it(ssm: Any, ec2: Any) -> None:
    made = bake(ec2, "app")
    put(ssm, made)
    ssm.put_parameter(Name=NAME, Value="nonsense", Overwrite=True)
    assert value(ssm) == made
    code, _ = refusal(ssm.put_parameter, Name=NAME, Value=made, Overwrite=True, DataType="text")
    assert code == "ValidationException"
    assert refusal(put, ssm=ssm, value=made, Name="/list", Type="StringList")[0] == "ValidationException"


def test_deleting_cancels_a_pending_write(ssm: Any, ec2: Any, control: Control) -> None:
    put(ssm, bake(ec2, "app"))
    control.change(validation_seconds=1000)
    put(ssm, base_image(ec2), Overwrite=True)
    ssm.delete_parameter(Name=NAME)
    control.change(validation_seconds=0)
    assert value(ssm) == "absent"


def test_instance_starts_from_the_ami_that_a_parameter_names(ssm: Any, ec2: Any) -> None:
    first, second = bake(ec2, "app-1"), bake(ec2, "app-2")
    put(ssm, first)
    put(ssm, second, Overwrite=True)
    ssm.label_parameter_version(Name=NAME, ParameterVersion=1, Labels=["old"])
    assert launch(ec2, ImageId=f"resolve:ssm:{NAME}")["ImageId"] == second
    assert launch(ec2, ImageId=f"resolve:ssm:{NAME}:old")["ImageId"] == first
    assert launch(ec2, ImageId=f"resolve:ssm:{NAME}:1")["ImageId"] == first
    code, text = refusal(launch, ec2=ec2, ImageId="resolve:ssm:/absent")
    assert (code, "/absent" in text) == ("InvalidParameterValue", True)


def test_starting_from_a_parameter_needs_permission_to_read_it(ssm: Any, ec2: Any, control: Control) -> None:
    put(ssm, bake(ec2, "app"))
    control.enforce(policy(allow("ec2:*")))
    try:
        code, text = refusal(launch, ec2=ec2, ImageId=f"resolve:ssm:{NAME}")
    finally:
        control.enforce(None)
    assert (code, "ssm:GetParameters on resource" in text) == ("UnauthorizedOperation", True)


def test_starting_from_a_template_needs_permission_to_read_its_parameter(ssm: Any, ec2: Any, control: Control) -> None:
    put(ssm, bake(ec2, "app"))
    data = {"ImageId": f"resolve:ssm:{NAME}"}
    ec2.create_launch_template(LaunchTemplateName="app", LaunchTemplateData=data)
    call = {"LaunchTemplate": {"LaunchTemplateName": "app"}, "MinCount": 1, "MaxCount": 1}
    control.enforce(policy(allow("ec2:*")))
    try:
        code, text = refusal(ec2.run_instances, **call)
        control.enforce(policy(allow("ec2:*"), allow("ssm:GetParameters", f"arn:aws:ssm:*:*:parameter{NAME}")))
        assert ec2.run_instances(**call)["Instances"]
    finally:
        control.enforce(None)
    assert (code, f"parameter{NAME}" in text) == ("UnauthorizedOperation", True)


def test_throttled_put_changes_nothing(ssm: Any, ec2: Any, control: Control) -> None:
    from ami_bakery.local import InjectedFault

    control.plan(InjectedFault(action="PutParameter", code="ThrottlingException"))
    assert refusal(put, ssm=ssm, value=bake(ec2, "app")) == ("ThrottlingException", "Rate exceeded")
    assert value(ssm) == "absent"
