"""The Parameter Store of the embedded EC2, through real boto3: names, versions, labels, pages, tags, tiers."""

from __future__ import annotations

from typing import Any

import pytest

from ami_bakery.local import Control

from .conftest import Client
from .test_images import refusal

NAME = "/ami-bakery/app/prod"


@pytest.fixture
def ssm(client: Client) -> Any:
    return client("ssm")


def put(ssm: Any, value: str = "v", name: str = NAME, **options: Any) -> int:
    kind = {} if options.get("Overwrite") else {"Type": "String"}
    version: int = ssm.put_parameter(**({"Name": name, "Value": value} | kind | options))["Version"]
    return version


def get(ssm: Any, name: str = NAME) -> dict[str, Any]:
    found: dict[str, Any] = ssm.get_parameter(Name=name)["Parameter"]
    return found


def names(parameters: list[dict[str, Any]]) -> list[str]:
    return [parameter["Name"] for parameter in parameters]


def test_parameter_shows_its_value_version_and_arn(ssm: Any) -> None:
    put(ssm, "one")
    found = get(ssm)
    assert (found["Value"], found["Version"], found["Type"], found["DataType"]) == ("one", 1, "String", "text")
    assert found["ARN"] == "arn:aws:ssm:us-east-1:111122223333:parameter/ami-bakery/app/prod"


def test_missing_parameter_is_not_found(ssm: Any) -> None:
    assert refusal(ssm.get_parameter, Name=NAME)[0] == "ParameterNotFound"
    assert refusal(ssm.get_parameter_history, Name=NAME)[0] == "ParameterNotFound"
    assert refusal(ssm.delete_parameter, Name=NAME)[0] == "ParameterNotFound"
    assert refusal(ssm.label_parameter_version, Name=NAME, Labels=["a"])[0] == "ParameterNotFound"


def test_existing_parameter_changes_only_with_overwrite(ssm: Any) -> None:
    put(ssm, "one", Description="first")
    assert refusal(put, ssm=ssm, value="two") == (
        "ParameterAlreadyExists",
        "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
    )
    assert put(ssm, "two", Overwrite=True) == 2
    (described,) = ssm.describe_parameters()["Parameters"]
    assert (get(ssm)["Value"], described["Description"], described["Version"]) == ("two", "first", 2)


def test_overwrite_creates_a_parameter_that_does_not_exist(ssm: Any) -> None:
    assert put(ssm, Overwrite=True, Type="String") == 1
    assert refusal(put, ssm=ssm, name="/other", Overwrite=True) == (
        "ValidationException",
        "A parameter type is required when you create a parameter.",
    )


def test_tags_and_overwrite_exclude_each_other(ssm: Any) -> None:
    code, text = refusal(put, ssm=ssm, Overwrite=True, Type="String", Tags=[{"Key": "a", "Value": "b"}])
    assert (code, "tags and overwrite can't be used together" in text) == ("ValidationException", True)


def test_accounts_and_regions_have_their_own_parameters(ssm: Any, client: Client) -> None:
    put(ssm)
    assert refusal(client("ssm", "eu-west-1").get_parameter, Name=NAME)[0] == "ParameterNotFound"
    assert refusal(client("ssm", account=1).get_parameter, Name=NAME)[0] == "ParameterNotFound"
    arn = get(ssm)["ARN"]
    assert get(ssm, arn)["Value"] == "v"
    other = client("ssm", account=1)
    assert refusal(other.get_parameter, Name=arn)[0] == "ParameterNotFound"
    assert other.get_parameters(Names=[arn])["InvalidParameters"] == [arn]


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("aws-app", "ValidationException", "can't be prefixed with"),
        ("SSMapp", "ValidationException", "can't be prefixed with"),
        ("/ssm/app", "ValidationException", "can't be prefixed with"),
        ("/aws/app", "AccessDeniedException", "No access to reserved parameter name: /aws/app."),
        ("a/b", "ValidationException", "Parameter name must be a fully qualified name."),
        ("/a//b", "ValidationException", "sub-paths divided by slash symbol"),
        ("/a b", "ValidationException", "sub-paths divided by slash symbol"),
        ("/a:b", "ValidationException", "sub-paths divided by slash symbol"),
        ("/" + "/".join("a" * 16), "HierarchyLevelLimitExceededException", "maximum of 15 levels"),
        ("/" + "a" * 967, "ValidationException", "1011"),
    ],
)
def test_invalid_name_is_refused(ssm: Any, name: str, code: str, text: str) -> None:
    found = refusal(put, ssm=ssm, name=name)
    assert (found[0], text in found[1]) == (code, True), found


