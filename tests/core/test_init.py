"""What `init` decides from names and texts alone: image names, units, calls of Packer, parents, TOML."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.config.keys import AMI_ID, IMAGE_NAME
from ami_bakery.core.init.image_names import image_names
from ami_bakery.core.init.packer_calls import packer_calls
from ami_bakery.core.init.parents import BuiltImage, names_meet, own_patterns, parents_of
from ami_bakery.core.init.proposal import Proposal, ProposedImage, Todo, UnusedFile
from ami_bakery.core.init.template_units import HclFile, units_of
from ami_bakery.core.init.toml_text import is_toml_text, toml_key, toml_string
from ami_bakery.render.proposed_file import proposal_report, proposal_toml
from ami_bakery.template.hcl.file_names import names_in
from ami_bakery.template.packer_json.recognize import JsonKind, kind_of_json

NAMES = st.text('aB0/.-_ "\\\né\u2028\x7f', max_size=12)

# --- names


@pytest.mark.parametrize(
    "sources, names",
    [
        ([("images/app/app.pkr.hcl", "")], ["app"]),
        ([("images/app/packer/template.json", "")], ["app"]),
        ([("packer.json", "")], ["shop"]),
        ([("linux/base/base.pkr.hcl", ""), ("windows/base/base.pkr.hcl", "")], ["linux-base", "windows-base"]),
        ([("jammy/agent.pkr.hcl", ""), ("focal/agent.pkr.hcl", ""), ("web/web.json", "")], ["jammy", "focal", "web"]),
        ([("tf/aws/web.json", ""), ("tf/web.json", "")], ["aws-web", "tf-web"]),
        ([("x/a.json", ""), ("x/a.pkr.hcl", "")], ["a", "a-2"]),
        ([("all.pkr.hcl", "web"), ("all.pkr.hcl", "db-22.04")], ["web", "db-22.04"]),
        (
            [("agent.pkr.hcl", "arm64"), ("agent.pkr.hcl", "x86_64")],
            ["agent-arm64", "agent-x86_64"],
        ),
        ([("näme with/späces.pkr.hcl", "")], ["sp-ces"]),
        ([("ami-0123456789abcdef0.json", "")], ["image-ami-0123456789abcdef0"]),
        ([("App.json", ""), ("app.pkr.hcl", "")], ["App", "app-2"]),
    ],
)
def test_an_image_is_named_after_its_template_or_folder(sources: list[tuple[str, str]], names: list[str]) -> None:
    assert list(image_names(sources, "shop")) == names


@given(st.lists(st.tuples(NAMES, NAMES), max_size=8), NAMES)
def test_names_of_images_are_valid_and_unique(sources: list[tuple[str, str]], root: str) -> None:
    names = image_names(sources, root)
    assert len(names) == len(sources)
    assert len({name.lower() for name in names}) == len(names)
    assert all(IMAGE_NAME.fullmatch(name) and not AMI_ID.fullmatch(name) for name in names)


# --- files or folder


def unit_paths(*files: tuple[str, str], called: tuple[str, ...] = (), auto: bool = False) -> list[str]:
    parsed = []
    for name, text in files:
        found = names_in(text.encode(), name)
        parsed.append(HclFile(path=f"x/{name}", declared=found.declared, used=found.used, builds=found.builds))
    return [unit.path for unit in units_of("x", parsed, called, auto=auto)]


ALONE = 'source "amazon-ebs" "a" {}\nbuild { sources = ["source.amazon-ebs.a"] }\n'
SHARED = 'build { sources = ["amazon-ebs.b"] }\nlocals { n = var.name }\n'
VARIABLES = 'variable "name" {}\nsource "amazon-ebs" "b" {}\n'


def test_files_that_share_names_are_a_folder_build() -> None:
    assert unit_paths(("a.pkr.hcl", ALONE), ("b.pkr.hcl", SHARED), ("v.pkr.hcl", VARIABLES)) == ["x"]


def test_complete_files_are_file_builds() -> None:
    assert unit_paths(("a.pkr.hcl", ALONE)) == ["x/a.pkr.hcl"]
    assert unit_paths(
        ("a.pkr.hcl", ALONE), ("o.pkr.hcl", 'source "amazon-ebs" "o" {}\nbuild { sources = ["source.amazon-ebs.o"] }')
    )


def test_a_call_of_packer_for_the_folder_decides() -> None:
    second = ALONE.replace('"a"', '"o"').replace("ebs.a", "ebs.o")
    files = (("a.pkr.hcl", ALONE), ("o.pkr.hcl", second))
    assert unit_paths(*files) == ["x/a.pkr.hcl", "x/o.pkr.hcl"]
    assert unit_paths(*files, called=("x",)) == ["x"]


def test_files_that_declare_the_same_name_are_no_folder_build() -> None:
    assert unit_paths(("a.pkr.hcl", ALONE), ("b.pkr.hcl", ALONE), called=("x",)) == ["x/a.pkr.hcl", "x/b.pkr.hcl"]


def test_auto_var_files_mean_a_folder_build() -> None:
    assert unit_paths(("a.pkr.hcl", ALONE), auto=True) == ["x"]


def test_a_file_with_required_plugins_belongs_to_a_folder_build() -> None:
    assert unit_paths(("a.pkr.hcl", ALONE), ("plugins.pkr.hcl", "packer {}\n")) == ["x"]


def test_a_folder_without_a_build_block_is_no_unit() -> None:
    assert unit_paths(("v.pkr.hcl", VARIABLES)) == []


# --- JSON


@pytest.mark.parametrize(
    "content, kind",
    [
        ('{"builders": [{"type": "amazon-ebs"}]}', JsonKind.TEMPLATE),
        ('{"Builders": [{"type": "null"}]}', JsonKind.TEMPLATE),
        ('{"variables": {"builders": ["a"]}}', JsonKind.OTHER),
        ('{"builders": ["a"]}', JsonKind.OTHER),
        ('{"builders": [{"type": "amazon-ebs"},]}', JsonKind.BROKEN),
        ('{"region": "us-east-1"}', JsonKind.VALUES),
        ('{"dependencies": {}}', JsonKind.OTHER),
        ("[" * 100_000, JsonKind.OTHER),
        ("", JsonKind.OTHER),
    ],
)
def test_legacy_templates_are_recognized_by_their_content(content: str, kind: JsonKind) -> None:
    assert kind_of_json(content.encode()) is kind


# --- calls


def test_calls_of_packer_in_a_makefile() -> None:
    text = "app:\n\tcd images && $(PACKER) build -var-file=prod.pkrvars.hcl \\\n"
    text += "\t  -var 'name=a b' -only='*.app' app.pkr.hcl | tee log\n"
    (call,) = packer_calls(text, "ci/Makefile")
    assert (call.template, call.var_files, call.variables) == ("app.pkr.hcl", ("prod.pkrvars.hcl",), ("name",))
    assert str(call.location) == "ci/Makefile:2"
    assert call.resolve(call.template, {"images/app.pkr.hcl"}.__contains__) == "images/app.pkr.hcl"
    assert call.resolve(call.template, {"ci/images/app.pkr.hcl"}.__contains__) == "ci/images/app.pkr.hcl"


@pytest.mark.parametrize(
    "line, template",
    [
        ("packer build .", "."),
        ("run: packer validate -syntax-only images/", "images"),
        ('sh "packer build ${WORKSPACE}/a.json"', "${WORKSPACE}/a.json"),
        ("docker run hashicorp/packer:1.11 build a.json", "a.json"),
        ("./packer build -color=false a.json && echo done", "a.json"),
        ("packer build -var x=$(jq -r '.builds[-1] | .artifact_id' m.json) a.json", "a.json"),
    ],
)
def test_the_last_word_of_a_call_is_the_template(line: str, template: str) -> None:
    assert [call.template for call in packer_calls(line, "build.sh")] == [template]


def test_comments_and_other_words_are_no_calls() -> None:
    assert not list(packer_calls("# packer build a.json\nall: packer build/x\npacker init .\n", "Makefile"))


def test_a_line_with_very_many_continuations_is_cut() -> None:
    assert len(list(packer_calls("packer -x " * 1_000 + "\\\n" + "packer -x \\\n" * 50_000, "a.sh"))) <= 1


@given(st.text(max_size=300))
def test_any_text_can_be_searched_for_calls(text: str) -> None:
    for call in packer_calls(f"packer build {text}", "a.sh"):
        assert call.resolve(call.template, lambda _: False) is None


# --- parents


def test_a_source_filter_that_matches_an_ami_name_finds_the_parent() -> None:
    base = BuiltImage(name="base", template="base.json", ami_names=("acme-base-{{timestamp}}",))
    app = BuiltImage(name="app", template="app.json", ami_names=("acme-app-1",), filters=("acme-base-*",))
    assert {name: parent.image for name, parent in parents_of([base, app]).items()} == {"app": "base"}


def test_a_variable_that_names_the_nearest_image_finds_the_parent() -> None:
    images = [
        BuiltImage(name="linux-base", template="linux/base/base.pkr.hcl"),
        BuiltImage(name="windows-base", template="windows/base/base.pkr.hcl"),
        BuiltImage(name="app", template="windows/app/app.pkr.hcl", variable="base_ami_id"),
    ]
    assert {name: parent.image for name, parent in parents_of(images).items()} == {"app": "windows-base"}


def test_a_variable_without_an_image_name_finds_no_parent() -> None:
    images = [
        BuiltImage(name="ami", template="ami.json"),
        BuiltImage(name="b", template="b.json", variable="source_ami"),
    ]
    assert parents_of(images) == {}


def test_parents_have_no_cycle() -> None:
    images = [
        BuiltImage(name="a", template="a.json", ami_names=("acme-a-*",), filters=("acme-b-*",)),
        BuiltImage(name="b", template="b.json", ami_names=("acme-b-*",), filters=("acme-a-*",)),
    ]
    assert len(parents_of(images)) == 1


@pytest.mark.parametrize(
    "pattern, name, meets",
    [
        ("base-*", "base-{{timestamp}}", True),
        ("base-*", 'base-${formatdate("YYYY", timestamp())}', True),
        ("base-?-x86", "base-${var.a}-x86", True),
        ("base-*", "app-{{timestamp}}", False),
        ("*", "base-1", False),
        ("base-*-arm64", "base-*-x86", False),
        ("base-{{user `x`", "base-1", True),
    ],
)
def test_ami_names_with_unknown_parts_can_match(pattern: str, name: str, meets: bool) -> None:
    assert names_meet(pattern, name) is meets


@given(st.text("ab*{}$?", max_size=400), st.text("ab*{}$?", max_size=400))
def test_any_two_names_can_be_compared(one: str, other: str) -> None:
    assert names_meet(one, other) in (True, False)


def test_filters_on_public_owners_select_no_amis_of_this_account() -> None:
    name = (("name", ("ubuntu-*",)),)
    assert own_patterns(("099720109477",), name) == ()
    assert own_patterns(("self", "amazon"), name) == ("ubuntu-*",)


# --- the file


@given(NAMES)
def test_any_text_survives_writing_and_parsing_toml(text: str) -> None:
    assert is_toml_text(text)
    assert tomllib.loads(f"{toml_key(text)} = {toml_string(text)}") == {text: text}


@given(st.text(max_size=40), NAMES)
def test_no_name_can_end_its_comment_or_string(text: str, name: str) -> None:
    image = ProposedImage(
        name="app",
        template=name,
        only=name,
        workdir=name,
        var_files=(name,),
        notes=(text,),
        todos=(Todo(text=text, lines=(text,)),),
    )
    unused = UnusedFile(path=text, why=text, is_broken=True)
    proposal = Proposal(images=(image,), unused=(unused,), todos=(Todo(text=text),))
    written = proposal_toml(proposal, ".bakery.schema.json")
    table = tomllib.loads(written)
    given_keys = {"template": name, "only": [name], "workdir": name, "var_files": [name]}
    expected = {key: value for key, value in given_keys.items() if name or key in ("template", "var_files")}
    assert table["images"] == {"app": expected}
    assert set(table) <= {"version", "images", "defaults"}
    written.encode()
    proposal_report(proposal).encode()
