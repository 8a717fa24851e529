"""Templates that need too much time or memory are errors with expression and line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ami_bakery.adapters.files.config_file import parse_config_file
from ami_bakery.errors import BakeryError, ConfigError, TemplateError, TooLargeError
from ami_bakery.template.globs import fileset, name_matches
from tests.template.reading import BUILD, read
from tests.trees import write_tree


def doubled(first: str, step: str, count: int = 40) -> str:
    """Locals that each refer to the previous one."""
    lines = [
        f"  a0 = {first}",
        *(f"  a{number} = {step.replace('_', f'local.a{number - 1}')}" for number in range(1, count)),
    ]
    return "locals {\n" + "\n".join(lines) + "\n}\n"


RANGE = "locals {\n  r = range(1000)\n}\n"
TOO_COSTLY = {
    "nested loops": RANGE + "locals {\n  v = [for a in local.r : [for b in local.r : [for c in local.r : 1]]]\n}\n",
    "a loop in a string": RANGE
    + 'locals {\n  v = "%{ for a in local.r }%{ for b in local.r }x%{ endfor }%{ endfor }"\n}\n',
    "a product": RANGE + "locals {\n  v = setproduct(local.r, local.r, local.r)\n}\n",
    "doubled strings": doubled('"xxxxxxxxxxxxxxxx"', '"${_}${_}"'),
    "doubled lists": doubled('["x"]', "concat(_, _)"),
    "lists in lists": doubled('["x"]', "[_, _]"),
    "objects in objects": doubled('"x"', "{ a = _, b = _ }"),
    "joined strings": doubled('"xxxxxxxxxxxxxxxx"', 'join("", [_, _])'),
    "replaced strings": doubled('"xx"', 'replace(_, "x", "xx")'),
    "a wide indent": 'locals {\n  v = indent(1000000000, "a\\nb")\n}\n',
    "a wide number": 'locals {\n  v = format("%99999999d", 1)\n}\n',
    "a precise number": 'locals {\n  v = format("%.99999999f", 1.5)\n}\n',
    "a wide string": 'locals {\n  v = format("%999999999s", "a")\n}\n',
    "wide strings": 'locals {\n  v = formatlist("%99999999s", range(100))\n}\n',
    "encoded strings": doubled('"\\""', "jsonencode([_, _])"),
    "a long sum": f"locals {{\n  v = {'1 + ' * 5000}1\n}}\n",
    "many parentheses": f"locals {{\n  v = {'(' * 5000}1{')' * 5000}\n}}\n",
    "a deep list": f"locals {{\n  v = {'[' * 3000}{']' * 3000}\n}}\n",
    "many operators": f"locals {{\n  v = {'!' * 5000}true\n}}\n",
    "a conditional in a conditional": f"locals {{\n  v = {'true ? 1 : ' * 3000}2\n}}\n",
    "blocks of a product": RANGE
    + 'build {\n  dynamic "provisioner" {\n    for_each = setproduct(local.r, local.r)\n    labels = ["shell"]\n'
    + "    content {}\n  }\n}\n",
}
READ = {
    "a regular expression that branches": f'regex("(a+)+$", "{"a" * 2000}!")',
    "a replacement that branches": f'regex_replace("{"a" * 2000}!", "(a+)+$", "x")',
    "a large power": "pow(9, 9999999)",
    "a long range": "range(0, 1e9)",
    "a fine range": "range(0, 1, 1e-9)",
    "a number of many digits": "9" * 4300,
    "a number of very many digits": "9" * 100_000,
    "a large exponent": "1e999999999",
    "a small exponent": "1e-999999999",
    "a string of many digits": f'"{"9" * 5000}" + 1',
    "digits to a base": f'parseint("{"Z" * 100_000}", 62)',
    "JSON in depth": f'jsondecode("{"[" * 100_000}{"]" * 100_000}")',
    "a long number in JSON": f'jsondecode("{"9" * 100_000}")',
    "YAML in depth": f'yamldecode("{"[" * 3000}{"]" * 3000}")',
    "YAML that refers to itself": 'yamldecode("a: &a [x]\\nb: &b [*a, *a]")',
    "a glob of stars": f'fileset(".", "{"*a" * 30}b")',
    "many networks": f'cidrsubnets("0.0.0.0/0", {", ".join(["32"] * 500)})',
    "an item of an item": "local.none" + ".a" * 50,
}


@pytest.mark.parametrize("template", TOO_COSTLY.values(), ids=TOO_COSTLY)
def test_a_costly_expression_is_an_error_that_names_it(template: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError) as caught:
        read(tmp_path, {"a.pkr.hcl": template})

    assert "a.pkr.hcl" in caught.value.doing
    assert "takes more than" in caught.value.wrong or "creates a" in caught.value.wrong or "deep" in caught.value.wrong
    assert caught.value.todo


@pytest.mark.parametrize("expression", READ.values(), ids=READ)
def test_an_expression_that_looks_costly_is_read(expression: str, tmp_path: Path) -> None:
    template = f"locals {{\n  v = {expression}\n}}\n" + BUILD % '  provisioner "shell" {\n    script = "s.sh"\n  }'

    facts = read(tmp_path, {"a.pkr.hcl": template, "s.sh": "true", "a" * 200: ""})

    assert "s.sh" in [reference.path for reference in facts.references]


def test_growing_numbers_become_unknown(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {"a.pkr.hcl": doubled("1e300", "_ * _") + BUILD % '  provisioner "shell" {\n    script = "${local.a39}"\n  }'},
    )

    assert [unresolved.why for unresolved in facts.unresolved] == ["the number is too large to evaluate"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {f"a{number}": f"{{{{user `a{number - 1}`}}}}" * 2 for number in range(1, 40)} | {"a0": "x" * 16},
            "creates a string",
        ),
        ({"a": "{{{{replace_all `x` `{}` `{}`}}}}".format("x" * 10_000, "x" * 10_000)}, "creates a string"),
    ],
)
def test_a_growing_variable_of_a_json_template_is_an_error(
    variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    template = json.dumps({"variables": variables, "builders": [{"type": "null"}]}, indent=1)
    with pytest.raises(TemplateError) as caught:
        read(tmp_path, {"a.json": template}, template="a.json")

    assert message in caught.value.wrong
    assert "a.json:" in caught.value.doing


@pytest.mark.parametrize("name", ["a.json", "a.pkr.json"])
@pytest.mark.parametrize("value", ["9" * 5000, "[" * 50_000 + "]" * 50_000])
def test_json_that_python_cannot_parse_is_a_template_error(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError) as caught:
        read(tmp_path, {name: f'{{"locals": {{"a": {value}}}}}'}, template=name)

    assert f"{name}:1" in caught.value.doing
    assert "recursion" not in caught.value.wrong
    assert "sys." not in caught.value.wrong


@pytest.mark.parametrize(
    "line",
    ["a" + ".a" * 3000 + " = 1", "[a" + ".a" * 3000 + "]", "x = " + "[" * 3000 + "]" * 3000, "x = " + "9" * 5000],
)
def test_a_bakery_toml_that_python_cannot_parse_is_a_config_error(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config_file(f"version = 1\n{line}\n".encode(), Path("/x/bakery.toml"))

    assert "sys." not in caught.value.wrong


@pytest.mark.parametrize("pattern", ["*a" * 40 + "b", "{a,a}" * 40 + "b", "**/" * 40 + "b", "?*" * 40 + "b"])
def test_a_glob_with_many_stars_is_fast(pattern: str, tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"a" * 200: "", "/".join("a" * 60): ""})

    assert fileset(tree, ".", pattern) == ()
    assert not name_matches(pattern, "a" * 200)
    assert name_matches("*a*a*a*b", "aaa" + "a" * 200 + "b")


ANSIBLE = BUILD % '  provisioner "ansible" {\n    playbook_file = "${path.root}/p.yml"\n  }'
PLAY = "- hosts: all\n  vars_files: [v.yml]\n  tasks:\n    - copy: {src: '{{ j }}', dest: /}\n"
TEN_ALIASES = "a0: &a0 [x, y]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 10)
)
TEN_MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{number}: &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 10)}]}}\n" for number in range(1, 10)
)


@pytest.mark.parametrize("values", [TEN_ALIASES, TEN_MERGES, "v: [" + "x," * 300_000 + "]"])
def test_a_yaml_file_with_too_many_values_is_unresolved(values: str, tmp_path: Path) -> None:
    facts = read(tmp_path, {"a.pkr.hcl": ANSIBLE, "p.yml": PLAY, "v.yml": values})

    assert "it does not parse: it has more than 250,000 values" in [item.why for item in facts.unresolved]


def test_an_alias_that_is_used_twice_is_read(tmp_path: Path) -> None:
    values = "list: &list [a.txt]\nj: *list\n"
    play = "- hosts: all\n  vars_files: [v.yml]\n  tasks:\n    - copy: {src: '{{ j[0] }}', dest: /}\n"

    facts = read(tmp_path, {"a.pkr.hcl": ANSIBLE, "p.yml": play, "v.yml": values, "a.txt": ""})

    assert "a.txt" in [reference.path for reference in facts.references]


@pytest.mark.parametrize("named", ['file("large")', 'templatefile("large", {})', 'filebase64("large")'])
def test_a_file_that_is_too_large_to_read_is_an_error(named: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"")
    os.truncate(tmp_path / "large", 1 << 40)
    template = f"locals {{\n  v = {named}\n}}\n" + BUILD % ""

    with pytest.raises(BakeryError) as caught:
        read(tmp_path, {"a.pkr.hcl": template})

    assert "a.pkr.hcl:2" in caught.value.doing
    assert "reading large: larger than 32 MiB" in caught.value.wrong


def test_a_vars_file_that_is_too_large_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "v.yml").write_bytes(b"")
    os.truncate(tmp_path / "v.yml", 1 << 40)

    with pytest.raises(BakeryError, match=r"v\.yml"):
        read(tmp_path, {"a.pkr.hcl": ANSIBLE, "p.yml": PLAY})


def test_a_variable_whose_unknown_value_doubles_is_an_error(tmp_path: Path) -> None:
    """The written form of an unknown string is longer than its known part."""
    variables = {f"a{number}": f"{{{{user `a{number - 1}`}}}}" * 2 for number in range(1, 60)}
    template = json.dumps({"variables": variables | {"a0": "{{uuid}}"}, "builders": [{"type": "null"}]})

    with pytest.raises(TemplateError, match="creates a string") as caught:
        read(tmp_path, {"a.json": template}, template="a.json")

    assert "`a2" in caught.value.doing


@pytest.mark.parametrize("chain", ["[1]" + "[0]" * 5000, "local.a" + ".a" * 5000, "local.a[*]" + ".a" * 5000])
def test_a_long_chain_of_accesses_is_an_error(chain: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="it chains more than 500 accesses") as caught:
        read(tmp_path, {"a.pkr.hcl": f"locals {{\n  v = {chain}\n}}\n"})

    assert "a.pkr.hcl:2" in caught.value.doing


def test_a_finding_shows_only_the_start_of_a_long_expression(tmp_path: Path) -> None:
    template = BUILD % f'  provisioner "shell" {{\n    script = "${{uuidv4()}}{"x" * 10_000}"\n  }}'

    facts = read(tmp_path, {"a.pkr.hcl": template})

    assert [len(item.expression) < 400 for item in facts.unresolved] == [True]


@pytest.mark.parametrize(
    "command",
    [
        "cat s.sh " + ("{" + "a," * 300 + "b}") * 4,
        "cat s.sh {1..999999999}{1..999999999}{1..999999999}{1..999999999}",
        "cat s.sh {1.." + "9" * 5000 + "}",
        "cat s.sh {" + "," * 20_000,
        "A=x; " + "A=$A$A; " * 60 + "cat s.sh $A/x",
    ],
    ids=["braces", "ranges", "a long number", "an open brace", "a variable that doubles"],
)
def test_a_local_command_that_expands_to_very_many_words_is_read(command: str, tmp_path: Path) -> None:
    step = f'  provisioner "shell-local" {{\n    inline = [{json.dumps(command)}]\n  }}'

    facts = read(tmp_path, {"a.pkr.hcl": BUILD % step, "s.sh": ""})

    assert "s.sh" in [reference.path for reference in facts.references]


LARGE = "x" * (1 << 20)
IN_ANSIBLE = {
    "variables": ({"v.yml": f"j: a\nl: {LARGE}\n"}, "v.yml"),
    "a playbook": ({"p.yml": f"{PLAY}# {LARGE}\n"}, "p.yml"),
    "settings": ({"ansible.cfg": f"[defaults]\nx = {LARGE}\n"}, "ansible.cfg"),
    "a role's tasks": ({"p.yml": "- hosts: all\n  roles: [r]\n", "roles/r/tasks/main.yml": f"# {LARGE}\n"}, "main.yml"),
    "a template of Jinja": (
        {
            "p.yml": "- hosts: all\n  tasks:\n    - template: {src: t.j2, dest: /}\n",
            "t.j2": LARGE + "{% include 'u.j2' %}",
        },
        "t.j2",
    ),
}


@pytest.mark.parametrize("case", IN_ANSIBLE)
def test_an_ansible_file_that_is_too_large_to_parse_is_unresolved(case: str, tmp_path: Path) -> None:
    files, name = IN_ANSIBLE[case]
    facts = read(tmp_path, {"a.pkr.hcl": ANSIBLE, "p.yml": PLAY, "v.yml": "j: a\n", **files})

    found = [item for item in facts.unresolved if "larger than 1 MiB" in item.why]
    assert [item.expression for item in found] == [name]


def test_an_inventory_that_is_too_large_to_parse_is_unresolved(tmp_path: Path) -> None:
    ansible = ANSIBLE.replace("playbook_file", 'inventory_file = "${path.root}/hosts"\n    playbook_file')
    facts = read(tmp_path, {"a.pkr.hcl": ansible, "p.yml": PLAY, "v.yml": "j: a\n", "hosts": f"[a]\n# {LARGE}\n"})

    assert [item.expression for item in facts.unresolved if "larger than 1 MiB" in item.why] == ["hosts"]


def test_a_templatefile_that_is_too_large_to_parse_is_an_error(tmp_path: Path) -> None:
    template = 'locals {\n  v = templatefile("large", {})\n}\n' + BUILD % ""
    with pytest.raises(TooLargeError, match="parses a string of more than"):
        read(tmp_path, {"a.pkr.hcl": template, "large": LARGE + "x"})


def test_very_many_regex_matches_in_a_long_string_are_unknown(tmp_path: Path) -> None:
    template = 'locals {\n  v = join("", regexall("[a-z]+", file("large")))\n}\n' + (
        BUILD % '  provisioner "shell" {\n    script = "${local.v}"\n  }'
    )
    facts = read(tmp_path, {"a.pkr.hcl": template, "large": "ab c\n" * 100_000})

    assert [item.why for item in facts.unresolved] == [
        "`regexall()`: the string is too long for so many matches of a regular expression"
    ]
