"""A repository with builds: AMIs with the tags of bakes of its work tree."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from ami_bakery.adapters.git import GitProgram
from ami_bakery.adapters.git.revision_tree import GitTree
from ami_bakery.core.config.model import ImageConfig
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.definition.manifest import format_components
from ami_bakery.core.ec2.ami import (
    COMMIT_TAG,
    COMPONENTS_TAG,
    DIGEST_TAG,
    FORMAT_TAG,
    FROM_TAG,
    IMAGE_TAG,
    Ami,
    AmiState,
)
from ami_bakery.core.ec2.lineage import AmiKey
from ami_bakery.core.report.image_states import BuildState, ImageState
from ami_bakery.define.drop_in import drop_in_checksum
from ami_bakery.define.resolver import Resolver
from ami_bakery.inspect.inventory import ImageAmi
from ami_bakery.inspect.used_amis import UsedAmi
from ami_bakery.ports import Prompter, Reporter
from ami_bakery.report.report_facts import ReportedAmi, ReportedBuild, ReportedImage
from ami_bakery.values import replace
from ami_bakery.wiring import create_ports, load_config

TEMPLATE = """\
variable "size" {{
  default = "t3.small"
}}
source "amazon-ebs" "x" {{
  ami_name = "{name}"
  source_ami = "ami-00000001"
}}
build {{
  sources = ["source.amazon-ebs.x"]
}}
"""
SOURCE = "ami-00000001"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class CountingGit(GitProgram):
    """Git, with the revisions whose trees were opened."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment)
        self.opened: list[str] = []

    @contextlib.contextmanager
    def trees(self, folder: str) -> Iterator[Callable[[str], GitTree | None]]:
        with super().trees(folder) as tree_of:
            yield lambda revision: self.opened.append(revision) or tree_of(revision)


class SilentReporter:
    """A reporter that keeps the progress of reading commits."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, image: str, step: str) -> None:
        self.steps.append(f"{image}: {step}")

    update = step

    def done(self, image: str) -> None:
        self.steps.append(f"{image}: done")

    def note(self, message: str) -> None:
        raise AssertionError(message)

    def warn(self, message: str) -> None:
        raise AssertionError(message)


class BuiltRepository:
    """A git repository in `folder`. `build` returns the AMI of a bake of its work tree."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "AWS_DEFAULT_REGION": "us-east-1"}
        self.environment |= {"GIT_CONFIG_GLOBAL": "/dev/null", **(environment or {})}
        self.git = CountingGit(self.environment)
        self.reporter = SilentReporter()
        self._number = 0
        folder.mkdir(exist_ok=True)
        self.run("init", "--quiet", "--initial-branch=main")

    def run(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, path: str, content: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        return target

    def image(self, name: str) -> str:
        """Writes an image's folder, and returns its table in bakery.toml."""
        self.write(f"{name}/{name}.pkr.hcl", TEMPLATE.format(name=name))
        self.write(f"{name}/setup.sh", f"echo {name}\n")
        return f'[images.{name}]\ntemplate = "{name}/{name}.pkr.hcl"\n'

    def images(self, *names: str, keys: str = "") -> None:
        """Writes bakery.toml. `keys` are added to the last image."""
        tables = "".join(self.image(name) for name in names)
        self.write("bakery.toml", f'version = 1\n[defaults]\nregions = ["us-east-1"]\n{tables}{keys}')

    def commit(self, message: str = "x") -> str:
        self.run("add", "--all")
        self.run("commit", "--quiet", "--allow-empty", "--message", message)
        return self.run("rev-parse", "HEAD")

    @contextlib.contextmanager
    def resolver(self, environment: Mapping[str, str] | None = None) -> Iterator[Resolver]:
        given = {**self.environment, **(environment or {})}
        with ExitStack() as stack:
            drop_in = "PACKER_JSON_PATH" in given
            with contextlib.chdir(self.folder):
                config = load_config(None if drop_in else str(self.folder / "bakery.toml"), given)
            ports = create_ports(
                config,
                given,
                cast("Reporter", self.reporter),
                cast("Prompter", None),
                stack,
                terminal=io.BytesIO(),
            )
            yield Resolver(ports=replace(ports, git=self.git), config=config)

    def build(
        self, name: str, *, commit: str | None = None, tools: str = "1", environment: Mapping[str, str] | None = None
    ) -> Ami:
        """Returns the AMI of a bake. `commit`: the value of its tag, by default the current commit; empty: no tag."""
        self._number += 1
        with self.resolver(environment) as resolver:
            image = resolver.image(name)
            if image.scheme is Scheme.SHA1:
                tags = {DIGEST_TAG: drop_in_checksum(resolver.ports.tree, image).hex}
            else:
                facts, inventory = resolver.inputs(image)
                manifest = resolver.manifest(image, facts, inventory, (("", SOURCE),), (("packer", tools),))
                tags = {
                    DIGEST_TAG: manifest.digest().hex,
                    IMAGE_TAG: name,
                    FORMAT_TAG: "1",
                    FROM_TAG: SOURCE,
                    COMPONENTS_TAG: format_components(manifest.components()),
                }
        commit = self.run("rev-parse", "HEAD") if commit is None else commit
        return Ami(
            id=f"ami-{self._number:08}",
            region="us-east-1",
            name=f"{name} {self._number}",
            state=AmiState.AVAILABLE,
            created=BEGAN + timedelta(hours=self._number),
            owner="123456789012",
            tags=tags | ({COMMIT_TAG: commit} if commit else {}),
            source=SOURCE,
        )


def newest_first(amis: Sequence[Ami]) -> tuple[Ami, ...]:
    return tuple(reversed(amis))


def reported_image(name: str, builds: Sequence[tuple[AmiKey, Ami]]) -> ReportedImage:
    """Returns an image of a report with these builds, each with the only AMI that EC2 still has. Newest first."""
    return ReportedImage(
        image=ImageConfig(name=name, template=f"{name}/{name}.pkr.hcl"),
        state=ImageState.CURRENT,
        plan=None,
        error=None,
        lock=None,
        regions=("us-east-1",),
        parent=None,
        children=(),
        definition=None,
        builds=tuple(_reported_build(name, key, ami) for key, ami in builds),
        channels=(),
    )


def _reported_build(name: str, key: AmiKey, ami: Ami) -> ReportedBuild:
    made = ImageAmi(image=name, ami=ami, base=None, base_ami=None, copy_of=None if ami.id == key.id else key)
    use = UsedAmi(made=made, behind=None, instances=(), templates=(), groups=(), configurations=(), others=())
    return ReportedBuild(
        id=key,
        amis=(ReportedAmi(use=use, shared_with=None, gibibytes=None, decision=None),),
        state=BuildState.SUPERSEDED,
        commit="",
        dirty=False,
        source_amis=(),
        parent=None,
        tested=None,
        revoked="",
        channels=(),
    )
