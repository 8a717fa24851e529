"""The mutation matrix: what is done to a definition, its checkout or its world, and whether the digest must move.

Every case starts from a fresh copy of one repository. The baseline's digest is taken once, in another folder.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mypy_boto3_ec2 import EC2Client
from mypy_boto3_ssm import SSMClient
from mypy_boto3_sts import STSClient

from tests.harness import Harness


@dataclass(kw_only=True)
class Case:
    """A repository, the world around it, and how the program is called."""

    form: str
    harness: Harness
    folder: Path
    ec2: EC2Client
    ssm: SSMClient
    sts: STSClient
    image: str = "app"
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str | None] = field(default_factory=dict)
    prefix: list[str] = field(default_factory=list)

    @property
    def template(self) -> str:
        return f"images/app/{'app.json' if self.form == 'json' else 'app.pkr.hcl'}"

    def path(self, name: str) -> Path:
        return self.folder / name

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.path(name).read_text()
        assert old in text
        self.path(name).write_text(text.replace(old, new))

    def toml(self, old: str, new: str) -> None:
        self.edit("bakery.toml", old, new)

    def change_template(self) -> None:
        if self.form == "json":
            content = json.loads(self.path(self.template).read_text())
            content["builders"][0]["ami_description"] = "changed"
            self.path(self.template).write_text(json.dumps(content))
        else:
            self.edit(self.template, "  communicator", '  ami_description = "changed"\n  communicator')

    def digest(self) -> str:
        return self._run([self.image])

    def drop_in_checksum(self) -> str:
        """The original's, over the same folders."""
        changed = {
            "PACKER_JSON_PATH": str(self.path(self.template)),
            "AMI_DEFINITION_DIRS": f"{self.path('images/app')},{self.path('common')}",
        }
        return self._run([], changed)

    def _run(self, images: list[str], environment: dict[str, str] | None = None) -> str:
        run = self.harness.run(
            "digest",
            *images,
            *self.arguments,
            cwd=self.folder,
            environment={**self.environment, **(environment or {})},
            prefix=self.prefix,
        )
        return run.answer


def _swap(case: Case) -> None:
    one, two = case.path("images/app/setup.sh"), case.path("images/app/other.sh")
    first, second = one.read_text(), two.read_text()
    one.write_text(second)
    two.write_text(first)


def _relink(case: Case) -> None:
    case.path("images/app/link").unlink()
    case.path("images/app/link").symlink_to("../../elsewhere/other-target")


def _file_to_link(case: Case) -> None:
    case.path("images/app/setup.sh").rename(case.path("elsewhere/setup.sh"))
    case.path("images/app/setup.sh").symlink_to("../../elsewhere/setup.sh")


def _swap_var_files(case: Case) -> None:
    text = case.path("bakery.toml").read_text()
    case.path("bakery.toml").write_text(
        text.replace("vars/one", "vars/x").replace("vars/two", "vars/one").replace("vars/x", "vars/two")
    )


def _new_golden(case: Case) -> None:
    (base, *_) = case.ec2.describe_images(Owners=["099720109477"])["Images"]
    case.ec2.copy_image(Name="golden-2", SourceImageId=base["ImageId"], SourceRegion="us-east-1")
    old = case.ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["golden-1"]}])["Images"]
    case.ec2.deregister_image(ImageId=old[0]["ImageId"])


def _move_parameter(case: Case) -> None:
    case.ssm.put_parameter(Name="/golden/ami", Value="ami-00000000000000002", Type="String", Overwrite=True)


def _child_of_baked_parent(case: Case) -> None:
    case.harness.run("bake", "-q", "base", cwd=case.folder)
    case.image = "child"


def _rebake_parent(case: Case) -> None:
    old = case.harness.run("bake", "base", cwd=case.folder).answer
    assert case.harness.run("bake", "base", "--force", cwd=case.folder).answer != old
    case.ec2.deregister_image(ImageId=old)


def _other_packer(case: Case) -> None:
    program = case.harness.program("packer-1.7", '#!/bin/sh\n[ "$1" = version ] && echo Packer v1.7.0\n')
    case.arguments += ["--packer", str(program)]


