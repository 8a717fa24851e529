"""Defines many images together: looks up all source AMIs at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from ami_bakery.core.config.model import BaseImage, ImageConfig
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.regions import HOW_TO_CORRECT, REGIONS, unknown_region
from ami_bakery.define.base_resolution import queries_of
from ami_bakery.define.input_collection import check_settings_paths
from ami_bakery.define.preconditions import check_required
from ami_bakery.define.test_definition import check_test, define_test
from ami_bakery.errors import AwsError, BakeryError, ConfigError
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.base_lookup import BaseQuery
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.template.facts import TemplateFacts


def define_many(
    resolver: Resolver,
    names: Sequence[str],
    parents: Mapping[str, Ami | None],
    failures: dict[str, BakeryError] | None,
    *,
    kept: bool = True,
) -> list[ImageDefinition]:
    """Defines images. Reads all templates first; then looks up all source AMIs, then hashes the inputs.

    parents   the AMI of each parent image; None if it must be built first
    failures  receives the error of each image that cannot be defined; None: raise the first error
    kept      whether the definitions keep their inputs
    """
    resolver.warm_up_tools(names)
    read: dict[str, TemplateFacts | None] = {}
    queries: list[BaseQuery] = []
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
                    check_test(resolver, image, facts)
                    check_required(resolver.config.file, image, facts)
                queries += queries_of(resolver.settings(image), facts)
            elif kept:
                check_settings_paths(resolver.settings(image))
                check_region_names(resolver, image, None)
            read[name] = facts
    resolver.bases.prefetch(resolver.ports, queries)
    definitions = []
    for name, facts in read.items():
        with collect_failures(failures, name), ExitStack() as stack:
            image = resolver.image(name)
            inputs = None if facts is None else (facts, _inputs(resolver, image, facts, stack, kept=kept))
            test = define_test(resolver, image) if kept else None
            definitions.append(replace(resolver.define(image, parents, inputs), test=test))
    return definitions


def _inputs(
    resolver: Resolver, image: ImageConfig, facts: TemplateFacts, stack: ExitStack, *, kept: bool
) -> Inventory | Iterator[Entry]:
    """Returns the inputs: kept, or still to be hashed. `stack` closes files that are still open."""
    if kept:
        return resolver.inventory(image, facts)
    return stack.enter_context(closing(resolver.entries(image, facts)))


@contextmanager
def collect_failures(failures: dict[str, BakeryError] | None, name: str) -> Iterator[None]:
    """Stores the error of an image in `failures`; None: raises it."""
    try:
        yield
    except BakeryError as error:
        if failures is None:
            raise
        failures[name] = error


def _check_regions(resolver: Resolver, image: ImageConfig) -> None:
    """Raises if the build region differs from the parent's.

    Also raises if it has a key in `kms_key`. An AMI id belongs to one region. `--region` or the environment can change
    the build region to one of the copies.
    """
    if not image.kms_keys.by_region and not isinstance(image.base, BaseImage):
        return
    home = resolver.regions_of(image)[0]
    if home in dict(image.kms_keys.by_region):
        raise _wrong_at(
            resolver,
            image,
            image.line("kms_key", home),
            f"it is built in {home}, and kms_key, which is only for copies, has a key for that region",
            f"Remove --region {home}: in `regions` it is a region for copies."
            if resolver.regions
            else f"Remove {home} from kms_key, and configure the encryption in the template.",
        )
    if not isinstance(image.base, BaseImage):
        return
    parent = resolver.regions_of(resolver.image(image.base.image))[0]
    if home != parent:
        raise _wrong_at(
            resolver,
            image,
            image.line("regions"),
            f"it is built in {home}, but its parent image {image.base.image} is built in {parent}",
            "Use the same first region for both.",
        )


def _wrong_at(resolver: Resolver, image: ImageConfig, line: int, wrong: str, todo: str) -> ConfigError:
    """Returns the error for a line of bakery.toml."""
    location = SourceLocation(file=resolver.config.file, line=line)
    return ConfigError(f"planning image {image.name} ({location})", wrong, todo, marks=(location.mark(wrong),))


def check_region_names(resolver: Resolver, image: ImageConfig, facts: TemplateFacts | None) -> None:
    """Raises for an unknown region, with its line. Calls no region."""
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
    """Yields each region with its line or option. The default region is checked when it is first used."""
    file = resolver.config.file
    if resolver.regions:
        yield from ((region, "--region") for region in resolver.regions)
    else:
        lines = (image.line("regions", index) for index in range(len(image.regions)))
        yield from zip(image.regions, (SourceLocation(file=file, line=line) for line in lines), strict=True)
    for region, _ in image.kms_keys.by_region:
        yield region, image.location(file, "kms_key", region)
    for builder in facts.builders if facts is not None else ():
        # The value of `aws_region` is one of the regions above.
        yield from (
            (region, location) for region, location in builder.region_locations if region not in image.regions[:1]
        )


def _check_owners(resolver: Resolver, image: ImageConfig) -> None:
    """Raises if `owners` does not have this account: EC2 shows tags only to an AMI's owner."""
    if "self" in image.owners:
        return
    account = resolver.ports.ec2.account(resolver.region_of(image))
    if account not in image.owners:
        raise _wrong_at(
            resolver,
            image,
            image.line("owners"),
            f"owners is {', '.join(image.owners)}, but the credentials belong to {account}: EC2 shows tags only to an "
            "AMI's owner, so no AMI would be found and each run would build again",
            "Remove `owners`, or use credentials of that account.",
        )


def _check_template_regions(resolver: Resolver, image: ImageConfig, facts: TemplateFacts) -> None:
    """Raises if the template itself builds in a region with a `kms_key`.

    The key is for copies: there would be two AMIs.
    """
    home = resolver.region_of(image)
    for builder in facts.builders:
        twice = [region for region in builder.ami_regions if region != home and image.kms_keys.of(region)]
        if twice:
            regions = ", ".join(twice)
            raise _wrong_at(
                resolver,
                image,
                image.line("kms_key", twice[0]),
                f"kms_key has a key for copies in {regions}, but {builder.name} already creates AMIs there with "
                f"ami_regions ({builder.location})",
                f"Move {regions} from the template's ami_regions to `regions`, or remove kms_key.",
            )
