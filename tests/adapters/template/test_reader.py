"""What the reader says of templates, as values."""

from __future__ import annotations

import shutil
from json import dumps
from os import mkfifo
from pathlib import Path

import pytest

from ami_bakery.adapters.template import PackerTemplateReader
from ami_bakery.core.template import Place, Reference, TemplateFacts, TemplateFormat, TemplateRequest
from ami_bakery.errors import SourceError, TemplateError
from tests.trees import write_tree

BUILD = 'source "amazon-ebs" "a" {\n}\nbuild {\n  sources = ["source.amazon-ebs.a"]\n%s\n}\n'


def read(
    root: Path, files: dict[str, str], template: str = "a.pkr.hcl", workdir: str = ".", **more: object
) -> TemplateFacts:
    request = TemplateRequest(template=template, workdir=workdir, **more)  # type: ignore[arg-type]
    return PackerTemplateReader().read(write_tree(root, files), request)


def paths(facts: TemplateFacts) -> list[str]:
    return [reference.path for reference in facts.references]


# --- formats and errors


def test_the_name_tells_the_format(tmp_path: Path) -> None:
    files = {"a.json": '{"builders": [{"type": "null"}]}', "f/a.pkr.hcl": BUILD % "", "f/b.pkr.json": "{}"}

    assert read(tmp_path, files, "a.json").format is TemplateFormat.JSON
    folder = read(tmp_path, {}, "f")
    assert folder.format is TemplateFormat.HCL2
    assert folder.files == ("f/a.pkr.hcl", "f/b.pkr.json")
    assert read(tmp_path, {}, "f/b.pkr.json").files == ("f/b.pkr.json",)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.json", '{\n "builders": [\n  {"type": "null",}\n ]\n}', 3),
        ("a.json", '{"builders": [] // no\n}', 1),
        ("a.json", '{"builders": [{}]}', 1),
        ("a.json", "\n[]", 2),
        (
            "a.json",
            '{"builders": [{"type": "null"}], "provisioners": [\n{"type": "shell",\n"script": "a",\n"script": "b"}]}',
            4,
        ),
        ("a.json", '{"builders": [{"type": "null", "x": NaN}]}', 1),
        ("a.pkr.hcl", 'locals {\n  a = "x"\n  b = \n}\n', 3),
        ("a.pkr.hcl", 'locals {\n  a = "x${"\n}\n', 2),
        ("a.pkr.hcl", "build {\n", 2),
        ("a.pkr.hcl", "a = <<E\nnever ends\n", 3),
        ("a.pkr.json", '{"source": {"amazon-ebs": {"a": 5}}}', 1),
        ("a.pkr.json", '{\n"locals": {"a": "${"}}', 2),
    ],
)
def test_a_syntax_error_names_its_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    with pytest.raises(TemplateError) as raised:
        read(tmp_path, {name: text}, name)

    assert f"{name}:{line}" in str(raised.value)
    assert raised.value.todo


def test_an_absent_template_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"nowhere\.json"):
        read(tmp_path, {}, "nowhere.json")


def test_an_empty_folder_is_no_template(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"no \*\.pkr\.hcl"):
        read(tmp_path, {"f/": ""}, "f")


def test_hcl_under_a_name_that_packer_takes_for_json_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="takes it for JSON"):
        read(tmp_path, {"a.hcl": ""}, "a.hcl")


def test_an_error_in_an_auto_var_file_names_that_file(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"f/x\.auto\.pkrvars\.hcl:2"):
        read(tmp_path, {"f/a.pkr.hcl": "", "f/x.auto.pkrvars.hcl": "a = 1\nb = = 2\n"}, "f")


# --- variables, secrets, environment


def test_variables_tell_whether_they_are_required_and_sensitive(tmp_path: Path) -> None:
    hcl = 'variable "a" {}\nvariable "b" {\n  default = "x"\n  sensitive = true\n}\nvariables {\n  c = 1\n}\n'
    json = '{"variables": {"a": null, "b": "x", "c": 1}, "sensitive-variables": ["b"], "builders": []}'

    for name, text in (("a.pkr.hcl", hcl), ("a.json", json)):
        facts = read(tmp_path, {name: text}, name)
        told = {each.name: (each.required, each.sensitive) for each in facts.variables}
        assert told == {"a": (True, False), "b": (False, True), "c": (False, False)}
        assert facts.secrets == {"x"}


