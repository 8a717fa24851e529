"""Variables that the bakery passes only if the template declares them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.template.reading import BUILD, paths, read

JSON_BUILD = {
    "builders": [{"type": "amazon-ebs"}],
    "provisioners": [{"type": "shell", "script": "{{user `aws_region`}}.sh"}],
}
HCL_BUILD = BUILD % 'provisioner "shell" {\n script = "${var.aws_region}.sh"\n}'
SCRIPTS = {"eu-west-1.sh": "", "us-east-1.sh": "", ".sh": ""}
OPTIONAL = {"aws_region": "eu-west-1"}


@pytest.mark.parametrize(
    ("variables", "script"),
    [({"aws_region": "us-east-1"}, "eu-west-1.sh"), ({"aws_region": None}, "eu-west-1.sh"), ({}, ".sh")],
    ids=["default", "required", "undeclared"],
)
def test_a_json_template_gets_only_declared_variables(
    tmp_path: Path, variables: dict[str, str | None], script: str
) -> None:
    template = json.dumps({"variables": variables, **JSON_BUILD})
    assert paths(read(tmp_path, {"a.json": template, **SCRIPTS}, template="a.json", optional_variables=OPTIONAL)) == [
        script
    ]


@pytest.mark.parametrize("default", ['default = "us-east-1"', ""], ids=["default", "required"])
def test_an_hcl2_template_gets_only_declared_variables(tmp_path: Path, default: str) -> None:
    template = 'variable "aws_region" {\n' + default + "\n}\n" + HCL_BUILD
    assert paths(read(tmp_path, {"a.pkr.hcl": template, **SCRIPTS}, optional_variables=OPTIONAL)) == ["eu-west-1.sh"]


def test_an_explicit_variable_takes_precedence(tmp_path: Path) -> None:
    template = json.dumps({"variables": {"aws_region": ""}, **JSON_BUILD})
    facts = read(
        tmp_path,
        {"a.json": template, **SCRIPTS},
        template="a.json",
        optional_variables=OPTIONAL,
        variables={"aws_region": "us-east-1"},
    )
    assert paths(facts) == ["us-east-1.sh"]
