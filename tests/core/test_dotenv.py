"""GitLab rejects a whole dotenv report that has too many variables or bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.ci.dotenv import fitting, variable_limit

NAMES = st.lists(st.from_regex(r"[A-Z]{1,90}", fullmatch=True), unique=True, max_size=250)


@given(NAMES, st.integers(1, 150), st.data())
def test_report_keeps_general_variables_before_others(names: list[str], limit: int, data: st.DataObject) -> None:
    general = frozenset(data.draw(st.lists(st.sampled_from(names), max_size=60)) if names else ())
    variables = [(name, "ami-0123456789abcdef0") for name in names]
    kept = fitting(variables, general, limit)
    assert len(kept) <= limit
    assert sum(len(f"{name}={value}\n") for name, value in kept) <= 5000
    assert [item for item in variables if item in kept] == list(kept)
    if any(name not in general for name, _ in kept):
        room = 5000 - sum(len(f"{name}={value}\n") for name, value in kept if name in general)
        missing = [name for name in general if name not in dict(kept)]
        assert all(len(f"{name}=ami-0123456789abcdef0\n") > room for name in missing)


@pytest.mark.parametrize(
    ("environment", "limit"),
    [
        ({}, None),
        ({"AMI_BAKERY_DOTENV_LIMIT": "100"}, None),
        ({"GITLAB_CI": "true"}, 50),
        ({"GITLAB_CI": "true", "AMI_BAKERY_DOTENV_LIMIT": "100"}, 100),
        ({"GITLAB_CI": "true", "AMI_BAKERY_DOTENV_LIMIT": "900"}, 150),
        ({"GITLAB_CI": "true", "AMI_BAKERY_DOTENV_LIMIT": "many"}, 50),
    ],
)
def test_limit_is_read_from_gitlabs_environment(environment: dict[str, str], limit: int | None) -> None:
    assert variable_limit(environment) == limit
