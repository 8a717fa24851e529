"""Plans many unchanged images in an account with very many AMIs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.comparison import Case, Contender
from benchmarks.harness import DIGEST_TAG, REGION, Harness, quoted, template, write

_REGIONS = (REGION, "eu-west-1", "ap-south-1", "us-west-2")
_VALUES = 200
"""EC2's maximum number of filter values per call."""


def cases(harness: Harness) -> Iterator[Case]:
    """Yields the plans. Fills four regions first; the cases with one region use one of them."""
    scale = harness.scale
    everything = harness.folder / "plans"
    names = [f"image-{number:04}" for number in range(max(scale.images))]
    for name in names:
        write(everything / name / "app.json", template(name))
        write(everything / name / "setup.sh", f"echo {name}\n")
    _configure(everything, names, _REGIONS)
    digests = _digests(harness, everything)
    for region in _REGIONS:
        harness.control.seed(region, _seed_images(digests, scale.amis))
    for regions in (_REGIONS[:1], _REGIONS):
        for count in scale.images:
            folder = harness.folder / f"plan-{len(regions)}-{count}"
            folder.mkdir()
            for name in names[:count]:
                shutil.copytree(everything / name, folder / name)
            _configure(folder, names[:count], regions)
            yield Case(
                name=f"plan, {_counted(count, 'image')}, {_counted(len(regions), 'region')}",
                about=f"a template and a script for each image, {scale.amis:,} AMIs in each region",
                rounds=scale.slow_rounds,
                contenders=tuple(_contenders(harness, folder, list(digests.values())[:count], regions)),
                counted=harness.calls,
            )


def _contenders(harness: Harness, folder: Path, digests: Sequence[str], regions: Sequence[str]) -> Iterator[Contender]:
    yield harness.ours("plan", "plan", "--json", folder=folder, expects='"reuse"')
    if len(regions) > 1:
        return
    if len(digests) == 1:
        yield harness.shell(
            "sha1sum and the AWS CLI",
            f"find {quoted(folder)} -type f | sort | xargs sha1sum | sha1sum && "
            f"PATH={harness.baselines.aws.path}:$PATH && "
            f"aws ec2 describe-images --owners self --filters Name=tag:{DIGEST_TAG},Values={digests[0]}",
            harness.baselines.aws,
        )
    batches = [digests[start : start + _VALUES] for start in range(0, len(digests), _VALUES)]
    yield harness.curl("its EC2 calls alone, sequential", *map(_query, batches))


def _configure(folder: Path, names: Sequence[str], regions: Sequence[str]) -> None:
    images = (f'[images.{name}]\ntemplate = "{name}/app.json"\n' for name in names)
    write(folder / "bakery.toml", f"version = 1\n[defaults]\nregions = {json.dumps(list(regions))}\n{''.join(images)}")


def _digests(harness: Harness, folder: Path) -> dict[str, str]:
    digests = json.loads(harness.answer(harness.ours("digest", "digest", "--json", folder=folder)))
    return {image["image"]: image["digest"] for image in digests["images"]}


def _seed_images(digests: dict[str, str], count: int) -> dict[str, dict[str, str]]:
    """Returns tags of `count` AMIs: one AMI per digest, and the others with older digests of the images."""
    amis = {f"{name}-now": _tags(name, digest) for name, digest in digests.items()}
    names = list(digests)
    for number in range(count - len(amis)):
        name = names[number % len(names)]
        amis[f"{name}-{number}"] = _tags(name, f"{number:064x}")
    return amis


def _tags(name: str, digest: str) -> dict[str, str]:
    return {DIGEST_TAG: digest, "ami-bakery:image": name, "ami-bakery:format": "1"}


def _query(digests: Sequence[str]) -> str:
    values = "".join(f"&Filter.1.Value.{number}={digest}" for number, digest in enumerate(digests, start=1))
    return f"Action=DescribeImages&Version=2016-11-15&Owner.1=self&Filter.1.Name=tag%3A{DIGEST_TAG}{values}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