def _packer_with_plugin(case: Case, version: str) -> None:
    """A Packer that has plugins, which the one here does not: it answers with a list, and refuses all else."""
    folder = case.harness.folder.parent / "plugins/github.com/hashicorp/amazon"
    folder.mkdir(parents=True, exist_ok=True)
    line = folder / f"packer-plugin-amazon_v{version}_x5.0_linux_amd64"
    line.write_text("the same program\n")
    text = (
        f'#!/bin/sh\ncase "$*" in version) echo Packer v1.11.0;; "plugins installed") echo {line};; *) exit 9;; esac\n'
    )
    program = case.harness.program(f"packer-plugin-{version}", text)
    case.arguments += ["--packer", str(program)]


Mutation = Callable[[Case], object]


def _write(name: str, content: str = "x") -> Mutation:
    def mutate(case: Case) -> None:
        case.path(name).parent.mkdir(parents=True, exist_ok=True)
        case.path(name).write_text(content)

    return mutate


MOVE: dict[str, Mutation] = {
    "content of a file": _write("images/app/setup.sh", "echo other\n"),
    "byte appended to a file": _write("images/app/setup.sh", "echo set up\n\n"),
    "file renamed": lambda case: case.path("images/app/setup.sh").rename(case.path("images/app/set-up.sh")),
    "file moved to another folder": lambda case: case.path("images/app/setup.sh").rename(case.path("common/setup.sh")),
    "swap of two files' contents": _swap,
    "new empty file": _write("images/app/empty", ""),
    "new empty folder": lambda case: case.path("images/app/empty").mkdir(),
    "file deleted": lambda case: case.path("images/app/other.sh").unlink(),
    "executable bit": lambda case: case.path("images/app/setup.sh").chmod(0o755),
    "symbolic link to another file with the same content": _relink,
    "content of a symbolic link's target": _write("elsewhere/target", "other\n"),
    "file replaced by a symbolic link to it": _file_to_link,
    "hidden file": _write("images/app/.hidden", "other\n"),
    "file in a hidden folder": _write("images/app/.folder/inside", "other\n"),
    "file that git ignores": _write("images/app/built.bin", "other\n"),
    "content of the template": lambda case: case.change_template(),
    "value of a variable": lambda case: case.toml('size = "t3.small"', 'size = "t3.large"'),
    "variable after --": lambda case: case.arguments.extend(["--", "-var", "size=t3.large"]),
    "content of a var-file": lambda case: (
        case.edit(f"vars/one.{'json' if case.form == 'json' else 'pkrvars.hcl'}", '"one"', '"uno"')
        if case.form == "hcl"
        else _write("vars/one.json", '{"one": "uno"}')(case)
    ),
    "order of var-files": _swap_var_files,
    "declared environment variable set": lambda case: case.environment.update(BUILD_CHANNEL="beta"),
    "declared environment variable set, but empty": lambda case: case.environment.update(BUILD_CHANNEL=""),
    "newer source AMI": _new_golden,
    "newer source AMI in an SSM parameter": _move_parameter,
    "new AMI of the parent image": _rebake_parent,
    "Packer's version": _other_packer,
    "a plugin's version": lambda case: _packer_with_plugin(case, "1.3.0"),
    "script outside of `inputs` that the template runs": _write("elsewhere/outside.sh", "echo other\n"),
    "file in a folder that the template uploads": _write("elsewhere/files/new", "x"),
    "included Ansible tasks": _write("ansible/tasks.yml", "- debug: msg=bye\n"),
    "`salt`": lambda case: case.toml('salt      = "1"', 'salt      = "2"'),
    "builds selected (-only)": lambda case: case.toml(
        'salt      = "1"',
        f'salt = "1"\nonly = ["{"amazon-ebs" if case.form == "json" else "amazon-ebs.app"}"]',
    ),
    "name of the image": lambda case: (case.toml("[images.app]", "[images.application]"), _rename(case)),
    "working directory": lambda case: (
        case.toml('salt      = "1"', 'salt = "1"\nworkdir = "common/deep"'),
        case.path("common/deep").mkdir(),
    ),
}


def _rename(case: Case) -> None:
    case.image = "application"


def _elsewhere(case: Case) -> None:
    moved = case.folder.parent / "another place" / "näme"
    moved.parent.mkdir()
    case.folder.rename(moved)
    case.folder = moved


def _umask(case: Case) -> None:
    for path in case.folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600 | (path.stat().st_mode & 0o100))
    case.prefix = ["sh", "-c", 'umask 077; exec "$@"', "sh"]


def _touch(case: Case) -> None:
    for path in case.folder.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)


