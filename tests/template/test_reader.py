"""The facts of templates: formats, errors, variables and builders."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.errors import TemplateError
from ami_bakery.template.facts import SourceAmiFilter, TemplateFormat
from ami_bakery.template.location import SourceLocation
from tests.template.reading import BUILD, paths, read

# --- formats and errors


def test_the_file_name_determines_the_format(tmp_path: Path) -> None:
    files = {"a.json": '{"builders": [{"type": "null"}]}', "f/a.pkr.hcl": BUILD % "", "f/b.pkr.json": "{}"}

    assert read(tmp_path, files, "a.json").format is TemplateFormat.JSON
    folder = read(tmp_path, {}, "f")
    assert folder.format is TemplateFormat.HCL2
    assert folder.files == ("f/a.pkr.hcl", "f/b.pkr.json")
    assert read(tmp_path, {}, "f/b.pkr.json").files == ("f/b.pkr.json",)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.json", '{\n "builders": [\n  {"type": "null",}\n ]\n}', 3),
        ("a.json", '{"builders": [] // no\n}', 1),
        ("a.json", '{"builders": [{}]}', 1),
        ("a.json", "\n[]", 2),
        (
            "a.json",
            '{"builders": [{"type": "null"}], "provisioners": [\n{"type": "shell",\n"script": "a",\n"script": "b"}]}',
            4,
        ),
        ("a.json", '{"builders": [{"type": "null", "x": NaN}]}', 1),
        ("a.pkr.hcl", 'locals {\n  a = "x"\n  b = \n}\n', 3),
        ("a.pkr.hcl", 'locals {\n  a = "x${"\n}\n', 2),
        ("a.pkr.hcl", "build {\n", 2),
        ("a.pkr.hcl", "a = <<E\nnever ends\n", 3),
        ("a.pkr.json", '{"source": {"amazon-ebs": {"a": 5}}}', 1),
        ("a.pkr.json", '{\n"locals": {"a": "${"}}', 2),
    ],
)
def test_a_syntax_error_names_its_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    with pytest.raises(TemplateError) as raised:
        read(tmp_path, {name: text}, name)

    assert f"{name}:{line}" in str(raised.value)
    assert raised.value.todo


def test_an_absent_template_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"nowhere\.json"):
        read(tmp_path, {}, "nowhere.json")


def test_an_empty_folder_is_not_a_template(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"no \*\.pkr\.hcl"):
        read(tmp_path, {"f/": ""}, "f")


def test_hcl_with_a_name_that_packer_reads_as_json_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="reads it as JSON"):
        read(tmp_path, {"a.hcl": ""}, "a.hcl")


def test_an_error_in_an_auto_var_file_names_that_file(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"f/x\.auto\.pkrvars\.hcl:2"):
        read(tmp_path, {"f/a.pkr.hcl": "", "f/x.auto.pkrvars.hcl": "a = 1\nb = = 2\n"}, "f")


# --- variables, secrets, environment


def test_variables_are_marked_as_required_and_sensitive(tmp_path: Path) -> None:
    hcl = 'variable "a" {}\nvariable "b" {\n  default = "x"\n  sensitive = true\n}\nvariables {\n  c = 1\n}\n'
    json = '{"variables": {"a": null, "b": "x", "c": 1}, "sensitive-variables": ["b"], "builders": []}'

    for name, text in (("a.pkr.hcl", hcl), ("a.json", json)):
        facts = read(tmp_path, {name: text}, name)
        flags = {each.name: (each.required, each.sensitive) for each in facts.variables}
        assert flags == {"a": (True, False), "b": (False, True), "c": (False, False)}
        assert facts.secrets == {"x"}


def test_secrets_are_the_effective_values_of_sensitive_variables(tmp_path: Path) -> None:
    hcl = 'variable "a" {\n  type = list(string)\n  sensitive = true\n}\nlocal "l" {\n  expression = "of-${var.a[0]}"\n  sensitive = true\n}\n'

    assert read(tmp_path, {"a.pkr.hcl": hcl}, variables={"a": '["s1", "s2"]'}).secrets == {"s1", "s2", "of-s1"}


def test_only_environment_variables_that_matter_are_reported(tmp_path: Path) -> None:
    hcl = 'variable "a" {\n  default = env("A")\n}\nvariable "b" {\n  default = env("B")\n}\n'
    json = '{"variables": {"a": "{{env `A`}}", "b": "{{env `B`}}"}, "builders": []}'

    in_hcl = read(tmp_path, {"a.pkr.hcl": hcl}, variables={"b": "given"})
    assert in_hcl.environment == (("A", SourceLocation(file="a.pkr.hcl", line=2)),)
    environment = {"PKR_VAR_a": "x", "PKR_VAR_b": "y", "PKR_VAR_c": "z"}
    facts = read(tmp_path, {"a.pkr.hcl": hcl}, environment=environment, variables={"b": "given"})
    assert [name for name, _ in facts.environment] == ["PKR_VAR_a"]
    in_json = read(tmp_path, {"a.json": json}, "a.json", variables={"b": "given"})
    assert [name for name, _ in in_json.environment] == ["A"]


def test_the_last_var_file_wins_in_either_format(tmp_path: Path) -> None:
    files = {
        "a.pkr.hcl": 'variable "v" {}\n' + BUILD % '  provisioner "shell" {\n    script = var.v\n  }',
        "one.pkrvars.json": '{"v": "one.sh"}',
        "two.pkrvars.hcl": 'v = "two.sh"\n',
    }

    in_order = read(tmp_path, files, var_files=("two.pkrvars.hcl", "one.pkrvars.json"))
    assert "one.sh" in paths(in_order)
    differing = read(tmp_path, {}, var_files=("one.pkrvars.json", "two.pkrvars.hcl"))
    assert "depends on the version of Packer" in differing.unresolved[0].why


# --- builders


def test_builders_are_evaluated(tmp_path: Path) -> None:
    hcl = """
