"""Finds the URL of the current CI job in its environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST = 200
_ADDRESSES = (
    "CI_JOB_URL",  # GitLab
    "BUILDKITE_BUILD_URL",
    "CIRCLE_BUILD_URL",
    "TRAVIS_JOB_WEB_URL",
    "DRONE_BUILD_LINK",
    "CI_PIPELINE_URL",  # Woodpecker, and GitLab before 11
    "CODEBUILD_BUILD_URL",
    "BUILD_URL",  # Jenkins, TeamCity
)
_COMPOSED = (
    ("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}", ""),
    ("https://bitbucket.org/{BITBUCKET_REPO_FULL_NAME}/pipelines/results/{BITBUCKET_BUILD_NUMBER}", ""),
    ("{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results", "buildId={BUILD_BUILDID}"),  # Azure Pipelines
    ("{SEMAPHORE_ORGANIZATION_URL}/jobs/{SEMAPHORE_JOB_ID}", ""),
)
"""URL and query. The query of a URL from the environment is removed, because it may contain a token."""


def ci_job(environment: Mapping[str, str]) -> str:
    """Returns the job's URL, without user name, password, query and fragment; empty if unknown."""
    for path, query in _COMPOSED:
        try:
            address, asked = path.format_map(environment), query.format_map(environment)
        except KeyError:
            continue
        if stripped := _stripped(address):
            return f"{stripped}?{asked}" if asked else stripped
    found = (_stripped(environment.get(name, "")) for name in _ADDRESSES)
    return next((address for address in found if address), "")


def _stripped(address: str) -> str:
    try:
        parts = urlsplit(address)
        host = parts.hostname
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or any(character.isspace() for character in parts.path):
        return ""
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))[:_LONGEST]
