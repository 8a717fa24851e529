"""How Packer is run: templates of every form, plugins that must be fetched, several AMIs of one run."""

from __future__ import annotations

from tests.kitchen import TOML, Kitchen, json_template

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
installed=/p/plugins/github.com/hashicorp/amazon/packer-plugin-amazon
case "$*" in
  version) echo Packer v1.11.0 ;;
  "plugins installed") echo "$installed"_v1.2.9_x5.0_linux_amd64; cat {state} 2>/dev/null || true ;;
  init*) echo "$@" >> {log}; echo "$installed"_v1.3.5_x5.0_linux_amd64 > {state} ;;
  *) exit 9 ;;
esac
"""


def test_a_folder_of_hcl2_files_is_a_template(app: Kitchen) -> None:
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


def test_packer_runs_in_the_workdir_and_finds_what_is_relative_to_it(app: Kitchen) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl") + 'workdir = "scripts"\n')
    app.write("ami/app.pkr.hcl", HCL + BUILD)
    app.write("scripts/setup.sh", "#!/bin/sh\necho from the working folder: $(basename $PWD)\n").chmod(0o755)
    run = app.run("bake", "-v")
    assert run.status == 0, run.stderr
    assert "from the working folder: scripts" in run.stderr
    (image,) = app.run("inputs", "--json").images
    assert "scripts/setup.sh" in [item["path"] for item in image["inputs"]]


def test_plugins_that_are_missing_are_fetched_once_and_their_versions_are_in_the_digest(app: Kitchen) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", PLUGINS + HCL + BUILD)
    log, state = app.folder.parent / "init-runs", app.folder.parent / "installed"
    packer = str(app.program("new-packer", FETCHING_PACKER.format(log=log, state=state)))
    first = app.run("digest", "--packer", packer).answer
    assert log.read_text().splitlines() == ["init app.pkr.hcl"]
    assert app.run("digest", "--packer", packer).answer == first
    assert len(log.read_text().splitlines()) == 1
    state.write_text(state.read_text().replace("1.3.5", "1.3.6"))
    assert app.run("digest", "--packer", packer).answer != first


def test_plugins_are_listed_once_for_all_images(app: Kitchen) -> None:
    images = (f'[images.{name}]\ntemplate = "ami/app.json"\nregions = ["us-east-1"]\n' for name in ("a", "b", "c"))
    app.write("bakery.toml", "version = 1\n" + "".join(images))
    asked, state = app.folder.parent / "asked", app.folder.parent / "installed"
    fetching = FETCHING_PACKER.format(log=asked, state=state)
    packer = app.program("new-packer", fetching.replace("case", f'echo "$@" >> {asked}\ncase', 1))
    assert len(app.run("plan", "--json", "--packer", str(packer)).images) == 3
    assert sorted(asked.read_text().splitlines()) == ["plugins installed", "version"]


def test_a_plugin_that_cannot_be_fetched_is_said(app: Kitchen) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", PLUGINS + HCL + BUILD)
    text = '#!/bin/sh\ncase "$*" in version) echo Packer v1.11.0;; init*) echo no network >&2; exit 1;; esac\n'
    run = app.run("digest", "--packer", str(app.program("offline-packer", text)))
    assert (run.status, run.stdout) == (1, "")
    assert "packer init" in run.stderr
    assert "no network" in run.stderr


def test_of_several_amis_the_drop_in_takes_the_last_and_says_so(drop_in: Kitchen) -> None:
    template = json_template(name="one")
    template["builders"].append({**template["builders"][0], "name": "two"})
    drop_in.write("ami/packer/ami.json", template)
    run = drop_in.run(program="bake")
    assert run.status == 0
    assert "Packer made 2 AMIs in us-east-1; the last is the answer" in run.stderr


def test_a_value_that_is_too_long_for_an_argument_goes_through_a_file(app: Kitchen) -> None:
    size = app.folder.parent / "size"
    template = json_template()
    template["variables"]["motd"] = ""
    template["provisioners"] = [{"type": "shell-local", "inline": [f"printf %s '{{{{user `motd`}}}}' | wc -c >{size}"]}]
    app.write("ami/app.json", template)
    app.write("bakery.toml", f'{TOML}vars = {{ motd = "{"x" * 200_000}" }}\n')
    assert app.run("bake").answer.startswith("ami-")
    assert size.read_text().strip() == "200000"
