"""What Ansible reads on its own: the closure of the playbooks that a provisioner names."""

from ami_bakery.template.ansible.provisioner import find_ansible_files

__all__ = ["find_ansible_files"]
