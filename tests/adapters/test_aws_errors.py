"""Messages for errors of EC2."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from ami_bakery.adapters.aws.errors import AwsCall, explained
from ami_bakery.errors import AwsError, UnansweredError


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "InvalidParameter",
            "Snapshots encrypted with the AWS Managed CMK can\u2019t be shared. Specify another snapshot.",
        ),
        ("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared"),
    ],
)
def test_sharing_an_ami_encrypted_with_the_default_key_explains_customer_managed_keys(code: str, message: str) -> None:
    """EC2's messages: one for AMIs (with a typographic apostrophe), one for snapshots."""
    call = AwsCall(doing="sharing ami-1", service="EC2", action="ModifyImageAttribute", region="us-east-1")
    with pytest.raises(AwsError) as caught, explained(call):
        raise ClientError({"Error": {"Code": code, "Message": message}}, "ModifyImageAttribute")
    assert caught.value.todo.startswith("To share encrypted AMIs, use a customer managed KMS key")


@pytest.mark.parametrize("code", ["503", "ServerInternal"])
def test_a_server_error_suggests_to_run_again_and_may_have_been_carried_out(code: str) -> None:
    """For a load balancer's response, botocore's error code is the HTTP status."""
    call = AwsCall(doing="acquiring the lock", service="EC2", action="CreateKeyPair", region="us-east-1")
    with pytest.raises(AwsError) as caught, explained(call):
        raise ClientError({"Error": {"Code": code, "Message": "Service Unavailable"}}, "CreateKeyPair")
    assert caught.value.todo.startswith("Wait a moment and run again")
    assert isinstance(caught.value, UnansweredError)


def test_denial_of_a_dependent_action_names_that_action() -> None:
    """DescribeImageReferences needs permissions of other services, which EC2 checks for the caller."""
    call = AwsCall(doing="looking up uses", service="EC2", action="DescribeImageReferences", region="us-east-1")
    message = (
        "User: arn:aws:iam::123456789012:user/a is not authorized to perform: ssm:DescribeParameters on resource: *"
    )
    with pytest.raises(AwsError) as caught, explained(call):
        raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": message}}, "DescribeImageReferences")
    assert caught.value.todo == "Allow the action ssm:DescribeParameters for these credentials."
