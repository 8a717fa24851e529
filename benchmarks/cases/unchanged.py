"""The most common run: an unchanged image of 50 files whose AMI exists."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.comparison import Case, Contender
from benchmarks.harness import DIGEST_TAG, REGION, Harness, quoted, template, write
from benchmarks.trees import forget, large_files, small_files

_TOML = f"""\
version = 1
[images.app]
template = "ami/packer/app.json"
inputs = ["ami"]
regions = ["{REGION}"]
"""


def cases(harness: Harness) -> Iterator[Case]:
    folder = harness.folder / "unchanged"
    contenders = _contenders(harness, folder, partial(small_files, count=49))
    yield Case(
        name="unchanged, warm",
        about="50 files; the AMI exists; file contents are in the page cache",
        rounds=2 * harness.scale.rounds,
        contenders=contenders,
        counted=harness.calls,
    )
    python = Path(sysconfig.get_path("stdlib"))
    yield Case(
        name="unchanged, cold",
        about="The same, but Python, its packages and the inputs are not in the page cache",
        rounds=harness.scale.rounds,
        contenders=tuple(
            replace(contender, before=partial(_forget, python, folder, *_packages(harness, contender)))
            for contender in contenders
            if contender.name != "one API round trip"
        ),
    )
    scale = harness.scale
    for inputs, make in (
        (f"{scale.small_files:,} files", partial(small_files, count=scale.small_files - 1)),
        (scale.large, partial(large_files, count=scale.large_files, size=scale.large_size)),
    ):
        large = harness.folder / f"unchanged-{inputs.replace(' ', '-').replace(',', '')}"
        yield Case(
            name=f"unchanged, {inputs}",
            about="The whole run, in which the original also imports boto3; and our `digest` command, which the "
            "original does not have",
            rounds=scale.slow_rounds,
            contenders=(
                *_contenders(harness, large, make),
                harness.ours("drop-in, digest", "digest", environment=_drop_in(harness, large)),
                harness.ours("bakery.toml, digest", "digest", folder=large),
            ),
        )
        shutil.rmtree(large)


def _contenders(harness: Harness, folder: Path, make: Callable[[Path], Path]) -> tuple[Contender, ...]:
    """`make` writes the files next to the template."""
    make(folder / "ami")
    write(_template(folder), template(folder.name))
    write(folder / "bakery.toml", _TOML)
    environment = _drop_in(harness, folder)
    drop_in = harness.ours("drop-in", program="bake", environment=environment)
    ami = harness.answer(drop_in)
    checksum = harness.answer(harness.ours("digest", "digest", environment=environment))
    configured = harness.ours("bakery.toml", "bake", folder=folder)
    configured_ami = harness.answer(configured)
    look_up = (
        f"aws ec2 describe-images --owners self --filters Name=tag:{DIGEST_TAG},Values=$sum "
        "--query 'sort_by(Images, &CreationDate)[-1].ImageId' --output text"
    )
    # The shell's checksum includes file names, so the lookup uses the AMI's checksum instead.
    hashing = f"find {quoted(folder / 'ami')} -type f ! -name '.*' -print0 | sort -z | xargs -0 sha1sum | sha1sum"
    query = (
        f"Action=DescribeImages&Version=2016-11-15&Owner.1=self&Filter.1.Name=tag%3A{DIGEST_TAG}"
        f"&Filter.1.Value.1={checksum}"
    )
    return (
        replace(drop_in, expects=ami),
        replace(configured, expects=configured_ami),
        harness.original("original", environment=environment, expects=ami),
        harness.shell(
            "sha1sum and the AWS CLI",
            f"{hashing} >/dev/null && sum={checksum} && PATH={harness.baselines.aws.path}:$PATH && {look_up}",
            harness.baselines.aws,
            expects=ami,
        ),
        harness.python("interpreter's start", "pass"),
        harness.curl("one API round trip", query, expects=ami),
    )


def _template(folder: Path) -> Path:
    return folder / "ami" / "packer" / "app.json"


def _drop_in(harness: Harness, folder: Path) -> dict[str, str]:
    return harness.drop_in(_template(folder), folder / "ami")


def _packages(harness: Harness, contender: Contender) -> tuple[Path, ...]:
    """Returns the folder of the packages that a contender imports."""
    environments = {
        "original": harness.baselines.boto3.path,
        "sha1sum and the AWS CLI": harness.baselines.aws.path,
    }
    programs = environments.get(contender.name, str(Path(sys.executable).parent))
    return (Path(programs).parent,)


def _forget(*folders: Path) -> None:
    for folder in folders:
        forget(folder)
