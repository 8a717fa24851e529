"""The repository that every mutation starts from, in JSON or in HCL2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TOML = """\
version = 1

[defaults]
regions = ["us-east-1"]

[images.base]
template = "images/base/base.json"

[images.app]
template  = "images/app/{template}"
inputs    = ["images/app", "common"]
from      = {{ owners = ["self"], filters = {{ name = "golden-*" }} }}
vars      = {{ size = "t3.small" }}
var_files = ["vars/one.{suffix}", "vars/two.{suffix}"]
env       = ["BUILD_CHANNEL"]
salt      = "1"

[images.of-parameter]
template = "images/app/{template}"
inputs   = ["common"]
from     = {{ ssm = "/golden/ami" }}

[images.child]
template = "images/app/{template}"
inputs   = ["common"]
from     = "base"
"""
JSON_BUILDER = {
    "type": "amazon-ebs",
    "region": "us-east-1",
    "source_ami": "{{user `source_ami`}}",
    "instance_type": "{{user `size`}}",
    "communicator": "none",
    "ami_name": "app-{{uuid}}",
}
JSON_TEMPLATE = {
    "variables": {
        "source_ami": "",
        "size": "",
        "one": "",
        "two": "",
        "config_checksum": "",
        "secret": "{{env `AWS_SECRET_ACCESS_KEY`}}",
        "home": "{{env `HOME`}}",
    },
    "builders": [JSON_BUILDER],
    "provisioners": [
        {"type": "ansible", "playbook_file": "../../ansible/site.yml"},
        {"type": "shell-local", "script": "../../elsewhere/outside.sh"},
        {"type": "file", "source": "../../elsewhere/files", "destination": "/tmp"},
    ],
}
HCL_TEMPLATE = """\
variable "source_ami" {}
variable "size" {}
variable "one" {
  default = ""
}
variable "two" {
  default = ""
}
variable "config_checksum" {
  default = ""
}
variable "secret" {
  default = env("AWS_SECRET_ACCESS_KEY")
}
variable "home" {
  default = env("HOME")
}

source "amazon-ebs" "app" {
  region        = "us-east-1"
  source_ami    = var.source_ami
  instance_type = var.size
  communicator  = "none"
  ami_name      = "app-${uuidv4()}"
}

build {
  sources = ["source.amazon-ebs.app"]

  provisioner "ansible" {
    playbook_file = "../../ansible/site.yml"
  }
  provisioner "shell-local" {
    script = "../../elsewhere/outside.sh"
  }
  provisioner "file" {
    source      = "../../elsewhere/files"
    destination = "/tmp"
  }
}
"""
FILES = {
    "images/app/setup.sh": "echo set up\n",
    "images/app/other.sh": "echo other\n",
    "images/app/.hidden": "hidden\n",
    "images/app/.folder/inside": "inside a hidden folder\n",
    "images/app/.gitignore": "built.bin\n",
    "images/app/built.bin": "what a build made\n",
    "common/shared.sh": "echo shared\n",
    "ansible/site.yml": "- hosts: all\n  tasks:\n    - import_tasks: tasks.yml\n",
    "ansible/tasks.yml": "- debug: msg=hello\n",
    "elsewhere/outside.sh": "echo outside\n",
    "elsewhere/files/upload": "uploaded\n",
    "elsewhere/target": "what a link leads to\n",
    "elsewhere/other-target": "what a link leads to\n",
}


def plant(folder: Path, form: str) -> None:
    folder.mkdir(parents=True)
    suffix = "json" if form == "json" else "pkrvars.hcl"
    template = "app.json" if form == "json" else "app.pkr.hcl"
    files = dict(FILES)
    files["bakery.toml"] = TOML.format(template=template, suffix=suffix)
    files[f"images/app/{template}"] = json.dumps(JSON_TEMPLATE, indent=2) if form == "json" else HCL_TEMPLATE
    builder: dict[str, Any] = {**JSON_BUILDER, "instance_type": "t3.micro"}
    base = {"variables": {"source_ami": "golden"}, "builders": [builder]}
    del builder["source_ami"]
    builder["source_ami_filter"] = {"owners": ["self"], "filters": {"name": "golden-*"}, "most_recent": True}
    files["images/base/base.json"] = json.dumps(base)
    for name in ("one", "two"):
        files[f"vars/{name}.{suffix}"] = json.dumps({name: name}) if form == "json" else f'{name} = "{name}"\n'
    for path, content in files.items():
        full = folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(content)
        full.chmod(0o644)
    (folder / "images/app/link").symlink_to("../../elsewhere/target")
