"""Checks the documents: links, examples, commands and the names of files."""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from ami_bakery.adapters.files.config_file import parse_config_file
from ami_bakery.cli.parser import TAKE_DASHES, make_parser
from ami_bakery.local import LocalAws
from tests.conftest import aws_client
from tests.docs.shell import runs
from tests.documents import ROOT, Block, all_blocks, anchors_of, blocks_of, code_of, documents, links_of

LANGUAGES = {"", "console", "groovy", "hcl", "html", "json", "mermaid", "pycon", "python", "sh", "toml", "yaml"}
"""A test parses the blocks of each language. Blocks without a language are pictures or output."""
EXTERNAL = ("http://", "https://", "mailto:")
parser = cache(make_parser)


@pytest.mark.parametrize("document", documents())
def test_every_link_has_a_target(document: str) -> None:
    broken = []
    for link in links_of(document):
        if link.startswith(EXTERNAL):
            continue
        path, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(document), path)) if path else document
        if not (ROOT / target).exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


def test_every_document_is_in_the_index() -> None:
    listed = {posixpath.normpath(posixpath.join("docs", link.partition("#")[0])) for link in links_of("docs/README.md")}
    wanted = {name for name in documents() if name.startswith("docs/") and not name.startswith("docs/decisions/")}
    assert wanted - {"docs/README.md"} - listed == set()
    assert "docs/decisions" in listed


RECORDS = [name for name in documents() if name.startswith("docs/decisions/") and not name.endswith("README.md")]


def test_every_decision_is_in_the_index_under_its_title() -> None:
    index = " ".join((ROOT / "docs/decisions/README.md").read_text().split())
    for name in RECORDS:
        title = (ROOT / name).read_text().partition("\n")[0].removeprefix("# ")
        assert f"[{title}]({name.removeprefix('docs/decisions/')})" in index
    assert len(RECORDS) < 40


@pytest.mark.parametrize("record", RECORDS)
def test_every_decision_has_context_decision_alternatives_and_cost(record: str) -> None:
    text = (ROOT / record).read_text()
    parts = re.findall(r"^\*\*(Context|Decision|Alternatives|Cost)\b[^*]*\*\*", text, re.MULTILINE)
    assert list(dict.fromkeys(parts)) == ["Context", "Decision", "Alternatives", "Cost"]


def test_files_that_the_architecture_names_exist() -> None:
    named = {code for code in code_of("ARCHITECTURE.md") if re.fullmatch(r"[\w/]+\.py", code)}
    assert len(named) > 30
    assert {name for name in named if not (ROOT / "src/ami_bakery" / name).is_file()} == set()


def test_every_block_has_a_language_that_a_test_parses() -> None:
    unknown = [str(block) for name in documents() for block in blocks_of(name) if block.language not in LANGUAGES]
    assert unknown == []


def test_commands_are_in_blocks_that_tests_parse() -> None:
    """A block without a language is a picture or an output."""
    unchecked = [
        str(block) for block in all_blocks("") if re.search(r"^(\$|ami-bakery|bake) ", block.text, re.MULTILINE)
    ]
    assert unchecked == []


@pytest.mark.parametrize("block", all_blocks("toml"), ids=str)
def test_every_bakery_toml_example_is_valid(block: Block) -> None:
    """An example without a version is a part: of the file if it has tables of images, otherwise of an image."""
    table = tomllib.loads(block.text)
    text = block.text
    if "version" not in table:
        whole = "images" in table or "defaults" in table
        text = "version = 1\n" + ("" if whole else '[images.app]\ntemplate = "app.json"\n') + text
    assert parse_config_file(text.encode(), Path("/repository/bakery.toml")) is not None


