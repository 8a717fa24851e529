"""The digests of an image and of its test: each change moves only the digest that it belongs to."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ami_bakery.adapters.terminal.plain_reporter import PlainReporter
from ami_bakery.adapters.terminal.prompt import NoPrompter
from ami_bakery.define.definitions import define_many
from ami_bakery.define.resolver import Resolver
from ami_bakery.errors import BakeryError
from ami_bakery.wiring import create_ports, find_bakery_toml

TOML = """\
version = 1

[images.app]
template = "images/app/app.json"
regions = ["us-east-1"]
{inputs}
[images.app.test]
template = "images/app/test.pkr.hcl"
var_files = ["images/app/test.pkrvars.hcl"]
vars = {{ size = "t3.small" }}
only = ["amazon-ebs.test"]
"""
IMAGE = {
    "builders": [
        {
            "type": "amazon-ebs",
            "region": "us-east-1",
            "source_ami": "ami-0123456789abcdef0",
            "instance_type": "t3.micro",
            "communicator": "none",
            "ami_name": "app-{{uuid}}",
        }
    ],
    "provisioners": [{"type": "file", "source": "shared", "destination": "/tmp"}],
}
TEST = """\
variable "source_ami" {}
variable "size" {}
variable "zone" {}
variable "channel" {
  default = env("TEST_CHANNEL")
}

source "amazon-ebs" "test" {
  region          = "us-east-1"
  source_ami      = var.source_ami
  instance_type   = var.size
  ssh_username    = "ubuntu"
  ami_name        = "test"
  skip_create_ami = true
}

