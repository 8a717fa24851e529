"""What `check` finds before a bake: what would go wrong, and what weakens the digest."""

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
    """A bake would fail, or would get no digest."""
    WARNING = "warning"
    """A bake would work, with a digest that does not see everything, or with a risk."""
    NOTICE = "notice"
    """Something to know. `check --strict` does not fail for it."""

    @property
    def order(self) -> int:
        """The worst first."""
        return list(Level).index(self)


class Finding(Frozen):
    """`code` is a fixed word for programs; `message` says what, `todo` what to do about it, as a sentence."""

    level: Level
    code: str
    location: SourceLocation
    message: str
    todo: str


def group_findings(found: Mapping[str, Sequence[Finding]]) -> tuple[tuple[tuple[str, ...], Finding], ...]:
    """What is found of several images alike, once, with their names: a file that they share, a credential.

    In the order of the images. What is told of images as such (`not-fully-checked`) is put together wherever it is.
    """
    grouped: dict[Finding | tuple[str, str], tuple[Finding, list[str]]] = {}
    for image, findings in found.items():
        for finding in findings:
            key = (finding.code, finding.message) if finding.code == "not-fully-checked" else finding
            grouped.setdefault(key, (finding, []))[1].append(image)
    return tuple((tuple(images), finding) for finding, images in grouped.values())


def images_named(images: Sequence[str]) -> str:
    """`image a`; `images a and b`; `images a, b, c and 197 more`."""
    if len(images) == 1:
        return f"image {images[0]}"
    shown = images[:3] if len(images) > 4 else images
    more = len(images) - len(shown)
    last = f"{more} more" if more else shown[-1]
    return f"images {', '.join(shown if more else shown[:-1])} and {last}"


_VOLATILE = re.compile(r"\{\{|\$\{")


def template_findings(facts: TemplateFacts) -> Iterator[Finding]:
    """What the template alone tells."""
    for item in facts.unresolved:
        yield Finding(
            level=Level.WARNING,
            code="unresolved-path",
            location=item.location,
            message=f"{item.expression}: this path cannot be worked out: {item.why}",
            todo="Write a path that does not depend on it, or name the files in `inputs`: they are not in the digest.",
        )
    for kind, location in facts.tolerant:
        yield Finding(
            level=Level.WARNING,
            code="failure-tolerated",
            location=location,
            message=f"this provisioner ({kind}) has continue_on_error: when it fails, the AMI gets no digest",
            todo="Take it out; where a failure does not matter, let the command end well (`|| true`).",
        )
    for builder in facts.builders:
        yield from _builder_findings(builder)
    no_ami = _no_ami(facts)
    if no_ami is not None and not any(builder.skip_create_ami for builder in facts.builders):
        yield no_ami


def _builder_findings(builder: Builder) -> Iterator[Finding]:
    if builder.skip_create_ami:
        yield Finding(
            level=Level.ERROR,
            code="skip-create-ami",
            location=builder.location,
            message=f"{builder.name} has skip_create_ami: it makes no AMI",
            todo="Take it out, or leave this builder out with `except`.",
        )
    if builder.source_ami_filter is not None and not builder.source_ami_filter.owners:
        yield Finding(
            level=Level.ERROR,
            code="filter-without-owners",
            location=builder.location,
            message=without_owners(builder),
            todo='Name the owners: "owners": ["099720109477"].',
        )


def without_owners(builder: Builder) -> str:
    return f"the source_ami_filter of {builder.name} names no owners: it finds anybody's AMI of that name"


def is_constant(name: str) -> bool:
    """Whether an AMI's name, as it was worked out, has nothing in it that only Packer knows."""
    return not _VOLATILE.search(name)