@pytest.mark.parametrize("block", all_blocks("json"), ids=str)
def test_every_json_example_is_valid(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_every_yaml_example_is_valid_and_uses_existing_commands(block: Block) -> None:
    for text in strings(list(yaml.safe_load_all(block.text))):
        assert_understood(block, text)


@pytest.mark.parametrize("block", all_blocks("sh", "console"), ids=str)
def test_program_accepts_every_command_line(block: Block) -> None:
    text = block.text
    if block.language == "console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith(("$ ", "> ")))
    assert_understood(block, text)


@pytest.mark.parametrize("block", all_blocks("groovy"), ids=str)
def test_program_accepts_every_step_of_a_jenkinsfile(block: Block) -> None:
    steps = re.findall(r"sh '([^']*)'|sh '''(.*?)'''", block.text, re.DOTALL)
    assert steps
    for one, several in steps:
        assert_understood(block, one or several)


@pytest.mark.parametrize("document", documents())
def test_every_command_and_option_in_the_text_exists(document: str) -> None:
    commands = parser()._subparsers
    assert commands is not None
    (choices,) = [action.choices for action in commands._group_actions if isinstance(action.choices, dict)]
    for code in code_of(document):
        program, _, rest = code.partition(" ")
        name, *words = rest.split(" -- ")[0].split()[:20] or [""]
        if program == "ami-bakery" and name.isalpha():
            assert name in choices, f"{document}: {code}"
            options = {word.partition("=")[0].strip("[]") for word in words if word.strip("[")[2:]}
            options = {option for option in options if option.startswith("--")}
            assert options <= choices[name]._option_string_actions.keys(), f"{document}: {code}"


def assert_understood(where: object, text: str) -> None:
    """Asserts that the program's parser accepts each of its runs in these command lines."""
    for words in runs(text):
        at = words.index("--") if "--" in words else len(words)
        try:
            arguments = parser().parse_args(words[:at])
        except SystemExit as end:
            assert end.code == 0, f"{where}: ami-bakery {' '.join(words)}"
        else:
            assert at == len(words) or arguments.command in TAKE_DASHES, f"{where}: {words}"


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("AMI_ID=$(ami-bakery bake app)", [["bake", "app"]]),
        ('eval "$(ami-bakery completion bash)"', [["completion", "bash"]]),
        (
            "ami-bakery local --policy p -- ami-bakery plan",
            [["local", "--policy", "p", "--", "ami-bakery", "plan"], ["plan"]],
        ),
        ("docker run --rm --mount source=$(pwd) \\\n  ami-bakery plan # a comment", [["plan"]]),
        ("docker build --tag ami-bakery .", []),
        ("cd x && bake && terraform apply -var a=$(ami-bakery bake -q)", [["bake", "-q"], ["bake"]]),
    ],
)
def test_runs_in_a_command_line_are_found(text: str, words: list[list[str]]) -> None:
    assert list(runs(text)) == words


TRUSTING = [block for block in all_blocks("json") if "AssumeRoleWithWebIdentity" in block.text]


@pytest.mark.parametrize("block", TRUSTING, ids=str)
def test_every_trust_policy_checks_audience_and_subject(block: Block) -> None:
    """Otherwise, other customers of the same CI system could assume the role."""
    (statement,) = json.loads(block.text)["Statement"]
    provider = statement["Principal"]["Federated"].partition(":oidc-provider/")[2]
    conditions = {key: (kind, value) for kind, keys in statement["Condition"].items() for key, value in keys.items()}
    assert conditions.keys() == {f"{provider}:aud", f"{provider}:sub"}
    for kind, value in conditions.values():
        assert kind == ("StringLike" if "*" in value else "StringEquals")
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRoleWithWebIdentity")


def test_iam_accepts_every_policy(local: LocalAws) -> None:
    """moto checks the syntax of policies, not what they allow."""
    iam = aws_client(local, "iam")
    for number, block in enumerate(TRUSTING):
        iam.create_role(RoleName=f"role-{number}", AssumeRolePolicyDocument=block.text)
    for path in (ROOT / "docs/guides/iam").iterdir():
        iam.create_policy(PolicyName=path.stem, PolicyDocument=path.read_text())
    iam.close()


def test_github_and_gitlab_pages_list_every_input() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert {*action["inputs"], *action["outputs"]} - set(code_of("docs/guides/ci/github.md")) == set()
    header, _ = yaml.safe_load_all((ROOT / "templates/ami-bakery.yml").read_text())
    assert header["spec"]["inputs"].keys() - set(code_of("docs/guides/ci/gitlab.md")) == set()


def test_every_ci_example_has_a_page() -> None:
    examples = {path.name for path in (ROOT / "examples/ci").iterdir()}
    linked = {link.rpartition("/")[2] for link in links_of("docs/guides/ci/README.md") if "examples/ci" in link}
    assert examples == linked


def test_files_named_in_code_and_documents_exist() -> None:
    """Also in comments and messages."""
    folders = ("src", "docs", "docker", "examples", "scripts", "templates", "tools")
    files = [*ROOT.glob("*.md"), *(ROOT / name for name in ("Dockerfile", "Makefile", "action.yml", "pyproject.toml"))]
    files += [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    named = re.compile(r"(?<![\w/.~-])(?:docs|examples|scripts|tests)/[\w./-]*\w")
    missing = []
    for path in files:
        if path.suffix in (".pyc", ".svg", ".png") or "node_modules" in path.parts:
            continue
        found = set(named.findall(path.read_text()))
        missing += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(found) if not (ROOT / name).exists()]
    assert missing == []