@pytest.mark.parametrize("name", ["/" + "/".join("a" * 15), "/" + "a" * 966, "app", " app "])
def test_longest_and_deepest_name_is_accepted(ssm: Any, name: str) -> None:
    put(ssm, name=name)
    assert get(ssm, name.strip())["Name"] == name.strip()


def test_name_with_one_level_is_the_same_with_and_without_slash(ssm: Any) -> None:
    put(ssm, name="app")
    assert refusal(put, ssm=ssm, name="/app")[0] == "ParameterAlreadyExists"
    assert get(ssm, "/app")["Name"] == "app"


def test_standard_value_has_at_most_4096_bytes(ssm: Any) -> None:
    put(ssm, "x" * 4096)
    code, text = refusal(put, ssm=ssm, value="x" * 4097, Overwrite=True)
    assert (code, "Standard tier parameters support a maximum parameter value of 4096 characters" in text) == (
        "ValidationException",
        True,
    )
    assert ssm.put_parameter(Name="/big", Value="x" * 4097, Type="String", Tier="Intelligent-Tiering")["Tier"] == (
        "Advanced"
    )
    assert refusal(put, ssm=ssm, name="/big", Overwrite=True, Tier="Standard")[0] == "ValidationException"


def test_type_and_data_type_of_a_parameter_do_not_change(ssm: Any) -> None:
    put(ssm)
    assert refusal(put, ssm=ssm, Overwrite=True, Type="StringList")[0] == "HierarchyTypeMismatchException"
    assert refusal(put, ssm=ssm, Overwrite=True, DataType="aws:ec2:image")[0] == "ValidationException"
    assert refusal(put, ssm=ssm, name="/new", DataType="Text") == (
        "ValidationException",
        "The following data type is not supported: Text (Data type names are all lowercase.)",
    )


def test_unmodelled_features_are_refused_with_a_clear_error(ssm: Any) -> None:
    code, text = refusal(put, ssm=ssm, DataType="integer")
    assert (code, "data type integer" in text) == ("UnsupportedOperation", True)
    policies = '[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2030-01-01T00:00:00.000Z"}}]'
    assert refusal(put, ssm=ssm, Policies=policies)[0] == "UnsupportedOperation"
    assert refusal(ssm.describe_parameters, Shared=True)[0] == "UnsupportedOperation"


def test_value_must_match_the_allowed_pattern_and_reference_no_parameter(ssm: Any) -> None:
    put(ssm, "ami-1", AllowedPattern="^ami-")
    assert refusal(put, ssm=ssm, value="x", Overwrite=True)[0] == "ParameterPatternMismatchException"
    assert refusal(put, ssm=ssm, name="/b", AllowedPattern="(")[0] == "InvalidAllowedPatternException"
    assert refusal(put, ssm=ssm, name="/b", value="{{ssm:a}}")[0] == "ValidationException"


def test_secure_string_is_readable_only_with_decryption(ssm: Any) -> None:
    ssm.put_parameter(Name="/secret", Value="hidden", Type="SecureString")
    assert "hidden" not in get(ssm, "/secret")["Value"]
    assert ssm.get_parameter(Name="/secret", WithDecryption=True)["Parameter"]["Value"] == "hidden"


