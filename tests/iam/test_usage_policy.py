"""The policy for the use of AMIs: every action is needed, and the others are not called."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ami_bakery.adapters.aws.ami_usage import BotoAmiUsage
from ami_bakery.adapters.aws.ec2 import BotoEc2
from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.errors import DeniedError
from ami_bakery.local import Control, LocalAws
from tests.conftest import aws_client
from tests.local.conftest import bake
from tests.local.test_launch_templates import template

from .test_policies import actions_of, load

HOME = "us-east-1"
CALLED_BY_EC2 = frozenset(
    {
        "ec2:DescribeInstances",
        "ec2:DescribeLaunchTemplates",
        "imagebuilder:GetContainerRecipe",
        "imagebuilder:ListContainerRecipes",
        "imagebuilder:ListImageRecipes",
        "ssm:DescribeParameters",
        "ssm:GetParameters",
    }
)
"""Actions that EC2 calls for the user."""


@pytest.fixture
def control(local: LocalAws) -> Iterator[Control]:
    control = Control(local.url)
    yield control
    control.enforce(None)


@pytest.fixture
def session(local: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSession]:
    environment = local.environment({"HOME": "/nobody"})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = AwsSession(environment)
    yield session
    for client in session._clients.values():
        client.close()
    session.close()


def test_use_of_amis_needs_the_whole_policy_and_nothing_more(
    ec2: Any, session: AwsSession, local: LocalAws, control: Control
) -> None:
    ami = bake(ec2, "app")
    ssm = aws_client(local, "ssm")
    ssm.put_parameter(Name="/ami-bakery/app/stable", Value=ami, Type="String", DataType="aws:ec2:image")
    ssm.close()
    made = template(ec2, "resolve:ssm:/ami-bakery/app/stable")
    usage, store = BotoAmiUsage(session), BotoEc2(session)
    calls: tuple[Callable[[], object], ...] = (
        lambda: store.find_by_id(HOME, [ami]),
        lambda: usage.references(HOME, [ami]),
        lambda: usage.auto_scaling_amis(HOME),
        lambda: usage.template_versions(HOME, [made]),
        lambda: usage.instance_amis(HOME),
    )

    def denials() -> list[str]:
        """Returns what to do about each denied call."""
        found = []
        for call in calls:
            try:
                call()
            except DeniedError as error:
                found.append(error.todo)
        return found

    policy = load("usage-policy.json")
    control.enforce(policy)
    control.clear_report()
    assert denials() == []
    called = {f"{call.service}:{call.action}" for call in control.report().calls}
    assert called | CALLED_BY_EC2 == actions_of(policy)
    for action in sorted(actions_of(policy)):
        smaller = copy.deepcopy(policy)
        for statement in smaller["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            statement["Action"] = [one for one in actions if one != action]
        smaller["Statement"] = [statement for statement in smaller["Statement"] if statement["Action"]]
        control.enforce(smaller)
        named = action if action != "ec2:DescribeInstanceImageMetadata" else "ec2:DescribeInstances"
        assert any(f"Allow the action {named} " in todo for todo in denials()), action
