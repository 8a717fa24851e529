"""Selects the installed plugins of a build by Packer's rules: the highest allowed version.

Source: Packer's documentation of `required_plugins` ("Version Constraints") and hashicorp/go-version, constraint.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.template.facts import Plugin


class UsedPlugin(NamedTuple):
    """A plugin in the digest. `version` is empty if it is unknown without starting the program."""

    name: str
    version: str
    sha256: str


class InstalledPlugin(NamedTuple):
    """An installed plugin.

    source   as in required_plugins: `github.com/hashicorp/amazon`
    version  without a leading v
    path     of the program
    """

    source: str
    version: str
    path: str = ""

    @property
    def name(self) -> str:
        """The prefix of its components' types: the builder `amazon-ebs` belongs to the plugin `amazon`."""
        return self.source.rpartition("/")[2]

    def used(self, sha256: str) -> UsedPlugin:
        return UsedPlugin(name=self.source, version=self.version, sha256=sha256)


class PluginFile(NamedTuple):
    """A plugin program that Packer before 1.11 loads by its file name: `packer-KIND-NAME`.

    KIND is `builder`, `provisioner`, `post-processor` or `datasource`; or `plugin` if it has several components.
    """

    kind: str
    name: str
    path: str

    def provides(self, components: Iterable[str]) -> bool:
        """Whether it may provide one of these types. The components of a `plugin` are unknown without starting it."""
        # From 1.8 on, the name ends in front of the version.
        names = {self.name, self.name.partition("_")[0]}
        if self.kind != "plugin":
            return not names.isdisjoint(components)
        return any(kind == name or kind.startswith(f"{name}-") for kind in components for name in names)

    def used(self, sha256: str) -> UsedPlugin:
        return UsedPlugin(name=f"packer-{self.kind}-{self.name}", version="", sha256=sha256)


class PluginChoice(Frozen):
    """The plugins that Packer will use, and the missing ones. `packer init` must install the missing ones."""

    used: tuple[InstalledPlugin, ...]
    missing: tuple[Plugin, ...]


_BINARY = re.compile(r"([^/]+/[^/]+/[^/]+)/packer-plugin-[^/]+?_v(\d[^_]*)_x[\d.]+_\w+?(?:\.exe)?$")
"""Host, namespace and name, in any folder (PACKER_PLUGIN_PATH)."""


def parse_installed(text: str) -> tuple[InstalledPlugin, ...]:
    """Parses `packer plugins installed`: lines like `.../plugins/github.com/hashicorp/amazon/packer-plugin-...`.

    If there are two programs of the same plugin and version, Packer uses the last.
    """
    found: dict[tuple[str, str], InstalledPlugin] = {}
    for line in text.splitlines():
        path = line.strip()
        match = _BINARY.search(path.replace("\\", "/"))
        if match:
            found[match[1], match[2]] = InstalledPlugin(source=match[1], version=match[2], path=path)
    return tuple(found[key] for key in sorted(found))


_UNKNOWN = re.compile(r"The (?:builder|source|data source|provisioner|post-processor) (\S+) is unknown by Packer")
_OFFICIAL = ("amazon", "ansible")
"""HashiCorp's plugins in templates for AMIs, by the prefix of their components' types."""


def is_missing(said: str) -> bool:
    """Whether Packer's message says that required plugins are not installed."""
    return "plugins are required, but not installed" in said


def how_to_install(said: str) -> str:
    """Returns advice for a message about an unknown component, as one sentence; empty for other messages.

    Packer 1.10 and newer have no bundled plugins.
    """
    if is_missing(said):
        return "Run `packer init`, or allow it with --init or AMI_BAKERY_INIT=1."
    types = _UNKNOWN.findall(" ".join(said.split()))
    names = dict.fromkeys(name for name in _OFFICIAL for found in types if found.split("-")[0] == name)
    commands = " and ".join(f"`packer plugins install github.com/hashicorp/{name}`" for name in names)
    if commands:
        return (
            f"Install the plugin, which Packer from 1.10 on comes without: {commands}, or name it in required_plugins."
        )
    return "Install its plugin with `packer plugins install`, or name it in required_plugins." if types else ""


