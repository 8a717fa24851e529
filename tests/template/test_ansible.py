"""What Ansible reads for a playbook is found by following it, as Ansible would."""

from __future__ import annotations

from pathlib import Path

from ami_bakery.template.location import SourceLocation
from tests.template.reading_ansible import found, read, tasks


def test_playbooks_tasks_and_vars_are_followed(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- import_playbook: more/other.yml\n- hosts: all\n  vars_files: [v.yml, [none.yml, w.yml]]\n  tasks:\n"
            "    - import_tasks: t/one.yml\n    - ansible.builtin.include_tasks: {file: two.yml}\n"
            "    - include_vars: x.yml\n    - include_vars: {dir: d}\n",
            "a/more/other.yml": tasks("copy: src=c.txt dest=/x"),
            "a/more/c.txt": "",
            "a/t/one.yml": "- include: deeper.yml\n",
            "a/t/deeper.yml": "[]",
            "a/tasks/two.yml": "[]",
            "a/v.yml": "",
            "a/w.yml": "",
            "a/vars/x.yml": "",
            "a/d/y.yml": "",
            "a/unused.yml": "",
        },
    )

    assert found(facts) == {
        *("a/more/other.yml", "a/more/c.txt", "a/t/one.yml", "a/t/deeper.yml", "a/tasks/two.yml"),
        *("a/v.yml", "a/w.yml", "a/vars/x.yml", "a/d"),
    }
    assert facts.unresolved == ()


def test_roles_are_whole_folders_with_their_dependencies(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- hosts: all\n  roles:\n    - one\n    - {role: two, x: y}\n    - role: ../shared/three\n  tasks:\n"
            "    - include_role: {name: four}\n    - import_role: name=five\n    - block:\n        - include_role:\n            name: '{{ item }}'\n"
            "          loop: [six, seven]\n",
            **{
                f"a/roles/{name}/tasks/main.yml": "[]"
                for name in ("one", "two", "four", "five", "six", "seven", "unused")
            },
            "a/roles/one/meta/main.yml": "dependencies:\n  - eight\n  - {name: nine}\n",
            "lib/eight/tasks/main.yml": "- include_role: {name: ten}\n- copy: {src: '{{ playbook_dir }}/p.txt', dest: /x}\n",
            "lib/nine/tasks/main.yml": "[]",
            "lib/ten/tasks/main.yml": "[]",
            "shared/three/tasks/main.yml": "- template: src=in_role.j2 dest=/x\n",
            "shared/three/templates/in_role.j2": "",
            "a/p.txt": "",
            "ansible.cfg": "[defaults]\nroles_path = lib:/usr/share/ansible/roles\n",
        },
    )

    assert found(facts) == {
        *(f"a/roles/{name}" for name in ("one", "two", "four", "five", "six", "seven")),
        *("lib/eight", "lib/nine", "lib/ten", "shared/three", "a/p.txt", "ansible.cfg"),
    }
    assert facts.unresolved == ()


def test_files_of_modules_are_found_where_ansible_looks(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": tasks(
                "copy: src=one.txt dest=/x",
                "ansible.builtin.template: {src: two.j2, dest: /x}",
                "script: three.sh --with arguments",
                "unarchive: {src: four.tgz, dest: /x}",
                "unarchive: {src: /on/the/machine.tgz, remote_src: yes}",
                "assemble: {src: five, remote_src: false, dest: /x}",
                "copy: {content: '{{ anything }}', dest: /x}",
                "debug: {msg: \"{{ lookup('file', 'six.txt') }} {{ lookup('env', 'SEVEN') }}\"}",
                "copy: {src: '{{ item }}', dest: /x}\n      with_fileglob: 'globbed/*.conf'",
                "copy: {src: '{{ item.f }}', dest: /x}\n      loop: [{f: eight.txt}, {f: nine.txt}]",
                "action: copy src=ten.txt dest=/x",
                "shell: cat not_an_input",
            ),
            "a/files/one.txt": "",
            "a/templates/two.j2": "",
            "a/three.sh": "",
            "a/files/four.tgz": "",
            "a/five/part": "",
            "a/six.txt": "",
            "a/files/globbed/x.conf": "",
            "a/files/globbed/x.txt": "",
            "a/eight.txt": "",
            "a/files/nine.txt": "",
            "a/ten.txt": "",
            "a/not_an_input": "",
        },
    )

    assert found(facts) == {
        *("a/files/one.txt", "a/templates/two.j2", "a/three.sh", "a/files/four.tgz", "a/five", "a/six.txt"),
        *("a/files/globbed/x.conf", "a/eight.txt", "a/files/nine.txt", "a/ten.txt"),
    }
    assert facts.environment == (("SEVEN", SourceLocation(file="a/site.yml", line=10)),)


