"""Checks the number of an AMI's tags against EC2's limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.ami import (
    COMPONENTS_TAG,
    DIGEST_TAG,
    FORMAT_TAG,
    FROM_TAG,
    IMAGE_TAG,
    ORIGIN_TAG,
    REGIONS_TAG,
    SHARED_TAG,
)
from ami_bakery.core.ec2.run import RUN_TAG

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.template.facts import Builder

_AT_MOST = 50
"""EC2 user guide, "Tag restrictions"."""
_ALWAYS = (DIGEST_TAG, IMAGE_TAG, FORMAT_TAG, FROM_TAG, COMPONENTS_TAG, ORIGIN_TAG, RUN_TAG)


def tag_findings(image: ImageConfig, builders: Iterable[Builder]) -> Iterator[Finding]:
    """Yields an error per builder whose AMI would have too many tags. EC2 would refuse them after the build."""
    for builder in builders:
        own = set(_ALWAYS) if image.scheme is Scheme.SHA256 else {DIGEST_TAG}
        own |= {SHARED_TAG} if image.share_with else set()
        own |= {REGIONS_TAG} if builder.ami_regions and image.scheme is Scheme.SHA256 else set()
        configured = {name for name, _ in image.tags}
        names = {*builder.tags, *configured, *own}
        if len(names) > _AT_MOST:
            yield Finding.error(
                "too-many-tags",
                builder.location,
                message=f"the AMI of {builder.name} would have {len(names)} tags, and EC2 allows {_AT_MOST}: "
                f"{len(builder.tags)} of the template, {len(configured)} of bakery.toml, {len(own)} of ami-bakery",
                todo=f"Remove {len(names) - _AT_MOST} or more of the template's tags and run_tags, or of `tags`.",
            )
