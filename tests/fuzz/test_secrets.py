"""A secret enters a template in every way and reaches every field: no planning command shows it.

The program runs in this process, with the real Packer for `check`, against the embedded EC2.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ami_bakery.adapters.files.source_tree import DiskTree
from ami_bakery.cli.main import main
from ami_bakery.errors import BakeryError
from ami_bakery.template.facts import TemplateFacts, TemplateRequest
from ami_bakery.template.template_reader import PackerTemplateReader
from ami_bakery.values import replace
from tests.harness import Harness

CANARY = "c4n4ry 7f3a+9c/q"
COMMANDS = (
    ("inputs",),
    ("inputs", "--json"),
    ("plan", "-v"),
    ("check", "--json", "--output", "../out/findings.json"),
)


def forms(secret: str) -> Iterator[str]:
    """Yields forms of a secret, in lower case. Words of a path or a command line may be shown separately."""
    data = secret.encode()
    words = [secret, "c4n4ry", "7f3a"]
    yield from words
    yield from (word[::-1] for word in words)
    yield from (data.hex(), urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret))
    for shift, mixed in ((0, 0), (1, 2), (2, 3)):
        yield base64.b64encode(bytes(shift) + data).decode().rstrip("=")[mixed:-2]
        yield base64.b64encode(bytes(shift) + data[::-1]).decode().rstrip("=")[mixed:-2]


FORMS = sorted({form.lower() for form in forms(CANARY)})


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the secret enters the template. `named`: the expression with its value."""

    named: str = "var.w"
    prelude: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    toml: str = ""
    arguments: tuple[str, ...] = ()


_QUOTED = json.dumps(CANARY)
_SENSITIVE = 'variable "w" {\n  type      = string\n  sensitive = true\n}\n'
WAYS = {
    "file": Way(named='file("secret.txt")', files={"ami/secret.txt": CANARY}),
    "templatefile": Way(named='templatefile("secret.tpl", { a = 1 })', files={"ami/secret.tpl": f"{CANARY}${{a}}"}),
    "env": Way(prelude='variable "w" {\n  default = env("WAY")\n}\n', environment={"WAY": CANARY}),
    "a sensitive default": Way(prelude=f'variable "w" {{\n  sensitive = true\n  default   = {_QUOTED}\n}}\n'),
    "a sensitive local": Way(
        named="local.w", prelude=f'local "w" {{\n  sensitive  = true\n  expression = "${{uuidv4()}}{CANARY}"\n}}\n'
    ),
    "a local of a secret": Way(
        named="local.v", prelude=f'{_SENSITIVE}locals {{\n  v = "${{var.w}}"\n}}\n', environment={"PKR_VAR_w": CANARY}
    ),
    "PKR_VAR": Way(prelude='variable "w" {\n  default = ""\n}\n', environment={"PKR_VAR_w": CANARY}),
    "a var-file": Way(
        prelude=_SENSITIVE, files={"w.pkrvars.hcl": f"w = {_QUOTED}\n"}, toml='var_files = ["w.pkrvars.hcl"]\n'
    ),
    "-var": Way(prelude=_SENSITIVE, arguments=("--", "-var", f"w={CANARY}")),
    "bakery.toml": Way(prelude=_SENSITIVE, toml=f"vars = {{ w = {_QUOTED} }}\n"),
    "a list": Way(
        named="var.w[0]",
        prelude='variable "w" {\n  type      = list(string)\n  sensitive = true\n}\n',
        environment={"PKR_VAR_w": f"[{_QUOTED}]"},
    ),
    "one that does not parse": Way(
        named="var.w[0]",
        prelude='variable "w" {\n  type      = list(string)\n  sensitive = true\n}\n',
        environment={"PKR_VAR_w": CANARY},
    ),
}
TRANSFORMED = (
    "{0}",
    "base64encode(strrev({0}))",
    '"x-${{{0}}}-y"',
    "upper({0})",
    'split("+", {0})[0]',
    "jsonencode([{0}])",
    '"${{{0}}}-${{uuidv4()}}"',
    "tonumber({0})",
    "urlencode({0})",
    '"${{path.root}}/${{{0}}}/x.sh"',
    '{0} == "x" ? "a" : {0}',
    "parseint({0}, 10)",
)
_FILTER = """source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
  }"""
