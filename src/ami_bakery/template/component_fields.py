"""Tables of component fields: local inputs, outputs, credentials, and paths on the instance."""

from __future__ import annotations

import re
from collections.abc import Mapping

LISTS = frozenset(
    [
        "attributes",
        "cd_files",
        "cookbook_paths",
        "files",
        "floppy_dirs",
        "floppy_files",
        "include",
        "module_paths",
        "playbook_files",
        "playbook_paths",
        "role_paths",
        "scripts",
        "sources",
        "tests",
    ]
)
"""List fields, which may also be written as one comma-separated string."""

_SHELL = frozenset({"script", "scripts"})
BUILDER_INPUTS = frozenset({"user_data_file", "http_directory", "floppy_files", "floppy_dirs", "cd_files"})

INPUTS: Mapping[str, frozenset[str]] = {
    "shell": _SHELL,
    "shell-local": _SHELL,
    "powershell": _SHELL,
    "windows-shell": _SHELL,
    "file": frozenset({"source", "sources"}),
    "ansible": frozenset({"playbook_file", "inventory_file", "inventory_directory", "galaxy_file"}),
    "ansible-local": frozenset(
        {
            *("playbook_file", "playbook_files", "playbook_dir", "playbook_paths", "role_paths"),
            *("group_vars", "host_vars", "inventory_file", "galaxy_file"),
        }
    ),
    "puppet-masterless": frozenset({"manifest_file", "manifest_dir", "module_paths", "hiera_config_path"}),
    "puppet-server": frozenset(),
    "chef-solo": frozenset({"cookbook_paths", "roles_path", "data_bags_path", "environments_path", "config_template"}),
    "chef-client": frozenset({"config_template"}),
    "salt-masterless": frozenset({"local_state_tree", "local_pillar_roots", "minion_config", "grains_file"}),
    "inspec": frozenset({"profile", "attributes_directory", "attributes"}),
    "external": frozenset(),
    "external-raw": frozenset(),
    "hcp-sbom": frozenset(),
    "provenance": frozenset(),
    "converge": frozenset(),
    "goss": frozenset({"tests", "vars_file"}),
    "vagrant": frozenset({"include", "vagrantfile_template"}),
    "manifest": frozenset(),
    "checksum": frozenset(),
    "compress": frozenset(),
    "artifice": frozenset(),
    "breakpoint": frozenset(),
    "sleep": frozenset(),
    "windows-restart": frozenset(),
}
"""Fields of known components that name local files or folders, which must exist."""

ELSEWHERE_OF: Mapping[str, frozenset[str]] = {
    "ansible": frozenset({"roles_path", "collections_path"}),  # ansible-galaxy writes there; roles are found by name
    "external": frozenset({"working_dir"}),
    "external-raw": frozenset({"working_dir"}),
    "ansible-navigator": frozenset({"roles_path", "collections_path"}),
}


def is_known(component_type: str) -> bool:
    """Whether these tables have every path field of the component type."""
    return component_type in INPUTS or component_type == "null" or component_type.startswith("amazon-")


_AMAZON = frozenset(
    [
        "amazon-ami",
        "amazon-chroot",
        "amazon-ebs",
        "amazon-ebssurrogate",
        "amazon-ebsvolume",
        "amazon-import",
        "amazon-instance",
        "amazon-parameterstore",
        "amazon-secretsmanager",
    ]
)
"""The components of hashicorp/amazon: other plugins have components with this prefix, too."""


def reads_only_named_files(component_type: str) -> bool:
    """Whether the component reads only files that its fields or commands name.

    An InSpec profile may depend on other folders. Ansible's plugins are found where Ansible's files are read.
    """
    other = component_type in INPUTS and component_type != "inspec"
    return other or component_type in _AMAZON or component_type in ("null", "ansible-navigator")


OUTPUTS: Mapping[str, frozenset[str]] = {
    "manifest": frozenset({"output"}),
    "checksum": frozenset({"output"}),
    "compress": frozenset({"output"}),
    "docker-save": frozenset({"path"}),
    "artifice": frozenset({"files"}),
    "vagrant": frozenset({"output"}),
}
DEFAULT_OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "manifest": ("packer-manifest.json",),
    "checksum": ("packer_*_amazon-*.checksum",),
    "compress": ("packer_*_amazon-*",),
}
"""Files that are written if no `output` is set; `*` is a part that only Packer knows."""

MAY_BE_URLS: Mapping[str, frozenset[str]] = {"inspec": frozenset({"profile"})}
"""Packer reads every other field as a path, even if it contains `://`."""

COMMANDS = re.compile(r"(?:^|_)(?:commands?|inline|arguments|args|program|exec(?:ute)?)$")
"""Fields of unknown components whose words may be local files."""

CREDENTIALS = frozenset(
    [
        "account_file",
        "client_cert_path",
        "client_key",
        "client_key_path",
        "client_private_key_path",
        "credentials_file",
        "encrypted_data_bag_secret_path",
        "private_key_file",
        "service_account_key_file",
        "shared_credentials_file",
        "ssh_authorized_key_file",
        "ssh_bastion_certificate_file",
        "ssh_bastion_private_key_file",
        "ssh_certificate_file",
        "ssh_host_key_file",
        "ssh_key_path",
        "ssh_private_key_file",
        "validation_key_path",
        "vault_password_file",
        "x509_cert_path",
        "x509_key_path",
    ]
)
"""Files with keys and passwords: not part of the image, and not in its digest."""

ELSEWHERE = frozenset(
    [
        "bundle_destination",
        "bundle_upload_command",
        "chroot_mounts",
        "clean_staging_directory",
        "command_wrapper",
        "destination",
        "device_path",
        "download_path",
        "elevated_execute_command",
        "env_var_format",
        "execute_command",
        "install_command",
        "iso_target_path",
        "mount_path",
        "output",
        "output_dir",
        "output_directory",
        "puppet_bin_dir",
        "remote_cookbook_paths",
        "remote_env_var_path",
        "remote_file",
        "remote_folder",
        "remote_path",
        "remote_pillar_roots",
        "remote_state_tree",
        "root_device_name",
        "salt_bin_dir",
        "staging_dir",
        "staging_directory",
        "target",
        "target_path",
        "temp_config_dir",
        "trusted_certs_dir",
        "vault_path",
        "working_directory",
        "x509_upload_path",
    ]
)
"""Fields that look like paths but are on the instance, or are written."""

LIKE_A_PATH = re.compile(
    r"(?:^|_)(?:files?|paths?|dirs?|director(?:y|ies)|folders?|scripts?|sources?|src|playbooks?|inventor(?:y|ies)"
    r"|templates?|manifests?|profiles?|tests?|config)$"
)
"""Fields of unknown components that may be paths."""

MUST_BE_KNOWN = re.compile(r"(?:^|_)(?:files?|scripts?|director(?:y|ies)|playbooks?)$")
"""Fields that are certainly paths: an unknown value is a finding."""
