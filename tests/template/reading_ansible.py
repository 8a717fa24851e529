"""Reads a template with one provisioner of Ansible, whose playbook is `a/site.yml`."""

from __future__ import annotations

from pathlib import Path

from ami_bakery.template.facts import TemplateFacts, TemplateRequest
from ami_bakery.template.template_reader import PackerTemplateReader
from tests.trees import write_tree

SITE = {"a/site.yml": "- hosts: all\n"}


def read(root: Path, files: dict[str, str], settings: str = "", **environment: str) -> TemplateFacts:
    template = (
        '{"builders": [{"type": "null"}], "provisioners":'
        f' [{{"type": "ansible", "playbook_file": "a/site.yml"{settings}}}]}}'
    )
    tree = write_tree(root, {"a.json": template, **files})
    return PackerTemplateReader().read(tree, TemplateRequest(template="a.json", workdir=".", environment=environment))


def found(facts: TemplateFacts) -> set[str]:
    return {reference.path for reference in facts.references} - {"a/site.yml"}


def tasks(*lines: str) -> str:
    return "- hosts: all\n  tasks:\n" + "".join(f"    - {line}\n" for line in lines)


def read_hcl(
    root: Path, files: dict[str, str], settings: str, kind: str = "ansible", **environment: str
) -> TemplateFacts:
    """`settings`: the lines of the provisioner's block, but for the playbook of `ansible`."""
    named = 'playbook_file = "a/site.yml"' if kind == "ansible" else ""
    template = (
        'source "null" "x" {\n}\nbuild {\n  sources = ["null.x"]\n'
        f'  provisioner "{kind}" {{\n    {named}\n    {settings}\n  }}\n}}\n'
    )
    tree = write_tree(root, {"a.pkr.hcl": template, **SITE, **files})
    request = TemplateRequest(template="a.pkr.hcl", workdir=".", environment=environment)
    return PackerTemplateReader().read(tree, request)


def empty(*paths: str) -> dict[str, str]:
    return dict.fromkeys(paths, "")


def credentials(facts: TemplateFacts) -> set[str]:
    return {reference.path for reference in facts.credentials}


def unresolved(facts: TemplateFacts) -> list[str]:
    return [each.expression for each in facts.unresolved]
