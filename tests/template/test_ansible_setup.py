"""Ansible's configuration, inventories, roles and collections, and ansible-navigator."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.template.location import SourceLocation
from tests.template.reading_ansible import SITE, credentials, empty, found, read, read_hcl, tasks, unresolved

WITH_SETTINGS = "ansible-navigator:\n  ansible:\n"


def test_folders_credentials_and_outputs_of_a_configuration_are_found(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- hosts: all\n  roles: [one]\n",
            "ansible.cfg": "[defaults]\nroles_path = {{CWD}}/$LIB/roles\nlibrary=mods\nmodule_utils=utils\ninventory=i1,i2\n"
            "strategy_plugins=strategies\nlog_path=log.txt\nvault_identity_list=dev@c1,prod@c2\nbecome_password_file=c3\n"
            "[ssh_connection]\nssh_args = -F ssh.cfg -i c4\n[galaxy]\ntoken_path=c5\n[callback_ours]\nsettings=ours.ini\n",
            "lib/roles/one/tasks/main.yml": "[]",
            **empty("mods/m.py", "utils/u.py", "i1", "i2", "group_vars/all.yml", "strategies/s.py", "ssh.cfg"),
            **empty("ours.ini", "c1", "c2", "c3", "c4", "c5", "log.txt"),
        },
        LIB="lib",
    )

    assert found(facts) == {
        *(
            "ansible.cfg",
            "lib/roles/one",
            "mods",
            "utils",
            "i1",
            "i2",
            "group_vars",
            "strategies",
            "ssh.cfg",
            "ours.ini",
        ),
    }
    assert credentials(facts) == {"c1", "c2", "c3", "c4", "c5"}
    assert {each.path for each in facts.outputs} == {"log.txt"}
    assert facts.unresolved == ()


def test_unset_variable_in_a_configuration_is_reported(tmp_path: Path) -> None:
    (each,) = read(tmp_path, {**SITE, "ansible.cfg": "[defaults]\n\nroles_path = $NOWHERE/roles\n"}).unresolved

    assert (each.location, each.expression) == (SourceLocation(file="ansible.cfg", line=3), "roles_path")


def test_inventory_variables_are_used_in_file_names(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": tasks(*(f"copy: {{src: '{{{{ {name} }}}}', dest: /x}}" for name in ("one", "two", "three", "four"))),
            "inv/hosts": "host one=1.txt\n[all:vars]\ntwo = 2.txt\n",
            "inv/more.yml": "all:\n  vars: {three: 3.txt}\n  children: {g: {hosts: {h: {four: 4.txt}}}}\n",
            "inv/plugged.yml": "plugin: ours\ndata: inv/data.txt\n",
            "inv/script": "#!/bin/sh\ncat inv/scripted.json\n",
            **empty(*(f"a/{number}.txt" for number in range(1, 5)), "inv/data.txt", "inv/scripted.json", "beside/hosts"),
            "beside/host_vars/h.yml": "",
        },
        ', "extra_arguments": ["-i", "inv", "-i", "beside/hosts"]',
    )  # fmt: skip

    named = {f"a/{number}.txt" for number in range(1, 5)} | {"inv/data.txt", "inv/scripted.json"}
    assert found(facts) == {*named, "inv", "beside/hosts", "beside/host_vars"}
    assert facts.unresolved == ()


def test_own_role_in_the_galaxy_folder_is_an_input(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- hosts: all\n  roles: [kept, fetched]\n",
            "req.yml": "- kept\n- src: https://x/fetched.git\n- include: more.yml\n- {src: ./here, name: local}\n",
            "more.yml": "- other\n",
            "a/roles/kept/tasks/main.yml": "[]",
            "a/roles/fetched/tasks/main.yml": "[]",
            "a/roles/fetched/meta/.galaxy_install_info": "",
            "here/tasks/main.yml": "[]",
        },
        ', "galaxy_file": "req.yml", "roles_path": "a/roles"',
    )

    assert found(facts) == {"req.yml", "more.yml", "a/roles/kept", "here"}


@pytest.mark.parametrize("path", ["a/roles/docker", "lib/docker"])
def test_vendored_role_outside_the_galaxy_folder_is_an_input(tmp_path: Path, path: str) -> None:
    files = {
        "a/site.yml": "- hosts: all\n  roles: [docker]\n",
        "req.yml": "- docker\n",
        "ansible.cfg": "[defaults]\nroles_path = fetched:lib\n",
        f"{path}/tasks/main.yml": "[]",
        f"{path}/meta/.galaxy_install_info": "",
    }

    assert path in found(read(tmp_path, files, ', "galaxy_file": "req.yml"'))


def test_roles_and_collections_that_galaxy_installs_are_outputs(tmp_path: Path) -> None:
    files = {
        "a/site.yml": "- hosts: all\n  roles: [docker, own]\n",
        "req.yml": "roles: [docker, own]\ncollections: [ns.col]\n",
        "fetched/docker/meta/.galaxy_install_info": "",
        "fetched/docker/tasks/main.yml": "[]",
        "fetched/own/tasks/main.yml": "[]",
    }
    facts = read(tmp_path, files, ', "galaxy_file": "req.yml", "roles_path": "fetched", "collections_path": "col"')

    outputs = {each.path for each in facts.outputs}
    assert {"fetched/docker/**", "col/ansible_collections/ns/col/**"} <= outputs
    assert "fetched/own/**" not in outputs
    assert found(facts) == {"req.yml", "fetched/own"}


def test_own_collections_are_inputs_and_installed_ones_are_not(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- hosts: all\n  collections: [ns.short]\n  roles: [by_short]\n  tasks:\n    - ns.named.thing:\n"
            "    - community.elsewhere.thing:\n",
            "lib/ansible_collections/ns/named/plugins/modules/thing.py": "",
            "a/collections/ansible_collections/ns/short/roles/by_short/tasks/main.yml": "- copy: {src: beside.txt, dest: /x}\n",
            "lib/ansible_collections/ns/fetched/MANIFEST.json": "",
            "a/beside.txt": "",
            "req.yml": "collections: [ns.fetched]\n",
        },
        ', "galaxy_file": "req.yml", "collections_path": "lib"',
    )

    short, named = "a/collections/ansible_collections/ns/short", "lib/ansible_collections/ns/named"
    assert found(facts) == {"req.yml", "a/beside.txt", short, named}
    assert facts.unresolved == ()


def test_unknown_role_is_reported_and_all_matching_roles_are_inputs(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": tasks("include_role: {name: 'app-{{ x }}'}"),
            "a/roles/app-one/tasks/main.yml": "- copy: {src: '{{ playbook_dir }}/k', dest: /x}\n",
            "a/roles/other/tasks/main.yml": "[]",
            "a/k": "",
        },
    )

    assert found(facts) == {"a/roles/app-one", "a/k"}
    assert unresolved(facts) == ["app-{{ x }}"]


def test_loop_items_are_known_in_included_files(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": tasks("include_tasks: t.yml\n      loop: [one, two]"),
            "a/t.yml": "- copy: {src: '{{ item }}.txt', dest: /x}\n",
            **empty("a/one.txt", "a/files/two.txt"),
        },
    )

    assert found(facts) == {"a/t.yml", "a/one.txt", "a/files/two.txt"}


def test_role_finds_files_of_its_parent_role(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- hosts: all\n  roles: ['{{ chosen }}']\n  vars: {chosen: top}\n",
            "lib/top/meta/main.yml": "dependencies: [below]\n",
            "lib/below/tasks/main.yml": "- copy: {src: of-top.txt, dest: /x}\n",
            "lib/top/files/of-top.txt": "",
            "ansible.cfg": "[defaults]\nroles_path=lib\n",
        },
    )

    assert found(facts) == {"ansible.cfg", "lib/top", "lib/below"}
    assert facts.unresolved == ()


# --- ansible-navigator


def test_playbooks_roles_and_variables_of_ansible_navigator_plays_are_found(tmp_path: Path) -> None:
    facts = read_hcl(
        tmp_path,
        {
            "a/site.yml": tasks("copy: {src: '{{ which }}.txt', dest: /x}"),
            **empty("a/one.txt", "v.yml", "inv/hosts", "inv/host_vars/h.yml"),
            "roles/mine/tasks/main.yml": "[]",
            "lib/ansible_collections/ns/c/roles/r/tasks/main.yml": "[]",
        },
        'play {\n target = "a/site.yml"\n vars_files = ["v.yml"]\n extra_args = ["-i", "inv/hosts"]\n'
        ' extra_vars = { which = "one", secret = build.Password }\n }\n'
        'play {\n target = "ns.c.r"\n }\nplay {\n target = "mine"\n }\n collections_path = "lib"',
        "ansible-navigator",
    )

    collection = "lib/ansible_collections/ns/c"
    assert found(facts) == {"a/one.txt", "v.yml", "inv/hosts", "inv/host_vars", "roles/mine", collection}
    assert facts.unresolved == ()


def test_play_with_an_unknown_target_is_reported(tmp_path: Path) -> None:
    facts = read_hcl(tmp_path, {}, 'play {\n target = "${build.ID}.yml"\n }', "ansible-navigator")

    assert [(each.location.line, each.expression) for each in facts.unresolved] == [(7, "${build.ID}.yml")]


def test_settings_of_ansible_navigator_are_read(tmp_path: Path) -> None:
    facts = read_hcl(
        tmp_path,
        {
            "a/site.yml": "- hosts: all\n  roles: [one]\n",
            "ansible-navigator.yml": f"{WITH_SETTINGS}    config: {{path: c/ansible.cfg}}\n    inventory: {{entries: [inv/hosts]}}\n"
            "    cmdline: -e @v.yml\n  execution-environment:\n    environment-variables: {pass: [TOKEN], set: {ANSIBLE_ROLES_PATH: r}}\n"
            "    volume-mounts: [{src: mnt, dest: /x}]\n  logging: {file: nav.log}\n  playbook-artifact: {save-as: artifact.json}\n",
            "c/ansible.cfg": "[defaults]\nlibrary=lib\n",
            "r/one/tasks/main.yml": "[]",
            **empty("c/lib/x.py", "inv/hosts", "inv/group_vars/all.yml", "v.yml", "mnt/x"),
        },
        'play {\n target = "a/site.yml"\n }',
        "ansible-navigator",
    )

    assert found(facts) == {
        *("ansible-navigator.yml", "c/ansible.cfg", "c/lib", "inv/hosts", "inv/group_vars", "v.yml", "mnt", "r/one"),
    }
    assert {each.path for each in facts.outputs} == {"nav.log", "artifact.json"}
    assert [name for name, _ in facts.environment] == ["TOKEN"]


def test_ansible_local_uploads_files_and_reads_no_others(tmp_path: Path) -> None:
    facts = read_hcl(
        tmp_path,
        {"a/site.yml": tasks("copy: {src: not-here.txt, dest: /x}"), "a/other.yml": "", "inv": ""},
        'playbook_file = "a/site.yml"\n playbook_dir = "a"\n inventory_file = "inv"\n inventory_groups = ["g"]\n'
        ' extra_arguments = ["-e", "x=${build.ID}", "-e", "@remote.yml"]',
        "ansible-local",
    )

    assert found(facts) == {"a", "inv"}
    assert facts.unresolved == ()


@pytest.mark.parametrize(
    ("play", "options"),
    [
        ("  vars_files: [{path}]\n", ""),
        ("  tasks: [include_vars: {path}]\n", ""),
        ("", '["-e", "@{path}"]'),
        ("  vars_files: [linked.yml]\n", ""),
    ],
)
def test_content_of_a_file_outside_the_repository_is_not_revealed(tmp_path: Path, play: str, options: str) -> None:
    """The list of inputs would reveal the values of the file."""
    outside = tmp_path / "outside.yml"
    outside.write_text("token: b\n")
    project = tmp_path / "project"
    (project / "a").mkdir(parents=True)
    (project / "a/linked.yml").symlink_to(outside)
    uses = "- hosts: all\n  tasks: [copy: {src: 'c/{{ token }}.txt', dest: /x}]\n"
    files = {"a/site.yml": "- hosts: all\n" + play.format(path=outside) + uses, **empty("a/c/a.txt", "a/c/b.txt")}

    facts = read(project, files, f', "extra_arguments": {options.format(path=outside)}' if options else "")

    assert not {path for path in found(facts) if path.startswith("a/c/")}
    assert any("outside.yml" in said or "linked.yml" in said for said in unresolved(facts))


BROKEN = {
    "inv.yml": "all:\n  vars: {one: 1.txt\n",
    "inv.yaml": "all:\n\tvars: 1\n",
    "inv.json": '{"all": {"vars": {"one": "1.txt"}',
    "inv.toml": "[all.vars]\none = 1.txt\n",
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("folder", ["", "inv/"])
def test_inventory_that_does_not_parse_is_a_finding(tmp_path: Path, name: str, folder: str) -> None:
    files = {"a/site.yml": tasks("copy: {src: '{{ one }}', dest: /x}"), f"{folder}{name}": BROKEN[name], "a/1.txt": ""}
    facts = read(tmp_path, files, f', "inventory_file": "{folder or name}"')

    (finding,) = [each for each in facts.unresolved if each.location.file == f"{folder}{name}"]
    assert finding.why.startswith("it does not parse: ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("hosts", "all:\n  vars: {one: 1.txt}\n"),
        ("hosts", "---\nall:\n  hosts: {h: {one: 1.txt}}\n"),
        ("hosts.toml", '[all.vars]\none = "1.txt"\n'),
        ("hosts.toml", '[g.hosts]\nh = { one = "1.txt" }\n'),
        ("hosts", "h one=1.txt\n"),
        ("hosts", "[g]\nh\n[g:vars]\none=1.txt\n"),
    ],
)
def test_inventory_format_is_detected_like_ansible_does(tmp_path: Path, name: str, content: str) -> None:
    files = {"a/site.yml": tasks("copy: {src: '{{ one }}', dest: /x}"), name: content, "a/1.txt": ""}
    facts = read(tmp_path, files, f', "inventory_file": "{name}"')

    assert found(facts) == {name, "a/1.txt"}
    assert facts.unresolved == ()


@pytest.mark.parametrize("variables", ["{one: [}", "[1.txt]", '{\\"one\\": '])
def test_extra_variables_that_do_not_parse_are_a_finding(tmp_path: Path, variables: str) -> None:
    more = f', "extra_arguments": ["-e", "{variables}"]'
    facts = read(tmp_path, {"a/site.yml": tasks("debug: {msg: x}")}, more)

    assert [each.why for each in facts.unresolved] == ["it is neither JSON nor YAML with variables"]
