"""Lists existing AMIs: their source AMIs, their lineage, and which are out of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.concurrency import run_all
from ami_bakery.core.config.selection import with_parents
from ami_bakery.core.definition.diff import compare_components
from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.definition.manifest import ManifestPart, parse_components
from ami_bakery.core.ec2.ami import COMPONENTS_TAG, DIGEST_TAG, IMAGE_TAG, REGIONS_TAG, Ami, newest
from ami_bakery.core.ec2.lineage import AmiKey, Lineage, baked_from, copied_from, grow, key_of, parent_key
from ami_bakery.core.plan.tested import AmiTestState, tested_state
from ami_bakery.define.test_definition import define_test
from ami_bakery.errors import BakeryError
from ami_bakery.plan.lookups import of_images
from ami_bakery.plan.planner import define_all
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.resolver import ImageDefinition, Resolver

_SHA1_LENGTH = 40


class ImageAmi(Frozen):
    """One AMI of an image.

    base      its source AMI; None if unknown
    base_ami  None if EC2 no longer has the source AMI
    tested    None if the image has no test, or if its digest cannot be computed
    """

    image: str
    ami: Ami
    base: AmiKey | None
    base_ami: Ami | None
    copy_of: AmiKey | None
    tested: AmiTestState | None = None


class Outdated(Frozen):
    """The newest AMI of an image whose definition has changed since.

    digest  the current one; None if the parent image `awaits` must be built first
    moved   the parts that changed; empty if the AMI has no components tag
    """

    made: ImageAmi
    digest: Digest | None
    awaits: str | None
    moved: tuple[ManifestPart, ...]


class Listing:
    """The AMIs of some images. They are looked up with one call for each region, their source AMIs with another.

    tests  the digest of the current test of images, as hex, if it is known
    """

    def __init__(self, resolver: Resolver, names: Sequence[str], tests: Mapping[str, str] | None = None) -> None:
        self._resolver = resolver
        self._names = names
        self.now = resolver.ports.clock.now()
        self._amis: dict[AmiKey, Ami] = {}
        self._gone: set[AmiKey] = set()
        self._images: dict[AmiKey, str] = {}
        self._tests: dict[str, str | None] = dict(tests or {})
        for name, ami in _of_all(resolver, with_parents(resolver.config, names)):
            self._amis[key_of(ami)] = ami
            self._images[key_of(ami)] = name

    def made(self) -> tuple[ImageAmi, ...]:
        """Returns the AMIs sorted by image; those of the build region first; newest first."""
        listed = self._chosen()
        self._fetch(base for key in listed if (base := baked_from(self._amis[key], self._home(key))) is not None)
        made = [self._made(key) for key in listed]
        made.sort(key=lambda item: (item.ami.created is not None, item.ami.created, item.ami.id), reverse=True)
        return tuple(sorted(made, key=lambda item: (item.image, item.ami.region != self._home(key_of(item.ami)))))

    def add(self, image: str, ami: Ami) -> None:
        """Adds an AMI that was found in another way, for example in a region that is no longer configured."""
        self._amis[key_of(ami)] = ami
        self._images[key_of(ami)] = image

    def known(self, keys: Iterable[AmiKey]) -> dict[AmiKey, Ami | None]:
        """Returns these AMIs, of any image or owner; None if EC2 no longer has one. One call for each region."""
        wanted = tuple(keys)
        self._fetch(wanted)
        return {key: self._amis.get(key) for key in wanted}

    def outdated(self) -> tuple[Outdated, ...]:
        """Returns the newest finished AMI of each outdated image.

        An image is outdated if it has no AMI with the current digest in its build region. If a change was reverted, an
        older AMI matches again. An image without any AMI is not outdated.
        """
        made = self.made()
        outdated = []
        for definition in define_all(self._resolver, self._names):
            image = definition.image
            home = self._resolver.region_of(image)
            own = {
                item.ami.id: item
                for item in made
                if item.image == image.name and item.ami.region == home and _is_finished(item.ami, image.scheme)
            }
            latest, now = newest(item.ami for item in own.values()), definition.digest
            base = {ami for _, ami in definition.base} if definition.base else None
            current = any(not item.ami.revoked and now and item.ami.carries(now, base) for item in own.values())
            if latest is not None and not current:
                outdated.append(
                    Outdated(
                        made=own[latest.id],
                        digest=definition.digest,
                        awaits=definition.awaits,
                        moved=self._moved(definition, latest),
                    )
                )
        return tuple(outdated)

    def trees(self) -> dict[str, tuple[Lineage, ...]]:
        """Returns the lineages in each region. They go from foreign source AMIs down to the chosen images' AMIs."""
        parents: dict[AmiKey, AmiKey | None] = {}
        pending = self._chosen()
        while pending:
            self._fetch(pending)
            parents.update({key: self._parent(key) for key in pending})
            above = {parent for key in pending if (parent := parents[key]) is not None}
            pending = sorted(above - parents.keys())
        regions = sorted({key.region for key in self._chosen()})
        return {
            region: grow({key: parent for key, parent in parents.items() if key.region == region}, self._amis)
            for region in regions
        }

    def image_of(self, key: AmiKey) -> str | None:
        """The image of an AMI: from this configuration, or else from the AMI's tag."""
        ami = self._amis.get(key)
        return self._images.get(key) or (ami.tags.get(IMAGE_TAG) if ami else None)

    def configures(self, image: str) -> bool:
        """Whether this configuration has an image of this name."""
        return self._resolver.config.has(image)

    def _chosen(self) -> list[AmiKey]:
        return [key for key, image in self._images.items() if image in self._names]

    def _home(self, key: AmiKey) -> str:
        image = self._images.get(key)
        return self._resolver.region_of(self._resolver.image(image)) if image else key.region

    def _parent(self, key: AmiKey) -> AmiKey | None:
        ami = self._amis.get(key)
        return None if ami is None else parent_key(ami, self._home(key))

    def _made(self, key: AmiKey) -> ImageAmi:
        ami, home = self._amis[key], self._home(key)
        base = baked_from(ami, home)
        return ImageAmi(
            image=self._images[key],
            ami=ami,
            base=base,
            base_ami=self._amis.get(base) if base else None,
            copy_of=copied_from(ami, home),
            tested=self._tested(self._images[key], ami),
        )

    def _tested(self, name: str, ami: Ami) -> AmiTestState | None:
        """Returns the state of an AMI's test. Defines the test only if the AMI passed one."""
        image = self._resolver.image(name)
        if image.test is None:
            return None
        if not ami.tested:
            return tested_state(ami, "none")
        if name not in self._tests:
            self._tests[name] = self._test_digest(image)
        test = self._tests[name]
        return None if test is None else tested_state(ami, test)

    def _test_digest(self, image: ImageConfig) -> str | None:
        try:
            test = define_test(self._resolver, image)
        except BakeryError as error:
            self._resolver.ports.reporter.warn(f"cannot determine whether the test of {image.name} changed: {error}")
            return None
        return test.digest.hex if test else None

    def _fetch(self, keys: Iterable[AmiKey]) -> None:
        """Fetches the AMIs that are not known yet."""
        unknown: dict[str, set[str]] = {}
        for key in set(keys) - self._amis.keys() - self._gone:
            unknown.setdefault(key.region, set()).add(key.id)
            self._gone.add(key)
        by_ids = self._resolver.ports.ec2.find_by_id
        for amis in run_all([partial(by_ids, region, sorted(ids)) for region, ids in sorted(unknown.items())]):
            self._amis.update({key_of(ami): ami for ami in amis})
        self._gone -= self._amis.keys()

    def _moved(self, definition: ImageDefinition, ami: Ami) -> tuple[ManifestPart, ...]:
        if definition.image.scheme is Scheme.SHA1:
            return (ManifestPart.FILES,)
        tagged = parse_components(ami.tags.get(COMPONENTS_TAG, ""))
        now: Mapping[ManifestPart, str] = {}
        if definition.manifest is not None:
            now = definition.manifest.components()
        elif definition.facts is not None and definition.inventory is not None:
            manifest = self._resolver.manifest(definition.image, definition.facts, definition.inventory, base=())
            now = {part: digest for part, digest in manifest.components().items() if part is not ManifestPart.BASE}
        return compare_components(tagged, now) if tagged else ()