_LAST_ON_GITHUB: Mapping[str, tuple[str, str]] = {
    "github.com/hashicorp/amazon": ("1.3.10", ">= 1.2.8, < 1.3.10"),
    "github.com/hashicorp/ansible": ("1.1.4", ">= 1.1.0, < 1.1.4"),
}
"""By source: the first version whose files are on releases.hashicorp.com alone, and what to pin below it."""


def is_gone_from_github(plugin: Plugin) -> str:
    """Returns the constraint if the newest allowed version is not on GitHub.

    Returns an empty string if it is. `packer init` before 1.14 selects the newest version that has a tag on GitHub, and
    does not find its files.
    """
    first, pin = _LAST_ON_GITHUB.get(_full_source(plugin.source), ("", ""))
    if not first:
        return ""
    major, minor, patch = _numbers(first)
    newer = {
        first,
        *(f"{major}.{minor}.{number}" for number in range(patch, patch + 60)),
        *(f"{major}.{number}.0" for number in range(minor + 1, 60)),
        *(f"{number}.0.0" for number in range(major + 1, 9)),
        *(version for version in re.findall(r"\d+(?:\.\d+)*", plugin.version) if _key(version) >= _key(first)),
    }
    return pin if any(allows(plugin.version, version) for version in newer) else ""


_HAS_INIT, _INIT_FROM_RELEASES = (1, 7, 0), (1, 14, 0)


def how_to_pin(packer: str, plugins: Iterable[Plugin]) -> str:
    """Returns advice if `packer init` of this Packer version fails with 404; else empty."""
    if not _HAS_INIT <= _numbers(packer) < _INIT_FROM_RELEASES:
        return ""
    pins = {plugin.name: pin for plugin in plugins if (pin := is_gone_from_github(plugin))}
    written = " and ".join(f'version = "{pin}" for {name}' for name, pin in pins.items())
    return f"Write {written}, or use Packer 1.14 or newer." if pins else ""


def numbers_of(version: str) -> tuple[int, ...]:
    """Parses `1.16.0-dev` as (1, 16, 0)."""
    return _numbers(version)


def choose_plugins(
    installed: Sequence[InstalledPlugin], required: Sequence[Plugin], components: Iterable[str]
) -> PluginChoice:
    """Selects the required plugins, and the others that provide a component."""
    wanted = {_full_source(plugin.source): plugin for plugin in required}
    types = tuple(components)
    allowed: dict[str, list[InstalledPlugin]] = {}
    for item in installed:
        plugin = wanted.get(item.source)
        belongs = any(kind == item.name or kind.startswith(f"{item.name}-") for kind in types)
        if allows(plugin.version, item.version) if plugin else belongs:
            allowed.setdefault(item.source, []).append(item)
    used = (max(allowed[source], key=lambda item: _key(item.version)) for source in sorted(allowed))
    return PluginChoice(
        used=tuple(used), missing=tuple(plugin for source, plugin in wanted.items() if source not in allowed)
    )


def _full_source(source: str) -> str:
    """`hashicorp/amazon` is short for `github.com/hashicorp/amazon`."""
    return source if source.count("/") > 1 else f"github.com/{source}"


def allows(constraint: str, version: str) -> bool:
    """Whether `version` satisfies all parts of a constraint. Examples: `>= 1.2, < 2` and `~> 1.2.0`."""
    return all(_allows(part.strip(), version) for part in constraint.split(",") if part.strip())


def _allows(part: str, version: str) -> bool:
    match = re.fullmatch(r"(=|!=|>=|<=|>|<|~>)?\s*v?(\d[\w.+-]*)", part)
    if not match:
        return False
    operator, wanted = match[1] or "=", match[2]
    have, want = _key(version), _key(wanted)
    if operator == "~>":
        # The last part that is written may grow: ~> 1.2 is below 2, ~> 1.2.0 is below 1.3.
        segments = wanted.partition("-")[0].split(".")
        fixed = max(1, len(segments) - 1)
        return have >= want and _numbers(version)[:fixed] == _numbers(wanted)[:fixed]
    results = {
        "=": have == want,
        "!=": have != want,
        ">=": have >= want,
        "<=": have <= want,
        ">": have > want,
        "<": have < want,
    }
    return results[operator]


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3]]
    return (*numbers, *[0] * (3 - len(numbers)))


def _key(version: str) -> tuple[tuple[int, ...], bool, str]:
    """The sort key of a version: a pre-release is below its release."""
    prerelease = version.partition("-")[2]
    return _numbers(version), not prerelease, prerelease
