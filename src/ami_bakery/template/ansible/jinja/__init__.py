"""Evaluates Jinja expressions of Ansible files as far as values are known."""
