"""Defines many images together: what they start from is asked for at once, while inputs are hashed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.concurrency import in_background
from ami_bakery.core.config.model import BaseImage, ImageConfig
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.regions import HOW_TO_CORRECT, REGIONS, unknown_region
from ami_bakery.define.preconditions import check_required
from ami_bakery.errors import AwsError, BakeryError, ConfigError
from ami_bakery.template.location import SourceLocation

if TYPE_CHECKING:
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.core.ec2.image import Ami
    from ami_bakery.define.base_lookup import BaseQuery
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.template.facts import TemplateFacts

_Inputs: TypeAlias = "tuple[TemplateFacts, Inventory | Iterator[Entry]] | None"
"""What a template says, and the inputs, kept or to be hashed; None for the drop-in, which looks at files alone."""
_AHEAD = 4096
"""Inputs of a digest that are hashed, and kept, while it is asked what the image starts from; at most."""


def define_many(
    resolver: Resolver,
    names: Sequence[str],
    parents: Mapping[str, Ami | None],
    failures: dict[str, BakeryError] | None,
    *,
    kept: bool = True,
) -> list[ImageDefinition]:
    """What these start from is asked for at once, when all their templates are read; meanwhile inputs are hashed."""
    resolver.warm_up_tools(names)
    if kept:
        # Who keeps the inputs wants to know of the AMIs, too.
        resolver.warm_up_ec2(names)
    read: dict[str, TemplateFacts | None] = {}
    questions: list[BaseQuery] = []
    for name in names:
        image = resolver.image(name)
        with collect_failures(failures, name):
            _check_regions(resolver, image)
            _check_owners(resolver, image)
            facts: TemplateFacts | None = None
            if image.scheme is Scheme.SHA256:
                facts = resolver.checked_facts(image)
                check_region_names(resolver, image, facts)
                _check_template_regions(resolver, image, facts)
                if kept:
                    check_required(resolver.config.file, image, facts)
                questions += resolver.questions(image, facts)
            elif kept:
                resolver.check_places(image)
                check_region_names(resolver, image, None)
            read[name] = facts
    definitions = []
    with ExitStack() as stack:
        inputs = _inputs_while_asking(resolver, read, resolver.unanswered(questions), failures, stack, kept=kept)
        for name, of_image in inputs.items():
            with collect_failures(failures, name):
                definitions.append(resolver.define(resolver.image(name), parents, of_image))
    return definitions


def _inputs_while_asking(
    resolver: Resolver,
    read: Mapping[str, TemplateFacts | None],
    questions: Sequence[BaseQuery],
    failures: dict[str, BakeryError] | None,
    stack: ExitStack,
    *,
    kept: bool,
) -> dict[str, _Inputs]:
    """`read`: what the templates say. Of inputs that are not kept, those of a single image are hashed until the answer
    is there; `stack` will close what that has opened."""
    inputs: dict[str, _Inputs] = {}
    with in_background(partial(resolver.prefetch, questions)) if questions else nullcontext() as asking:

        def at_once(hashed: int) -> bool:
            return asking is not None and len(read) == 1 and hashed < _AHEAD and asking()

        for name, facts in read.items():
            with collect_failures(failures, name):
                image = resolver.image(name)
                if facts is None:
                    inputs[name] = None
                elif kept:
                    inputs[name] = facts, resolver.inventory(image, facts)
                else:
                    inputs[name] = facts, resolver.entries(image, facts, stack, at_once)
    return inputs


@contextmanager
def collect_failures(failures: dict[str, BakeryError] | None, name: str) -> Iterator[None]:
    """A failure of one image goes to `failures`, where there is such a place."""
    try:
        yield
    except BakeryError as error:
        if failures is None:
            raise
        failures[name] = error


def _check_regions(resolver: Resolver, image: ImageConfig) -> None:
    """A child is baked where its parent is baked: an AMI id belongs to one region. No key is asked for there, either:
    `--region`, or the environment, can make a region of copies the one of the bake."""
    if not image.kms_keys.by_region and not isinstance(image.base, BaseImage):
        return
    home = resolver.regions_of(image)[0]
    if home in dict(image.kms_keys.by_region):
        raise _wrong_at(
            resolver,
            image,
            image.line("kms_key", home),
            f"it is baked in {home}, and kms_key, which is for copies, names a key for that region",
            f"Leave out --region {home}: `regions` has it as a region of copies."
            if resolver.regions
            else f"Take {home} out of kms_key, and say in the template how its volumes are encrypted there.",
        )
    if not isinstance(image.base, BaseImage):
        return
    parent = resolver.regions_of(resolver.image(image.base.image))[0]
    if home != parent:
        raise _wrong_at(
            resolver,
            image,
            image.line("regions"),
            f"it is baked in {home}, but its base {image.base.image} is baked in {parent}",
            "Put the same region first in both.",
        )


def _wrong_at(resolver: Resolver, image: ImageConfig, line: int, wrong: str, todo: str) -> ConfigError:
    """A line of bakery.toml that the image cannot be planned with."""
    location = SourceLocation(file=resolver.config.file, line=line)
    return ConfigError(f"planning image {image.name} ({location})", wrong, todo, marks=(location.mark(wrong),))


def check_region_names(resolver: Resolver, image: ImageConfig, facts: TemplateFacts | None) -> None:
    """A misspelt region is an error at its own line, and is not tried over the network."""
    named = tuple(_named_regions(resolver, image, facts))
    if all(region in REGIONS for region, _ in named):
        return
    known = resolver.ports.ec2.known_regions()
    unknown = [] if not known else [pair for pair in named if pair[0] not in {*REGIONS, *known}]
    doing = f"planning image {image.name}"
    marks = []
    for region, where in dict.fromkeys(unknown):
        wrong = unknown_region(region, known)
        if isinstance(where, str):
            raise AwsError(f"{doing} in {region}", f"{where}: {wrong}", HOW_TO_CORRECT)
        marks.append(where.mark(wrong))
    if marks:
        wrong = "\n".join(f"{mark.file}:{mark.line}: {mark.message}" for mark in marks)
        raise ConfigError(doing, wrong, HOW_TO_CORRECT, marks=tuple(marks))


def _named_regions(
    resolver: Resolver, image: ImageConfig, facts: TemplateFacts | None
) -> Iterator[tuple[str, SourceLocation | str]]:
    """Each region, and the line or the option that names it. The default region is checked when it is first used."""
    file = resolver.config.file
    if resolver.regions:
        yield from ((region, "--region") for region in resolver.regions)
    else:
        lines = (image.line("regions", index) for index in range(len(image.regions)))
        yield from zip(image.regions, (SourceLocation(file=file, line=line) for line in lines), strict=True)
    for region, _ in image.kms_keys.by_region:
        yield region, SourceLocation(file=file, line=image.line("kms_key", region))
    for builder in facts.builders if facts is not None else ():
        # A region that is handed over with `aws_region` is one of those above.
        yield from (
            (region, location) for region, location in builder.region_locations if region not in image.regions[:1]
        )


def _check_owners(resolver: Resolver, image: ImageConfig) -> None:
    """EC2 shows tags to the owner of an AMI alone: whoever does not ask for the own AMIs never finds one."""
    if "self" in image.owners:
        return
    account = resolver.ports.ec2.account(resolver.region_of(image))
    if account not in image.owners:
        raise _wrong_at(
            resolver,
            image,
            image.line("owners"),
            f"owners names {', '.join(image.owners)}, and the credentials are those of {account}: the tags of another "
            "account's AMIs cannot be seen, so each run would find none and bake again",
            "Leave `owners` out, or use credentials of that account.",
        )


def _check_template_regions(resolver: Resolver, image: ImageConfig, facts: TemplateFacts) -> None:
    """Packer would make one AMI there, and we another with the key."""
    home = resolver.region_of(image)
    for builder in facts.builders:
        twice = [region for region in builder.ami_regions if region != home and image.kms_keys.of(region)]
        if twice:
            regions = ", ".join(twice)
            raise _wrong_at(
                resolver,
                image,
                image.line("kms_key", twice[0]),
                f"kms_key has a key for copies in {regions}, and {builder.name} makes the AMI there itself, by its "
                f"ami_regions ({builder.location}): there would be two",
                f"Take {regions} out of the template's ami_regions, and name it in `regions`; or do without kms_key.",
            )