variable "base" {
  default = "ami-1"
}
source "amazon-ebs" "a" {
  source_ami      = var.base
  ami_name        = "x-${timestamp()}-{{isotime}}"
  region          = "eu-west-1"
  ami_regions     = ["us-east-1", "us-west-2"]
  skip_create_ami = true
}
source "amazon-ebs" "b" {
  source_ami_filter {
    filters = {
      name = "ubuntu*"
      root-device-type = "ebs"
    }
    owners      = ["099"]
    most_recent = true
  }
}
source "amazon-ebs" "c" {
  source_ami = data.amazon-ami.x.id
}
source "amazon-ebs" "unused" {}
build {
  sources = ["source.amazon-ebs.a", "source.amazon-ebs.b", "amazon-ebs.c"]
}
"""
    a, b, c = read(tmp_path, {"a.pkr.hcl": hcl}).builders

    assert (a.name, a.type, a.source_ami, a.region) == ("amazon-ebs.a", "amazon-ebs", "ami-1", "eu-west-1")
    assert (a.ami_name, a.ami_regions) == ("x-${timestamp()}-{{isotime}}", ("us-east-1", "us-west-2"))
    assert a.skip_create_ami
    assert a.source_ami_filter is None
    assert b.source_ami_filter is not None
    assert b.source_ami_filter.filters == (("name", ("ubuntu*",)), ("root-device-type", ("ebs",)))
    assert (b.source_ami_filter.owners, b.source_ami_filter.most_recent) == (("099",), True)
    assert (c.source_ami, c.base_unknown) == (None, "data sources are queried only when Packer runs")


@pytest.mark.parametrize(
    ("base", "found"),
    [
        ("data.amazon-ami.x.id", True),
        ('"${data.amazon-ami.x.id}"', True),
        ("local.one", True),
        ("lower(data.amazon-ami.x.id)", False),
        ('"${data.amazon-ami.x.id}-x"', False),
        ("data.amazon-ami.x.name", False),
        ("data.amazon-ami.elsewhere.id", False),
        ("local.circle", False),
    ],
)
def test_a_data_source_id_as_source_ami_becomes_its_filter(tmp_path: Path, base: str, found: bool) -> None:
    hcl = """
locals {
  one    = local.two
  circle = local.circle
}
local "two" {
  expression = data.amazon-ami.x.id
}
data "amazon-ami" "x" {
  region      = "eu-west-1"
  owners      = ["self"]
  most_recent = true
  filters = {
    name = "golden-*"
  }
}
data "amazon-ami" "elsewhere" {
  owners = ["self"]
  filters = { name = "golden-*" }
  assume_role {
    role_arn = "arn:aws:iam::444455556666:role/x"
  }
}
source "amazon-ebs" "a" {
  source_ami = BASE
}
build {
  sources = ["source.amazon-ebs.a"]
}
"""
    (builder,) = read(tmp_path, {"a.pkr.hcl": hcl.replace("BASE", base)}).builders
    assert builder.source_ami is None
    if found:
        expected = SourceAmiFilter(
            filters=(("name", ("golden-*",)),), owners=("self",), most_recent=True, region="eu-west-1"
        )
        assert (builder.source_ami_filter, builder.base_unknown) == (expected, "")
    else:
        assert (builder.source_ami_filter, bool(builder.base_unknown)) == (None, True)


@pytest.mark.parametrize(("given", "deprecated"), [("true", True), ("false", False), ('"1"', True), ("0", False)])
def test_a_filter_may_include_deprecated_amis(tmp_path: Path, given: str, deprecated: bool) -> None:
    json = (
        '{"builders": [{"type": "amazon-ebs", "source_ami_filter": {"filters": {"name": "a"}, "owners": ["self"],'
        f' "include_deprecated": {given}}}}}]}}'
    )
    (builder,) = read(tmp_path, {"a.json": json}, "a.json").builders
    assert builder.source_ami_filter is not None
    assert builder.source_ami_filter.deprecated is deprecated


def test_an_unknown_filter_has_a_reason(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "amazon-ebs", "ami_name": "{{user `n`}}-{{timestamp}}",'
        ' "source_ami_filter": {"filters": {"name": "{{build `X`}}"}, "owners": "a,b"}}], "variables": {"n": "name"}}'
    )
    (builder,) = read(tmp_path, {"a.json": json}, "a.json").builders

    assert builder.source_ami_filter is None
    assert "known only when Packer runs" in builder.base_unknown
    assert builder.ami_name == "name-{{timestamp}}"


def test_required_plugins_are_listed(tmp_path: Path) -> None:
    hcl = 'packer {\n  required_plugins {\n    amazon = {\n      version = ">= 1.2"\n      source = "github.com/hashicorp/amazon"\n    }\n  }\n}\n'
    (plugin,) = read(tmp_path, {"a.pkr.hcl": hcl}).required_plugins

    assert (plugin.name, plugin.source, plugin.version) == ("amazon", "github.com/hashicorp/amazon", ">= 1.2")
    assert plugin.location == SourceLocation(file="a.pkr.hcl", line=3)
