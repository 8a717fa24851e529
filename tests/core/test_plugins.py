"""Packer uses the highest version of a plugin that is installed and allowed."""

from __future__ import annotations

import pytest

from ami_bakery.core.packer.plugins import InstalledPlugin, PluginFile, allows, choose_plugins, parse_installed
from ami_bakery.template.facts import Plugin
from ami_bakery.template.location import SourceLocation

AMAZON = "github.com/hashicorp/amazon"


def test_list_of_installed_plugins_is_parsed() -> None:
    text = (
        "/root/.config/packer/plugins/github.com/hashicorp/amazon/packer-plugin-amazon_v1.2.8_x5.0_linux_amd64\n"
        "/root/.config/packer/plugins/github.com/hashicorp/amazon/packer-plugin-amazon_v1.10.0-dev_x5.0_linux_amd64\n"
        "/opt/packer-addons/example.com/a/goss/packer-plugin-goss_v3.2.1_x5.0_darwin_arm64\n"
        "a line of some other kind\n"
    )
    assert parse_installed(text) == (
        InstalledPlugin(source="example.com/a/goss", version="3.2.1", path=text.splitlines()[2]),
        InstalledPlugin(source=AMAZON, version="1.10.0-dev", path=text.splitlines()[1]),
        InstalledPlugin(source=AMAZON, version="1.2.8", path=text.splitlines()[0]),
    )


def test_last_of_two_binaries_of_a_version_is_used() -> None:
    paths = [f"{folder}/{AMAZON}/packer-plugin-amazon_v1.2.8_x5.0_linux_amd64" for folder in ("/b", "/a")]
    assert [plugin.path for plugin in parse_installed("\n".join(paths))] == paths[1:]


@pytest.mark.parametrize(
    ("constraint", "version", "allowed"),
    [
        ("", "1.0.0", True),
        ("1.2.8", "1.2.8", True),
        ("= 1.2.8", "1.2.9", False),
        (">= 1.2.8, < 2", "1.10.0", True),
        (">= 1.2.8, < 2", "2.0.0", False),
        ("~> 1", "1.9.0", True),
        ("~> 1.2", "1.9.0", True),
        ("~> 1.2", "2.0.0", False),
        ("~> 1.2.0", "1.2.9", True),
        ("~> 1.2.0", "1.3.0", False),
        ("~> 1.2.3", "1.2.2", False),
        ("!= 1.2.3", "1.2.3", False),
        (">v1.0.0", "1.0.1", True),
        ("< 1.2.0", "1.2.0-dev", True),
        ("nonsense", "1.0.0", False),
    ],
)
def test_version_constraints(constraint: str, version: str, allowed: bool) -> None:
    assert allows(constraint, version) is allowed


def required(version: str, source: str = AMAZON) -> Plugin:
    return Plugin(name="amazon", source=source, version=version, location=SourceLocation(file="a.pkr.hcl", line=1))


INSTALLED = (
    InstalledPlugin(source=AMAZON, version="1.2.8"),
    InstalledPlugin(source=AMAZON, version="1.10.0"),
    InstalledPlugin(source="github.com/x/goss", version="3.0.0"),
)


def test_highest_allowed_version_is_used() -> None:
    assert choose_plugins(INSTALLED, [required("~> 1.2")], []).used[0].version == "1.10.0"
    assert choose_plugins(INSTALLED, [required("~> 1.2.0", "hashicorp/amazon")], []).used[0].version == "1.2.8"


def test_required_plugin_that_is_not_installed_is_missing() -> None:
    choice = choose_plugins(INSTALLED, [required(">= 2")], ["amazon-ebs"])
    assert choice.used == ()
    assert choice.missing == (required(">= 2"),)


def test_plugin_is_found_by_the_type_of_a_component() -> None:
    choice = choose_plugins(INSTALLED, [], ["amazon-ebs", "goss", "shell"])
    assert [(item.name, item.version) for item in choice.used] == [("amazon", "1.10.0"), ("goss", "3.0.0")]


@pytest.mark.parametrize(
    ("kind", "name", "provides"),
    [
        ("provisioner", "goss", True),
        ("provisioner", "goss-2", False),
        ("plugin", "goss", True),
        ("plugin", "amazon", True),
        ("plugin", "ama", False),
        ("plugin", "amazon_v1.2.8_x5.0_linux_amd64", True),
        ("builder", "amazon", False),
    ],
)
def test_binary_provides_components_by_its_name(kind: str, name: str, provides: bool) -> None:
    assert PluginFile(kind=kind, name=name, path="/x").provides(["amazon-ebs", "goss"]) is provides
