"""Finds the finished AMIs of images among all AMIs of an account, and what was made from each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import DIGEST_TAG, FROM_TAG, IMAGE_TAG, ORIGIN_TAG, Ami, AmiState
from ami_bakery.core.ec2.lineage import AmiKey, copied_from, key_of
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATES = (AmiState.AVAILABLE, AmiState.DISABLED)


class FinishedAmi(Frozen):
    """An AMI that ami-bakery finished.

    build     the AMI that Packer created; the AMI itself if it is no copy
    bases     finished AMIs that it was built from
    children  other AMIs of the account that were made from it, for users
    problem   why its tags cannot be trusted, or do not say whether it is current; empty if they do
    """

    image: str
    ami: Ami
    build: AmiKey
    bases: tuple[AmiKey, ...] = ()
    children: tuple[str, ...] = ()
    problem: str = ""

    @property
    def key(self) -> AmiKey:
        return key_of(self.ami)

    @property
    def digest(self) -> str:
        return self.ami.tags[DIGEST_TAG]


def finished_amis(amis: Iterable[Ami], homes: Mapping[str, str], account: str) -> tuple[FinishedAmi, ...]:
    """Returns the finished AMIs of these images, by region and id.

    amis   all AMIs of the account, in any state
    homes  the build region of each image
    """
    own = [ami for ami in amis if ami.owner == account]
    tagged = {ami.id: ami for ami in own if _is_finished(ami) and ami.tags[IMAGE_TAG] in homes}
    finished = {ami.id: ami for ami in tagged.values() if not _is_copied_by_others(ami, tagged)}
    found = {
        ami.id: FinishedAmi(
            image=ami.tags[IMAGE_TAG],
            ami=ami,
            build=_build(ami, finished, homes[ami.tags[IMAGE_TAG]]),
            bases=tuple(key_of(finished[base]) for base in _sources(ami) if base in finished),
        )
        for ami in finished.values()
    }
    children: dict[str, list[str]] = {}
    for ami in own:
        for source in _sources(ami) if ami.id not in found else ():
            children.setdefault(source, []).append(_named(ami))
    digests: dict[AmiKey, set[str]] = {}
    for each in found.values():
        digests.setdefault(each.build, set()).add(f"{each.image} {each.digest}")
    return tuple(
        replace(
            each,
            children=tuple(sorted(children.get(each.ami.id, ()))),
            problem="its copies have tags of another build"
            if len(digests[each.build]) > 1
            else _elsewhere(each.build, homes[each.image], finished),
        )
        for each in sorted(found.values(), key=lambda each: each.key)
    )


def _is_finished(ami: Ami) -> bool:
    """Whether ami-bakery finished it. AMIs of the drop-in mode have no format tag, and SHA-1 digests."""
    tagged = bool(ami.tags.get(IMAGE_TAG)) and bool(_SHA256.fullmatch(ami.tags.get(DIGEST_TAG, "")))
    return tagged and ami.verified and ami.state in _STATES


def _is_copied_by_others(ami: Ami, tagged: Mapping[str, Ami]) -> bool:
    """Whether someone else copied the AMI of a build, with its tags. ami-bakery copies only to another region."""
    source = tagged.get(ami.source or "")
    return (
        source is not None
        and source.region == ami.region
        and source.id != ami.id
        and source.tags[DIGEST_TAG] == ami.tags[DIGEST_TAG]
    )


def _build(ami: Ami, finished: Mapping[str, Ami], home: str) -> AmiKey:
    """Returns the AMI that Packer created, which may not exist any more. Anyone can write tags: circles end."""
    seen = {ami.id}
    while True:
        origin = ami.tags.get(ORIGIN_TAG, "")
        above = AmiKey(home, origin) if origin and origin != ami.id else copied_from(ami, home)
        if above is None or above.id in seen:
            return key_of(ami)
        if above.id not in finished:
            return above
        ami = finished[above.id]
        seen.add(ami.id)


def _elsewhere(build: AmiKey, home: str, finished: Mapping[str, Ami]) -> str:
    """Returns why it is unknown whether a build is current; empty if the image is still built in its region.

    The build region may come from the environment, and each has another source AMI, and so another digest.
    """
    original = finished.get(build.id)
    if original is None or original.region == home:
        return ""
    return f"it was built in {original.region}, and the image is built in {home} now"


def _sources(ami: Ami) -> tuple[str, ...]:
    """Returns the AMIs that this one was built or copied from, by tags and by EC2's record."""
    ids = (*ami.tags.get(FROM_TAG, "").split(), ami.source or "", ami.tags.get(ORIGIN_TAG, ""))
    return tuple(dict.fromkeys(one for one in ids if one and one != ami.id))


def _named(ami: Ami) -> str:
    name = ami.tags.get(IMAGE_TAG) or ami.name
    return one_line(f"{ami.id} ({name})" if name else ami.id)