def test_secrets_are_the_values_that_win(tmp_path: Path) -> None:
    hcl = 'variable "a" {\n  type = list(string)\n  sensitive = true\n}\nlocal "l" {\n  expression = "of-${var.a[0]}"\n  sensitive = true\n}\n'

    assert read(tmp_path, {"a.pkr.hcl": hcl}, variables={"a": '["s1", "s2"]'}).secrets == {"s1", "s2", "of-s1"}


def test_environment_is_told_where_it_matters(tmp_path: Path) -> None:
    hcl = 'variable "a" {\n  default = env("A")\n}\nvariable "b" {\n  default = env("B")\n}\n'
    json = '{"variables": {"a": "{{env `A`}}", "b": "{{env `B`}}"}, "builders": []}'

    in_hcl = read(tmp_path, {"a.pkr.hcl": hcl}, variables={"b": "given"})
    assert in_hcl.environment == (("A", Place(file="a.pkr.hcl", line=2)),)
    surroundings = {"PKR_VAR_a": "x", "PKR_VAR_b": "y", "PKR_VAR_c": "z"}
    told = read(tmp_path, {"a.pkr.hcl": hcl}, environment=surroundings, variables={"b": "given"})
    assert [name for name, _ in told.environment] == ["PKR_VAR_a"]
    in_json = read(tmp_path, {"a.json": json}, "a.json", variables={"b": "given"})
    assert [name for name, _ in in_json.environment] == ["A"]


def test_a_var_file_given_twice_wins_in_order_whatever_its_language(tmp_path: Path) -> None:
    files = {
        "a.pkr.hcl": 'variable "v" {}\n' + BUILD % '  provisioner "shell" {\n    script = var.v\n  }',
        "one.pkrvars.json": '{"v": "one.sh"}',
        "two.pkrvars.hcl": 'v = "two.sh"\n',
    }

    in_order = read(tmp_path, files, var_files=("two.pkrvars.hcl", "one.pkrvars.json"))
    assert "one.sh" in paths(in_order)
    differing = read(tmp_path, {}, var_files=("one.pkrvars.json", "two.pkrvars.hcl"))
    assert "depends on the version of Packer" in differing.unresolved[0].why


# --- builders


def test_builders_are_evaluated(tmp_path: Path) -> None:
    hcl = """
variable "base" {
  default = "ami-1"
}
source "amazon-ebs" "a" {
  source_ami      = var.base
  ami_name        = "x-${timestamp()}-{{isotime}}"
  region          = "eu-west-1"
  ami_regions     = ["us-east-1", "us-west-2"]
  skip_create_ami = true
}
source "amazon-ebs" "b" {
  source_ami_filter {
    filters = {
      name = "ubuntu*"
      root-device-type = "ebs"
    }
    owners      = ["099"]
    most_recent = true
  }
}
source "amazon-ebs" "c" {
  source_ami = data.amazon-ami.x.id
}
source "amazon-ebs" "unused" {}
build {
  sources = ["source.amazon-ebs.a", "source.amazon-ebs.b", "amazon-ebs.c"]
}
"""
    a, b, c = read(tmp_path, {"a.pkr.hcl": hcl}).builders

    assert (a.name, a.type, a.source_ami, a.region) == ("amazon-ebs.a", "amazon-ebs", "ami-1", "eu-west-1")
    assert (a.ami_name, a.ami_regions) == ("x-${timestamp()}-{{isotime}}", ("us-east-1", "us-west-2"))
    assert a.skip_create_ami
    assert a.source_ami_filter is None
    assert b.source_ami_filter is not None
    assert b.source_ami_filter.filters == (("name", ("ubuntu*",)), ("root-device-type", ("ebs",)))
    assert (b.source_ami_filter.owners, b.source_ami_filter.most_recent) == (("099",), True)
    assert (c.source_ami, c.base_unknown) == (None, "a data source is asked only when Packer runs")


