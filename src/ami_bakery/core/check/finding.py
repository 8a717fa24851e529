"""The findings of `check`: problems that would fail a bake or weaken the digest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.config.keys import is_account
from ami_bakery.core.definition.manifest import Entry, EntryKind
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.template.facts import Builder, TemplateFacts


class Level(StrEnum):
    ERROR = "error"
    """A bake would fail, or its AMI would not get the digest."""
    WARNING = "warning"
    """A bake would succeed, but the digest does not cover everything, or there is a risk."""
    NOTICE = "notice"
    """Information. `check --strict` does not fail for it."""

    @property
    def order(self) -> int:
        """The sort key: errors first."""
        return list(Level).index(self)


class Finding(Frozen):
    """A problem at one line of a file.

    code     a fixed word for programs
    message  the problem, as a clause
    todo     how to fix it, as a sentence
    """

    level: Level
    code: str
    location: SourceLocation
    message: str
    todo: str

    @classmethod
    def error(cls, code: str, location: SourceLocation, *, message: str, todo: str) -> Finding:
        return cls(level=Level.ERROR, code=code, location=location, message=message, todo=todo)

    @classmethod
    def warning(cls, code: str, location: SourceLocation, *, message: str, todo: str) -> Finding:
        return cls(level=Level.WARNING, code=code, location=location, message=message, todo=todo)

    @classmethod
    def notice(cls, code: str, location: SourceLocation, *, message: str, todo: str) -> Finding:
        return cls(level=Level.NOTICE, code=code, location=location, message=message, todo=todo)


def group_findings(found: Mapping[str, Sequence[Finding]]) -> tuple[tuple[tuple[str, ...], Finding], ...]:
    """Merges equal findings of several images, for example of a shared file. In the order of the images.

    `not-fully-checked` is merged even if its locations differ.
    """
    grouped: dict[Finding | tuple[str, str], tuple[Finding, list[str]]] = {}
    for image, findings in found.items():
        for finding in findings:
            key = (finding.code, finding.message) if finding.code == "not-fully-checked" else finding
            grouped.setdefault(key, (finding, []))[1].append(image)
    return tuple((tuple(images), finding) for finding, images in grouped.values())


def images_named(images: Sequence[str]) -> str:
    """Formats names: `image a`; `images a and b`; `images a, b, c and 197 more`."""
    if len(images) == 1:
        return f"image {images[0]}"
    shown = images[:3] if len(images) > 4 else images
    more = len(images) - len(shown)
    last = f"{more} more" if more else shown[-1]
    return f"images {', '.join(shown if more else shown[:-1])} and {last}"


_VOLATILE = re.compile(r"\{\{|\$\{")


def template_findings(facts: TemplateFacts) -> Iterator[Finding]:
    """Yields findings that follow from the template alone."""
    for item in facts.unresolved:
        yield Finding.warning(
            "unresolved-path",
            item.location,
            message=f"cannot determine the path {item.expression}: {item.why}",
            todo="Its files are not in the digest: use a static path, or add the files to `inputs`.",
        )
    for kind, location in facts.tolerant:
        yield Finding.warning(
            "failure-tolerated",
            location,
            message=f"this provisioner ({kind}) has continue_on_error: if it fails, the AMI does not get the digest",
            todo="Remove continue_on_error. If a failure does not matter, make the command exit 0 (`|| true`).",
        )
    for builder in facts.builders:
        yield from _builder_findings(builder)
    no_ami = _no_ami(facts)
    if no_ami is not None and not any(builder.skip_create_ami for builder in facts.builders):
        yield no_ami


def _builder_findings(builder: Builder) -> Iterator[Finding]:
    if builder.skip_create_ami:
        yield Finding.error(
            "skip-create-ami",
            builder.location,
            message=f"builder {builder.name!r} has skip_create_ami: it does not produce an AMI",
            todo="Remove skip_create_ami, or exclude this builder with `except`.",
        )
    if builder.source_ami_filter is not None and not builder.source_ami_filter.owners:
        yield Finding.error(
            "filter-without-owners",
            builder.location,
            message=without_owners(builder),
            todo='Add owners, for example "owners": ["099720109477"].',
        )


def without_owners(builder: Builder) -> str:
    return f"the source_ami_filter of {builder.name} has no owners: without owners, anyone's AMI can match"


def is_constant(name: str) -> bool:
    """Whether an evaluated AMI name has no part that only Packer knows."""
    return not _VOLATILE.search(name)


def name_finding(builder: Builder, existing: Iterable[str], *, by_digest: bool) -> Finding | None:
    """Finds a conflict of the AMI's name with existing or later AMIs.

    Packer does not start if an AMI of this name exists. A constant name fails from the second build on.

    existing   names of AMIs of this account in the build's region
    by_digest  whether the name changes with the digest
    """
    name = builder.ami_name
    if not name or not is_constant(name):
        return None
    shown = builder.ami_name_written or repr(name)
    if builder.force_deregister:
        return _replacing(builder, shown, exists=name in set(existing), by_digest=by_digest)
    if name in set(existing):
        return Finding.error(
            "ami-name-taken",
            builder.location,
            message=f"an AMI named {shown} already exists in this account, so the build of {builder.name} will fail",
            todo="Add {{timestamp}} to ami_name, or deregister that AMI if it is not needed.",
        )
    if not by_digest:
        return Finding.warning(
            "constant-ami-name",
            builder.location,
            message=f"ami_name of {builder.name} is constant ({shown}), so rebuilds will fail",
            todo="Add {{timestamp}} to ami_name.",
        )
    return None


def _replacing(builder: Builder, shown: str, *, exists: bool, by_digest: bool) -> Finding | None:
    """With `force_deregister` there is no conflict: Packer deregisters the AMI of this name."""
    if by_digest and not exists:
        return None
    return Finding.warning(
        "constant-ami-name",
        builder.location,
        message=f"ami_name of {builder.name} is constant ({shown}), and it has force_deregister: each build "
        "deregisters the previous AMI",
        todo="To keep AMIs that are in use, add {{timestamp}} to ami_name and remove force_deregister.",
    )


_WITHOUT_AMI = ("null", "file", "amazon-ebsvolume")
"""Builders that do not produce an AMI."""


def produces_ami(builder: Builder) -> bool:
    amazon = builder.type.startswith("amazon-") and builder.type not in _WITHOUT_AMI
    return amazon and not builder.skip_create_ami


def _producing(builders: Iterable[Builder]) -> list[Builder]:
    return list(filter(produces_ami, builders))


def built_elsewhere(facts: TemplateFacts, region: str) -> Finding | None:
    """A finding if every AMI is certainly built in another region. None if the template may copy it to this one."""
    producing = _producing(facts.builders)
    elsewhere = all(builder.region not in (None, region) and not builder.ami_regions for builder in producing)
    return next(region_findings(producing, region), None) if producing and elsewhere else None


def sure_failure(facts: TemplateFacts, region: str) -> Finding | None:
    """The reason why a bake in `region` certainly fails although Packer succeeds; None if that is not certain."""
    no_ami = _no_ami(facts)
    if no_ami is not None:
        return no_ami
    here = [builder for builder in _producing(facts.builders) if builder.region == region]
    return next(region_findings(facts.builders, region)) if len(here) > 1 else built_elsewhere(facts, region)


def _no_ami(facts: TemplateFacts) -> Finding | None:
    """A finding if there is no builder, or none produces an AMI. Packer 1.6.6 accepts a template without builders."""
    if facts.builds_nothing and facts.files:
        return Finding.error(
            "no-ami",
            SourceLocation(file=facts.files[0], line=1),
            message="the template has no build with a source, so it does not produce an AMI",
            todo="Add a source to a `build` block, or a builder to `builders`.",
        )
    if not facts.builders or "amazon-import" in facts.components:
        return None
    if not all(builder.type in _WITHOUT_AMI or builder.skip_create_ami for builder in facts.builders):
        return None
    names = " and ".join(repr(builder.name) for builder in facts.builders)
    plural = len(facts.builders) > 1
    return Finding.error(
        "no-ami",
        facts.builders[0].location,
        message=f"builder{'s' if plural else ''} {names} {'do' if plural else 'does'} not produce an AMI",
        todo="Use a builder that produces an AMI, such as amazon-ebs, without skip_create_ami.",
    )


def region_findings(builders: Sequence[Builder], region: str) -> Iterator[Finding]:
    """Finds builders with AMIs in another region, and templates with several AMIs."""
    producing = _producing(builders)
    for builder in producing:
        if builder.region is not None and builder.region != region:
            yield Finding.error(
                "region-mismatch",
                builder.location,
                message=f"{builder.name} builds in {builder.region}, but the image's first region is {region}",
                todo="Fix `regions`, or set the builder's region to the variable aws_region.",
            )
    if len(producing) > 1:
        yield Finding.error(
            "several-amis",
            producing[1].location,
            message=f"{' and '.join(builder.name for builder in producing)} each produce an AMI: an image is one AMI",
            todo="Select one with `only`, and define an image for each.",
        )


def selection_findings(
    image: ImageConfig, chosen: Sequence[Builder], all_of: Sequence[Builder], file: str
) -> Iterator[Finding]:
    """A finding if `only` or `except` exclude all builds: Packer would succeed without a build."""
    if all_of and not chosen:
        key = "only" if image.only else "except"
        yield Finding.error(
            "no-build-selected",
            image.location(file, key),
            message=f"{key} ({', '.join(image.only or image.except_)}) excludes all builds of the template",
            todo=f"The template has {', '.join(builder.name for builder in all_of)}.",
        )


def key_finding(image: ImageConfig, regions: Sequence[str], file: str) -> Finding | None:
    """A finding if `kms_key` is set but there are no copies."""
    if not image.kms_keys.everywhere or len(image.regions) > 1 or len(regions) > 1:
        return None
    return Finding.warning(
        "key-without-copies",
        image.location(file, "kms_key"),
        message="kms_key has no effect: the image has one region, so there are no copies",
        todo="Configure the encryption in the template (encrypt_boot, kms_key_id), or remove kms_key.",
    )


def aging_findings(builders: Iterable[Builder]) -> Iterator[Finding]:
    """Finds names that do not change between builds of one digest. `max_age` requests such builds."""
    for builder in builders:
        if builder.ami_name and is_constant(builder.ami_name):
            yield Finding.warning(
                "name-does-not-age",
                builder.location,
                message=f"max_age rebuilds an unchanged definition, but {builder.name} would use the same ami_name",
                todo="Add {{timestamp}} to ami_name.",
            )


def owner_findings(image: ImageConfig, file: str) -> Iterator[Finding]:
    """A finding for other accounts in `owners`: EC2 shows an AMI's tags only to its owner."""
    others = [owner for owner in image.owners if owner != "self"]
    if others and "self" in image.owners:
        yield Finding.warning(
            "owners-never-found",
            image.location(file, "owners"),
            message=f"AMIs of {', '.join(others)} are never found: EC2 shows tags only to the AMI's owner",
            todo="Remove `owners`: the default `self` is the account that builds.",
        )