def name_finding(builder: Builder, taken: Iterable[str], *, by_digest: bool) -> Finding | None:
    """Whether the AMI's name is, or will be, in the way.

    Packer refuses a name that is taken before it starts; a name that every build has is taken from the second one on.

    taken      names of AMIs of this account in the build's region
    by_digest  whether another digest gives another name, however the template cuts it
    """
    name = builder.ami_name
    if not name or not is_constant(name):
        return None
    shown = builder.ami_name_written or repr(name)
    if builder.force_deregister:
        return _replacing(builder, shown, is_taken=name in set(taken), by_digest=by_digest)
    if name in set(taken):
        return Finding(
            level=Level.ERROR,
            code="ami-name-taken",
            location=builder.location,
            message=f"an AMI of this account is called {shown} already, so {builder.name} cannot be baked",
            todo="Put {{timestamp}} into ami_name, or deregister that AMI if it is not needed.",
        )
    if not by_digest:
        return Finding(
            level=Level.WARNING,
            code="constant-ami-name",
            location=builder.location,
            message=f"{builder.name} always calls its AMI {shown}: the second bake will clash with the first",
            todo="Put {{timestamp}} into ami_name.",
        )
    return None


def _replacing(builder: Builder, shown: str, *, is_taken: bool, by_digest: bool) -> Finding | None:
    """With `force_deregister` no name is in the way: Packer deregisters the AMI that has it."""
    if by_digest and not is_taken:
        return None
    return Finding(
        level=Level.WARNING,
        code="constant-ami-name",
        location=builder.location,
        message=f"{builder.name} always names its AMI {shown} and has force_deregister: each bake deregisters the AMI "
        "of the bake before",
        todo="Put {{timestamp}} into ami_name and remove force_deregister, to keep the AMIs that are in use.",
    )


_MAKE_NO_AMI = ("null", "file", "amazon-ebsvolume")


def _making(builders: Iterable[Builder]) -> list[Builder]:
    return [
        builder
        for builder in builders
        if builder.type.startswith("amazon-") and builder.type not in _MAKE_NO_AMI and not builder.skip_create_ami
    ]


def built_elsewhere(facts: TemplateFacts, region: str) -> Finding | None:
    """Where every AMI is made in another region for certain: one that is made elsewhere may be copied here by the
    template itself."""
    making = _making(facts.builders)
    elsewhere = all(builder.region not in (None, region) and not builder.ami_regions for builder in making)
    return next(region_findings(making, region), None) if making and elsewhere else None


def sure_failure(facts: TemplateFacts, region: str) -> Finding | None:
    """Why a bake in `region` would fail, though Packer itself would run to its end. None where that is not sure."""
    no_ami = _no_ami(facts)
    if no_ami is not None:
        return no_ami
    here = [builder for builder in _making(facts.builders) if builder.region == region]
    return next(region_findings(facts.builders, region)) if len(here) > 1 else built_elsewhere(facts, region)


def _no_ami(facts: TemplateFacts) -> Finding | None:
    """Builders none of which makes an AMI, as far as we know them; or none at all, which Packer 1.6.6 accepts."""
    if facts.builds_nothing and facts.files:
        return Finding(
            level=Level.ERROR,
            code="no-ami",
            location=SourceLocation(file=facts.files[0], line=1),
            message="the template has no build with a source: this makes no AMI",
            todo="Name a source in a `build` block, or a builder in `builders`.",
        )
    if not facts.builders or "amazon-import" in facts.components:
        return None
    if not all(builder.type in _MAKE_NO_AMI or builder.skip_create_ami for builder in facts.builders):
        return None
    names = " and ".join(builder.name for builder in facts.builders)
    return Finding(
        level=Level.ERROR,
        code="no-ami",
        location=facts.builders[0].location,
        message=f"{names}: this makes no AMI",
        todo="Use a builder that makes one, such as amazon-ebs, without skip_create_ami.",
    )


def region_findings(builders: Sequence[Builder], region: str) -> Iterator[Finding]:
    """Builders that make no AMI in the region of the bake, or several."""
    making = _making(builders)
    for builder in making:
        if builder.region is not None and builder.region != region:
            yield Finding(
                level=Level.ERROR,
                code="region-mismatch",
                location=builder.location,
                message=f"{builder.name} bakes in {builder.region}, and the image is wanted in {region}",
                todo="Correct `regions`, or write the variable aws_region as the builder's region.",
            )
    if len(making) > 1:
        yield Finding(
            level=Level.ERROR,
            code="several-amis",
            location=making[1].location,
            message=f"{' and '.join(builder.name for builder in making)} each make an AMI: an image is one",
            todo="Choose one with `only`, and make an image of each.",
        )