BUILDER = {
    "region": "region = {0}",
    "ami_regions": "ami_regions = [{0}]",
    "ami_name": "ami_name = {0}",
    "instance_type": "instance_type = {0}",
    "source_ami": "source_ami = {0}",
    "user_data_file": "user_data_file = {0}",
    "tags": "tags = {{ a = {0} }}",
    "a tag's name": "tags = {{ ({0}) = 1 }}",
    "key": "ssh_private_key_file = {0}",
    "profile": "profile = {0}",
    "assume_role": "assume_role {{\n role_arn = {0}\n }}",
    "a number": "ssh_port = {0}",
    "a bool": "skip_create_ami = {0}",
    "a filter": "{filter}\nfilters = {{ name = {0} }}",
    "a filter's name": "{filter}\nfilters = {{ ({0}) = 1 }}",
    "owners": "{filter}\nowners = [{0}]",
    "most_recent": "{filter}\nmost_recent = {0}",
    "an unknown field": "nobody_knows_file = {0}",
}


def _ansible(setting: str) -> str:
    return f'provisioner "ansible" {{{{\n playbook_file = "p.yml"\n {setting}\n }}}}'


STEPS = {
    "script": 'provisioner "shell" {{\n script = {0}\n }}',
    "scripts": 'provisioner "shell" {{\n scripts = ["x.sh", {0}]\n }}',
    "inline": 'provisioner "shell" {{\n inline = [{0}]\n }}',
    "a local command": 'provisioner "shell-local" {{\n command = {0}\n }}',
    "local inline": 'provisioner "shell-local" {{\n inline = ["cat ${{{0}}}"]\n }}',
    "execute_command": 'provisioner "shell-local" {{\n inline = ["true"]\n execute_command = ["sh", {0}]\n }}',
    "local script": 'provisioner "shell-local" {{\n script = {0}\n }}',
    "source": 'provisioner "file" {{\n source = {0}\n destination = "/tmp/x"\n }}',
    "sources": 'provisioner "file" {{\n sources = [{0}]\n destination = "/tmp/x"\n }}',
    "download": 'provisioner "file" {{\n source = "/x"\n destination = {0}\n direction = "download"\n }}',
    "direction": 'provisioner "file" {{\n source = "x"\n destination = "/x"\n direction = {0}\n }}',
    "playbook": 'provisioner "ansible" {{\n playbook_file = {0}\n }}',
    "extra_arguments": _ansible('extra_arguments = ["-e", "@${{{0}}}"]'),
    "inventory": _ansible('extra_arguments = ["-i", {0}]'),
    "inventory_file": _ansible("inventory_file = {0}"),
    "roles_path": _ansible("roles_path = {0}"),
    "galaxy_file": _ansible("galaxy_file = {0}"),
    "ansible_env_vars": _ansible('ansible_env_vars = ["ANSIBLE_CONFIG=${{{0}}}"]'),
    "ansible command": _ansible("command = {0}"),
    "cookbooks": 'provisioner "chef-solo" {{\n cookbook_paths = [{0}]\n }}',
    "salt": 'provisioner "salt-masterless" {{\n local_state_tree = {0}\n }}',
    "converge": 'provisioner "converge" {{\n module = "x"\n '
    'module_dirs {{\n source = {0}\n destination = "/x"\n }}\n }}',
    "unknown plugin": 'provisioner "nobody-knows" {{\n config_file = {0}\n }}',
    "continue_on_error": 'provisioner "shell" {{\n inline = ["true"]\n continue_on_error = {0}\n }}',
    "what is written": 'provisioner "shell-local" {{\n inline = ["echo x > ${{{0}}}; tar czf ${{{0}}}.tgz x; '
    "mkdir -p ${{{0}}}/d; rm -rf ${{{0}}}; cp x.sh ${{{0}}}; touch ${{{0}}}; make -C ${{{0}}}; . ${{{0}}}; x-${{{0}}}"
    '"]\n }}',
    "generated": 'provisioner "file" {{\n source = {0}\n destination = "/x"\n generated = true\n }}',
    "an SBOM": 'provisioner "hcp-sbom" {{\n source = {0}\n destination = {0}\n }}',
    "a play": 'provisioner "ansible-navigator" {{\n play {{\n target = {0}\n }}\n }}',
    "inventory_directory": _ansible("inventory_directory = {0}"),
    "passwords": _ansible('extra_arguments = ["--vault-password-file", {0}, "-e", {0}, "-e", "x=${{{0}}}", {0}]'),
    "only": 'provisioner "shell" {{\n inline = ["true"]\n only = [{0}]\n }}',
    "manifest": 'post-processor "manifest" {{\n output = {0}\n }}',
    "an output that is used": 'post-processor "manifest" {{\n output = {0}\n }}\n'
    'post-processor "shell-local" {{\n script = {0}\n }}',
    "a dynamic block": 'dynamic "provisioner" {{\n for_each = [{0}]\n labels = ["shell"]\n '
    "content {{\n script = provisioner.value\n }}\n }}",
}
CALLS = {
    name: f'provisioner "shell" {{{{\n inline = ["${{{{{call}}}}}"]\n }}}}'
    for name, call in {
        "file()": "file({0})",
        "filebase64()": "filebase64({0})",
        "fileexists()": "fileexists({0})",
        "fileset()": 'join(",", fileset({0}, "*"))',
        "a pattern": 'join(",", fileset(".", {0}))',
        "templatefile()": "templatefile({0}, {{}})",
        "templatefile()'s variables": 'templatefile("t.tpl", {{ x = {0} }})',
        "abspath()": "abspath({0})",
        "pathexpand()": "pathexpand({0})",
        "yamldecode()": "yamldecode({0})",
        "jsondecode()": "jsondecode({0})",
        "regex()": 'regex({0}, "x")',
        "replace()": 'replace("abc", "/${{{0}}}/", "x")',
        "format()": "format({0}, 1)",
        "formatdate()": "formatdate({0}, timestamp())",
        "cidrhost()": "cidrhost({0}, 1)",
        "lookup()": "lookup({{ a = 1 }}, {0})",
        "an index": "[1, 2][{0}]",
        "an attribute": "({{ a = {0} }}).b",
        "arithmetic": "({0} + 1)",
        "vault()": 'vault({0}, "x")',
        "a for": "jsonencode([for c in {0} : c])",
        "nobody_knows()": "nobody_knows({0})",
    }.items()
}
FIELDS = {**BUILDER, **STEPS, **CALLS}


