"""The variables of a `*.env` file, and what fits into GitLab's dotenv report.

Source: https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv. GitLab rejects a report that is
larger as a whole, and the job with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LIMIT_VARIABLE = "AMI_BAKERY_DOTENV_LIMIT"
"""The environment variable for the number of variables: GitLab takes 50, 100 or 150, depending on the plan."""
_LEAST_VARIABLES, _MOST_VARIABLES = 50, 150
_BYTES = 5000

Variables = Sequence[tuple[str, str]]


def variable_limit(environment: Mapping[str, str]) -> int | None:
    """None outside of GitLab CI: only its report has a limit."""
    if environment.get("GITLAB_CI") != "true":
        return None
    asked = environment.get(LIMIT_VARIABLE, "")
    return min(int(asked), _MOST_VARIABLES) if asked.isascii() and asked.isdigit() else _LEAST_VARIABLES


def fitting(variables: Variables, general: frozenset[str], limit: int) -> Variables:
    """Those that fit, in their order: `general` ones first, then the others."""
    kept: set[str] = set()
    size = 0
    for name, value in sorted(variables, key=lambda item: item[0] not in general):
        length = len(f"{name}={value}\n".encode())
        if len(kept) < limit and size + length <= _BYTES:
            kept.add(name)
            size += length
    return [item for item in variables if item[0] in kept]