def test_a_filter_that_is_not_known_says_why(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "amazon-ebs", "ami_name": "{{user `n`}}-{{timestamp}}",'
        ' "source_ami_filter": {"filters": {"name": "{{build `X`}}"}, "owners": "a,b"}}], "variables": {"n": "name"}}'
    )
    (builder,) = read(tmp_path, {"a.json": json}, "a.json").builders

    assert builder.source_ami_filter is None
    assert "known only when Packer runs" in builder.base_unknown
    assert builder.ami_name == "name-{{timestamp}}"


def test_required_plugins_are_listed(tmp_path: Path) -> None:
    hcl = 'packer {\n  required_plugins {\n    amazon = {\n      version = ">= 1.2"\n      source = "github.com/hashicorp/amazon"\n    }\n  }\n}\n'
    (plugin,) = read(tmp_path, {"a.pkr.hcl": hcl}).required_plugins

    assert (plugin.name, plugin.source, plugin.version) == ("amazon", "github.com/hashicorp/amazon", ">= 1.2")
    assert plugin.place == Place(file="a.pkr.hcl", line=3)


# --- references


def test_a_reference_names_the_line_that_names_the_file(tmp_path: Path) -> None:
    hcl = BUILD % '  provisioner "shell" {\n    scripts = [\n      "a.sh",\n      "b.sh",\n    ]\n  }'

    references = read(tmp_path, {"a.pkr.hcl": hcl}).references
    assert references == (
        Reference(path="a.sh", place=Place(file="a.pkr.hcl", line=7)),
        Reference(path="b.sh", place=Place(file="a.pkr.hcl", line=8)),
    )


def test_templatefile_is_rendered_and_read_within(tmp_path: Path) -> None:
    files = {
        "f/a.pkr.hcl": BUILD
        % '  provisioner "shell" {\n    scripts = split("\\n", templatefile("list.tpl", { names = ["x", "y"] }))\n  }',
        "f/list.tpl": '%{ for n in names ~}\n${n}.sh\n%{ endfor ~}\n${trimspace(file("last.txt"))}.sh',
        "f/last.txt": "z\n",
    }

    assert paths(read(tmp_path, files, "f")) == ["f/last.txt", "f/list.tpl", "x.sh", "y.sh", "z.sh"]


def test_a_templatefile_that_includes_itself_is_said(tmp_path: Path) -> None:
    files = {
        "a.pkr.hcl": 'locals {\n  a = templatefile("a.tpl", {})\n}\n',
        "a.tpl": '${templatefile("b.tpl", {})}',
        "b.tpl": '\n${templatefile("a.tpl", {})}',
    }
    (unresolved,) = read(tmp_path, files).unresolved

    assert unresolved.place == Place(file="b.tpl", line=2)
    assert "includes itself: a.tpl -> b.tpl -> a.tpl" in unresolved.why


def test_locals_and_variables_that_need_themselves_are_said_where_they_reach_a_path(tmp_path: Path) -> None:
    hcl = "locals {\n  a = local.b\n  b = local.a\n}\n" + BUILD % '  provisioner "shell" {\n    script = local.a\n  }'
    json = (
        '{"variables": {"a": "{{user `b`}}", "b": "{{user `a`}}"}, "builders": [{"type": "null"}],'
        ' "provisioners": [{"type": "shell", "script": "{{user `a`}}"}]}'
    )

    for name, text in (("a.pkr.hcl", hcl), ("a.json", json)):
        (unresolved,) = read(tmp_path, {name: text}, name).unresolved
        assert "refers to itself" in unresolved.why


def test_what_only_packer_knows_is_said_where_it_reaches_a_path_and_nowhere_else(tmp_path: Path) -> None:
    hcl = BUILD % (
        '  provisioner "shell" {\n    inline = ["echo ${build.ID} ${timestamp()}"]\n  }\n'
        '  provisioner "shell" {\n    script = "s/${build.ID}.sh"\n  }'
    )
    (unresolved,) = read(tmp_path, {"a.pkr.hcl": hcl}).unresolved

    assert unresolved.place == Place(file="a.pkr.hcl", line=9)
    assert unresolved.expression == "s/${build.ID}.sh"
    assert unresolved.why == "`build` is known only when Packer runs"


