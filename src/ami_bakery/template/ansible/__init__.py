"""Finds the files that Ansible reads for the playbooks of a provisioner."""

from ami_bakery.template.ansible.provisioner import find_ansible_files

__all__ = ["find_ansible_files"]
