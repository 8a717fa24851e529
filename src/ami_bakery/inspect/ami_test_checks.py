"""Checks the test of an image, without AWS and Packer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding, Level, link_findings, template_findings
from ami_bakery.define.inputs import template_folder
from ami_bakery.define.test_definition import (
    findings_of_test,
    inputs_of_test,
    may_read_unnamed,
    paths_of_test,
    settings_of_test,
)
from ami_bakery.inspect.input_findings import environment_findings, input_findings
from ami_bakery.inspect.reading_findings import reading_findings
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ami_bakery.core.config.model import ImageConfig, ImageTest
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.define.template_settings import TemplateSettings
    from ami_bakery.template.facts import TemplateFacts

_ONLY_FOR_IMAGES = frozenset({"no-ami", "skip-create-ami", "secret-in-inputs"})
"""Findings that do not apply to tests: they create no AMI, and the AMI does not contain their files."""
_MOST_NAMED = 3
_MORE_FILES = frozenset({"local-command", "unresolved-path"})
"""Findings about files that the digest may not cover."""


def ami_test_findings(resolver: Resolver, image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    """Yields the findings about the test of an image. `facts`: the image's."""
    if image.test is None:
        return
    yield from findings_of_test(resolver, image, facts)
    settings = resolver.settings(image)
    yield from _left_out_findings(settings, image.test, facts)
    of_test = settings_of_test(settings, image.test).image
    own, inventory = inputs_of_test(resolver, image, image.test)
    found = (
        *template_findings(own),
        *link_findings(inventory.entries, inventory.named_by),
        *input_findings(resolver, of_test, inventory),
        *environment_findings(of_test, own),
        *reading_findings(resolver.ports.tree, of_test, resolver.config.file, own, inventory),
    )
    yield from (_advised(finding, of_test) for finding in found if finding.code not in _ONLY_FOR_IMAGES)


def _left_out_findings(settings: TemplateSettings, test: ImageTest, facts: TemplateFacts) -> Iterator[Finding]:
    """Yields findings about which digest covers the files of the test. `facts`: the image's."""
    tree, image = settings.ports.tree, settings.image
    folder = template_folder(tree, image.template)
    reader = may_read_unnamed(facts) if image.inputs is None else None
    if reader is not None and _lies_in(template_folder(tree, test.template), folder):
        yield Finding.notice(
            "test-files-in-digest",
            reader[1],
            message=f"{reader[0]} may read files that nothing names, so the image's digest covers the files of its "
            "test, except the template and var-files",
            todo=f"Move the test out of {folder}, so that a change of its files does not build the image again.",
        )
    paths = paths_of_test(settings, facts)
    outermost = (path for path in sorted(paths) if not any(path != each and _lies_in(path, each) for each in paths))
    left = [path for path in outermost if _lies_in(path, folder) and tree.entry(path) is not None]
    if left:
        shown = left if len(left) <= _MOST_NAMED else [*left[:_MOST_NAMED], f"{len(left) - _MOST_NAMED} more"]
        yield Finding.notice(
            "test-files-left-out",
            settings_of_test(settings, test).image.location(settings.config.file, "template"),
            message=f"the image's digest does not cover the files of its test ({', '.join(shown)})",
            todo="If the image reads one of them, name it in the image's template or in `inputs`.",
        )


def _lies_in(path: str, folder: str) -> bool:
    return folder == "." or path == folder or path.startswith(f"{folder}/")


def _advised(finding: Finding, of_test: ImageConfig) -> Finding:
    """Replaces the advice to use `inputs`, which tests do not have."""
    if finding.code not in _MORE_FILES:
        return finding
    todo = "Name the files in the template, or keep them in its folder: without `inputs = []`, the folder counts."
    level = Level.NOTICE if finding.code == "local-command" and of_test.inputs is None else finding.level
    return replace(finding, level=level, todo=todo)
