"""Finds the pages of a repository and its commits on GitHub, GitLab and Bitbucket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

_HOSTS = {
    "github.com": "github.com",
    "www.github.com": "github.com",
    "ssh.github.com": "github.com",
    "gitlab.com": "gitlab.com",
    "www.gitlab.com": "gitlab.com",
    "altssh.gitlab.com": "gitlab.com",
    "bitbucket.org": "bitbucket.org",
    "www.bitbucket.org": "bitbucket.org",
    "altssh.bitbucket.org": "bitbucket.org",
}
"""Names of known hosts, with those for SSH over port 443, and the host of their pages."""
_GITHUB, _GITLAB, _BITBUCKET = "commit", "-/commit", "commits"
"""The path of a commit's page below that of its repository."""
_KINDS = {"github.com": _GITHUB, "gitlab.com": _GITLAB, "bitbucket.org": _BITBUCKET}
_SCHEMES = ("https", "http", "ssh", "git", "git+ssh", "ssh+git")
_SCP = re.compile(r"(?:[^@/:]+@)?([A-Za-z0-9.-]+):(?!//)(.+)", re.DOTALL)
"""Git's short form of SSH: `git@github.com:owner/name.git`."""
_PATH = re.compile(r"(?:[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class CommitInfo(Frozen):
    """A commit of this clone.

    subject    the first line of its message
    committed  in UTC; None if its date is invalid
    """

    subject: str
    committed: datetime | None


class _Page(Frozen):
    """The page of a repository. `kind`: the path of commits below it."""

    address: str
    kind: str


def is_commit_id(text: str) -> bool:
    """Whether a text is the full id of a commit. Anyone can write tags of AMIs."""
    return bool(_COMMIT.fullmatch(text))


def repository_url(remote: str, environment: Mapping[str, str]) -> str | None:
    """Returns the repository's page, without credentials; None if its host is unknown.

    remote       the URL of the remote `origin`; empty if there is none
    environment  GitHub Actions' and GitLab CI's variables name the page of `remote` on any host
    """
    page = _page(remote, environment)
    return page.address if page else None


def commit_url(remote: str, environment: Mapping[str, str], commit: str) -> str | None:
    """Returns the page of a commit; None if unknown. Arguments are those of `repository_url`, and the full id."""
    page = _page(remote, environment) if is_commit_id(commit) else None
    return f"{page.address}/{page.kind}/{commit}" if page else None


def _page(remote: str, environment: Mapping[str, str]) -> _Page | None:
    host, path = _location(remote)
    known = _HOSTS.get(host)
    if known is not None:
        # Only GitLab has groups in groups.
        is_valid = path.count("/") == 1 or (known == "gitlab.com" and path)
        return _Page(address=f"https://{known}/{path}", kind=_KINDS[known]) if is_valid else None
    for address, kind in _ci_pages(environment):
        ci_host, ci_path = _location(address)
        if ci_path and (not remote or (host == ci_host and f"/{ci_path}".endswith(f"/{path}"))):
            return _Page(address=_without_user(address), kind=kind)
    return None


def _ci_pages(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields the pages that the variables of a CI system name."""
    server, name = environment.get("GITHUB_SERVER_URL", ""), environment.get("GITHUB_REPOSITORY", "")
    pages = ((f"{server}/{name}" if server and name else "", _GITHUB), (environment.get("CI_PROJECT_URL", ""), _GITLAB))
    return ((address, kind) for address, kind in pages if address.startswith(("https://", "http://")))


def _location(address: str) -> tuple[str, str]:
    """Returns host and path of a URL or of git's short form; empty if it is a local path, or malformed."""
    if not address.isprintable():
        return "", ""  # urlsplit ignores some of these characters
    try:
        parts = urlsplit(address)
        host, path = (parts.hostname or "", parts.path) if parts.scheme in _SCHEMES and "://" in address else ("", "")
    except ValueError:
        return "", ""
    if not host and (match := _SCP.fullmatch(address)):
        host, path = match[1].lower(), match[2]
    path = path.strip("/").removesuffix(".git")
    return (host, path) if host and _PATH.fullmatch(path) else ("", "")


def _without_user(address: str) -> str:
    """Returns a valid URL without user, password, query and fragment."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}/{_location(address)[1]}"
