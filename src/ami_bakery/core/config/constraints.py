"""Finds keys of an image that contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.config.keys import is_account, region_of_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ami_bakery.core.config.model import ImageConfig, KeyPath

Disagreement = tuple["KeyPath", str]
"""The key, below the image, and a message."""


def disagreements(image: ImageConfig, own: Collection[str]) -> Iterator[Disagreement]:
    """Yields the keys that contradict each other.

    own  the keys of the image itself; defaults need not fit every image
    """
    yield from _key_disagreements(image, own)
    if image.share_snapshots and "share_snapshots" in own and image.share_with is None:
        yield ("share_snapshots",), "missing share_with: it names the accounts that may use the snapshots"
    if image.share_snapshots and image.share_with and not any(map(is_account, image.share_with)):
        message = "EC2 shares snapshots with accounts only, and share_with names none"
        yield ("share_snapshots",), message


def _key_disagreements(image: ImageConfig, own: Collection[str]) -> Iterator[Disagreement]:
    copies = image.regions[1:]
    for region, key in image.kms_keys.by_region:
        if image.regions and region == image.regions[0]:
            message = "is built there, and kms_key is only for copies: set the encryption in the template"
            yield ("kms_key", region), f"{image.name} {message}"
        elif region not in copies and "kms_key" in own:
            yield ("kms_key", region), f"{region} is not in `regions`"
        elif region_of_key(key) not in ("", region):
            yield ("kms_key", region), f"this key belongs to {region_of_key(key)}: use a key of {region}"
    elsewhere = [region for region in copies if region_of_key(image.kms_keys.everywhere) not in ("", region)]
    if elsewhere:
        yield (
            ("kms_key",),
            f"this key belongs to {region_of_key(image.kms_keys.everywhere)}, and there are copies in "
            f"{', '.join(elsewhere)}: write a table with a key for each region",
        )