def _is_finished(ami: Ami, scheme: Scheme) -> bool:
    return ami.available and DIGEST_TAG in ami.tags and (scheme is Scheme.SHA1 or ami.verified)


def _of_all(resolver: Resolver, names: Iterable[str]) -> list[tuple[str, Ami]]:
    """Returns (image, AMI) for all AMIs of these images. AMIs of the drop-in mode are known by a SHA-1 digest."""
    queries: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    drop_in: list[tuple[str, str, tuple[str, ...]]] = []
    for name in names:
        image = resolver.image(name)
        for region in resolver.regions_of(image):
            if image.scheme is Scheme.SHA256:
                queries.setdefault((region, image.owners), []).append(name)
            else:
                drop_in.append((name, region, image.owners))
    # Unfinished AMIs have the image's tag, too.
    found = of_images(resolver, queries)
    found += of_images(resolver, _template_regions(queries, found))
    made = [(ami.tags[IMAGE_TAG], ami) for ami in found if ami.verified]
    with_any_digest = resolver.ports.ec2.find_with_any_digest
    answers = run_all([partial(with_any_digest, region, owners) for _, region, owners in drop_in])
    for (name, _, _), amis in zip(drop_in, answers, strict=True):
        made += [(name, ami) for ami in amis if not ami.verified and len(ami.tags[DIGEST_TAG]) == _SHA1_LENGTH]
    return made


def _template_regions(
    queries: Mapping[tuple[str, tuple[str, ...]], Sequence[str]], found: Sequence[Ami]
) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """Returns queries for the regions to which templates copied AMIs. The originals' tags name these regions."""
    more: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (home, owners), names in queries.items():
        for ami in found:
            image = ami.tags[IMAGE_TAG]
            if ami.region == home and image in names:
                for region in ami.tags.get(REGIONS_TAG, "").split():
                    known = (*queries.get((region, owners), ()), *more.get((region, owners), ()))
                    if image not in known:
                        more.setdefault((region, owners), []).append(image)
    return more
