"""Which fields of which components name files here, files to be written, credentials, or paths on another machine."""

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
"""Fields that are lists, and so may be given as one text with commas."""

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
"""Fields of the components we know that name files or folders here; they must be there."""

ELSEWHERE_OF: Mapping[str, frozenset[str]] = {
    "ansible": frozenset({"roles_path", "collections_path"}),  # ansible-galaxy writes there; roles are found by name
    "external": frozenset({"working_dir"}),
    "external-raw": frozenset({"working_dir"}),
    "ansible-navigator": frozenset({"roles_path", "collections_path"}),
}


def is_known(component_type: str) -> bool:
    """Whether every field of a component that is a path is in these tables."""
    return component_type in INPUTS or component_type == "null" or component_type.startswith("amazon-")


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
"""What is written where no `output` is given; `*` is what only Packer knows."""

MAY_BE_URLS: Mapping[str, frozenset[str]] = {"inspec": frozenset({"profile"})}
"""Every other field is a path to Packer, even with `://` in it."""

COMMANDS = re.compile(r"(?:^|_)(?:commands?|inline|arguments|args|program|exec(?:ute)?)$")
"""Names of fields of components that we do not know whose words may be files here."""

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
"""Files of keys and passwords: they do not shape the image, and must not show in its digest."""

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
"""Fields that look like paths but lead to the machine that is baked, or are written."""

LIKE_A_PATH = re.compile(
    r"(?:^|_)(?:files?|paths?|dirs?|director(?:y|ies)|folders?|scripts?|sources?|src|playbooks?|inventor(?:y|ies)"
    r"|templates?|manifests?|profiles?|tests?|config)$"
)
"""Names of fields that may be paths, in components that we do not know."""

MUST_BE_KNOWN = re.compile(r"(?:^|_)(?:files?|scripts?|director(?:y|ies)|playbooks?)$")
"""Names of fields that are paths so surely that one which cannot be worked out is said."""
