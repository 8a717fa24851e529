"""Jinja expressions of Ansible files, evaluated as far as their values are known."""
