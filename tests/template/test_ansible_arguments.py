"""Arguments of ansible-playbook: unknown ones do not hide known ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.template.location import SourceLocation
from tests.template.reading_ansible import SITE, credentials, empty, found, read, read_hcl, unresolved

FILES = {**empty("v.yml", "w.yml", "inv/hosts", "inv/group_vars/all.yml"), "more.yml": "- hosts: all\n"}
INVENTORY = {"inv/hosts", "inv/group_vars"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('["-e", "ansible_password=${build.Password}", "-e", "@v.yml"]', {"v.yml"}),
        ('["-e", "ansible_password=${build.Password} x=y", "-i", "inv/hosts"]', INVENTORY),
        ('["--extra-vars", build.ID, "-e@v.yml", "-e", "@w.yml"]', {"v.yml", "w.yml"}),
        ('[build.ID, "-e", "@v.yml", "-i", "inv/hosts"]', {"v.yml", *INVENTORY}),
        ('["-${build.ID}", "@v.yml"]', {"v.yml"}),
        ('["-v", build.ID, "more.yml"]', {"more.yml"}),
        ('concat(split(" ", build.ID), ["-e", "@v.yml", "-i", "inv/hosts"])', {"v.yml", *INVENTORY}),
        ('concat(["-e", "@w.yml"], split(" ", build.ID), ["--extra-vars=@v.yml"])', {"v.yml", "w.yml"}),
        ('flatten([["-e"], ["x=${build.ID}"], ["--inventory-file", "inv/hosts"]])', INVENTORY),
        ('build.ID == "x" ? ["-e", "@v.yml"] : ["-e", "@w.yml"]', {"v.yml", "w.yml"}),
        ('[for each in ["v", "w"] : "-e@${each}.yml"]', {"v.yml", "w.yml"}),
    ],
)
def test_unknown_argument_hides_no_known_file(tmp_path: Path, arguments: str, expected: set[str]) -> None:
    assert found(read_hcl(tmp_path, FILES, f"extra_arguments = {arguments}")) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('"-e,p={{build `Password`}},-e,@v.yml,-iinv/hosts"', {"v.yml", *INVENTORY}),
        ('["-e", "p={{build `Password`}}", "-vvve@v.yml"]', {"v.yml"}),
        ('["-be", "@v.yml", "-D", "--extra-vars=@w.yml"]', {"v.yml", "w.yml"}),
        ('["--extra", "@v.yml", "--inv=inv/hosts"]', {"v.yml", *INVENTORY}),
        ('["-e", "{\\"a\\": \\"{{build `ID`}}\\"}", "-e", "@v.yml"]', {"v.yml"}),
        ('["--tags", "@nothing", "--limit", "@w.yml"]', {"w.yml"}),
        ('["-i", "one,two,", "--inventory", "inv/hosts", "-i", "v.yml"]', {"v.yml", *INVENTORY}),
        ('["-i", "inv"]', {"inv", "inv/group_vars"}),
        ('["--ssh-extra-args", "-F v.yml -o ControlMaster=no"]', {"v.yml"}),
        ('["-M", "inv:nowhere"]', {"inv"}),
    ],
)
def test_options_are_parsed_like_ansible_playbook_does(tmp_path: Path, arguments: str, expected: set[str]) -> None:
    facts = read(tmp_path, {**SITE, **FILES}, f', "extra_arguments": {arguments}')

    assert found(facts) == expected
    assert facts.unresolved == ()


def test_unknown_file_argument_is_reported_with_its_line(tmp_path: Path) -> None:
    settings = 'extra_arguments = [\n"-e", "@${build.ID}.yml",\n"-e", "x=${build.ID}"]'

    facts = read_hcl(tmp_path, FILES, settings)

    assert [(each.location, each.expression) for each in facts.unresolved] == [
        (SourceLocation(file="a.pkr.hcl", line=7), "@${build.ID}.yml")
    ]


def test_password_and_key_arguments_are_credentials(tmp_path: Path) -> None:
    arguments = (
        '"--vault-password-file", "a1", "--vault-id", "dev@a2", "--vault-id=a3", "--become-password-file=a4",'
        ' "--connection-password-file", "a5", "--private-key", "a6", "--vault-id", "dev@prompt",'
        ' "--ssh-common-args=-i a7 -o IdentityFile=a8"'
    )
    names = {f"a{number}" for number in range(1, 9)}

    facts = read(tmp_path, {**SITE, **empty(*names)}, f', "extra_arguments": [{arguments}]')

    assert credentials(facts) == names
    assert found(facts) == set()


def test_extra_variables_are_used_in_file_names(tmp_path: Path) -> None:
    site = {"a/site.yml": "- hosts: all\n  tasks:\n    - copy: {src: '{{ a }}-{{ b.c }}.txt', dest: /x}\n"}
    arguments = (
        '["-e", "a=one p=${build.Password}", "-e", "{\\"b\\": {\\"c\\": \\"two\\", \\"d\\": \\"${build.ID}\\"}}"]'
    )

    facts = read_hcl(tmp_path, {**site, **empty("a/one-two.txt")}, f"extra_arguments = {arguments}")

    assert found(facts) == {"a/one-two.txt"}
    assert facts.unresolved == ()


def test_argument_read_from_a_file_is_not_shown(tmp_path: Path) -> None:
    settings = 'extra_arguments = ["-e", "@${file("secret.txt")}", "-e", "@v.yml"]'

    facts = read_hcl(tmp_path, {**FILES, "secret.txt": "hunter2"}, settings)

    assert found(facts) == {"v.yml", "secret.txt"}
    assert "hunter2" not in repr(facts.unresolved)
    assert [each.why for each in facts.unresolved] == ["there is no such file"]


def test_partly_known_option_from_the_environment_is_reported(tmp_path: Path) -> None:
    settings = (
        'ansible_env_vars = ["ANSIBLE_ROLES_PATH=${build.ID}/r:lib", "ANSIBLE_CONFIG=conf/a.cfg", "X=${build.ID}"]'
    )
    files = {
        "a/site.yml": "- hosts: all\n  roles: [one, two]\n",
        "conf/a.cfg": "[defaults]\nroles_path=roles\n",
        "lib/one/tasks/main.yml": "[]",
        "conf/roles/two/tasks/main.yml": "[]",
    }

    facts = read_hcl(tmp_path, files, settings)

    assert found(facts) == {"conf/a.cfg", "lib/one", "conf/roles/two"}
    assert unresolved(facts) == ["roles_path"]