def test_hundred_versions_are_kept(ssm: Any) -> None:
    for number in range(101):
        put(ssm, str(number), Overwrite=True, Type="String")
    pages = ssm.get_paginator("get_parameter_history").paginate(Name=NAME)
    versions = [(one["Version"], one["Value"]) for page in pages for one in page["Parameters"]]
    assert versions == [(number + 1, str(number)) for number in range(1, 101)]
    assert refusal(ssm.get_parameter, Name=f"{NAME}:1")[0] == "ParameterVersionNotFound"


def test_label_on_the_oldest_version_prevents_the_101st(ssm: Any) -> None:
    for number in range(100):
        put(ssm, str(number), Overwrite=True, Type="String")
    ssm.label_parameter_version(Name=NAME, ParameterVersion=1, Labels=["keep"])
    code, text = refusal(put, ssm=ssm, value="x", Overwrite=True)
    assert (code, "Version 1, the oldest version, can't be deleted" in text) == (
        "ParameterMaxVersionLimitExceeded",
        True,
    )
    ssm.label_parameter_version(Name=NAME, ParameterVersion=2, Labels=["keep"])
    assert put(ssm, "x", Overwrite=True) == 101


def test_history_shows_each_version_with_labels_and_user(ssm: Any) -> None:
    put(ssm, "one")
    put(ssm, "two", Overwrite=True)
    ssm.label_parameter_version(Name=NAME, ParameterVersion=1, Labels=["good"])
    history = ssm.get_parameter_history(Name=NAME)["Parameters"]
    assert [(one["Value"], one["Labels"]) for one in history] == [("one", ["good"]), ("two", [])]
    assert history[0]["LastModifiedUser"] == "arn:aws:iam::111122223333:user/embedded"