def selection_findings(
    image: ImageConfig, chosen: Sequence[Builder], all_of: Sequence[Builder], file: str
) -> Iterator[Finding]:
    """`only` and `except` that leave none of the builds that there are: Packer ends well, and makes nothing."""
    if all_of and not chosen:
        key = "only" if image.only else "except"
        yield Finding(
            level=Level.ERROR,
            code="no-build-selected",
            location=SourceLocation(file=file, line=image.line(key)),
            message=f"{key} ({', '.join(image.only or image.except_)}) leaves none of the template's builds",
            todo=f"Choose among {', '.join(builder.name for builder in all_of)}.",
        )


def key_finding(image: ImageConfig, regions: Sequence[str], file: str) -> Finding | None:
    """A key for copies where there are none."""
    if not image.kms_keys.everywhere or len(image.regions) > 1 or len(regions) > 1:
        return None
    return Finding(
        level=Level.WARNING,
        code="key-without-copies",
        location=SourceLocation(file=file, line=image.line("kms_key")),
        message="no copies are made, of one region: kms_key encrypts nothing",
        todo="Say in the template how the volumes are encrypted (encrypt_boot, kms_key_id), or take kms_key out.",
    )


def aging_findings(builders: Iterable[Builder]) -> Iterator[Finding]:
    """Names that are the same for each bake of one digest, where `max_age` asks for such bakes."""
    for builder in builders:
        if builder.ami_name and is_constant(builder.ami_name):
            yield Finding(
                level=Level.WARNING,
                code="name-does-not-age",
                location=builder.location,
                message=f"with max_age an unchanged definition is baked again, and {builder.name} has one name for it",
                todo="Put {{timestamp}} into ami_name.",
            )


def owner_findings(image: ImageConfig, file: str) -> Iterator[Finding]:
    """Accounts beside our own: EC2 shows the tags of an AMI to its owner alone."""
    others = [owner for owner in image.owners if owner != "self"]
    if others and "self" in image.owners:
        yield Finding(
            level=Level.WARNING,
            code="owners-never-found",
            location=SourceLocation(file=file, line=image.line("owners")),
            message=f"AMIs of {', '.join(others)} are never found: their tags are seen by that account alone",
            todo="Leave `owners` out: `self` is the account that bakes.",
        )


def sharing_findings(image: ImageConfig, file: str) -> Iterator[Finding]:
    """Those of `share_with` whom EC2 does not let use snapshots."""
    left_out = [target for target in image.share_with or () if not is_account(target)]
    if image.share_snapshots and left_out:
        yield Finding(
            level=Level.WARNING,
            code="snapshots-not-shared",
            location=SourceLocation(file=file, line=image.line("share_snapshots")),
            message=f"EC2 shares snapshots with accounts only: {', '.join(left_out)} may launch the AMI, not copy it",
            todo="Name the accounts that copy it in `share_with`, too.",
        )


def link_findings(entries: Iterable[Entry], named_by: Mapping[str, tuple[SourceLocation, ...]]) -> Iterator[Finding]:
    """Links that lead out of the tree: another machine may have something else there, or nothing."""
    for entry in entries:
        if entry.kind is EntryKind.LINK and entry.target is not None and leads_out(entry.path, entry.target):
            yield Finding(
                level=Level.WARNING,
                code="link-out-of-tree",
                location=named_by[entry.path][0],
                message=f"{entry.path} is a link to {entry.target}, outside the repository",
                todo="Put a copy of it into the repository: what it leads to may differ from machine to machine.",
            )


def leads_out(path: str, target: str) -> bool:
    """Whether a link at `path`, relative to the root, leads out of the root."""
    if target.startswith("/"):
        return True
    depth = path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False
