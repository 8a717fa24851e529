"""Environment variables of a template that are in the digest by default."""

from __future__ import annotations

import pytest

from ami_bakery.template.env_inputs import why_not_hashed
from ami_bakery.template.facts import TemplateFacts, TemplateFormat, Variable
from ami_bakery.template.location import SourceLocation

FACTS = TemplateFacts(
    format=TemplateFormat.HCL2,
    files=("app.pkr.hcl",),
    variables=(
        Variable(name="motto", location=SourceLocation("app.pkr.hcl", 1), sensitive=True, required=True),
        Variable(name="color", location=SourceLocation("app.pkr.hcl", 2), sensitive=False, required=True),
    ),
    builders=(),
)


@pytest.mark.parametrize("name", ["APP_VERSION", "PKR_VAR_color", "TOKENIZER", "SECRETARY", "KEYBOARD_LAYOUT"])
def test_variables_that_describe_the_image_are_hashed(name: str) -> None:
    assert why_not_hashed(name, FACTS) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("HOME", "the machine or the account"),
        ("AWS_REGION", "the machine or the account"),
        ("PKR_VAR_motto", "sensitive"),
        ("GITHUB_TOKEN", "looks like a secret"),
        ("db_password", "looks like a secret"),
        ("API_KEY", "looks like a secret"),
    ],
)
def test_machine_variables_and_secrets_are_not_hashed_with_a_reason(name: str, why: str) -> None:
    assert why in (why_not_hashed(name, FACTS) or "")
