"""Writes a template for a test and reads it."""

from __future__ import annotations

from pathlib import Path

from ami_bakery.template.facts import TemplateFacts, TemplateRequest
from ami_bakery.template.template_reader import PackerTemplateReader
from tests.trees import write_tree

BUILD = 'source "amazon-ebs" "a" {\n}\nbuild {\n  sources = ["source.amazon-ebs.a"]\n%s\n}\n'


def read(
    root: Path, files: dict[str, str], template: str = "a.pkr.hcl", workdir: str = ".", **more: object
) -> TemplateFacts:
    request = TemplateRequest(template=template, workdir=workdir, **more)  # type: ignore[arg-type]
    return PackerTemplateReader().read(write_tree(root, files), request)


def paths(facts: TemplateFacts) -> list[str]:
    return [reference.path for reference in facts.references]
