"""Warns of known problems of Packer, its plugins and Ansible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding
from ami_bakery.core.packer.plugins import how_to_pin, numbers_of
from ami_bakery.errors import BakeryError
from ami_bakery.template.location import SourceLocation

if TYPE_CHECKING:
    from ami_bakery.core.packer.arguments import PackerArguments
    from ami_bakery.ports import Ports
    from ami_bakery.template.facts import TemplateFacts

ENFORCED = "enforced-provisioners"
_ANSIBLE_WITH_ECDSA = (1, 9, 0)
"""The first Packer whose bundled Ansible plugin, if any, offers an ECDSA key (plugin 1.1.0 or later)."""
_ENFORCES = (1, 15, 2)
_SSH_VARIABLES = ("ANSIBLE_SSH_ARGS", "ANSIBLE_SSH_COMMON_ARGS", "ANSIBLE_SSH_EXTRA_ARGS")
_ALGORITHMS = "HostKeyAlgorithms"


def pitfalls(ports: Ports, facts: TemplateFacts, arguments: PackerArguments) -> Iterator[Finding]:
    """Yields warnings of known problems.

    These are not errors, because each may be intended, or only concern this machine. Yields nothing if Packer is not
    installed.
    """
    try:
        version = ports.packer.version()
    except BakeryError:
        return
    yield from _plugins_gone(version, facts)
    yield from _ansible(ports, version, facts)
    yield from _enforced(ports, version, facts, arguments)


def _plugins_gone(version: str, facts: TemplateFacts) -> Iterator[Finding]:
    for plugin in facts.required_plugins:
        todo = how_to_pin(version, [plugin])
        if todo:
            yield Finding.warning(
                "plugin-not-on-github",
                plugin.location,
                message=f"`packer init` of Packer {version} fails with 404: the newest {plugin.source} that "
                f'"{plugin.version}" allows is not on GitHub, the only place where this Packer looks',
                todo=todo,
            )


def _ansible(ports: Ports, version: str, facts: TemplateFacts) -> Iterator[Finding]:
    if ports.environment.get("AMI_BAKERY_LOCAL_URL"):
        for location, _ in facts.ansible:
            yield Finding.warning(
                "ansible-not-executed",
                location,
                message="the embedded EC2 only records commands, so Ansible fails on its instances",
                todo="Build it in an AWS account, or skip the provisioner here (`only`, `except`).",
            )
    brings_own = any(plugin.source.endswith("hashicorp/ansible") for plugin in facts.required_plugins)
    if numbers_of(version) >= _ANSIBLE_WITH_ECDSA or brings_own or not _uses_default_algorithms(ports, facts):
        return
    for location, through_packer in facts.ansible:
        if through_packer and not ports.packer.ssh_accepts_rsa():
            yield Finding.warning(
                "ansible-host-key",
                location,
                message=f"Ansible cannot connect: the SSH server of Packer {version} only offers an ssh-rsa host key, "
                'which the installed OpenSSH refuses ("Their offer: ssh-rsa")',
                todo='Set ansible_ssh_extra_args = ["-oHostKeyAlgorithms=+ssh-rsa -oPubkeyAcceptedKeyTypes=+ssh-rsa"]'
                " or use_proxy = false, or use a newer Packer.",
            )


def _uses_default_algorithms(ports: Ports, facts: TemplateFacts) -> bool:
    """Whether neither the environment nor an ansible.cfg configures the accepted host keys."""
    if any(_ALGORITHMS in ports.environment.get(name, "") for name in _SSH_VARIABLES):
        return False
    configurations = (item.path for item in facts.references if item.path.endswith("ansible.cfg"))
    try:
        return not any(
            _ALGORITHMS.lower().encode() in ports.tree.read(path).lower()
            for path in configurations
            if ports.tree.entry(path) is not None
        )
    except BakeryError:
        return False


def _enforced(ports: Ports, version: str, facts: TemplateFacts, arguments: PackerArguments) -> Iterator[Finding]:
    """Warns if HCP Packer is enabled, by Packer's own rule (internal/hcp/registry/hcp.go).

    ami-bakery does not disable enforcement: an organization wants it, and `-skip-enforcement` needs an administrator.
    """
    skipped = any(word.lstrip("-") in ("skip-enforcement", "skip-enforcement=true") for word in arguments.other)
    location = _hcp_location(ports, facts) if numbers_of(version) >= _ENFORCES and not skipped else None
    if location is not None:
        yield Finding.warning(
            ENFORCED,
            location,
            message=f"Packer {version} adds the provisioners that HCP Packer enforces: they are not in the digest, so "
            "a change of them does not trigger a rebuild",
            todo="Change `salt` when they change, or build without them: `-- -skip-enforcement` (for administrators).",
        )


def _hcp_location(ports: Ports, facts: TemplateFacts) -> SourceLocation | None:
    """Returns the line that enables HCP Packer; None if it is disabled.

    If the environment enables it, returns the template's first line.
    """
    environment = ports.environment
    if environment.get("HCP_PACKER_REGISTRY", "").lower() in ("off", "0"):
        return None
    for file in facts.files:
        for number, line in enumerate(ports.tree.read(file).splitlines(), 1):
            if line.lstrip().startswith((b"hcp_packer_registry", b'"hcp_packer_registry"')):
                return SourceLocation(file=file, line=number)
    switched_on = environment.get("HCP_PACKER_BUCKET_NAME") or environment.get("HCP_PACKER_REGISTRY")
    return SourceLocation(file=facts.files[0], line=1) if switched_on and facts.files else None
