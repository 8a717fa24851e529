"""The reader finds every file that the real Ansible opens."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from ami_bakery.adapters.files.source_tree import DiskTree
from ami_bakery.template.facts import TemplateRequest
from ami_bakery.template.template_reader import PackerTemplateReader
from tests.discovery.cases_ansible import HOSTS, LAYOUTS, Layout
from tests.discovery.compare import Options, compare, files_of
from tests.discovery.traced import trace
from tests.trees import write_tree

BESIDE_PYTHON = str(Path(sys.executable).parent)
ANSIBLE = shutil.which("ansible-playbook", path=BESIDE_PYTHON) or shutil.which("ansible-playbook")
pytestmark = [
    pytest.mark.skipif(
        shutil.which("strace") is None or shutil.which("packer") is None,
        reason="strace and packer are needed to see what is opened; install Debian's packages of these names",
    ),
    pytest.mark.skipif(ANSIBLE is None, reason="this test needs ansible-playbook; `pip install ansible-core`"),
]

TEMPLATE = """{
  "builders": [{"type": "amazon-ebs"}],
  "provisioners": [{
    "type": "ansible", "playbook_file": "ansible/site.yml", "inventory_file": "ansible/inventory/hosts",
    "extra_arguments": ["--extra-vars", "@ansible/extra.yml", "-e", "ansible_python_interpreter=%s", "-e", "to={{user `to`}}"],
    "ansible_env_vars": ["ANSIBLE_LOCAL_TEMP={{user `to`}}/l", "ANSIBLE_REMOTE_TEMP={{user `to`}}/r"]
  }],
  "variables": {"to": ""}
}"""

SITE = """
- import_playbook: before/first.yml
- hosts: all
  connection: local
  gather_facts: true
  gather_subset: [min]
  vars: {which: chosen}
  vars_files:
    - vars/{{ ansible_facts.system }}.yml
    - [none.yml, fallback.yml]
  roles:
    - common
    - role: shared
  pre_tasks:
    - include_vars: more.yml
    - import_tasks: tasks/imported.yml
  tasks:
    - include_tasks: included.yml
    - copy: {src: "{{ which }}.txt", dest: "{{ to }}/a"}
    - template: {src: page.j2, dest: "{{ to }}/b"}
    - copy: {src: "{{ item }}", dest: "{{ to }}/c"}
      loop: [one.txt, two.txt]
    - copy: {src: tree/, dest: "{{ to }}/tree"}
    - debug: {msg: "{{ lookup('file', 'looked.txt') }} {{ from_extra }} {{ from_group }}"}
    - copy: {src: "{{ item }}", dest: "{{ to }}/g"}
      with_fileglob: globbed/*.conf
    - script: run.sh
    - include_role: {name: dynamic}
      when: true
    - block:
        - include_tasks: "{{ ansible_facts.system | lower }}.yml"
      rescue:
        - debug: {msg: rescued}
"""
ROLE_MAIN = """
- copy: {src: in_role.txt, dest: "{{ to }}/r1"}
- template: {src: in_role.j2, dest: "{{ to }}/r2"}
- include_vars: "{{ ansible_facts.system }}.yml"
- import_tasks: other.yml
- copy: {src: "{{ playbook_dir }}/beside.txt", dest: "{{ to }}/r3"}
- copy: {src: "{{ role_file }}", dest: "{{ to }}/r4"}
"""
FILES = {
    "ansible/site.yml": SITE,
    "ansible/before/first.yml": "- hosts: all\n  connection: local\n  gather_facts: false\n  tasks:\n"
    "    - copy: {src: f.txt, dest: '{{ to }}/f'}\n",
    "ansible/before/files/f.txt": "f",
    "ansible/inventory/hosts": "default ansible_connection=local\n",
    "ansible/inventory/group_vars/all.yml": "from_group: g\n",
    "ansible/group_vars/all/main.yml": "x: y\n",
    "ansible/host_vars/default.yml": "x: z\n",
    "ansible/extra.yml": "from_extra: e\n",
    "ansible/vars/Linux.yml": "a: b\n",
    "ansible/fallback.yml": "a: c\n",
    "ansible/vars/more.yml": "m: n\n",
    "ansible/tasks/imported.yml": "- include_tasks: nested.yml\n",
    "ansible/tasks/nested.yml": "- debug:\n",
    "ansible/included.yml": "- debug:\n",
    "ansible/linux.yml": "- debug:\n",
    "ansible/files/chosen.txt": "c",
    "ansible/templates/page.j2": "page {% include 'part.j2' %}",
    "ansible/templates/part.j2": "part",
    "ansible/one.txt": "1",
    "ansible/files/two.txt": "2",
    "ansible/files/tree/x": "x",
    "ansible/files/tree/sub/y": "y",
    "ansible/files/looked.txt": "l",
    "ansible/files/globbed/a.conf": "a",
    "ansible/files/run.sh": "#!/bin/sh\ntrue\n",
    "ansible/beside.txt": "b",
    "ansible/from_defaults.txt": "d",
    "ansible/roles/common/tasks/main.yml": ROLE_MAIN,
    "ansible/roles/common/tasks/other.yml": "- debug:\n  notify: touched\n  changed_when: true\n",
    "ansible/roles/common/handlers/main.yml": "- name: touched\n  copy: {src: handled.txt, dest: '{{ to }}/h'}\n",
    "ansible/roles/common/files/in_role.txt": "r",
    "ansible/roles/common/files/handled.txt": "h",
    "ansible/roles/common/templates/in_role.j2": "r",
    "ansible/roles/common/vars/Linux.yml": "r: s\n",
    "ansible/roles/common/defaults/main.yml": "role_file: from_defaults.txt\n",
    "ansible/roles/common/meta/main.yml": "dependencies: [dependency]\n",
    "ansible/roles/dependency/tasks/main.yml": "- debug:\n",
    "ansible/roles/dynamic/tasks/main.yml": "- debug:\n",
    "library_of_roles/shared/tasks/main.yml": "- debug:\n",
    "ansible.cfg": "[defaults]\nroles_path = library_of_roles\n",
}


def test_files_that_ansible_opens_are_found(tmp_path: Path) -> None:
    write_tree(tmp_path / "project", {**FILES, "a.json": TEMPLATE % sys.executable})

    result = compare(
        tmp_path / "project",
        Options(
            template="a.json",
            variables={"to": str(tmp_path)},
            path=(str(Path(ANSIBLE or "").parent),),
            run_local=True,
        ),
    )

    assert result.status == 0, result.output
    assert result.missed == frozenset(), result.output
    assert result.extra == frozenset()
    assert result.facts.unresolved == ()


def _settings(layout: Layout) -> str:
    """Returns the template. Unknown parts are the build's address, which is not known before the build."""
    arguments = [word if word not in layout.unknown else "{{build `Host`}}" for word in layout.arguments]
    for word in layout.unknown:
        arguments = [each.replace(word, "{{build `Host`}}") for each in arguments]
    provisioner = {
        "type": "ansible",
        "playbook_file": layout.playbook,
        "inventory_file": layout.inventory,
        "extra_arguments": arguments,
        "ansible_env_vars": list(layout.environment),
        **({"galaxy_file": layout.galaxy_file} if layout.galaxy_file else {}),
    }
    return json.dumps({"builders": [{"type": "null"}], "provisioners": [provisioner]})


def _command(layout: Layout, scratch: Path) -> list[str]:
    """Returns the provisioner's command line, with Python for the modules and a writable folder."""
    arguments = list(layout.arguments)
    for word, value in layout.unknown.items():
        arguments = [each.replace(word, value) for each in arguments]
    for pair in (f"ansible_python_interpreter={sys.executable}", f"to={scratch}"):
        arguments += ["-e", pair]
    return [ANSIBLE or "", *arguments, "-i", layout.inventory, layout.playbook]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_files_that_ansible_playbook_opens_are_found(tmp_path: Path, layout: Layout) -> None:
    root, scratch = (tmp_path / "project").resolve(), (tmp_path / "scratch").resolve()
    scratch.mkdir()
    write_tree(root, {"inv/hosts": HOSTS, **layout.files, "a.json": _settings(layout)})
    for path in layout.files:
        if layout.files[path].startswith("#!"):
            (root / path).chmod(0o755)
    environment = {
        "PATH": f"{Path(ANSIBLE or '').parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(scratch),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_LOCAL_TEMP": str(scratch / "l"),
        "ANSIBLE_REMOTE_TEMP": str(scratch / "r"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **dict(pair.split("=", 1) for pair in layout.environment),
    }

    facts = PackerTemplateReader().read(DiskTree(str(root)), TemplateRequest(template="a.json", workdir="."))
    traced = trace(_command(layout, scratch), root=root, workdir=root, environment=environment)

    found = files_of(facts, root) - {"a.json"}
    credentials = {reference.path for reference in facts.credentials}
    assert traced.status == 0, traced.output
    assert traced.read - found - credentials == frozenset(), traced.output
    assert found - traced.read == layout.extra
    assert [each for each in facts.unresolved if not layout.unknown and "run" not in each.expression] == []
