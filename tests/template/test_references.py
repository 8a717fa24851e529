"""The files that templates name: references, unresolved paths, outputs."""

from __future__ import annotations

import shutil
from json import dumps
from os import mkfifo
from pathlib import Path

import pytest

from ami_bakery.errors import SourceError, TemplateError
from ami_bakery.template.facts import Reference
from ami_bakery.template.location import SourceLocation
from tests.template.reading import BUILD, paths, read
from tests.trees import write_tree


def test_a_reference_names_the_line_that_names_the_file(tmp_path: Path) -> None:
    hcl = BUILD % '  provisioner "shell" {\n    scripts = [\n      "a.sh",\n      "b.sh",\n    ]\n  }'

    references = read(tmp_path, {"a.pkr.hcl": hcl}).references
    assert references == (
        Reference(path="a.sh", location=SourceLocation(file="a.pkr.hcl", line=7)),
        Reference(path="b.sh", location=SourceLocation(file="a.pkr.hcl", line=8)),
    )


def test_files_that_a_templatefile_reads_are_found(tmp_path: Path) -> None:
    files = {
        "f/a.pkr.hcl": BUILD
        % '  provisioner "shell" {\n    scripts = split("\\n", templatefile("list.tpl", { names = ["x", "y"] }))\n  }',
        "f/list.tpl": '%{ for n in names ~}\n${n}.sh\n%{ endfor ~}\n${trimspace(file("last.txt"))}.sh',
        "f/last.txt": "z\n",
    }

    assert paths(read(tmp_path, files, "f")) == ["f/last.txt", "f/list.tpl", "x.sh", "y.sh", "z.sh"]


def test_a_templatefile_that_includes_itself_is_unresolved(tmp_path: Path) -> None:
    files = {
        "a.pkr.hcl": 'locals {\n  a = templatefile("a.tpl", {})\n}\n',
        "a.tpl": '${templatefile("b.tpl", {})}',
        "b.tpl": '\n${templatefile("a.tpl", {})}',
    }
    (unresolved,) = read(tmp_path, files).unresolved

    assert unresolved.location == SourceLocation(file="b.tpl", line=2)
    assert "includes itself: a.tpl -> b.tpl -> a.tpl" in unresolved.why


def test_a_path_from_a_circular_local_or_variable_is_unresolved(tmp_path: Path) -> None:
    hcl = "locals {\n  a = local.b\n  b = local.a\n}\n" + BUILD % '  provisioner "shell" {\n    script = local.a\n  }'
    json = (
        '{"variables": {"a": "{{user `b`}}", "b": "{{user `a`}}"}, "builders": [{"type": "null"}],'
        ' "provisioners": [{"type": "shell", "script": "{{user `a`}}"}]}'
    )

    for name, text in (("a.pkr.hcl", hcl), ("a.json", json)):
        (unresolved,) = read(tmp_path, {name: text}, name).unresolved
        assert "refers to itself" in unresolved.why


def test_a_value_that_only_packer_knows_is_unresolved_only_in_a_path(tmp_path: Path) -> None:
    hcl = BUILD % (
        '  provisioner "shell" {\n    inline = ["echo ${build.ID} ${timestamp()}"]\n  }\n'
        '  provisioner "shell" {\n    script = "s/${build.ID}.sh"\n  }'
    )
    (unresolved,) = read(tmp_path, {"a.pkr.hcl": hcl}).unresolved

    assert unresolved.location == SourceLocation(file="a.pkr.hcl", line=9)
    assert unresolved.expression == "s/${build.ID}.sh"
    assert unresolved.why == "`build` is known only when Packer runs"


def test_a_dynamic_block_over_an_unknown_list_is_read(tmp_path: Path) -> None:
    hcl = BUILD % (
        '  dynamic "provisioner" {\n    for_each = data.external.x.list\n    labels = ["shell"]\n'
        '    content {\n      scripts = ["known.sh", provisioner.value]\n    }\n  }'
    )
    facts = read(tmp_path, {"a.pkr.hcl": hcl})

    assert paths(facts) == ["known.sh"]
    assert len(facts.unresolved) == 1


def test_facts_do_not_contain_the_path_of_the_checkout(tmp_path: Path) -> None:
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


def test_absolute_paths_stay_absolute_and_home_is_expanded_as_by_packer(tmp_path: Path) -> None:
    hcl = BUILD % '  provisioner "shell" {\n    scripts = ["/opt/x/../a.sh", pathexpand("~/b.sh"), "~/c.sh"]\n  }'
    facts = read(tmp_path, {"a.pkr.hcl": hcl}, environment={"HOME": "/home/u"})

    assert paths(facts) == ["/home/u/b.sh", "/opt/a.sh", "~/c.sh"]


def test_keys_and_passwords_are_credentials_not_inputs(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "amazon-ebs", "ssh_private_key_file": "~/.ssh/id", "user_data_file": "ud"}],'
        ' "provisioners": [{"type": "chef-client", "validation_key_path": "v.pem", "encrypted_data_bag_secret_path": "s"}]}'
    )
    facts = read(tmp_path, {"a.json": json, "v.pem": ""}, "a.json", environment={"HOME": "/h"})

    assert paths(facts) == ["ud"]
    assert [each.path for each in facts.credentials] == ["/h/.ssh/id", "s", "v.pem"]


