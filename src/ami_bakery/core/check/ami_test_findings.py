"""Finds problems of the template that tests an image's AMI."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding, Level, produces_ami
from ami_bakery.core.packer.plugins import numbers_of
from ami_bakery.template.location import SourceLocation

if TYPE_CHECKING:
    from ami_bakery.template.facts import Builder, TemplateFacts

_KNOWS_SKIP_CREATE_AMI = (1, 7, 0)
"""The first Packer whose amazon-ebs builder has `skip_create_ami` (hashicorp/packer pull request 10531)."""


def template_conflict(own: Collection[str], image: Collection[str], file: str, line: int) -> Finding | None:
    """A finding if the image's build also reads the test's template.

    own, image  the template files of the test and of the image
    """
    shared = sorted(set(own) & set(image))
    if not shared:
        return None
    return Finding.error(
        "test-in-image-template",
        SourceLocation(file=file, line=line),
        message=f"{shared[0]} is a template of the image itself: the test would build the image again",
        todo="Move the test to a template of its own, in another folder if the image's template is a folder.",
    )


def builder_findings(facts: TemplateFacts, ami: str, packer: Callable[[], str]) -> Iterator[Finding]:
    """Yields the findings about the builders of a test.

    ami     the id that the template was read with, as the value of `source_ami`
    packer  returns Packer's version; it is called only if that matters
    """
    if facts.builds_nothing or not facts.builders:
        yield Finding.error(
            "test-without-build",
            SourceLocation(file=facts.files[0], line=1),
            message="no build of the test is selected, so nothing is tested",
            todo="Add a source that starts from var.source_ami to a `build` block, or fix `only` and `except`.",
        )
        return
    for builder in facts.builders:
        if builder.type.startswith("amazon-"):
            yield from _source_findings(builder, ami)
        if produces_ami(builder):
            yield _makes_ami(builder, packer())
    if not any(builder.type.startswith("amazon-") for builder in facts.builders):
        yield Finding.warning(
            "test-without-instance",
            facts.builders[0].location,
            message="no builder of the test starts an instance of the AMI",
            todo="Use an amazon-ebs builder with source_ami = var.source_ami and skip_create_ami = true.",
        )


def _source_findings(builder: Builder, ami: str) -> Iterator[Finding]:
    if builder.source_ami == ami:
        return
    unknown = builder.source_ami is None and builder.source_ami_filter is None and builder.base_unknown
    found = builder.source_ami or ("a filter" if builder.source_ami_filter else "no source_ami")
    yield Finding(
        level=Level.WARNING if unknown else Level.ERROR,
        code="test-of-another-ami",
        location=builder.location,
        message=f"cannot determine whether {builder.name} starts from the AMI under test: {builder.base_unknown}"
        if unknown
        else f"{builder.name} has {found}, so it does not start from the AMI under test",
        todo='Set source_ami = var.source_ami (in JSON: "{{user `source_ami`}}").',
    )


def _makes_ami(builder: Builder, packer: str) -> Finding:
    knows = numbers_of(packer) >= _KNOWS_SKIP_CREATE_AMI
    if knows:
        return Finding.error(
            "test-creates-ami",
            builder.location,
            message=f"{builder.name} of the test creates an AMI",
            todo="Set skip_create_ami = true in an amazon-ebs builder.",
        )
    return Finding.warning(
        "test-creates-ami",
        builder.location,
        message=f"{builder.name} of the test creates an AMI, which is removed after the test: "
        f"Packer {packer} does not have skip_create_ami",
        todo="Use Packer 1.7 or newer with skip_create_ami = true, or an amazon-ebsvolume builder.",
    )