def sharing_findings(image: ImageConfig, file: str) -> Iterator[Finding]:
    """A finding for entries of `share_with` with which EC2 cannot share snapshots."""
    not_accounts = [target for target in image.share_with or () if not is_account(target)]
    if image.share_snapshots and not_accounts:
        yield Finding.warning(
            "snapshots-not-shared",
            image.location(file, "share_snapshots"),
            message="EC2 shares snapshots only with accounts: "
            f"{', '.join(not_accounts)} can launch the AMI, but not copy it",
            todo="Also add the accounts that copy the AMI to `share_with`.",
        )


def link_findings(entries: Iterable[Entry], named_by: Mapping[str, tuple[SourceLocation, ...]]) -> Iterator[Finding]:
    """Finds links that lead out of the repository: the target may differ between machines."""
    for entry in entries:
        if entry.kind is EntryKind.LINK and entry.target is not None and leads_out(entry.path, entry.target):
            yield Finding.warning(
                "link-out-of-tree",
                named_by[entry.path][0],
                message=f"{entry.path} is a link to {entry.target}, outside the repository",
                todo="Copy the target into the repository: it may differ between machines.",
            )


def leads_out(path: str, target: str) -> bool:
    """Whether a link at `path` leads out of the root. `path` is relative to the root."""
    if target.startswith("/"):
        return True
    depth = path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False
