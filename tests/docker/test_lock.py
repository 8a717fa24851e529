"""The pinned versions of the image satisfy pyproject.toml; `scripts/lock` writes them."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = ("requirements.txt", "requirements-local.txt", "requirements-ansible.txt", "requirements-build.txt")
PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?P<rest>.*(?:\n +.*)*)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    """Returns the pinned versions by package name."""
    found = PIN.finditer((ROOT / "docker" / file).read_text())
    return {canonicalize_name(pin["name"]): pin["version"] for pin in found}


def requirements(file: str) -> list[str]:
    return re.findall(r"^[^#\s].*$", (ROOT / "docker" / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("file", "requirements_of_file"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        (
            "requirements-local.txt",
            PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["local"],
        ),
        ("requirements-build.txt", PROJECT["build-system"]["requires"] + requirements("build.in")),
        ("requirements-ansible.txt", requirements("ansible.in")),
    ],
)
def test_each_requirement_is_pinned_to_a_matching_version(file: str, requirements_of_file: list[str]) -> None:
    pinned = pins(file)
    for text in requirements_of_file:
        requirement = Requirement(text)
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{file} does not pin {text}: run scripts/lock"
        assert requirement.specifier.contains(version), f"{file} has {version} for {text}: run scripts/lock"


@pytest.mark.parametrize("file", FILES)
def test_each_pin_has_hashes(file: str) -> None:
    found = list(PIN.finditer((ROOT / "docker" / file).read_text()))
    assert found
    for pin in found:
        assert "--hash=sha256:" in pin["rest"], pin["name"]


def test_the_local_extra_uses_the_same_versions_of_shared_packages() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-local.txt").items()