def test_outputs_are_not_inputs(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "null"}], "provisioners": [{"type": "file", "direction": "download", "source": "x", "destination": "got/"}],'
        ' "post-processors": ["manifest", {"type": "manifest", "output": "out/m.json"}, {"type": "checksum", "output": "sums"},'
        ' {"type": "artifice", "files": ["one", "two"]}]}'
    )
    facts = read(tmp_path, {"a.json": json, "out/m.json": "", "sums": "", "one": "", "got/x": ""}, "a.json")

    assert paths(facts) == []
    assert [each.path for each in facts.outputs] == [
        "got/x",
        "one",
        "out/m.json",
        "packer-manifest.json",
        "sums",
        "two",
    ]


def test_fields_of_an_unknown_plugin_that_name_existing_files_are_inputs(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "null"}], "provisioners": [{"type": "acme", "rules_file": "rules.txt", "rules_path": "absent",'
        ' "deep": {"list": [{"any": "conf/x.ini"}]}, "label": "rules", "remote_path": "conf", "key_path": "/etc/hostname",'
        ' "more_files": ["{{build `ID`}}"]}]}'
    )
    files = {"a.json": json, "rules.txt": "", "rules/x": "", "conf/x.ini": ""}
    facts = read(tmp_path, files, "a.json")

    assert paths(facts) == ["conf/x.ini", "rules.txt"]
    assert [each.expression for each in facts.unresolved] == ["{{build `ID`}}"]


def test_goss_tests_and_http_folders_are_inputs(tmp_path: Path) -> None:
    json = (
        '{"builders": [{"type": "qemu", "http_directory": "http", "floppy_files": ["fl/*.xml"], "iso_url": "https://x/y.iso"}],'
        ' "provisioners": [{"type": "goss", "tests": ["goss"], "vars_file": "g.yaml", "goss_file": "goss.yaml"}]}'
    )
    files = {"a.json": json, "http/ks.cfg": "", "fl/a.xml": "", "fl/b.txt": "", "goss/goss.yaml": "", "g.yaml": ""}

    assert paths(read(tmp_path, files, "a.json")) == ["fl/a.xml", "g.yaml", "goss", "http"]


def test_data_sources_are_components(tmp_path: Path) -> None:
    hcl = 'data "amazon-ami" "x" {\n  owners = [trimspace(file("owner"))]\n}\n' + BUILD % ""
    facts = read(tmp_path, {"a.pkr.hcl": hcl, "owner": "self"})

    assert facts.components == ("amazon-ami", "amazon-ebs")
    assert paths(facts) == ["owner"]


def test_an_optional_file_is_not_required(tmp_path: Path) -> None:
    hcl = 'locals {\n  a = fileexists("maybe")\n  b = try(file("other"), "x")\n  c = file("must")\n}\n'

    required = {each.path: each.required for each in read(tmp_path, {"a.pkr.hcl": hcl}).references}
    assert required == {"maybe": False, "other": False, "must": True}


def test_file_names_with_line_ends_or_without_utf_8_are_kept(tmp_path: Path) -> None:
    hcl = BUILD % '  provisioner "shell" {\n    scripts = concat(["a\\nb.sh"], [for f in fileset(".", "s/*") : f])\n  }'
    write_tree(tmp_path, {"a.pkr.hcl": hcl, "s/x": ""})
    (tmp_path / "s" / "\udcff.sh").write_text("")

    assert sorted(paths(read(tmp_path, {}))) == ["a\nb.sh", "s/x", "s/\udcff.sh"]


def test_strings_are_normalised_as_in_hcl(tmp_path: Path) -> None:
    hcl = BUILD % '  provisioner "shell" {\n    script = "e\u0301.sh"\n  }'

    assert paths(read(tmp_path, {"a.pkr.hcl": hcl})) == ["\u00e9.sh"]


def test_strings_that_cannot_be_file_names_are_not_paths(tmp_path: Path) -> None:
    long = "x" * 300
    provisioners = [
        {"type": "acme", "inline": [f"echo {long}/x"], "note": "a/\0"},
        {"type": "shell", "script": long},
    ]
    json = dumps({"builders": [{"type": "null"}], "provisioners": provisioners})
    (unresolved,) = read(tmp_path, {"a.json": json}, "a.json").unresolved

    assert unresolved.why == "no file can have this name"


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


def test_a_pipe_is_refused_without_reading_it(tmp_path: Path) -> None:
    mkfifo(tmp_path / "a.pkr.hcl")
    write_tree(tmp_path, {"b.pkr.hcl": 'locals {\n  a = file("pipe")\n}\n'})
    mkfifo(tmp_path / "pipe")

    with pytest.raises(SourceError, match="it is a pipe"):
        read(tmp_path, {})
    assert paths(read(tmp_path, {}, "b.pkr.hcl")) == ["pipe"]


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("date > stamp", []),
        ("date >stamp 2>>log", []),
        ("date>stamp", []),
        ("date &> stamp; cat log", ["log"]),
        ("sort < log > stamp", ["log"]),
        ("cat stamp >> log && sh tool --in=log", ["stamp", "tool"]),
        ("tee log >(sh tool)", ["tool"]),
        ("cat 'stamp' >&2", ["stamp"]),
        ("grep '>' log; echo \\> stamp", ["log"]),
    ],
)
def test_the_redirection_target_of_a_local_command_is_not_an_input(
    tmp_path: Path, command: str, named: list[str]
) -> None:
    step = {"type": "shell-local", "inline": [command]}
    template = {"builders": [{"type": "null", "communicator": "none"}], "provisioners": [step]}
    files = {"a.json": dumps(template), "stamp": "1", "log": "1", "tool": "1"}

    assert paths(read(tmp_path, files, "a.json")) == named
