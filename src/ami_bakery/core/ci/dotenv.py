"""Limits a `*.env` file's variables to what GitLab's dotenv report allows.

Source: https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv. GitLab fails the job if the report is
too large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LIMIT_VARIABLE = "AMI_BAKERY_DOTENV_LIMIT"
"""The environment variable for the number of variables: GitLab allows 50, 100 or 150, depending on the plan."""
_LEAST_VARIABLES, _MOST_VARIABLES = 50, 150
_BYTES = 5000

Variables = Sequence[tuple[str, str]]


def variable_limit(environment: Mapping[str, str]) -> int | None:
    """The most variables of a report; None outside of GitLab CI, which is the only one with a limit."""
    if environment.get("GITLAB_CI") != "true":
        return None
    asked = environment.get(LIMIT_VARIABLE, "")
    return min(int(asked), _MOST_VARIABLES) if asked.isascii() and asked.isdigit() else _LEAST_VARIABLES


def fitting(variables: Variables, general: frozenset[str], limit: int) -> Variables:
    """Returns the variables that fit, in their order. `general` ones have priority."""
    kept: set[str] = set()
    size = 0
    for name, value in sorted(variables, key=lambda item: item[0] not in general):
        length = len(f"{name}={value}\n".encode())
        if len(kept) < limit and size + length <= _BYTES:
            kept.add(name)
            size += length
    return [item for item in variables if item[0] in kept]