def hcl(way: Way, where: str, expression: str) -> str:
    text = FIELDS[where].replace("{filter}\n", "").format(expression)
    inside_filter = "{filter}" in FIELDS[where]
    lines = {
        "region": 'region = "us-east-1"',
        "instance_type": 'instance_type = "t3.micro"',
        "ami_name": 'ami_name = "test"',
        "communicator": 'communicator = "none"',
        "filter": _FILTER,
    }
    build = ""
    if inside_filter:
        name = text.split(" ")[0]
        lines["filter"] = "\n".join(text if line.strip().startswith(name) else line for line in _FILTER.splitlines())
    elif where in BUILDER:
        lines[where] = text
        if where == "source_ami":
            del lines["filter"]
    else:
        build = text
    return (
        f'{way.prelude}\nsource "amazon-ebs" "app" {{\n  '
        + "\n  ".join(lines.values())
        + f'\n}}\nbuild {{\n  sources = ["source.amazon-ebs.app"]\n  {build}\n}}\n'
    )


class CommandOutputs:
    """Runs the commands in this process and collects everything that they write."""

    def __init__(self, app: Harness, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.app = app
        self.monkeypatch = monkeypatch
        self.capfd = capfd
        self.out = app.make_folder(app.folder.parent / "out")

    def of(self, way: Way) -> dict[str, str]:
        environment = {
            **self.app.environment,
            **way.environment,
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(self.out / "summary.md"),
        }
        written = {}
        with self.monkeypatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            patched.chdir(self.app.folder)
            patched.setattr("tempfile.tempdir", str(self.out))
            for command in COMMANDS:
                status = main([*command, *way.arguments])
                captured = self.capfd.readouterr()
                written[" ".join(command)] = f"{status}\n{captured.out}\n{captured.err}"
        for path in sorted(self.out.iterdir()):
            written[path.name] = path.read_text()
            path.unlink()
        return written


@pytest.fixture
def outputs(app: Harness, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> CommandOutputs:
    app.write("ami/p.yml", "- hosts: all\n  tasks: []\n")
    app.write("ami/x.sh", "true\n")
    app.write("ami/t.tpl", "${x} ${y}\n")
    (app.folder / "ami/app.json").unlink()
    return CommandOutputs(app, monkeypatch, capfd)


def shown_in(written: Mapping[str, str]) -> list[str]:
    return [
        f"{form!r} in {name}: {text[max(0, at - 200) : at + 100]}"
        for name, text in written.items()
        for form in FORMS
        if (at := text.lower().find(form)) >= 0
    ]


def bug_in(written: Mapping[str, str]) -> list[str]:
    return [text for text in written.values() if text.startswith("70\n") or "Traceback" in text]


TOML = 'version = 1\n[images.app]\ntemplate = "ami/app.pkr.hcl"\nworkdir = "ami"\nregions = ["us-east-1"]\n'


ROUNDS = int(os.environ.get("AMI_BAKERY_FUZZ_ROUNDS", "1"))


@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.parametrize("where", FIELDS)
def test_no_field_of_an_hcl2_template_shows_a_secret(outputs: CommandOutputs, where: str, turn: int) -> None:
    """Tests each field with rotating ways and transformations."""
    at = list(FIELDS).index(where)
    number = (at * ROUNDS + turn * 5) % len(WAYS)
    way = list(WAYS.values())[number]
    expression = TRANSFORMED[(at + number) % len(TRANSFORMED)].format(way.named)
    outputs.app.write("bakery.toml", TOML + way.toml)
    outputs.app.write("ami/app.pkr.hcl", hcl(way, where, expression))
    for path, content in way.files.items():
        outputs.app.write(path, content)
    written = outputs.of(way)
    assert bug_in(written) == []
    assert shown_in(written) == []


JSON_WAYS = {
    "a sensitive default": Way(prelude=CANARY),
    "env": Way(prelude="{{env `WAY`}}", environment={"WAY": CANARY}),
    "a part of env": Way(prelude="x-{{env `WAY`}}-{{timestamp}}", environment={"WAY": CANARY}),
    "a var-file": Way(files={"w.json": json.dumps({"w": CANARY})}, toml='var_files = ["w.json"]\n'),
    "-var": Way(arguments=("--", "-var", f"w={CANARY}")),
    "bakery.toml": Way(toml=f"vars = {{ w = {_QUOTED} }}\n"),
}
JSON_TRANSFORMED = (
    "{{user `w`}}",
    "x/{{user `w` | upper}}",
    "{{user `v`}}",
    "{{user `w`}}-{{timestamp}}",
    '{{split (user `w`) "+" 0}}',
    "{{user `w` | replace `c` `C` 1}}",
    "{{user `w` | nobody_knows}}",
    "{{template_dir}}/{{user `w`}}",
)
JSON_FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: ("builders", {name: "{}"})
        for name in (
            "region",
            "ami_name",
            "name",
            "source_ami",
            "user_data_file",
            "profile",
            "ssh_private_key_file",
            "instance_type",
        )
    },
    "ami_regions": ("builders", {"ami_regions": ["{}"]}),
    "filters": (
        "builders",
        {"source_ami_filter": {"owners": ["self"], "filters": {"name": "{}"}, "most_recent": True}},
    ),
    "owners": ("builders", {"source_ami_filter": {"owners": ["{}"], "filters": {"name": "x"}, "most_recent": True}}),
    "script": ("provisioners", {"type": "shell", "script": "{}"}),
    "scripts": ("provisioners", {"type": "shell", "scripts": ["x.sh", "{}"]}),
    "local": ("provisioners", {"type": "shell-local", "command": "cat {}"}),
    "source": ("provisioners", {"type": "file", "source": "{}", "destination": "/x"}),
    "playbook": ("provisioners", {"type": "ansible", "playbook_file": "{}"}),
    "arguments": (
        "provisioners",
        {"type": "ansible", "playbook_file": "p.yml", "extra_arguments": ["-e", "@{}", "-i", "{}"]},
    ),
    "unknown": ("provisioners", {"type": "nobody-knows", "config_file": "{}"}),
    "manifest": ("post-processors", {"type": "manifest", "output": "{}"}),
    "checksum": ("post-processors", {"type": "checksum", "output": "{}"}),
}


