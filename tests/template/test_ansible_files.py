"""Files that tasks, lookups and templates of Ansible name, in expressions with unknown parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.template.location import SourceLocation
from tests.template.reading_ansible import empty, found, read, tasks, unresolved

LOOP = "debug: {msg: '{{ item }}'}\n      with_"


def show(expression: str) -> str:
    return f'debug: {{msg: "{{{{ {expression} }}}}"}}'


def copy(source: str, more: str = "") -> str:
    return f'copy: {{src: "{source}", dest: /x}}{more}'


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ('uri: {url: "http://x", src: k, method: POST}', {"a/files/k"}),
        ("ansible.windows.win_copy: {src: k, dest: 'C:/'}", {"a/files/k"}),
        ("win_template: {src: k, dest: 'C:/'}", {"a/templates/k"}),
        ("unarchive: {src: k, dest: /x}", {"a/files/k"}),
        ("script: k --with {{ words }}", {"a/files/k"}),
        ("script: '{{ name }} --with words'\n      vars: {name: k}", {"a/files/k"}),
        ("synchronize: {src: d/, dest: /x}", {"a/d"}),
        ("copy: {src: ., dest: /x}", {"a/files"}),
        ("synchronize: {src: ../, dest: /x}", {"a"}),
        ("include_vars: {dir: d}", {"a/d"}),
        ("get_url: {url: 'file://{{ playbook_dir }}/files/k', dest: /x}", {"a/files/k"}),
        ("a_module_of_ours: {src: k}", {"a/files/k"}),
        (show("lookup('csvfile', 'key file=k delimiter=,')"), {"a/files/k"}),
        (show("lookup('csvfile', 'key', file='k', delimiter=',')"), {"a/files/k"}),
        (show("lookup('ini', 'key section=s file=k')"), {"a/files/k"}),
        (show("lookup('ansible.builtin.ini', 'key', section='s', file='k')"), {"a/files/k"}),
        (show("lookup('unvault', 'k')"), {"a/files/k"}),
        (show("q('file', *['k'])"), {"a/files/k"}),
        (show("lookup('template', 'k', convert_data=false)"), {"a/templates/k"}),
        (show("lookup('pipe', 'cat files/k | sort')"), {"a/files/k"}),
        (show("query('lines', './files/k --all')"), {"a/files/k"}),
        (show("lookup('password', 'files/k length=8')"), {"a/files/k"}),
        (show("lookup('our_own', 'k')"), {"a/files/k"}),
        (show("lookup('first_found', ['none', 'd/y'])"), {"a/d/y"}),
        (show("lookup('first_found', {'files': ['y'], 'paths': ['none', 'd']})"), {"a/d/y"}),
        (show("lookup('first_found', files=['y'], paths=['d'])"), {"a/d/y"}),
        (show("lookup('first_found', params)") + "\n      vars: {params: {files: [y], paths: ['{{ playbook_dir }}/d']}}", {"a/d/y"}),
        (show("('d/*' | fileglob)"), {"a/d/y"}),
        (f"{LOOP}file: [k]", {"a/files/k"}),
        (f"{LOOP}pipe: cat files/k", {"a/files/k"}),
        (f"{LOOP}ini: ['x section=s file=k']", {"a/files/k"}),
        (f"{LOOP}password: files/k", {"a/files/k"}),
        (f"{LOOP}community.general.filetree: d/", {"a/d"}),
        (copy("{{ item }}", "\n      with_first_found:\n        - files: [none, y]\n          paths: [d]"), {"a/d/y"}),
        (copy("{{ item }}", "\n      loop: \"{{ query('fileglob', 'd/*') }}\""), {"a/d/y"}),
        ("assert: {that: [\"lookup('file', 'k') == ''\"]}", {"a/files/k"}),
        ("debug:\n      when: lookup('file', 'k') == ''", {"a/files/k"}),
    ],
)  # fmt: skip
def test_files_of_modules_and_lookups_are_found(tmp_path: Path, task: str, expected: set[str]) -> None:
    facts = read(tmp_path, {"a/site.yml": tasks(task), **empty("a/files/k", "a/templates/k", "a/d/y")})

    assert found(facts) == expected
    assert facts.unresolved == ()


@pytest.mark.parametrize(
    "task",
    [
        show("lookup('file', [unknown, 'k.txt'] | first)"),
        show("lookup('first_found', [unknown, 'k.txt'])"),
        show("lookup('first_found', {'files': [unknown, 'k.txt'], 'paths': ['.']})"),
        copy("{{ {'a': unknown, 'b': 'k.txt'}[which] }}"),
        copy("{{ unknown if which else 'k.txt' }}"),
        copy("{{ unknown | some_filter('k.txt') }}"),
        copy("{% for each in unknown %}k.txt{% endfor %}"),
        copy("{{ item }}", "\n      loop: ['{{ unknown_but_set }}', k.txt]\n      vars: {unknown_but_set: '{{ registered }}'}"),
        copy("{{ item.f }}", "\n      with_items: [{f: '{{ registered }}'}, {f: k.txt}]"),
        "include_tasks: '{{ item }}'\n      loop: '{{ registered + [\"k.txt\"] }}'",
    ],
)  # fmt: skip
def test_unknown_part_hides_no_known_file_and_is_reported(tmp_path: Path, task: str) -> None:
    site = tasks("command: x\n      register: registered", task)

    facts = read(tmp_path, {"a/site.yml": site, **empty("a/k.txt")})

    assert found(facts) == {"a/k.txt"}
    assert {str(each.location) for each in facts.unresolved} == {"a/site.yml:5"}


@pytest.mark.parametrize(
    "task",
    [
        "include_tasks: '{{ x }}/file.yml'",
        "include_vars: '/etc/{{ x }}.yml'",
        "include_vars: '/etc/{{ ansible_distribution }}.yml'",
        copy("{{ lookup('env', 'X') }}/y"),
        show("lookup('pipe', x)"),
        show("lookup('env', x)"),
        show("lookup('password', 'new length=8')"),
        "include_role: {name: '{{ x }}'}",
        copy("{{ not jinja"),
    ],
)
def test_unknown_file_name_is_reported_with_its_line(tmp_path: Path, task: str) -> None:
    (each,) = read(tmp_path, {"a/site.yml": tasks(task)}).unresolved

    assert each.location == SourceLocation(file="a/site.yml", line=3)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("command: cat k\n      delegate_to: localhost", {"a/k"}),
        ("local_action: command cat k", {"a/k"}),
        ("local_action: {module: shell, cmd: cat k > made}", {"a/k"}),
        ("command: cat k\n      connection: local", {"a/k"}),
        ("command: cat k\n      vars: {ansible_connection: local}", {"a/k"}),
        ("command:\n        argv: [cat, '{{ playbook_dir }}/k']\n      delegate_to: 127.0.0.1", {"a/k"}),
        ("block:\n        - shell: cat k\n      delegate_to: localhost", {"a/k"}),
        ("command: make all\n      args: {chdir: src}\n      delegate_to: localhost", {"a/src"}),
        ("command: cat inner {{ unknown }}\n      args: {chdir: src}\n      delegate_to: localhost", {"a/src", "a/src/inner"}),
        ("terraform: {project_path: src}\n      delegate_to: localhost", {"a/src"}),
        ("command: cat k", set()),
        ("command: cat k\n      delegate_to: '{{ where }}'", {"a/k"}),
        ("command: cat k\n      connection: '{{ how }}'", {"a/k"}),
        ("command: cat k\n      delegate_to: another", set()),
    ],
)  # fmt: skip
def test_files_of_local_commands_are_found(tmp_path: Path, task: str, expected: set[str]) -> None:
    files = {"a/site.yml": tasks(task), **empty("a/k", "a/src/inner", "a/made")}

    assert found(read(tmp_path, files)) == expected


def test_local_connection_of_a_play_applies_to_its_tasks_and_roles(tmp_path: Path) -> None:
    files = {
        "a/site.yml": "- hosts: localhost\n  roles: [r]\n  tasks:\n    - command: cat one\n"
        "- hosts: all\n  connection: local\n  tasks:\n    - include_tasks: t.yml\n",
        "a/t.yml": "- command: cat two\n",
        "a/roles/r/tasks/main.yml": "- command: cat three\n",
        **empty("a/one", "a/two", "a/three"),
    }

    assert found(read(tmp_path, files)) == {"a/one", "a/two", "a/three", "a/t.yml", "a/roles/r"}


@pytest.mark.parametrize(
    ("task", "output"),
    [
        ("fetch: {src: /etc/k, dest: made/k, flat: true}", "a/made/k"),
        ("fetch: {src: /etc/k, dest: made/, flat: true}", "a/made/k"),
        ("copy: {content: x, dest: made/k}\n      delegate_to: localhost", "a/made/k"),
        ("template: {src: k.j2, dest: made/}\n      delegate_to: localhost", "a/made/k.j2"),
        ("get_url: {url: 'https://x/k', dest: '{{ playbook_dir }}/made'}\n      connection: local", "a/made/k"),
    ],
)
def test_file_that_a_local_task_writes_is_an_output(tmp_path: Path, task: str, output: str) -> None:
    files = {"a/site.yml": tasks(task), **empty("a/made/other", "a/templates/k.j2")}

    assert {each.path for each in read(tmp_path, files).outputs} == {output}


def test_file_that_a_local_task_may_write_is_not_an_output(tmp_path: Path) -> None:
    site = tasks("fetch: {src: /etc/k, dest: k, flat: true}\n      when: wanted", copy("k"))

    facts = read(tmp_path, {"a/site.yml": site, **empty("a/k")})

    assert facts.outputs == ()
    assert found(facts) == {"a/k"}


def test_environment_variables_of_lookups_are_recorded(tmp_path: Path) -> None:
    site = tasks(show("lookup('env', 'ONE', 'TWO')"), f"{LOOP}env: [THREE]", copy("{{ lookup('env', 'PWD') }}/z"))

    facts = read(tmp_path, {"a/site.yml": site, "z": ""})

    assert [name for name, _ in facts.environment] == ["ONE", "PWD", "THREE", "TWO"]
    assert found(facts) == {"z"}


def test_template_includes_are_found_through_variables_lists_and_conditions(tmp_path: Path) -> None:
    files = {
        "a/site.yml": tasks("template: {src: one.j2, dest: /x}\n      vars: {which: two.j2}"),
        "a/templates/one.j2": "{% include which %}{% include ['none.j2', 'three.j2'] ignore missing %}"
        "{% import ('four.j2' if x else 'five.j2') as m %}",
        "a/templates/four.j2": "#jinja2: variable_start_string:'[%', variable_end_string:'%]'\n[% lookup('file', 'six') %]",
        **empty("a/templates/two.j2", "a/templates/three.j2", "a/templates/five.j2", "a/files/six"),
    }

    names = {f"a/templates/{name}.j2" for name in ("one", "two", "three", "four", "five")}
    assert found(read(tmp_path, files)) == {*names, "a/files/six"}


def test_invalid_jinja_template_is_reported(tmp_path: Path) -> None:
    files = {"a/site.yml": tasks("template: {src: one.j2, dest: /x}"), "a/templates/one.j2": "{% if %}"}

    assert unresolved(read(tmp_path, files)) == ["one.j2"]


@pytest.mark.parametrize("name", ["x" * 300, "a\\0b", "ns.full." + "x" * 300, "~/x", "..", "/"])
def test_impossible_file_name_is_reported(tmp_path: Path, name: str) -> None:
    site = tasks(f'include_role: {{name: "{name}"}}', f'include_tasks: "{name}.yml"', copy(name))
    folder = {"a/collections/ansible_collections/ns/full/plugins/x.py": ""}

    assert read(tmp_path, {"a/site.yml": site, **folder}).unresolved


def test_folder_outside_the_repository_is_never_read_completely(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.yml").write_text("")
    site = tasks(f"include_vars: '{tmp_path}/elsewhere/{{{{ x }}}}.yml'")

    facts = read(tmp_path / "root", {"a/site.yml": site})

    assert found(facts) == set()
    assert len(facts.unresolved) == 1


@pytest.mark.parametrize(
    "site",
    [
        "{{ a }}".join(["- hosts: all\n  vars: {a: '", "'}\n  tasks:\n    - copy: {src: '", "', dest: /x}\n"]),
        "- hosts: all\n  vars: {a: '" + "{{ b }}" * 200 + "', b: '" + "{{ a }}" * 200 + "'}\n"
        "  tasks:\n    - copy: {src: '{{ a }}', dest: /x}\n",
        "- hosts: all\n  tasks:\n    - copy: {src: \"{% set a = 'x' * 9 %}"
        + "".join(f"{{% set a = a ~ a ~ '{number}' %}}" for number in range(64))
        + '{{ a }}", dest: /x}\n',
        "- hosts: all\n  tasks:\n    - copy: {src: '{{ " + "(" * 3000 + "a" + ")" * 3000 + " }}', dest: /x}\n",
        "- hosts: all\n  tasks:\n    - copy: {src: \"{{ (l | product(l, l, l, l, l)) | map('join') | first }}\", dest: /x}\n"
        "      vars: {l: [" + ", ".join(map(str, range(200))) + "]}\n",
    ],
)
def test_endlessly_growing_expression_is_not_evaluated(tmp_path: Path, site: str) -> None:
    assert len(read(tmp_path, {"a/site.yml": site}).unresolved) == 1
