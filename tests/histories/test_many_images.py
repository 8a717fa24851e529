"""Many images at once: the number of EC2 and SSM calls does not grow with the number of images, but by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import SHARED_TAG
from ami_bakery.local import FaultKind, InjectedFault, LocalAws
from tests.conftest import aws_client, ec2_client
from tests.harness import Harness, json_template
from tests.seed import finished, own_ami, public_ami, seed_images

REGIONS = ("us-east-1", "eu-west-1", "ap-south-1", "us-west-2")


@pytest.fixture
def clients(local: LocalAws) -> Iterator[tuple[EC2Client, ...]]:
    made = tuple(ec2_client(local, region) for region in REGIONS)
    yield made
    for client in made:
        client.close()


def images(harness: Harness, tables: dict[str, str], *, regions: Sequence[str] = REGIONS[:1]) -> None:
    """Configures images that share a template. `tables`: additional text of bakery.toml for each."""
    harness.write("ami/app.json", json_template())
    pinned = json_template(source_ami="{{user `source_ami`}}")
    del pinned["builders"][0]["source_ami_filter"]
    pinned["variables"]["source_ami"] = ""
    harness.write("pinned/app.json", pinned)
    text = f"version = 1\n[defaults]\nregions = {list(regions)}\n"
    for name, table in tables.items():
        folder = "pinned" if "from = " in table else "ami"
        text += f'[images.{name}]\ntemplate = "{folder}/app.json"\n{table}\n'
    harness.write("bakery.toml", text)


def asked(harness: Harness) -> dict[str, int]:
    """Returns the calls of `plan` for unchanged images, by action."""
    harness.control.clear_report()
    run = harness.run("plan", "--json")
    assert run.status == 0, run.stderr
    assert {plan["action"] for plan in run.images} == {"reuse"}
    return harness.calls()


def test_200_unchanged_images_of_one_filter_are_planned_with_two_calls(harness: Harness, ec2: EC2Client) -> None:
    images(harness, {f"i{number}": "" for number in range(200)})
    seed_images(harness, [ec2])
    assert asked(harness) == {"DescribeImages": 2}


def test_200_unchanged_images_of_200_ids_are_planned_with_two_calls(harness: Harness, ec2: EC2Client) -> None:
    bases = [own_ami(ec2, f"base-{number}") for number in range(200)]
    images(harness, {f"i{number}": f'from = "{base}"' for number, base in enumerate(bases)})
    seed_images(harness, [ec2])
    assert asked(harness) == {"DescribeImages": 2}


def test_450_images_in_four_regions_need_three_calls_for_each_region(
    harness: Harness, clients: Sequence[EC2Client]
) -> None:
    images(harness, {f"i{number}": "" for number in range(450)}, regions=REGIONS)
    seed_images(harness, clients)
    assert asked(harness) == {"DescribeImages": 1 + 3 * 4}
    calls = harness.control.report().calls
    assert Counter(call.region for call in calls) == {"us-east-1": 4, "eu-west-1": 3, "ap-south-1": 3, "us-west-2": 3}


def test_each_different_filter_is_one_call_and_equal_filters_are_one_call(harness: Harness, ec2: EC2Client) -> None:
    names = ["ubuntu/images/*jammy*", "ubuntu/images/*noble*", "ubuntu/images/*focal*"]
    images(
        harness,
        {
            f"i{number}": f'from = {{ owners = ["099720109477"], filters = {{ name = "{names[number % 3]}" }} }}'
            for number in range(12)
        },
    )
    seed_images(harness, [ec2])
    assert asked(harness) == {"DescribeImages": 3 + 1}


def test_several_slow_calls_are_reported_together_once(harness: Harness, ec2: EC2Client) -> None:
    names = ["ubuntu/images/*jammy*", "ubuntu/images/*noble*", "ubuntu/images/*focal*"]
    filters = [f'from = {{ owners = ["099720109477"], filters = {{ name = "{name}" }} }}' for name in names]
    images(harness, {f"i{number}": table for number, table in enumerate(filters)})
    harness.control.plan(InjectedFault(action="DescribeImages", kind=FaultKind.DELAY, seconds=600, times=3))
    process = harness.start("digest")
    assert process.stderr is not None
    said = process.stderr.readline()
    harness.control.clear_faults()
    _, rest = process.communicate(timeout=300)
    assert said + rest == "looking up the source AMI in us-east-1: waiting for EC2's response\n"


def test_ssm_calls_have_ten_parameters_each(harness: Harness, local: LocalAws, ec2: EC2Client) -> None:
    with closing(aws_client(local, "ssm")) as ssm:
        for number in range(12):
            ssm.put_parameter(Name=f"/base/{number}", Value=own_ami(ec2, f"base-{number}"), Type="String")
    images(harness, {f"i{number}": f'from = {{ ssm = "/base/{number % 12}" }}' for number in range(24)})
    seed_images(harness, [ec2])
    assert asked(harness) == {"GetParameters": 2, "DescribeImages": 2}


def test_each_generation_of_images_is_one_call(harness: Harness, ec2: EC2Client) -> None:
    """A child's digest contains its parent's AMI id. The previous call returns this id."""
    names = [f"i{number}" for number in range(10)]
    roots = dict.fromkeys(names, f'from = "{public_ami(ec2)}"')
    images(harness, roots | {f"{name}-child": f'from = "{name}"' for name in names} | {"leaf": 'from = "i3-child"'})
    for pattern in ("i?", "*-child", "leaf"):
        seed_images(harness, [ec2], pattern)
    assert asked(harness) == {"DescribeImages": 3 + 1}, "three generations, and the base of the first"


def test_reasons_of_pending_bakes_need_three_more_calls(harness: Harness, ec2: EC2Client) -> None:
    images(harness, {f"i{number}": "" for number in range(60)})
    run = harness.run("plan", "--json")
    assert {plan["action"] for plan in run.images} == {"bake"}
    assert harness.calls() == {"DescribeImages": 3, "DescribeSnapshots": 1, "DescribeTags": 1}


def test_check_looks_up_all_images_at_once(harness: Harness, ec2: EC2Client) -> None:
    images(harness, {f"i{number}": "" for number in range(5)})
    seed_images(harness, [ec2])
    harness.control.clear_report()
    assert harness.run("check").status == 0
    # For digests, for names, and for revoked AMIs.
    assert harness.calls() == {"DescribeImages": 3}


def test_check_reports_problems_of_the_parent_for_a_child(harness: Harness) -> None:
    images(harness, {"base": 'from = { ssm = "/not/there" }', "app": 'from = "base"'})
    (image,) = harness.run("check", "--json", "app").images
    assert image["image"] == "app"
    assert ["ParameterNotFound" in finding["message"] for finding in image["findings"]] == [True]


def test_parameters_are_read_one_by_one_if_only_that_is_allowed(harness: Harness, local: LocalAws) -> None:
    with closing(aws_client(local, "ssm")) as ssm, closing(ec2_client(local)) as ec2:
        for name in "ab":
            ssm.put_parameter(Name=f"/{name}", Value=own_ami(ec2, f"base-{name}"), Type="String")
    images(harness, {name: f'from = {{ ssm = "/{name}" }}' for name in "ab"})
    expected = harness.run("digest").answer
    harness.control.clear_report()
    harness.control.plan(InjectedFault(action="GetParameters", code="AccessDeniedException", times=0))
    assert harness.run("digest").answer == expected
    assert harness.calls() == {"GetParameters": 1, "GetParameter": 2}


def test_missing_parameter_stops_only_the_images_that_depend_on_it(
    harness: Harness, local: LocalAws, ec2: EC2Client
) -> None:
    with closing(aws_client(local, "ssm")) as ssm:
        ssm.put_parameter(Name="/a", Value=public_ami(ec2), Type="String")
    images(harness, {name: f'from = {{ ssm = "/{name}" }}' for name in "ab"})
    run = harness.run("bake", "--json")
    outcomes = {item["image"]: item for item in run.images}
    assert run.status == 1
    assert {name: item["outcome"] for name, item in outcomes.items()} == {"a": "baked", "b": "failed"}
    assert "ParameterNotFound" in outcomes["b"]["error"]
    assert harness.packer_runs == 1


def test_region_that_refuses_is_named(harness: Harness, clients: Sequence[EC2Client]) -> None:
    images(harness, {"a": ""}, regions=REGIONS)
    refusal = InjectedFault(action="DescribeImages", region="ap-south-1", code="UnauthorizedOperation", times=0)
    harness.control.plan(refusal)
    run = harness.run("plan")
    assert (run.status, run.stdout) == (1, "")
    assert "looking up AMIs by digest in ap-south-1" in run.stderr


def test_only_shared_images_need_permission_calls(harness: Harness, clients: Sequence[EC2Client]) -> None:
    shared = 'share_with = ["444455556666"]'
    images(harness, {f"i{number}": shared if number % 2 else "" for number in range(20)}, regions=REGIONS[:2])
    seed_images(harness, clients[:2])
    harness.control.clear_report()
    plans = harness.run("plan", "--json", "--steps").images
    assert {len(plan["steps"]) for plan in plans} == {0, 4}, "in both regions, the mark and the permission"
    assert harness.calls() == {"DescribeImages": 1 + 2 + 2, "DescribeImageAttribute": 10 * 2}


def test_200_shared_images_with_older_amis_need_two_more_calls_and_one_for_each_ami(
    harness: Harness, ec2: EC2Client
) -> None:
    """Older AMIs are not read one by one: their tags say with which accounts they are shared."""
    images(harness, {f"i{number}": 'share_with = ["444455556666"]' for number in range(200)})
    seed_images(harness, [ec2])
    for number in range(20):
        tags = finished(f"i{number}", "0" * 64) | {SHARED_TAG: "launch 444455556666"}
        own_ami(ec2, f"older-{number}", tags)
    assert asked(harness) == {"DescribeImages": 2 + 2, "DescribeImageAttribute": 200}