def _owner(case: Case) -> None:
    for path in case.folder.rglob("*"):
        os.chown(path, 65534, 65534, follow_symlinks=False)


def _recreated(case: Case) -> None:
    """The same files, made in another order: folders list them in another one."""
    copy = case.folder.with_name("copy")
    for path in sorted(case.folder.rglob("*"), reverse=True):
        target = copy / path.relative_to(case.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            shutil.copy2(path, target, follow_symlinks=False)
    shutil.rmtree(case.folder)
    copy.rename(case.folder)


def _credentials(case: Case) -> None:
    answer = case.sts.assume_role(RoleArn="arn:aws:iam::111122223333:role/ci", RoleSessionName="ci")["Credentials"]
    case.environment |= {
        "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["SessionToken"],
    }


BEFORE: dict[str, Mutation] = {
    "newer source AMI in an SSM parameter": lambda case: setattr(case, "image", "of-parameter"),
    "new AMI of the parent image": _child_of_baked_parent,
    "a plugin's version": lambda case: _packer_with_plugin(case, "1.2.8"),
}
"""What a case needs before its first digest is taken."""


STAY: dict[str, Mutation] = {
    "no change": lambda case: None,
    "modification time": _touch,
    "checkout in another folder": _elsewhere,
    "umask differences": _umask,
    "owner of a file": _owner,
    "permission bits of group and others": lambda case: case.path("images/app/setup.sh").chmod(0o655),
    "files created in another order": _recreated,
    "`.git` and other VCS folders": lambda case: (
        _write("images/app/.git/HEAD")(case),
        _write("images/app/.svn/entries")(case),
    ),
    "locale": lambda case: case.environment.update(LC_ALL="POSIX", LANG=None),
    "locale of another encoding": lambda case: case.environment.update(
        LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    ),
    "time zone": lambda case: case.environment.update(TZ="Pacific/Chatham"),
    "hash seed": lambda case: case.environment.update(PYTHONHASHSEED="12345"),
    "order of `inputs`": lambda case: case.toml('["images/app", "common"]', '["common", "images/app"]'),
    "overlapping `inputs`": lambda case: case.toml(
        '["images/app", "common"]', '["images/app/", "./common", "images/app/setup.sh", "images/../common"]'
    ),
    "output of AMI Bakery": _write("images/app/.ami_id.json", '{"ami_id": "ami-1"}'),
    "output of Packer": lambda case: (
        _write("images/app/packer_cache/x")(case),
        _write("images/app/crash.log")(case),
        _write("images/app/packer-manifest.json")(case),
    ),
    "`regions`": lambda case: case.toml('regions = ["us-east-1"]', 'regions = ["us-east-1", "eu-west-1"]'),
    "`kms_key`": lambda case: case.toml(
        'regions = ["us-east-1"]', 'regions = ["us-east-1", "eu-west-1"]\nkms_key = "alias/ami"'
    ),
    "`tags`": lambda case: case.toml('salt      = "1"', 'salt = "1"\ntags = { team = "web" }'),
    "`share_with`": lambda case: case.toml('salt      = "1"', 'salt = "1"\nshare_with = ["444455556666"]'),
    "`max_age`": lambda case: case.toml('salt      = "1"', 'salt = "1"\nmax_age = "1d"'),
    "`keep`": lambda case: case.toml('salt      = "1"', 'salt = "1"\nkeep = { last = 1 }'),
    "`test`": lambda case: case.toml('salt      = "1"', 'salt = "1"\ntest = "elsewhere/outside.json"'),
    "credentials that the template reads": _credentials,
    "user and home folder that the template reads": lambda case: case.environment.update(
        USER="somebody", HOME="/nonexistent"
    ),
    "undeclared environment variables": lambda case: case.environment.update(SOMETHING="else"),
    "another image in `bakery.toml`": lambda case: case.toml(
        '"images/base/base.json"', '"images/base/base.json"\nsalt = "9"'
    ),
    "comments and blank lines in `bakery.toml`": lambda case: case.toml("version = 1", "# a comment\n\nversion = 1"),
    "file outside of the inputs": _write("README.md"),
    "current folder": lambda case: case.prefix.extend(["sh", "-c", 'cd images/app; exec "$@"', "sh"]),
    "Packer options such as `-debug` and `-on-error`": lambda case: case.arguments.extend(
        ["--", "-on-error=cleanup", "-debug"]
    ),
}