def test_variables_are_followed_with_every_value_they_may_have(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": tasks(
                "copy: {src: '{{ which }}.txt', dest: /x}",
                "copy: {src: '{{ conf.file | default(\"fallback.txt\") }}', dest: /x}",
            ),
            "a/group_vars/all.yml": "which: one\nconf: {file: nested.txt}\n",
            "a/host_vars/h/main.yml": "which: '{{ other }}'\n",
            "a/extra.yml": "other: two\n",
            **{f"a/files/{name}.txt": "" for name in ("one", "two", "three", "nested", "fallback")},
        },
        ', "extra_arguments": ["--extra-vars", "@a/extra.yml", "-e", "which=three"]',
    )

    names = {f"a/files/{name}.txt" for name in ("one", "two", "three", "nested", "fallback")}
    assert found(facts) == {*names, "a/extra.yml", "a/group_vars", "a/host_vars"}
    assert facts.unresolved == ()


def test_a_folder_known_in_front_of_an_unknown_name_is_in_whole(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- hosts: all\n  vars_files: ['vars/{{ ansible_os_family }}.yml', 'os-{{ ansible_distribution }}.yml']\n"
            "  tasks:\n    - copy: {src: 'by/{{ who }}/x', dest: /x}\n    - copy: {src: '{{ who }}', dest: /x}\n",
            "a/vars/Debian.yml": "",
            "a/os-Debian.yml": "",
            "a/other.txt": "",
            "a/files/by/me/x": "",
        },
    )

    assert found(facts) == {"a/vars", "a/os-Debian.yml", "a/files/by"}
    (unresolved,) = facts.unresolved
    assert (unresolved.location, unresolved.expression) == (SourceLocation(file="a/site.yml", line=5), "{{ who }}")


def test_what_galaxy_fetches_is_pinned_by_the_file_that_lists_it(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- hosts: all\n  roles: [geerlingguy.docker, renamed, local, community.thing.role, absent]\n",
            "req.yml": "roles:\n  - geerlingguy.docker\n  - {src: https://github.com/x/y, name: renamed}\n"
            "collections:\n  - name: community.thing\n",
            "galaxy/geerlingguy.docker/tasks/main.yml": "[]",
            "galaxy/geerlingguy.docker/meta/.galaxy_install_info": "install_date: today\n",
            "galaxy/local/tasks/main.yml": "[]",
        },
        ', "galaxy_file": "req.yml", "roles_path": "galaxy"',
    )

    assert found(facts) == {"req.yml", "galaxy/local"}
    assert [each.expression for each in facts.unresolved] == ["absent"]


def test_ansible_is_set_up_by_its_config_its_environment_and_arguments(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- hosts: all\n  roles: [one, two]\n",
            "conf/my.cfg": "[defaults]\nroles_path=r\nfilter_plugins=plugins\nvault_password_file=pass\n",
            "conf/r/one/tasks/main.yml": "[]",
            "env/two/tasks/main.yml": "[]",
            "conf/plugins/f.py": "",
            "inv/hosts": "",
            "inv/group_vars/all.yml": "",
            "wrap.sh": "",
            "a/library/module.py": "",
        },
        ', "ansible_env_vars": ["ANSIBLE_ROLES_PATH=env"], "inventory_file": "inv/hosts", "command": "./wrap.sh",'
        ' "extra_arguments": ["--vault-password-file=secret/pass", "--private-key", "key.pem"]',
        ANSIBLE_CONFIG="conf/my.cfg",
    )

    assert found(facts) == {
        *(
            "conf/my.cfg",
            "conf/r/one",
            "env/two",
            "conf/plugins",
            "inv/hosts",
            "inv/group_vars",
            "wrap.sh",
            "a/library",
        ),
    }
    assert {each.path for each in facts.credentials} == {"conf/pass", "secret/pass", "key.pem"}
    assert [name for name, _ in facts.environment] == ["ANSIBLE_CONFIG"]