def test_history_names_the_role_session_that_put_a_version(ssm: Any, client: Client) -> None:
    role = client("iam").create_role(RoleName="deploy", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    session = client("sts").assume_role(RoleArn=role, RoleSessionName="job-7")["Credentials"]
    put(client("ssm", key=session["AccessKeyId"], secret=session["SecretAccessKey"]))
    (version,) = ssm.get_parameter_history(Name=NAME)["Parameters"]
    assert version["LastModifiedUser"] == "arn:aws:sts::111122223333:assumed-role/deploy/job-7"


def test_history_has_pages(ssm: Any) -> None:
    for number in range(3):
        put(ssm, str(number), Overwrite=True, Type="String")
    first = ssm.get_parameter_history(Name=NAME, MaxResults=2)
    rest = ssm.get_parameter_history(Name=NAME, MaxResults=2, NextToken=first["NextToken"])
    assert ([one["Version"] for one in first["Parameters"]], rest["Parameters"][0]["Version"]) == ([1, 2], 3)
    assert "NextToken" not in rest
    assert refusal(ssm.get_parameter_history, Name=NAME, NextToken="nonsense")[0] == "InvalidNextToken"


def test_label_moves_to_another_version(ssm: Any) -> None:
    put(ssm, "one")
    put(ssm, "two", Overwrite=True)
    assert ssm.label_parameter_version(Name=NAME, ParameterVersion=1, Labels=["live"])["ParameterVersion"] == 1
    assert (get(ssm, f"{NAME}:live")["Value"], get(ssm, f"{NAME}:live")["Selector"]) == ("one", ":live")
    assert ssm.label_parameter_version(Name=NAME, Labels=["live"])["ParameterVersion"] == 2
    assert get(ssm, f"{NAME}:live")["Value"] == "two"
    assert get(ssm, f"{NAME}:1")["Value"] == "one"
    assert refusal(ssm.get_parameter, Name=f"{NAME}:dead")[0] == "ParameterVersionNotFound"


def test_invalid_labels_are_returned_and_not_attached(ssm: Any) -> None:
    put(ssm)
    wanted = ["1st", "awsome", "SSM-x", "a b", "good.label-1_x"]
    answer = ssm.label_parameter_version(Name=NAME, Labels=wanted)
    assert answer["InvalidLabels"] == wanted[:4]
    assert ssm.get_parameter_history(Name=NAME)["Parameters"][0]["Labels"] == ["good.label-1_x"]
    for absent in (0, 2):
        call = {"Name": NAME, "ParameterVersion": absent, "Labels": ["a"]}
        assert refusal(ssm.label_parameter_version, **call)[0] == "ParameterVersionNotFound"


def test_version_has_at_most_ten_labels(ssm: Any) -> None:
    put(ssm)
    ssm.label_parameter_version(Name=NAME, Labels=[f"label-{number}" for number in range(10)])
    ssm.label_parameter_version(Name=NAME, Labels=["label-1"])
    assert refusal(ssm.label_parameter_version, Name=NAME, Labels=["more"])[0] == "ParameterVersionLabelLimitExceeded"
    code, text = refusal(ssm.label_parameter_version, Name=NAME, Labels=list("abcdefghijk"))
    assert (code, "Member must have length less than or equal to 10" in text) == ("ValidationException", True)
    removed = ssm.unlabel_parameter_version(Name=NAME, ParameterVersion=1, Labels=["label-1", "x"])
    assert (removed["RemovedLabels"], removed["InvalidLabels"]) == (["label-1"], ["x"])


def test_ten_names_are_read_in_one_call_and_eleven_are_refused(ssm: Any) -> None:
    for number in range(9):
        put(ssm, name=f"/p{number}")
    asked = [*(f"/p{number}" for number in range(8, -1, -1)), "/absent"]
    answer = ssm.get_parameters(Names=asked)
    assert (names(answer["Parameters"]), answer["InvalidParameters"]) == (sorted(asked)[1:], ["/absent"])
    assert refusal(ssm.get_parameters, Names=[*asked, "/more"]) == (
        "ValidationException",
        f"1 validation error detected: Value '[{', '.join(asked)}, /more]' at 'names' failed to satisfy constraint: "
        "Member must have length less than or equal to 10",
    )


def test_parameters_below_a_path_are_listed_in_pages_of_ten(ssm: Any) -> None:
    for number in range(12):
        put(ssm, name=f"/ami-bakery/app/c{number:02}")
    put(ssm, name="/ami-bakery/app/deep/er")
    put(ssm, name="/ami-bakery/application/c")
    first = ssm.get_parameters_by_path(Path="/ami-bakery/app")
    assert len(first["Parameters"]) == 10
    pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path="/ami-bakery/app/"))
    assert [len(page["Parameters"]) for page in pages] == [10, 2]
    pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path="/ami-bakery/", Recursive=True))
    assert sum(len(page["Parameters"]) for page in pages) == 14
    code, text = refusal(ssm.get_parameters_by_path, Path="/ami-bakery", MaxResults=11)
    assert (code, "Value '11' at 'maxResults' failed to satisfy constraint" in text) == ("ValidationException", True)
    assert refusal(ssm.get_parameters_by_path, Path="ami-bakery")[0] == "ValidationException"


def test_page_cap_shortens_pages(ssm: Any, control: Control) -> None:
    for number in range(3):
        put(ssm, name=f"/p{number}")
    control.change(page_cap=2)
    pages = list(ssm.get_paginator("describe_parameters").paginate())
    assert [names(page["Parameters"]) for page in pages] == [["/p0", "/p1"], ["/p2"]]
    assert refusal(ssm.describe_parameters, NextToken="nonsense")[0] == "InvalidNextToken"


