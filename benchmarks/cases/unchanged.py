"""The commonest run of all: an image of 50 files whose AMI is there, and nothing to do."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.comparison import Case, Contender
from benchmarks.harness import DIGEST_TAG, REGION, Kitchen, quoted, template, write
from benchmarks.trees import forget, large_files, small_files

_TOML = f"""\
version = 1
[images.app]
template = "ami/packer/app.json"
inputs = ["ami"]
regions = ["{REGION}"]
"""


def cases(kitchen: Kitchen) -> Iterator[Case]:
    folder = kitchen.folder / "unchanged"
    contenders = _contenders(kitchen, folder, partial(small_files, count=49))
    yield Case(
        name="unchanged, warm",
        about="50 files, the AMI is there; what the files hold is in memory",
        rounds=2 * kitchen.scale.rounds,
        contenders=contenders,
        counted=kitchen.calls,
    )
    python = Path(sysconfig.get_path("stdlib"))
    yield Case(
        name="unchanged, cold",
        about="The same, after the operating system has forgotten what Python, its packages and the inputs hold",
        rounds=kitchen.scale.rounds,
        contenders=tuple(
            replace(contender, before=partial(_forget, python, folder, *_packages(kitchen, contender)))
            for contender in contenders
            if contender.name != "one API round trip"
        ),
    )
    scale = kitchen.scale
    for inputs, make in (
        (f"{scale.small_files:,} files", partial(small_files, count=scale.small_files - 1)),
        (scale.large, partial(large_files, count=scale.large_files, size=scale.large_size)),
    ):
        large = kitchen.folder / f"unchanged-{inputs.replace(' ', '-').replace(',', '')}"
        yield Case(
            name=f"unchanged, {inputs}",
            about="The whole run, in which the original imports boto3, too; and our command for the digest alone, "
            "which it has not",
            rounds=scale.slow_rounds,
            contenders=(
                *_contenders(kitchen, large, make),
                kitchen.ours("drop-in, digest", "digest", environment=_drop_in(kitchen, large)),
                kitchen.ours("bakery.toml, digest", "digest", folder=large),
            ),
        )
        shutil.rmtree(large)


def _contenders(kitchen: Kitchen, folder: Path, make: Callable[[Path], Path]) -> tuple[Contender, ...]:
    """`make` writes the files that are beside the template."""
    make(folder / "ami")
    write(_template(folder), template(folder.name))
    write(folder / "bakery.toml", _TOML)
    environment = _drop_in(kitchen, folder)
    drop_in = kitchen.ours("drop-in", program="bake", environment=environment)
    ami = kitchen.answer(drop_in)
    checksum = kitchen.answer(kitchen.ours("digest", "digest", environment=environment))
    configured = kitchen.ours("bakery.toml", "bake", folder=folder)
    its_ami = kitchen.answer(configured)
    look_up = (
        f"aws ec2 describe-images --owners self --filters Name=tag:{DIGEST_TAG},Values=$sum "
        "--query 'sort_by(Images, &CreationDate)[-1].ImageId' --output text"
    )
    # The shell's own checksum has the files' names in it: what is looked up is the one that the AMI carries.
    hashing = f"find {quoted(folder / 'ami')} -type f ! -name '.*' -print0 | sort -z | xargs -0 sha1sum | sha1sum"
    query = (
        f"Action=DescribeImages&Version=2016-11-15&Owner.1=self&Filter.1.Name=tag%3A{DIGEST_TAG}"
        f"&Filter.1.Value.1={checksum}"
    )
    return (
        replace(drop_in, expects=ami),
        replace(configured, expects=its_ami),
        kitchen.original("original", environment=environment, expects=ami),
        kitchen.shell(
            "sha1sum and the AWS CLI",
            f"{hashing} >/dev/null && sum={checksum} && PATH={kitchen.rivals.aws.path}:$PATH && {look_up}",
            kitchen.rivals.aws,
            expects=ami,
        ),
        kitchen.python("interpreter's start", "pass"),
        kitchen.curl("one API round trip", query, expects=ami),
    )


def _template(folder: Path) -> Path:
    return folder / "ami" / "packer" / "app.json"


def _drop_in(kitchen: Kitchen, folder: Path) -> dict[str, str]:
    return kitchen.drop_in(_template(folder), folder / "ami")


def _packages(kitchen: Kitchen, contender: Contender) -> tuple[Path, ...]:
    """The packages that a contender may import."""
    environments = {
        "original": kitchen.rivals.boto3.path,
        "sha1sum and the AWS CLI": kitchen.rivals.aws.path,
    }
    programs = environments.get(contender.name, str(Path(sys.executable).parent))
    return (Path(programs).parent,)


def _forget(*folders: Path) -> None:
    for folder in folders:
        forget(folder)
