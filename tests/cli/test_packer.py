"""Running Packer: template formats, missing plugins, and builds with several AMIs."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import TOML, Harness, json_template

HCL = """\
variable "config_checksum" {}

source "amazon-ebs" "app" {
  region        = "us-east-1"
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "app-${uuidv4()}"
  source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
  }
  tags = {
    ami_config_checksum = var.config_checksum
  }
}
"""
BUILD = """\
build {
  sources = ["source.amazon-ebs.app"]
  provisioner "shell-local" {
    script = "setup.sh"
  }
}
"""
PLUGINS = """\
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1.3"
    }
  }
}
"""
FETCHING_PACKER = """\
#!/bin/sh
cd {plugins} || exit 8
case "$*" in
  version) echo Packer v1.11.0 ;;
  "plugins installed") ls -d $PWD/github.com/hashicorp/amazon/* ;;
  init*) echo "$@" >> {log}; echo fetched > github.com/hashicorp/amazon/packer-plugin-amazon_v1.3.5_x5.0_linux_amd64 ;;
  *) exit 9 ;;
esac
"""


class FetchingPacker:
    """A shell script in place of Packer; `init` installs version 1.3.5 of the amazon plugin, next to 1.2.9."""

    def __init__(self, harness: Harness) -> None:
        outside = harness.folder.parent
        self.plugins = outside / "plugins/github.com/hashicorp/amazon"
        self.plugins.mkdir(parents=True)
        self.plugin("1.2.9").write_text("old")
        self._log = outside / "init-runs"
        text = FETCHING_PACKER.format(log=self._log, plugins=outside / "plugins")
        self.path = str(harness.program("new-packer", text))

    def plugin(self, version: str) -> Path:
        return self.plugins / f"packer-plugin-amazon_v{version}_x5.0_linux_amd64"

    @property
    def fetched(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


def test_folder_of_hcl2_files_is_accepted_as_a_template(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("ami/app.json", "ami"))
    (app.folder / "ami/app.json").unlink()
    app.write("ami/source.pkr.hcl", HCL)
    app.write("ami/build.pkr.hcl", BUILD)
    (app.folder / "ami/setup.sh").chmod(0o755)
    ami = app.run("bake").answer
    assert app.run("bake").answer == ami
    app.write("ami/source.pkr.hcl", HCL + "# changed\n")
    assert app.run("bake").answer != ami
    assert app.packer_runs == 2


def test_packer_runs_in_the_workdir_and_resolves_relative_paths(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl") + 'workdir = "scripts"\n')
    app.write("ami/app.pkr.hcl", HCL + BUILD)
    app.write("scripts/setup.sh", "#!/bin/sh\necho from the working folder: $(basename $PWD)\n").chmod(0o755)
    run = app.run("bake", "-v")
    assert run.status == 0, run.stderr
    assert "from the working folder: scripts" in run.stderr
    (image,) = app.run("inputs", "--json").images
    assert "scripts/setup.sh" in [item["path"] for item in image["inputs"]]


@pytest.fixture
def hcl(app: Harness) -> Harness:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", PLUGINS + HCL + BUILD)
    return app


def test_missing_plugins_are_installed_once_and_are_part_of_the_digest(hcl: Harness) -> None:
    packer = FetchingPacker(hcl)
    first = hcl.run("digest", "--init", "--packer", packer.path).answer
    assert packer.fetched == [f"init {hcl.folder}/ami/app.pkr.hcl"]
    assert hcl.run("digest", "--packer", packer.path).answer == first
    assert len(packer.fetched) == 1
    packer.plugin("1.3.5").rename(packer.plugin("1.3.6"))
    second = hcl.run("digest", "--packer", packer.path).answer
    assert second != first
    packer.plugin("1.3.6").write_text("the same version, built anew")
    assert hcl.run("digest", "--packer", packer.path).answer not in (first, second)
    packer.plugin("1.2.9").write_text("a version that is not used")
    before = hcl.run("digest", "--packer", packer.path).answer
    hcl.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl") + 'digest_exclude = ["plugin-versions"]\n')
    without = hcl.run("digest", "--packer", packer.path).answer
    packer.plugin("1.3.6").write_text("again")
    assert hcl.run("digest", "--packer", packer.path).answer == without != before


@pytest.mark.parametrize("command", ["digest", "plan", "check", "images --outdated"])
def test_missing_plugin_without_init_is_an_error(hcl: Harness, command: str) -> None:
    packer = FetchingPacker(hcl)
    run = hcl.run(*command.split(), "--packer", packer.path)
    said = " ".join((run.stdout + run.stderr).split())
    assert run.status == 1
    if command == "check":
        assert run.stdout.startswith("ami/app.pkr.hcl:3: error: not installed: github.com/hashicorp/amazon ~> 1.3. ")
    else:
        assert "finding the plugins of image app (ami/app.pkr.hcl:3)" in said
    assert "not installed: github.com/hashicorp/amazon ~> 1.3" in said
    assert "Run `packer init`, or allow it with --init or AMI_BAKERY_INIT=1." in said
    assert packer.fetched == []


def test_environment_variable_allows_init(hcl: Harness) -> None:
    packer = FetchingPacker(hcl)
    for value in ("0", "", "true"):
        assert hcl.run("digest", "--packer", packer.path, environment={"AMI_BAKERY_INIT": value}).status == 1
    assert packer.fetched == []
    assert hcl.run("digest", "--packer", packer.path, environment={"AMI_BAKERY_INIT": "1"}).status == 0
    assert len(packer.fetched) == 1


def test_bake_installs_missing_plugins(hcl: Harness) -> None:
    packer = FetchingPacker(hcl)
    run = hcl.run("bake", "--packer", packer.path)
    assert "status 9" in run.stderr, "this Packer cannot build"
    assert len(packer.fetched) == 1


def test_inputs_installs_no_plugins(hcl: Harness) -> None:
    packer = FetchingPacker(hcl)
    (image,) = hcl.run("inputs", "--init", "--json", environment={"PATH": f"{packer.plugins}:/nowhere"}).images
    assert {item["path"] for item in image["inputs"]} >= {"ami/app.pkr.hcl"}


def test_installed_plugins_are_listed_once_for_all_images(app: Harness) -> None:
    images = (f'[images.{name}]\ntemplate = "ami/app.json"\nregions = ["us-east-1"]\n' for name in ("a", "b", "c"))
    app.write("bakery.toml", "version = 1\n" + "".join(images))
    asked, packer = app.folder.parent / "asked", Path(FetchingPacker(app).path)
    packer.write_text(packer.read_text().replace("case", f'echo "$@" >> {asked}\ncase', 1))
    assert len(app.run("plan", "--json", "--packer", str(packer)).images) == 3
    assert sorted(asked.read_text().splitlines()) == ["plugins installed", "version"]


def test_failed_plugin_installation_is_reported(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", PLUGINS + HCL + BUILD)
    text = '#!/bin/sh\ncase "$*" in version) echo Packer v1.11.0;; init*) echo no network >&2; exit 1;; esac\n'
    run = app.run("digest", "--init", "--packer", str(app.program("offline-packer", text)))
    assert (run.status, run.stdout) == (1, "")
    assert "packer init" in run.stderr
    assert "no network" in run.stderr


def test_drop_in_mode_uses_the_last_of_several_amis_with_a_warning(drop_in: Harness) -> None:
    template = json_template(name="one")
    template["builders"].append({**template["builders"][0], "name": "two"})
    drop_in.write("ami/packer/ami.json", template)
    run = drop_in.run(program="bake")
    assert run.status == 0
    assert "Packer created 2 AMIs in us-east-1; using the last one" in run.stderr


def test_value_too_long_for_an_argument_is_passed_in_a_file(app: Harness) -> None:
    size = app.folder.parent / "size"
    template = json_template()
    template["variables"]["motd"] = ""
    template["provisioners"] = [{"type": "shell-local", "inline": [f"printf %s '{{{{user `motd`}}}}' | wc -c >{size}"]}]
    app.write("ami/app.json", template)
    app.write("bakery.toml", f'{TOML}vars = {{ motd = "{"x" * 200_000}" }}\n')
    assert app.run("bake").answer.startswith("ami-")
    assert size.read_text().strip() == "200000"


GUEST = "#!/bin/sh\n# {}\nexit 1\n"


def place_in_the_home(harness: Harness) -> Path:
    return harness.folder.parent / ".packer.d/plugins"


def place_in_the_configuration(harness: Harness) -> Path:
    harness.environment["PACKER_CONFIG_DIR"] = str(harness.folder.parent / "config")
    return harness.folder.parent / "config/.packer.d/plugins"


def place_on_the_plugin_path(harness: Harness) -> Path:
    harness.environment["PACKER_PLUGIN_PATH"] = f"/nowhere:{harness.folder.parent}/more"
    return harness.folder.parent / "more"


def place_of_an_empty_entry(harness: Harness) -> Path:
    harness.environment["PACKER_PLUGIN_PATH"] = "/nowhere:"
    return place_in_the_workdir(harness)


def place_in_the_workdir(harness: Harness) -> Path:
    harness.write("bakery.toml", TOML + 'workdir = "."\n')
    return harness.folder


def place_named_by_packers_configuration(harness: Harness) -> Path:
    folder = harness.folder.parent / "named"
    programs = {"x": f"{folder}/packer-provisioner-goss", "y": f"{folder}/packer-plugin-other"}
    (harness.folder.parent / ".packerconfig").write_text(json.dumps({"provisioners": programs}) + " trailing")
    return folder


PLACES = (
    *(place_in_the_home, place_in_the_configuration, place_on_the_plugin_path, place_in_the_workdir),
    *(place_of_an_empty_entry, place_named_by_packers_configuration),
)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_content_of_a_manually_installed_plugin_is_part_of_the_digest(
    app: Harness, place: Callable[[Harness], Path]
) -> None:
    app.write("ami/app.json", json_template() | {"provisioners": [{"type": "goss"}]})
    folder = place(app)
    without = app.run("digest").answer
    folder.mkdir(exist_ok=True, parents=True)
    program = folder / "packer-provisioner-goss"
    digests = [without]
    for content in ("1", "2"):
        program.write_text(GUEST.format(content))
        program.chmod(0o755)
        digests.append(app.run("digest").answer)
    assert len(set(digests)) == 3
    other = folder / "packer-provisioner-other"
    other.write_text(GUEST.format("not used"))
    assert app.run("digest").answer == digests[-1]
    text = (app.folder / "bakery.toml").read_text()
    app.write("bakery.toml", text + 'digest_exclude = ["plugin-versions"]\n')
    before = app.run("digest").answer
    program.write_text(GUEST.format("3"))
    assert app.run("digest").answer == before


def test_plugin_with_several_components_is_part_of_the_digest(app: Harness) -> None:
    app.write("ami/app.json", json_template() | {"provisioners": [{"type": "goss-remote"}]})
    folder = place_in_the_home(app)
    folder.mkdir(parents=True)
    digests = [app.run("digest").answer]
    for name in ("packer-plugin-goss", "packer-plugin-goss_v1.0.0_x5.0_linux_amd64", "packer-plugin-gos"):
        (folder / name).write_text("x")
        digests.append(app.run("digest").answer)
    assert len(set(digests)) == 3
    assert digests[2] == digests[3], "packer-plugin-gos has no component of this type"


PACKER_1_7 = "#!/bin/sh\n[ $1 != version ] || echo Packer v{version}\n"


@pytest.mark.parametrize("version", ["1.7.10", "1.8.7", "1.9.0", "1.9.5", "1.10.3"])
def test_plugins_of_an_older_packer_are_part_of_the_digest(hcl: Harness, version: str) -> None:
    """`packer init` exists since 1.7, and `packer plugins installed` since 1.8: before, nothing is listed."""
    packer = str(hcl.program("older-packer", PACKER_1_7.format(version=version)))
    assert "not installed" in hcl.run("digest", "--packer", packer).stderr
    folder = hcl.folder / "ami/github.com/hashicorp/amazon"
    folder.mkdir(parents=True)
    program = folder / f"packer-plugin-amazon_v1.3.5_x5.0_linux_{machine()}"
    digests = []
    for content in ("1", "2"):
        program.write_text(content)
        assert "not installed" in hcl.run("digest", "--packer", packer).stderr, "Packer ignores it"
        checksum = hashlib.sha256(program.read_bytes()).hexdigest()
        program.with_name(f"{program.name}_SHA256SUM").write_text(checksum)
        digests.append(hcl.run("digest", "--packer", packer).answer)
    assert digests[0] != digests[1]


def machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