def test_imports_in_a_circle_end_and_are_said(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "- import_playbook: b.yml\n",
            "a/b.yml": tasks("import_tasks: t.yml") + "- import_playbook: site.yml\n",
            "a/t.yml": "- import_tasks: u.yml\n",
            "a/u.yml": "- import_tasks: t.yml\n",
        },
    )

    assert [str(each.location) for each in facts.unresolved] == ["a/b.yml:4", "a/u.yml:1"]
    assert all("themselves" in each.why or "itself" in each.why for each in facts.unresolved)


def test_roles_that_need_each_other_end(tmp_path: Path) -> None:
    files = {
        "a/site.yml": "- hosts: all\n  roles: [x]\n",
        "a/roles/x/meta/main.yml": "dependencies: [y]\n",
        "a/roles/y/meta/main.yml": "dependencies: [x]\n",
    }

    assert found(read(tmp_path, files)) == {"a/roles/x", "a/roles/y"}


def test_yaml_of_ansible_with_its_tags_vaults_and_documents(tmp_path: Path) -> None:
    facts = read(
        tmp_path,
        {
            "a/site.yml": "---\n- hosts: all\n  vars:\n    a: !vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      3132\n    b: !unsafe '{{ x }}'\n"
            "  tasks:\n    - copy: {src: x.txt, dest: /x}\n",
            "a/group_vars/all.yml": "$ANSIBLE_VAULT;1.1;AES256\n3132\n",
            "a/x.txt": "",
        },
    )

    assert found(facts) == {"a/x.txt", "a/group_vars"}
    assert facts.unresolved == ()


def test_yaml_that_does_not_parse_is_said_with_its_line(tmp_path: Path) -> None:
    files = {"a/site.yml": tasks("import_tasks: t.yml"), "a/t.yml": "- copy:\n  - {src: [}\n"}
    (unresolved,) = read(tmp_path, files).unresolved

    assert unresolved.location == SourceLocation(file="a/t.yml", line=2)
    assert "does not parse" in unresolved.why


def test_a_file_that_a_task_names_and_nobody_has_is_said(tmp_path: Path) -> None:
    (unresolved,) = read(tmp_path, {"a/site.yml": tasks("copy: {src: nowhere.txt, dest: /x}")}).unresolved

    assert unresolved.location == SourceLocation(file="a/site.yml", line=3)
    assert "there is no such file" in unresolved.why


def test_commands_that_run_on_this_machine_name_files_here(tmp_path: Path) -> None:
    files = {
        "a/site.yml": tasks(
            "command: ./make.sh --with conf.ini\n      delegate_to: localhost",
            "local_action: shell cat other.txt",
            "command: ./there.sh",
        ),
        **dict.fromkeys(("a/make.sh", "a/conf.ini", "other.txt", "a/there.sh"), ""),
    }

    assert found(read(tmp_path, files)) == {"a/make.sh", "a/conf.ini", "other.txt"}


def test_templates_take_in_others(tmp_path: Path) -> None:
    files = {
        "a/site.yml": tasks("template: {src: one.j2, dest: /x}"),
        "a/templates/one.j2": "{% extends 'two.j2' %}{{ lookup('file', 'looked') }}",
        "a/templates/two.j2": "{%- include 'three.j2' -%}",
        "a/templates/three.j2": "{% import 'one.j2' as again %}",
        "a/files/looked": "",
    }

    assert found(read(tmp_path, files)) == {
        "a/templates/one.j2",
        "a/templates/two.j2",
        "a/templates/three.j2",
        "a/files/looked",
    }
