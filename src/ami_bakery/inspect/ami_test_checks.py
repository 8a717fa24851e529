"""Checks the template and the inputs of an image's test, without AWS and Packer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Level, link_findings, template_findings
from ami_bakery.define.test_definition import findings_of_test, inputs_of_test, settings_of_test
from ami_bakery.inspect.input_findings import environment_findings, input_findings
from ami_bakery.inspect.reading_findings import reading_findings
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ami_bakery.core.check.finding import Finding
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import TemplateFacts

_ONLY_FOR_IMAGES = frozenset({"no-ami", "skip-create-ami", "secret-in-inputs"})
"""Findings that do not apply to tests: they create no AMI, and the AMI does not contain their files."""
_MORE_FILES = frozenset({"local-command", "unresolved-path"})
"""Findings about files that the digest may not cover."""


def ami_test_findings(resolver: Resolver, image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    """Yields the findings about the test of an image. `facts`: the image's."""
    if image.test is None:
        return
    yield from findings_of_test(resolver, image, facts)
    of_test = settings_of_test(resolver.settings(image), image.test).image
    own, inventory = inputs_of_test(resolver, image, image.test)
    found = (
        *template_findings(own),
        *link_findings(inventory.entries, inventory.named_by),
        *input_findings(resolver, of_test, inventory),
        *environment_findings(of_test, own),
        *reading_findings(resolver.ports.tree, of_test, resolver.config.file, own, inventory),
    )
    yield from (_advised(finding, of_test) for finding in found if finding.code not in _ONLY_FOR_IMAGES)


def _advised(finding: Finding, of_test: ImageConfig) -> Finding:
    """Replaces the advice to use `inputs`, which tests do not have."""
    if finding.code not in _MORE_FILES:
        return finding
    todo = "Name the files in the template, or keep them in its folder: without `inputs = []`, the folder counts."
    level = Level.NOTICE if finding.code == "local-command" and of_test.inputs is None else finding.level
    return replace(finding, level=level, todo=todo)