def json_template_with(way: Way, where: str, transformed: str) -> dict[str, Any]:
    kind, step = JSON_FIELDS[where]
    step = filled(step, transformed)
    builder = {
        "type": "amazon-ebs",
        "region": "us-east-1",
        "instance_type": "t3.micro",
        "communicator": "none",
        "ami_name": "test",
        "source_ami_filter": {"owners": ["self"], "filters": {"name": "x-*"}, "most_recent": True},
    }
    if where == "source_ami":
        del builder["source_ami_filter"]
    return {
        "variables": {"w": way.prelude, "v": "{{user `w`}}"},
        "sensitive-variables": ["w"],
        "builders": [{**builder, **step} if kind == "builders" else builder],
        **({} if kind == "builders" else {kind: [step]}),
    }


def filled(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {name: filled(child, text) for name, child in value.items()}
    if isinstance(value, list):
        return [filled(child, text) for child in value]
    return value.replace("{}", text) if isinstance(value, str) else value


@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.parametrize("where", JSON_FIELDS)
def test_no_field_of_a_json_template_shows_a_secret(outputs: CommandOutputs, where: str, turn: int) -> None:
    at = list(JSON_FIELDS).index(where)
    number = (at * ROUNDS + turn) % len(JSON_WAYS)
    way = list(JSON_WAYS.values())[number]
    template = json_template_with(way, where, JSON_TRANSFORMED[(at + number) % len(JSON_TRANSFORMED)])
    outputs.app.write("bakery.toml", TOML.replace("app.pkr.hcl", "app.json") + way.toml)
    outputs.app.write("ami/app.json", template)
    for path, content in way.files.items():
        outputs.app.write(path, content)
    written = outputs.of(way)
    assert bug_in(written) == []
    assert shown_in(written) == []


def facts_of(tree: DiskTree, template: str, way: Way) -> TemplateFacts:
    given = bool(way.arguments) or "vars" in way.toml.replace("pkrvars", "")
    file = next((path for path in way.files if path.startswith("w.")), None)
    request = TemplateRequest(
        template=template,
        workdir="ami",
        variables={"w": CANARY} if given else {},
        var_files=(file,) if file else (),
        environment={"HOME": "/nowhere", **way.environment},
    )
    return PackerTemplateReader().read(tree, request)


def may_be_shown(tree: DiskTree, facts: TemplateFacts) -> Iterator[str]:
    """Yields the parts of a template's facts that messages use."""
    named = (*facts.references, *(source for source, _ in facts.generated))
    missing = [one for one in named if tree.entry(one.path) is None]
    yield from (one.written or one.path for one in missing)
    yield from (output.shown for output in facts.outputs)
    for builder in facts.builders:
        shown = replace(
            builder, source_ami_filter=None, tags=frozenset(), ami_name=builder.ami_name_written or builder.ami_name
        )
        yield repr(shown)
        if builder.source_ami_filter is not None:
            found = builder.source_ami_filter
            yield repr(found if not found.written else replace(found, filters=()))
    hidden = {"references", "generated", "outputs", "builders", "credentials", "contested", "overwritten", "secrets"}
    yield from (repr(value) for name, value in vars(facts).items() if name not in {*hidden, "withheld"})


def shown_of(tree: DiskTree, template: str, way: Way) -> list[str]:
    try:
        shown = list(may_be_shown(tree, facts_of(tree, template, way)))
    except BakeryError as error:
        shown = [f"{error} {error.todo} {error.marks}"]
    return [text for text in shown for form in FORMS if form in text.lower()]


@pytest.fixture
def tree(tmp_path: Path) -> DiskTree:
    (tmp_path / "ami").mkdir()
    for name, text in {"p.yml": "- hosts: all\n", "x.sh": "true\n", "t.tpl": "${x} ${y}\n"}.items():
        (tmp_path / "ami" / name).write_text(text)
    return DiskTree(str(tmp_path))


@pytest.mark.parametrize("name", WAYS)
def test_no_fact_of_an_hcl2_template_shows_a_secret(name: str, tree: DiskTree) -> None:
    """Tests every field with every third transformation, with the reader alone."""
    way = WAYS[name]
    for path, content in way.files.items():
        Path(tree.absolute(path)).write_text(content)
    for number, where in enumerate(FIELDS):
        for transformed in TRANSFORMED[number % 3 :: 3]:
            text = hcl(way, where, transformed.format(way.named))
            Path(tree.absolute("ami/app.pkr.hcl")).write_text(text)
            assert shown_of(tree, "ami/app.pkr.hcl", way) == [], text


@pytest.mark.parametrize("name", JSON_WAYS)
def test_no_fact_of_a_json_template_shows_a_secret(name: str, tree: DiskTree) -> None:
    way = JSON_WAYS[name]
    for path, content in way.files.items():
        Path(tree.absolute(path)).write_text(content)
    for where in JSON_FIELDS:
        for transformed in JSON_TRANSFORMED:
            text = json.dumps(json_template_with(way, where, transformed))
            Path(tree.absolute("ami/app.json")).write_text(text)
            assert shown_of(tree, "ami/app.json", way) == [], text


def test_the_canary_is_detected_if_it_is_shown(outputs: CommandOutputs) -> None:
    """Tests the test: a string that may be shown is found in the output."""
    outputs.app.write("bakery.toml", TOML)
    outputs.app.write("ami/app.pkr.hcl", hcl(Way(), "script", _QUOTED))
    assert shown_in(outputs.of(Way()))