def test_a_dynamic_block_over_an_unknown_list_is_read_all_the_same(tmp_path: Path) -> None:
    hcl = BUILD % (
        '  dynamic "provisioner" {\n    for_each = data.external.x.list\n    labels = ["shell"]\n'
        '    content {\n      scripts = ["known.sh", provisioner.value]\n    }\n  }'
    )
    facts = read(tmp_path, {"a.pkr.hcl": hcl})

    assert paths(facts) == ["known.sh"]
    assert len(facts.unresolved) == 1


def test_where_the_checkout_lies_shows_nowhere(tmp_path: Path) -> None:
    files = {
        "img/a.pkr.hcl": BUILD
        % (
            '  provisioner "shell" {\n    scripts = ["${path.cwd}/a.sh", abspath("b.sh"), "${dirname(path.cwd)}/c.sh", "${path.root}/d.sh",\n'
            '      "${basename(path.cwd)}/e.sh", "${replace(path.cwd, "/", "_")}"]\n  }'
        ),
        "a.json": '{"builders": [{"type": "null"}], "provisioners": [{"type": "file", "destination": "/x",'
        ' "sources": ["{{template_dir}}/f", "{{pwd}}/g", "{{template_dir}}/../h", "{{upper template_dir}}"]}]}',
    }
    here, there = tmp_path / "here", tmp_path / "there" / "deeper"
    write_tree(here, files)
    shutil.copytree(here, there)

    for template in ("img", "a.json"):
        facts = [read(root, {}, template) for root in (here, there)]
        assert facts[0] == facts[1]
        assert str(tmp_path) not in repr(facts[0])
        assert "\ufdd0" not in repr(facts[0].references)
    assert paths(read(here, {}, "img")) == ["../c.sh", "a.sh", "b.sh", "img/d.sh"]
    assert paths(read(here, {}, "a.json")) == ["../h", "f", "g"]


def test_absolute_paths_stay_absolute_and_home_is_expanded_where_packer_does(tmp_path: Path) -> None:
    hcl = BUILD % '  provisioner "shell" {\n    scripts = ["/opt/x/../a.sh", pathexpand("~/b.sh"), "~/c.sh"]\n  }'
    facts = read(tmp_path, {"a.pkr.hcl": hcl}, environment={"HOME": "/home/u"})

    assert paths(facts) == ["/home/u/b.sh", "/opt/a.sh", "~/c.sh"]


def test_keys_and_passwords_are_credentials_and_no_inputs(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "amazon-ebs", "ssh_private_key_file": "~/.ssh/id", "user_data_file": "ud"}],'
        ' "provisioners": [{"type": "chef-client", "validation_key_path": "v.pem", "encrypted_data_bag_secret_path": "s"}]}'
    )
    facts = read(tmp_path, {"a.json": json, "v.pem": ""}, "a.json", environment={"HOME": "/h"})

    assert paths(facts) == ["ud"]
    assert [each.path for each in facts.credentials] == ["/h/.ssh/id", "s", "v.pem"]


def test_outputs_are_no_inputs(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "null"}], "provisioners": [{"type": "file", "direction": "download", "source": "x", "destination": "got/"}],'
        ' "post-processors": ["manifest", {"type": "manifest", "output": "out/m.json"}, {"type": "checksum", "output": "sums"},'
        ' {"type": "artifice", "files": ["one", "two"]}]}'
    )
    facts = read(tmp_path, {"a.json": json, "out/m.json": "", "sums": "", "one": "", "got/x": ""}, "a.json")

    assert paths(facts) == []
    assert [each.path for each in facts.outputs] == ["got", "one", "out/m.json", "packer-manifest.json", "sums", "two"]


def test_a_plugin_that_nobody_knows_is_searched_for_paths_that_are_here(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "null"}], "provisioners": [{"type": "acme", "rules_file": "rules.txt", "rules_path": "absent",'
        ' "deep": {"list": [{"any": "conf/x.ini"}]}, "label": "rules", "remote_path": "conf", "key_path": "/etc/hostname",'
        ' "more_files": ["{{build `ID`}}"]}]}'
    )
    files = {"a.json": json, "rules.txt": "", "rules/x": "", "conf/x.ini": ""}
    facts = read(tmp_path, files, "a.json")

    assert paths(facts) == ["conf/x.ini", "rules.txt"]
    assert [each.expression for each in facts.unresolved] == ["{{build `ID`}}"]


def test_goss_and_the_webs_of_builders(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "qemu", "http_directory": "http", "floppy_files": ["fl/*.xml"], "iso_url": "https://x/y.iso"}],'
        ' "provisioners": [{"type": "goss", "tests": ["goss"], "vars_file": "g.yaml", "goss_file": "goss.yaml"}]}'
    )
    files = {"a.json": json, "http/ks.cfg": "", "fl/a.xml": "", "fl/b.txt": "", "goss/goss.yaml": "", "g.yaml": ""}

    assert paths(read(tmp_path, files, "a.json")) == ["fl/a.xml", "g.yaml", "goss", "http"]