def test_parameters_are_described_with_filters(ssm: Any) -> None:
    put(ssm, name="/a/one", Tags=[{"Key": "team", "Value": "x"}])
    put(ssm, name="/a/two", Type="StringList")
    put(ssm, name="/b/c/d")

    def described(**one: Any) -> list[str]:
        return names(ssm.describe_parameters(ParameterFilters=[one])["Parameters"])

    assert described(Key="Path", Values=["/a"]) == ["/a/one", "/a/two"]
    assert described(Key="Path", Values=["/b"]) == []
    assert described(Key="Path", Option="Recursive", Values=["/b"]) == ["/b/c/d"]
    assert described(Key="Name", Option="BeginsWith", Values=["/a/t"]) == ["/a/two"]
    assert described(Key="Name", Option="Contains", Values=["c/d"]) == ["/b/c/d"]
    assert described(Key="Type", Values=["StringList"]) == ["/a/two"]
    assert described(Key="tag:team", Values=["x"]) == ["/a/one"]
    assert described(Key="DataType", Values=["text"]) == ["/a/one", "/a/two", "/b/c/d"]
    assert refusal(ssm.describe_parameters, ParameterFilters=[{"Key": "Label", "Values": ["x"]}])[0] == (
        "InvalidFilterKey"
    )
    bad = [{"Key": "Path", "Option": "Equals", "Values": ["/a"]}]
    assert refusal(ssm.describe_parameters, ParameterFilters=bad)[0] == "InvalidFilterOption"


def test_path_is_filtered_by_label(ssm: Any) -> None:
    put(ssm, name="/a/one")
    put(ssm, name="/a/two")
    ssm.label_parameter_version(Name="/a/two", Labels=["live"])
    found = ssm.get_parameters_by_path(Path="/a", ParameterFilters=[{"Key": "Label", "Values": ["live"]}])
    assert names(found["Parameters"]) == ["/a/two"]
    refused = [{"Key": "Name", "Values": ["x"]}]
    assert refusal(ssm.get_parameters_by_path, Path="/a", ParameterFilters=refused)[0] == "InvalidFilterKey"


def test_deleted_parameter_starts_again_at_version_1(ssm: Any) -> None:
    put(ssm, name="/a")
    put(ssm, name="/a", Overwrite=True)
    ssm.delete_parameter(Name="/a")
    assert put(ssm, name="/a") == 1
    answer = ssm.delete_parameters(Names=["/a", "/b"])
    assert (answer["DeletedParameters"], answer["InvalidParameters"]) == (["/a"], ["/b"])


def test_tags_are_added_listed_and_removed(ssm: Any) -> None:
    put(ssm, Tags=[{"Key": "a", "Value": "1"}])
    where = {"ResourceType": "Parameter", "ResourceId": NAME}
    ssm.add_tags_to_resource(Tags=[{"Key": "b", "Value": "2"}], **where)
    ssm.remove_tags_from_resource(TagKeys=["a"], **where)
    assert ssm.list_tags_for_resource(**where)["TagList"] == [{"Key": "b", "Value": "2"}]
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    assert refusal(ssm.add_tags_to_resource, Tags=many, **where)[0] == "TooManyTagsError"
    assert refusal(ssm.list_tags_for_resource, ResourceType="Parameter", ResourceId="/x")[0] == "InvalidResourceId"


def test_public_parameters_are_readable_and_cannot_be_changed(ssm: Any, ec2: Any) -> None:
    path = "/aws/service/ami-amazon-linux-latest"
    (found, *_) = ssm.get_parameters_by_path(Path=path)["Parameters"]
    assert found["DataType"] == "aws:ec2:image"
    assert ec2.describe_images(ImageIds=[found["Value"]])["Images"]
    assert refusal(put, ssm=ssm, name=found["Name"], Overwrite=True)[0] == "AccessDeniedException"
    assert refusal(ssm.delete_parameter, Name=found["Name"])[0] == "ParameterNotFound"
    assert refusal(ssm.label_parameter_version, Name=found["Name"], Labels=["x"])[0] == "ParameterNotFound"
    assert ssm.describe_parameters()["Parameters"] == []
