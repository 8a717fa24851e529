"""`ami-bakery init`: from a repository of templates to a `bakery.toml` that works."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Harness, json_template

BASE = """\
source "amazon-ebs" "base" {
  region        = "us-east-1"
  source_ami_filter {
    owners      = ["099720109477"]
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
    most_recent = true
  }
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "acme-base-{{timestamp}}"
}
build {
  sources = ["source.amazon-ebs.base"]
}
"""
APP = """\
variable "base_ami" {
  type = string
}
source "amazon-ebs" "app" {
  region        = "us-east-1"
  source_ami    = var.base_ami
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "acme-app-{{timestamp}}"
}
build {
  sources = ["source.amazon-ebs.app"]
}
"""
UPLOAD = '  provisioner "file" {\n    source      = "%s"\n    destination = "/tmp/x"\n  }\n}\n'


def with_upload(template: str, path: str) -> str:
    return template.removesuffix("}\n") + UPLOAD % path


def proposed(harness: Harness, *arguments: str) -> dict[str, Any]:
    """Runs `init`, and returns the images of the file."""
    run = harness.run("init", *arguments)
    assert run.status == 0, run.stderr
    images: dict[str, Any] = tomllib.loads((harness.folder / "bakery.toml").read_text())["images"]
    return images


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_proposed_file_is_checked_planned_and_built_unedited(harness: Harness) -> None:
    harness.write("images/base/base.pkr.hcl", BASE)
    harness.write("images/app/app.pkr.hcl", APP)
    images = proposed(harness)
    assert images == {
        "app": {"template": "images/app/app.pkr.hcl", "from": "base", "from_variable": "base_ami"},
        "base": {"template": "images/base/base.pkr.hcl"},
    }
    check = harness.run("check")
    assert (check.status, check.stdout) == (0, "")
    assert check.stderr.endswith("OK: 2 images, no problems\n")
    assert len(harness.run("-q", "bake").answer.splitlines()) == 2
    assert harness.packer_runs == 2
    assert harness.run("-q", "bake").status == 0
    assert harness.packer_runs == 2


def test_init_never_overwrites(harness: Harness) -> None:
    harness.write("a.pkr.hcl", BASE)
    harness.write("bakery.toml", "mine\n")
    before = files_in(harness.folder)
    run = harness.run("init")
    assert (run.status, run.stdout) == (1, "")
    assert "the file exists, and init never overwrites" in run.stderr
    assert files_in(harness.folder) == before


def test_a_second_init_changes_nothing(harness: Harness) -> None:
    harness.write("a.pkr.hcl", BASE)
    proposed(harness)
    before = files_in(harness.folder)
    assert harness.run("init").status == 1
    assert files_in(harness.folder) == before


@pytest.mark.parametrize("target", ["elsewhere.toml", "missing/bakery.toml"])
def test_a_link_named_bakery_toml_is_not_followed(harness: Harness, target: str) -> None:
    harness.write("a.pkr.hcl", BASE)
    (harness.folder / "bakery.toml").symlink_to(harness.folder.parent / target)
    assert harness.run("init").status == 1
    assert not (harness.folder.parent / target).exists()


def test_an_existing_schema_is_not_overwritten(harness: Harness) -> None:
    harness.write("a.pkr.hcl", BASE)
    harness.write(".bakery.schema.json", "mine\n")
    proposed(harness)
    assert (harness.folder / ".bakery.schema.json").read_text() == "mine\n"


def test_check_jsonschema_checks_the_file_with_the_schema_next_to_it(harness: Harness) -> None:
    harness.write("a.pkr.hcl", BASE)
    proposed(harness)
    schema = (harness.folder / ".bakery.schema.json").read_text()
    assert schema == harness.run("schema").stdout
    toml = (harness.folder / "bakery.toml").read_text()
    assert toml.startswith("#:schema .bakery.schema.json\n")
    command = ("--schemafile", ".bakery.schema.json", "bakery.toml")
    assert harness.run(*command, program="check-jsonschema").status == 0
    harness.write("bakery.toml", toml.replace("template =", "templat ="))
    refused = harness.run(*command, program="check-jsonschema")
    assert (refused.status, "'templat' was unexpected" in refused.stdout) == (1, True)


def test_a_dry_run_prints_the_file_and_writes_nothing(harness: Harness) -> None:
    harness.write("a.pkr.hcl", BASE)
    before = files_in(harness.folder)
    text = harness.run("init", "--dry-run").stdout
    assert files_in(harness.folder) == before
    proposed(harness)
    assert (harness.folder / "bakery.toml").read_text() == text
    assert harness.run("init", "--dry-run").stdout == text


def test_the_folder_is_an_argument_and_nothing_is_written_elsewhere(harness: Harness, tmp_path: Path) -> None:
    harness.write("services/shop/packer/packer.pkr.hcl", BASE)
    assert harness.run("init", "services/shop").status == 0
    written = {str(path.relative_to(harness.folder)) for path in harness.folder.rglob("*") if path.is_file()}
    assert written == {
        "services/shop/packer/packer.pkr.hcl",
        "services/shop/bakery.toml",
        "services/shop/.bakery.schema.json",
    }
    images = tomllib.loads((harness.folder / "services/shop/bakery.toml").read_text())["images"]
    assert images == {"shop": {"template": "packer/packer.pkr.hcl"}}
    for wrong in ("missing", "services/shop/packer/packer.pkr.hcl"):
        run = harness.run("init", wrong)
        assert (run.status, "folder" in run.stderr) == (2, True)


def test_only_the_named_templates_get_images(harness: Harness) -> None:
    harness.write("base.pkr.hcl", BASE)
    harness.write("app.pkr.hcl", APP)
    assert set(proposed(harness, "--template", "base.pkr.hcl")) == {"base"}
    outside = harness.run("init", ".", "--template", "../x.pkr.hcl", "--dry-run")
    assert (outside.status, "is outside of" in outside.stderr) == (2, True)
    assert harness.run("init", "--template", "missing.json", "--dry-run").status == 2


def test_a_folder_build_is_one_image(harness: Harness) -> None:
    harness.write("web/build.pkr.hcl", BASE[BASE.index("build {") :])
    harness.write("web/source.pkr.hcl", BASE[: BASE.index("build {")])
    assert proposed(harness) == {"web": {"template": "web"}}


def test_each_builder_of_a_template_is_an_image(harness: Harness) -> None:
    second = BASE.replace('"base"', '"other"').replace("ebs.base", "ebs.other")
    harness.write("images/both.pkr.hcl", BASE + second)
    images = proposed(harness)
    assert {name: image["only"] for name, image in images.items()} == {
        "base": ["amazon-ebs.base"],
        "other": ["amazon-ebs.other"],
    }
    assert harness.run("check").status == 0


def test_the_workdir_is_the_folder_in_which_the_paths_exist(harness: Harness) -> None:
    harness.write("packer/base/base.pkr.hcl", with_upload(BASE, "packer/files/motd"))
    harness.write("packer/files/motd", "hello\n")
    images = proposed(harness)
    assert images["base"]["workdir"] == "."
    assert "packer/files/motd" in harness.run("inputs").answer


def test_var_files_are_those_that_a_makefile_passes(harness: Harness) -> None:
    harness.write("packer/base.pkr.hcl", 'variable "size" {}\n' + BASE.replace('"t3.micro"', "var.size"))
    harness.write("packer/prod.pkrvars.hcl", 'size = "t3.micro"\n')
    harness.write("packer/dev.pkrvars.hcl", 'size = "t3.nano"\n')
    harness.write("Makefile", "bake:\n\tcd packer && packer build -var-file=prod.pkrvars.hcl base.pkr.hcl\n")
    assert proposed(harness)["base"]["var_files"] == ["packer/prod.pkrvars.hcl"]
    assert harness.run("check").status == 0


def test_one_fitting_var_file_is_used_and_of_several_none(harness: Harness) -> None:
    harness.write("one/base.pkr.hcl", 'variable "size" {}\n' + BASE.replace('"t3.micro"', "var.size"))
    harness.write("one/prod.pkrvars.hcl", 'size = "t3.micro"\n')
    harness.write("one/other.pkrvars.hcl", 'unknown = "t3.micro"\n')
    harness.write("two/app.json", json_template())
    for name in ("dev", "prod"):
        harness.write(f"two/{name}.json", {"size": "t3.nano"})
    images = proposed(harness)
    assert images["base"]["var_files"] == ["one/prod.pkrvars.hcl"]
    assert "var_files" not in images["app"]
    text = (harness.folder / "bakery.toml").read_text()
    assert '# TODO: Select a var-file, or define an image for each.\n# var_files = ["two/dev.json"]' in text


def test_var_files_that_are_named_after_the_template_are_images(harness: Harness) -> None:
    harness.write("web/web.pkr.hcl", 'variable "size" {}\n' + BASE.replace('"t3.micro"', "var.size"))
    for name in ("web-dev", "web-1.2"):
        harness.write(f"web/{name}.pkrvars.hcl", 'size = "t3.nano"\n')
    images = proposed(harness)
    assert {name: image["var_files"] for name, image in images.items()} == {
        "web-dev": ["web/web-dev.pkrvars.hcl"],
        "web-1.2": ["web/web-1.2.pkrvars.hcl"],
    }
    assert harness.run("inputs").status == 0
    assert "TODO" not in (harness.folder / "bakery.toml").read_text()


def test_a_required_variable_is_a_todo_that_can_be_uncommented(harness: Harness) -> None:
    harness.write("base.pkr.hcl", 'variable "size" {}\n' + BASE.replace('"t3.micro"', "var.size"))
    assert "vars" not in proposed(harness)["base"]
    (finding,) = harness.run("check", "--json").images[0]["findings"]
    assert "variable 'size' has no default and no value" in finding["message"]
    text = (harness.folder / "bakery.toml").read_text()
    line = '# vars.size = "..." # base.pkr.hcl:1\n'
    assert line in text
    harness.write("bakery.toml", text.replace(line, 'vars.size = "t3.micro"\n'))
    assert harness.run("check").status == 0


def test_the_todo_of_a_possible_secret_sets_no_value_in_the_file(harness: Harness) -> None:
    variables = 'variable "key_path" {}\nvariable "db_password" {}\nvariable "license" {\n  sensitive = true\n}\n'
    harness.write("base.pkr.hcl", variables + BASE)
    harness.write("app/app.json", json_template() | {"variables": {"aws_secret_key": None}})
    proposed(harness)
    text = " ".join((harness.folder / "bakery.toml").read_text().replace("\n# ", " ").split())
    assert re.findall(r"vars\.\w+", text) == ["vars.key_path"]
    assert "PKR_VAR_db_password, PKR_VAR_license" in text
    assert "TODO: Set aws_secret_key, which has no default, with -var after `--`" in text


def test_no_value_of_a_sensitive_variable_is_shown(harness: Harness) -> None:
    variables = 'variable "a" {\n  sensitive = true\n  default = "sensitive-value"\n}\nvariable "b" {}\n'
    base = BASE.replace('"acme-base-{{timestamp}}"', '"${var.a}-${var.b}-{{timestamp}}"')
    harness.write("base/base.pkr.hcl", variables + with_upload(base, "${var.a}.txt"))
    harness.write("base/base.pkrvars.hcl", 'b = "value-of-a-file"\n')
    own = BASE.replace('"base"', '"app"').replace("ebs.base", "ebs.app").replace('["099720109477"]', '["self"]')
    own = own.replace("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*", "${var.a}-${var.b}-*")
    harness.write("app/app.pkr.hcl", variables + own)
    harness.write("app/app.pkrvars.hcl", 'b = "value-of-a-file"\n')
    for options in (("--dry-run",), ("--json", "--dry-run"), ()):
        run = harness.run("init", *options)
        assert run.status == 0, run.stderr
        shown = run.stdout + run.stderr + "".join(path.read_text() for path in harness.folder.glob("*.toml"))
        assert "sensitive-value" not in shown
        assert "TODO: Fix an input: looking for" in shown or "--json" in options


def test_a_filter_on_another_images_name_is_a_todo_with_the_parent(harness: Harness) -> None:
    harness.write("base/base.pkr.hcl", BASE)
    own = BASE.replace('"base"', '"app"').replace("ebs.base", "ebs.app").replace("acme-base", "acme-app")
    own = own.replace('["099720109477"]', '["self"]').replace(
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*", "acme-base-*"
    )
    harness.write("app/app.pkr.hcl", own)
    assert "from" not in proposed(harness)["app"]
    assert '# from = "base"\n' in (harness.folder / "bakery.toml").read_text()


def test_a_script_that_passes_an_ami_to_another_template_sets_the_parent(harness: Harness) -> None:
    harness.write("golden/golden.pkr.hcl", BASE)
    harness.write("shop/shop.pkr.hcl", APP.replace("base_ami", "source_ami"))
    script = "#!/bin/sh\npacker build golden/golden.pkr.hcl\n"
    script += "packer build -var source_ami=$(jq -r '.builds[-1].artifact_id' manifest.json) shop/shop.pkr.hcl\n"
    harness.write("build.sh", script)
    assert proposed(harness)["shop"] == {"template": "shop/shop.pkr.hcl", "from": "golden"}
    assert harness.run("check").status == 0


def test_an_unknown_source_ami_is_a_todo(harness: Harness) -> None:
    harness.write("app.pkr.hcl", APP.replace("base_ami", "ami_id"))
    assert "from" not in proposed(harness)["app"]
    text = (harness.folder / "bakery.toml").read_text()
    assert "# TODO: Set `from`: ami_id receives the source AMI" in text
    assert '# from_variable = "ami_id"\n' in text


def test_a_template_that_does_not_parse_is_listed_and_does_not_stop_init(harness: Harness) -> None:
    harness.write("a/base.pkr.hcl", BASE)
    harness.write("b/broken.pkr.hcl", "source {{{\n")
    harness.write("c/broken.json", '{"builders": [{"type": "amazon-ebs"}')
    harness.write("d/package.json", {"name": "x", "builders": ["webpack"]})
    harness.write("e/docker.pkr.hcl", 'source "docker" "x" {\n image = "x" \n}\nbuild {\n sources = ["docker.x"]\n}\n')
    run = harness.run("init", "--json")
    document = run.document
    assert document["written"] is True
    assert [image["image"] for image in document["images"]] == ["base"]
    unused = {item["path"]: (item["why"], item["broken"]) for item in document["unused"]}
    assert set(unused) == {"b/broken.pkr.hcl", "c/broken.json", "e/docker.pkr.hcl"}
    assert unused["e/docker.pkr.hcl"] == ("no builder produces an AMI (docker)", False)
    text = (harness.folder / "bakery.toml").read_text()
    assert "# TODO: Fix these files, and add their images.\n#     b/broken.pkr.hcl: it does not parse" in text
    assert harness.run("inputs").status == 0


def test_without_a_template_nothing_is_written(harness: Harness) -> None:
    harness.write("package.json", {"name": "x"})
    for broken in (False, True):
        if broken:
            harness.write("broken.pkr.hcl", "source {{{\n")
        run = harness.run("init")
        assert (run.status, run.stdout) == (1, "")
        assert run.stderr.startswith("error: looking for Packer templates in")
    assert not (harness.folder / "bakery.toml").exists()


def test_a_local_command_in_a_shared_folder_keeps_the_folder_in_the_digest(harness: Harness) -> None:
    step = '  provisioner "shell-local" {\n    inline = ["python3 render.py"]\n  }\n}\n'
    harness.write("x/a.pkr.hcl", BASE.removesuffix("}\n") + step)
    harness.write("x/b.pkr.hcl", BASE)
    harness.write("x/render.py", "open('data.txt')\n")
    images = proposed(harness)
    assert "inputs" not in images["a"]
    assert images["b"]["inputs"] == []


def test_a_var_file_that_cannot_be_used_is_a_todo(harness: Harness) -> None:
    harness.write("app.json", json_template())
    harness.write("app.pkrvars.hcl", 'size = "t3.nano"\n')
    harness.write("broken.json", "{")
    harness.write(
        "Makefile",
        b"all:\n\tpacker build -var-file=a\0b.json -var-file=broken.json x.json\n"
        b"\tpacker build -var-file=broken.json app.json\n",
    )
    assert "var_files" not in proposed(harness)["app"]
    assert '# var_files = ["broken.json"]' in (harness.folder / "bakery.toml").read_text()
    assert harness.run("inputs").status == 0


def test_hidden_folders_are_searched_except_those_of_tools(harness: Harness) -> None:
    for folder in (".ci/packer", ".terraform/modules", ".git/x", ".mypy_cache", "node_modules/a"):
        harness.write(f"{folder}/base.pkr.hcl", BASE)
    assert [image["template"] for image in proposed(harness).values()] == [".ci/packer/base.pkr.hcl"]


HOSTILE = [
    'a "quoted"',
    "line\nbreak",
    "back\\slash",
    "#:schema x",
    "]\n[images.evil]",
    "\u2028sep",
    "$(touch x)",
    "tab\t",
    "é",
]


def test_hostile_names_are_data(harness: Harness) -> None:
    for name in HOSTILE:
        harness.write(f"{name}/{name}.pkr.hcl", BASE)
    os.mkdir(os.fsencode(harness.folder) + b"/bad\xff")
    (harness.folder / "bad\udcff" / "x.pkr.hcl").write_text(BASE)
    harness.write("json\n/b.json", '{"builders": [{"type": "amazon-ebs"}')
    images = proposed(harness)
    assert {image["template"] for image in images.values()} == {f"{name}/{name}.pkr.hcl" for name in HOSTILE}
    assert harness.run("inputs").status == 0
    assert "bad\\xff/x.pkr.hcl: its name is not UTF-8" in (harness.folder / "bakery.toml").read_text()


def test_links_pipes_and_deep_or_huge_files_do_not_stop_it(harness: Harness) -> None:
    harness.write("a/base.pkr.hcl", BASE)
    (harness.folder / "a/loop").symlink_to("..")
    (harness.folder / "link.pkr.hcl").symlink_to("a/base.pkr.hcl")
    os.mkfifo(harness.folder / "pipe.pkr.hcl")
    os.mkfifo(harness.folder / "pipe.json")
    harness.write("huge.json", b'{"builders": [' + b" " * (3 << 20))
    harness.write("deep.json", '{"builders":' + "[" * 200_000)
    harness.write("deep.pkr.json", "[" * 200_000)
    harness.write("deep.pkr.hcl", "a = " + "(" * 20_000)
    harness.write("empty.pkr.hcl", "")
    assert set(proposed(harness)) == {"base"}


def test_ten_thousand_files_are_searched(harness: Harness) -> None:
    for number in range(100):
        folder = harness.folder / f"data/{number}"
        folder.mkdir(parents=True)
        for file in range(100):
            (folder / f"{file}.json").write_bytes(b'{"a": {"b": 1}}')
    harness.write("node_modules/x/packer.json", json_template())
    harness.write("z/base.pkr.hcl", BASE)
    assert set(proposed(harness)) == {"base"}


def test_init_starts_no_program_and_needs_no_aws(harness: Harness) -> None:
    for name in ("packer", "git", "sh", "jq"):
        harness.program(name, f"#!/bin/bash\necho {name} >>{harness.folder.parent}/started\n")
    harness.write("base.pkr.hcl", BASE)
    harness.write("Makefile", "all:\n\tpacker build base.pkr.hcl\n")
    proposed(harness)
    assert not (harness.folder.parent / "started").exists()
    assert harness.calls() == {}


def test_the_proposal_does_not_depend_on_the_environment(harness: Harness) -> None:
    harness.write("base.pkr.hcl", 'variable "region" {}\n' + BASE.replace('"us-east-1"', "var.region"))
    texts = {
        harness.run("init", "--dry-run", environment=environment).answer
        for environment in ({}, {"PKR_VAR_region": "eu-west-1", "AWS_DEFAULT_REGION": None})
    }
    assert len(texts) == 1


def test_config_is_no_option_of_init(harness: Harness) -> None:
    run = harness.run("init", "-C", "bakery.toml")
    assert (run.status, "Name the FOLDER instead" in run.stderr) == (2, True)


def test_component_of_an_unknown_plugin_may_read_the_whole_folder(harness: Harness) -> None:
    """What a third-party plugin reads is not known: `inputs = []` could miss it."""
    known = json_template() | {"provisioners": [{"type": "shell", "inline": ["true"]}]}
    harness.write("known.json", known)
    harness.write("plugin.json", known | {"provisioners": [{"type": "tuner", "profile": "fast"}]})
    harness.write("fast/settings", "a = 1\n")
    images = proposed(harness)
    assert (images["known"].get("inputs"), images["plugin"].get("inputs")) == ([], None)
    assert "tuner may read more files of it" in " ".join((harness.folder / "bakery.toml").read_text().split())


def test_template_in_a_folder_whose_name_starts_with_two_dots(harness: Harness) -> None:
    harness.write("..old/app.json", json_template())
    (image,) = proposed(harness, "--template", "..old/app.json").values()
    assert image["template"] == "..old/app.json"
    outside = harness.run("init", "..old", "--template", "bakery.toml", "--dry-run")
    assert (outside.status, "outside of" in outside.stderr) == (2, True)