build {
  sources = ["source.amazon-ebs.test"]

  provisioner "shell" {
    script = "check.sh"
  }
  provisioner "file" {
    source      = "goss"
    destination = "/tmp"
  }
  provisioner "file" {
    source      = "shared"
    destination = "/tmp"
  }
}
"""
FILES = {
    "images/app/setup.sh": "echo set up\n",
    "images/app/helper.py": "print(1)\n",
    "images/app/shared/both": "read by the image and by the test\n",
    "images/app/check.sh": "curl localhost\n",
    "images/app/goss/goss.yaml": "port: {}\n",
    "images/app/test.pkr.hcl": TEST,
    "images/app/test.pkrvars.hcl": 'zone = "a"\n',
    "images/app/app.json": json.dumps(IMAGE),
}
PACKER = "#!/bin/sh\n[ \"$1\" = version ] && echo 'Packer v{}'\n"


@dataclass
class Checkout:
    """A repository. `packer` is the version that its Packer prints."""

    folder: Path
    inputs: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    packer: str = "1.7.0"

    def write(self, path: str, content: str) -> None:
        full = self.folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(content)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def digests(self) -> tuple[str, str]:
        """Returns the digests of the image and of its test."""
        program = self.folder.parent / "packer"
        program.write_text(PACKER.format(self.packer))
        program.chmod(0o755)
        config = find_bakery_toml(str(self.folder), "")
        environment = {"HOME": "/nowhere", "PATH": f"{program.parent}:/usr/bin:/bin", **self.environment}
        with ExitStack() as stack:
            reporter = PlainReporter(io.StringIO())
            ports = create_ports(config, environment, reporter, NoPrompter(), stack, terminal=io.BytesIO())
            (app, *_) = define_many(Resolver(ports=ports, config=config), ["app"], {}, None)
        assert app.digest is not None
        assert app.test is not None
        return app.digest.hex, app.test.digest.hex


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "checkout")
    for path, content in {**FILES, "bakery.toml": TOML.format(inputs="")}.items():
        made.write(path, content)
    return made


def toml(old: str, new: str) -> Callable[[Checkout], None]:
    return lambda checkout: checkout.edit("bakery.toml", old, new)


def content(path: str) -> Callable[[Checkout], None]:
    return lambda checkout: checkout.write(path, (checkout.folder / path).read_text() + "# changed\n")


def mode(path: str) -> Callable[[Checkout], None]:
    return lambda checkout: (checkout.folder / path).chmod(0o755)


TEST_MOVES: Mapping[str, Callable[[Checkout], None]] = {
    "template": content("images/app/test.pkr.hcl"),
    "file that the template names": content("images/app/check.sh"),
    "mode of a file that the template names": mode("images/app/check.sh"),
    "file in a folder that the template uploads": content("images/app/goss/goss.yaml"),
    "new file in a folder that the template uploads": lambda checkout: checkout.write("images/app/goss/new", ""),
    "var-file": content("images/app/test.pkrvars.hcl"),
    "variable": toml('size = "t3.small"', 'size = "t3.large"'),
    "only": toml('only = ["amazon-ebs.test"]', 'only = ["amazon-ebs.*"]'),
    "except": toml('only = ["amazon-ebs.test"]', 'only = ["amazon-ebs.test"]\nexcept = ["other"]'),
    "var-files in another order": toml(
        'var_files = ["images/app/test.pkrvars.hcl"]',
        'var_files = ["images/app/test.pkrvars.hcl", "images/app/test.pkrvars.hcl"]',
    ),
    "environment variable that the template reads": lambda checkout: checkout.environment.update(TEST_CHANNEL="x"),
}
BOTH_MOVE: Mapping[str, Callable[[Checkout], None]] = {
    "file that both read": content("images/app/shared/both"),
    "Packer": lambda checkout: setattr(checkout, "packer", "1.8.0"),
    "declared environment variable": toml('regions = ["us-east-1"]', 'regions = ["us-east-1"]\nenv = ["OTHER"]'),
}
IMAGE_MOVES: Mapping[str, Callable[[Checkout], None]] = {
    "template of the image": lambda checkout: checkout.edit("images/app/app.json", "t3.micro", "t3.nano"),
    "file of the image": content("images/app/setup.sh"),
    "file that neither template names": content("images/app/helper.py"),
    "salt": toml('regions = ["us-east-1"]', 'regions = ["us-east-1"]\nsalt = "2"'),
}
NEITHER_MOVES: Mapping[str, Callable[[Checkout], None]] = {
    "timeout": toml("[images.app.test]", '[images.app.test]\ntimeout = "5m"'),
    "on_failure": toml("[images.app.test]", '[images.app.test]\non_failure = "remove"'),
    "regions of copies": toml('regions = ["us-east-1"]', 'regions = ["us-east-1", "eu-west-1"]'),
    "Packer, excluded": lambda checkout: setattr(checkout, "packer", "1.7.0"),
    "environment variable that nothing reads": lambda checkout: checkout.environment.update(UNUSED="x"),
}


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        *((change, (False, True)) for change in TEST_MOVES),
        *((change, (True, True)) for change in BOTH_MOVE),
        *((change, (True, False)) for change in IMAGE_MOVES),
        *((change, (False, False)) for change in NEITHER_MOVES),
    ],
)
def test_each_change_moves_the_digest_that_it_belongs_to(
    checkout: Checkout, change: str, moved: tuple[bool, bool]
) -> None:
    before = checkout.digests()
    {**TEST_MOVES, **BOTH_MOVE, **IMAGE_MOVES, **NEITHER_MOVES}[change](checkout)
    after = checkout.digests()
    assert tuple(old != new for old, new in zip(before, after, strict=True)) == moved


def test_image_has_the_same_digest_with_and_without_its_test(checkout: Checkout) -> None:
    with_test, _ = checkout.digests()
    for path in ("check.sh", "goss/goss.yaml", "test.pkr.hcl", "test.pkrvars.hcl"):
        (checkout.folder / "images/app" / path).unlink()
    (checkout.folder / "images/app/goss").rmdir()
    checkout.write("images/app/app.json", json.dumps(IMAGE))
    checkout.write("tests/test.pkr.hcl", TEST.replace("check.sh", "../tests/check.sh"))
    checkout.write("tests/check.sh", "")
    checkout.write("tests/goss", "")
    checkout.write("tests/shared", "")
    checkout.edit("bakery.toml", "images/app/test.pkr.hcl", "tests/test.pkr.hcl")
    checkout.edit("bakery.toml", 'var_files = ["images/app/test.pkrvars.hcl"]', "")
    checkout.edit("bakery.toml", 'size = "t3.small"', 'size = "t3.small", zone = "b"')
    assert checkout.digests()[0] == with_test


def test_files_of_the_test_count_if_inputs_name_their_folder(checkout: Checkout) -> None:
    checkout.edit("bakery.toml", 'regions = ["us-east-1"]', 'regions = ["us-east-1"]\ninputs = ["images/app"]')
    before = checkout.digests()
    content("images/app/check.sh")(checkout)
    after = checkout.digests()
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_whole_folder_of_a_test_counts_if_it_is_not_the_images(checkout: Checkout) -> None:
    for path in ("check.sh", "goss", "test.pkr.hcl", "test.pkrvars.hcl"):
        (checkout.folder / "images/app/verify").mkdir(exist_ok=True)
        (checkout.folder / "images/app" / path).rename(checkout.folder / "images/app/verify" / path)
    checkout.edit("images/app/verify/test.pkr.hcl", '"shared"', '"../shared"')
    checkout.edit("bakery.toml", "images/app/test", "images/app/verify/test")
    before = checkout.digests()
    checkout.write("images/app/verify/conftest.py", "")
    after = checkout.digests()
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_only_files_that_the_template_reads_count_with_empty_inputs(checkout: Checkout) -> None:
    checkout.edit("bakery.toml", 'regions = ["us-east-1"]', 'regions = ["us-east-1"]\ninputs = []')
    before = checkout.digests()
    checkout.write("images/app/conftest.py", "")
    assert checkout.digests() == before


PLAYBOOK = "- hosts: all\n  tasks:\n  - ping:\n"


@pytest.mark.parametrize(
    "change",
    [
        {"provisioners": [{"type": "file", "source": "{{consul_key `x`}}", "destination": "/tmp"}]},
        {"provisioners": [{"type": "shell-local", "inline": ["make image"]}]},
        {"provisioners": [{"type": "comment", "text": "any"}]},
        {"provisioners": [{"type": "upload-all", "folder": "."}]},
        {"post-processors": [{"type": "amazon-ami-management", "keep_releases": 3}]},
        {"builders": [{**IMAGE["builders"][0], "type": "amazon-other"}]},
        {"provisioners": [{"type": "inspec", "profile": "profile"}]},
        {"provisioners": [{"type": "ansible", "playbook_file": "plugins/play.yml"}]},
        {"provisioners": [{"type": "ansible", "playbook_file": "role.yml"}]},
    ],
    ids=[
        "unknown path",
        "program that may read any file",
        "provisioner of an unknown plugin",
        "folder of an unknown plugin",
        "post-processor of an unknown plugin",
        "unknown builder",
        "profile that may depend on others",
        "plugin of Ansible next to a playbook",
        "plugin of Ansible in a role",
    ],
)
def test_file_of_a_test_stays_an_input_if_the_image_may_read_it(
    checkout: Checkout, change: Mapping[str, object]
) -> None:
    checkout.write("images/app/profile/inspec.yml", "depends: [{name: goss, path: ../goss}]\n")
    checkout.write("images/app/plugins/play.yml", PLAYBOOK)
    checkout.write("images/app/plugins/action_plugins/ping.py", "open('goss/goss.yaml')\n")
    checkout.write("images/app/role.yml", "- hosts: all\n  roles: [web]\n")
    checkout.write("images/app/roles/web/tasks/main.yml", "- debug: msg=x\n")
    checkout.write("images/app/roles/web/lookup_plugins/own.py", "open('goss/goss.yaml')\n")
    checkout.write("images/app/app.json", json.dumps({**IMAGE, "provisioners": [], **change}))
    before = checkout.digests()
    content("images/app/goss/goss.yaml")(checkout)
    after = checkout.digests()
    assert (before[0] == after[0], before[1] == after[1]) == (False, False)
    content("images/app/test.pkr.hcl")(checkout)
    assert checkout.digests()[0] == after[0]


@pytest.mark.parametrize(
    "provisioner",
    [
        {"type": "shell", "script": "setup.sh"},
        {"type": "shell-local", "inline": ["echo built"]},
        {"type": "ansible", "playbook_file": "play.yml"},
    ],
    ids=["shell", "command that reads no file", "Ansible"],
)
def test_file_of_a_test_is_no_input_if_the_image_cannot_read_it(
    checkout: Checkout, provisioner: Mapping[str, object]
) -> None:
    checkout.write("images/app/play.yml", PLAYBOOK)
    checkout.write("images/app/app.json", json.dumps({**IMAGE, "provisioners": [provisioner]}))
    before = checkout.digests()
    content("images/app/goss/goss.yaml")(checkout)
    after = checkout.digests()
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def refused(checkout: Checkout) -> BakeryError:
    with pytest.raises(BakeryError) as caught:
        checkout.digests()
    return caught.value


def test_test_without_source_ami_is_refused(checkout: Checkout) -> None:
    checkout.edit("images/app/test.pkr.hcl", 'variable "source_ami" {}\n', "")
    error = refused(checkout)
    assert "bakery.toml:8: images.app.test.template: images/app/test.pkr.hcl must declare the variable" in error.wrong
    assert "'source_ami' (receives the AMI under test)" in error.wrong
    assert error.todo


def test_test_that_needs_a_variable_is_refused(checkout: Checkout) -> None:
    checkout.edit("images/app/test.pkr.hcl", 'variable "size" {}', 'variable "size" {}\nvariable "user" {}')
    error = refused(checkout)
    assert error.doing == "looking for the variables of the test of image app"
    assert "images/app/test.pkr.hcl:3: the variable 'user' has no default and no value" in error.wrong
    assert 'vars = { user = "..." } in images.app.test of bakery.toml' in error.todo


def test_test_that_creates_an_ami_is_refused_if_packer_can_skip_it(checkout: Checkout) -> None:
    checkout.edit("images/app/test.pkr.hcl", "  skip_create_ami = true\n", "")
    error = refused(checkout)
    assert error.doing == "checking the test of image app (images/app/test.pkr.hcl:8)"
    assert error.wrong == "amazon-ebs.test of the test creates an AMI"
    assert "skip_create_ami = true" in error.todo
    checkout.packer = "1.6.6"
    checkout.digests()


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        (
            "var.source_ami",
            '"ami-0123456789abcdef0"',
            "amazon-ebs.test has ami-0123456789abcdef0, so it does",
        ),
        ("  source_ami      = var.source_ami\n", "", "amazon-ebs.test has no source_ami"),
        ('sources = ["source.amazon-ebs.test"]', "sources = []", "no build of the test is selected"),
    ],
)
def test_test_of_something_else_is_refused(checkout: Checkout, old: str, new: str, wrong: str) -> None:
    checkout.edit("images/app/test.pkr.hcl", old, new)
    assert wrong in refused(checkout).wrong


def test_images_own_template_is_no_test(checkout: Checkout) -> None:
    checkout.write(
        "images/app/app.json", json.dumps({**IMAGE, "variables": {"source_ami": "", "size": "", "zone": ""}})
    )
    checkout.edit("bakery.toml", "images/app/test.pkr.hcl", "images/app/app.json")
    checkout.edit("bakery.toml", 'var_files = ["images/app/test.pkrvars.hcl"]\n', "")
    checkout.edit("bakery.toml", 'only = ["amazon-ebs.test"]\n', "")
    error = refused(checkout)
    assert error.wrong.startswith("images/app/app.json is a template of the image itself")
    assert "(bakery.toml:8)" in error.doing


def test_template_of_a_test_in_a_folder_build_is_refused_before_its_variables_are_missed(checkout: Checkout) -> None:
    checkout.write(
        "images/web/web.pkr.hcl", TEST.replace('variable "source_ami" {}\n', "").replace("var.source_ami", '""')
    )
    checkout.write("images/web/test.pkr.hcl", 'variable "source_ami" {}\n')
    checkout.edit("bakery.toml", "images/app/app.json", "images/web")
    checkout.edit("bakery.toml", "images/app/test.pkr.hcl", "images/web/test.pkr.hcl")
    checkout.edit("bakery.toml", 'vars = { size = "t3.small" }\n', "")
    checkout.edit("bakery.toml", 'var_files = ["images/app/test.pkrvars.hcl"]\n', "")
    assert refused(checkout).wrong.startswith("images/web/test.pkr.hcl is a template of the image itself")


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("test.pkr.hcl", "tset.pkr.hcl", "no such file"),
        (
            "test.pkrvars.hcl",
            "tset.pkrvars.hcl",
            "images.app.test.var_files: no such file: images/app/tset.pkrvars.hcl",
        ),
        ("only =", 'workdir = "absent"\nonly =', "images.app.test.workdir: no such folder: absent"),
        ("vars = {", 'vars = { sise = "1",', "images.app.test.vars.sise: images/app/test.pkr.hcl does not declare"),
    ],
)
def test_missing_files_of_a_test_are_named_with_their_key(checkout: Checkout, old: str, new: str, wrong: str) -> None:
    checkout.edit("bakery.toml", old, new)
    assert wrong in refused(checkout).wrong
