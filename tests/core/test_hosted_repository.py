"""Pages of a repository and its commits, from the URL of `origin` and the variables of CI systems."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.report.hosted_repository import commit_url, is_commit_id, repository_url

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GITHUB = {"GITHUB_SERVER_URL": "https://github.example.com", "GITHUB_REPOSITORY": "owner/name"}
GITLAB = {"CI_PROJECT_URL": "https://gitlab.example.com:8443/group/sub/name"}


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/owner/name.git", "https://github.com/owner/name"),
        ("https://github.com/owner/name", "https://github.com/owner/name"),
        ("https://github.com/owner/name/", "https://github.com/owner/name"),
        ("http://www.github.com/owner/name.git", "https://github.com/owner/name"),
        ("https://GitHub.com/owner/name.git", "https://github.com/owner/name"),
        ("git@github.com:owner/name.git", "https://github.com/owner/name"),
        ("github.com:owner/name", "https://github.com/owner/name"),
        ("git@github.com:/owner/name.git", "https://github.com/owner/name"),
        ("ssh://git@github.com/owner/name.git", "https://github.com/owner/name"),
        ("ssh://git@ssh.github.com:443/owner/name.git", "https://github.com/owner/name"),
        ("git://github.com/owner/name.git", "https://github.com/owner/name"),
        ("https://github.com/owner/na.me.git", "https://github.com/owner/na.me"),
        ("https://github.com/owner/name.git?x=y#z", "https://github.com/owner/name"),
        ("https://gitlab.com/group/sub/name.git", "https://gitlab.com/group/sub/name"),
        ("git@gitlab.com:group/sub/name.git", "https://gitlab.com/group/sub/name"),
        ("https://user@bitbucket.org/owner/name.git", "https://bitbucket.org/owner/name"),
        ("git@bitbucket.org:owner/name.git", "https://bitbucket.org/owner/name"),
        ("ssh://git@altssh.bitbucket.org:443/owner/name.git", "https://bitbucket.org/owner/name"),
    ],
)
def test_page_of_a_known_host(remote: str, page: str) -> None:
    assert repository_url(remote, {}) == page


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/owner/name.git", "https://github.com/owner/name/commit/"),
        ("https://gitlab.com/group/sub/name.git", "https://gitlab.com/group/sub/name/-/commit/"),
        ("git@bitbucket.org:owner/name.git", "https://bitbucket.org/owner/name/commits/"),
    ],
)
def test_page_of_a_commit(remote: str, page: str) -> None:
    assert commit_url(remote, {}, COMMIT) == page + COMMIT
    assert commit_url(remote, {}, COMMIT[:12]) is None
    assert commit_url(remote, {}, "../../settings") is None


def test_credentials_are_dropped() -> None:
    secret = "ghp_secret"
    for remote in (
        f"https://{secret}@github.com/owner/name.git",
        f"https://x-access-token:{secret}@github.com/owner/name.git",
        f"https://github.com/owner/name.git?token={secret}",
    ):
        assert repository_url(remote, {}) == "https://github.com/owner/name"
    environment = {"CI_PROJECT_URL": f"https://user:{secret}@gitlab.example.com/group/name?x={secret}"}
    origin = f"https://gitlab-ci-token:{secret}@gitlab.example.com/group/name.git"
    assert repository_url(origin, environment) == "https://gitlab.example.com/group/name"


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "/srv/git/name.git",
        "../name.git",
        "file:///srv/git/name.git",
        "C:\\name",
        "https://example.com/owner/name.git",
        "https://github.com.example.com/owner/name",
        "https://github.com@example.com/owner/name",
        "https://example.com/github.com/owner/name",
        "https://github.com/",
        "https://github.com/owner",
        "https://github.com/owner/name/extra",
        "https://github.com/owner/..",
        "https://github.com/owner/na me",
        'https://github.com/owner/na"me',
        "https://github.com/owner/na\nme",
        "https://github.com/owner/%2e%2e",
        "git@github.com:owner",
        "javascript://github.com/owner/name",
        "ext::sh -c x",
        "https://[github.com/owner/name",
        "git@github.com:22:owner/name",
    ],
)
def test_unknown_host_or_malformed_url_has_no_page(remote: str) -> None:
    assert repository_url(remote, {}) is None
    assert commit_url(remote, {}, COMMIT) is None


def test_ci_names_the_page_on_its_own_host() -> None:
    page = "https://github.example.com/owner/name"
    for remote in ("", "git@github.example.com:owner/name.git", "https://t@github.example.com/owner/name"):
        assert repository_url(remote, GITHUB) == page
        assert commit_url(remote, GITHUB, COMMIT) == f"{page}/commit/{COMMIT}"
    page = "https://gitlab.example.com:8443/group/sub/name"
    for remote in ("", "ssh://git@gitlab.example.com:2222/group/sub/name.git"):
        assert repository_url(remote, GITLAB) == page
        assert commit_url(remote, GITLAB, COMMIT) == f"{page}/-/commit/{COMMIT}"


def test_gitlab_below_a_path_has_its_full_page() -> None:
    environment = {"CI_PROJECT_URL": "https://example.com/gitlab/group/name"}
    assert repository_url("git@example.com:group/name.git", environment) == "https://example.com/gitlab/group/name"


def test_variables_of_another_repositorys_job_are_not_used() -> None:
    assert repository_url("git@github.example.com:owner/other.git", GITHUB) is None
    assert repository_url("https://gitlab.com/group/name.git", GITHUB | GITLAB) == "https://gitlab.com/group/name"
    assert repository_url("/srv/name.git", GITHUB) is None


@pytest.mark.parametrize("address", ["javascript:alert(1)//x/y", "file:///x/y", "https://", "x", "https://[x/y/z"])
def test_malformed_variables_are_ignored(address: str) -> None:
    assert repository_url("", {"CI_PROJECT_URL": address}) is None
    assert repository_url("", {"GITHUB_SERVER_URL": address, "GITHUB_REPOSITORY": "x"}) is None


@given(st.text(alphabet="https:/@.githubcomlabrgexn[]?#%\"'<> \n~-_0", max_size=60))
def test_any_remote_has_a_safe_page_or_none(text: str) -> None:
    for remote in (text, f"https://github.com/{text}", f"git@github.com:{text}", f"https://{text}github.com/a/b"):
        page = repository_url(remote, {})
        if page is not None:
            parts = urlsplit(page)
            assert parts.scheme == "https"
            assert parts.netloc in ("github.com", "gitlab.com", "bitbucket.org")
            assert not set(page) & set("\"'<> \n?#@%")


def test_commit_ids_are_full_lower_case_hex() -> None:
    assert is_commit_id(COMMIT)
    assert is_commit_id("a" * 64)
    assert not any(map(is_commit_id, ("", "HEAD", COMMIT[:-1], COMMIT + "\n", COMMIT.upper(), f"-{COMMIT[1:]}")))