def test_data_sources_take_part_as_components(tmp_path: Path) -> None:
    hcl = 'data "amazon-ami" "x" {\n  owners = [trimspace(file("owner"))]\n}\n' + BUILD % ""
    facts = read(tmp_path, {"a.pkr.hcl": hcl, "owner": "self"})

    assert facts.components == ("amazon-ami", "amazon-ebs")
    assert paths(facts) == ["owner"]


def test_a_file_that_need_not_be_there_is_not_required(tmp_path: Path) -> None:
    hcl = 'locals {\n  a = fileexists("maybe")\n  b = try(file("other"), "x")\n  c = file("must")\n}\n'

    told = {each.path: each.required for each in read(tmp_path, {"a.pkr.hcl": hcl}).references}
    assert told == {"maybe": False, "other": False, "must": True}


def test_names_that_are_not_utf_8_and_names_with_line_ends_are_carried(tmp_path: Path) -> None:
    hcl = BUILD % '  provisioner "shell" {\n    scripts = concat(["a\\nb.sh"], [for f in fileset(".", "s/*") : f])\n  }'
    write_tree(tmp_path, {"a.pkr.hcl": hcl, "s/x": ""})
    (tmp_path / "s" / "\udcff.sh").write_text("")

    assert sorted(paths(read(tmp_path, {}))) == ["a\nb.sh", "s/x", "s/\udcff.sh"]


def test_texts_are_composed_as_hcl_composes_them(tmp_path: Path) -> None:
    hcl = BUILD % '  provisioner "shell" {\n    script = "e\u0301.sh"\n  }'

    assert paths(read(tmp_path, {"a.pkr.hcl": hcl})) == ["\u00e9.sh"]


def test_texts_that_no_file_can_be_named_by_are_no_paths(tmp_path: Path) -> None:
    long = "x" * 300
    provisioners = [
        {"type": "acme", "inline": [f"echo {long}/x"], "note": "a/\0"},
        {"type": "shell", "script": long},
    ]
    json = dumps({"builders": [{"type": "null"}], "provisioners": provisioners})
    (unresolved,) = read(tmp_path, {"a.json": json}, "a.json").unresolved

    assert unresolved.why == "no file can bear this name"


def test_a_template_nested_too_deeply_is_an_error(tmp_path: Path) -> None:
    deep_json = '{"builders": ' + "[" * 900 + "]" * 900 + "}"
    deep_hcl = "locals {\n  a = " + "[" * 900 + "]" * 900 + "\n}\n"

    for name, text in (("a.json", deep_json), ("a.pkr.hcl", deep_hcl)):
        with pytest.raises(TemplateError):
            read(tmp_path, {name: text * 1}, name)


def test_the_order_of_a_folder_does_not_matter(tmp_path: Path) -> None:
    hcl = BUILD % '  provisioner "shell" {\n    script = local.a\n  }'
    one = read(tmp_path / "1", {"f/a.pkr.hcl": hcl, "f/b.pkr.hcl": 'locals {\n  a = "x.sh"\n}\n'}, "f")
    other = read(tmp_path / "2", {"f/a.pkr.hcl": 'locals {\n  a = "x.sh"\n}\n', "f/b.pkr.hcl": hcl}, "f")

    assert paths(one) == paths(other) == ["x.sh"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    mkfifo(tmp_path / "a.pkr.hcl")
    write_tree(tmp_path, {"b.pkr.hcl": 'locals {\n  a = file("pipe")\n}\n'})
    mkfifo(tmp_path / "pipe")

    with pytest.raises(SourceError, match="no file but a pipe"):
        read(tmp_path, {})
    assert paths(read(tmp_path, {}, "b.pkr.hcl")) == ["pipe"]
