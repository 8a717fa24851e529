"""Layouts of playbooks with provisioner settings, which the real ansible-playbook runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PLAY = "- hosts: all\n  gather_facts: false\n"
TASKS = PLAY + "  tasks:\n"
HOSTS = "default ansible_connection=local\n"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`arguments`: `extra_arguments`; `unknown`: those the reader cannot evaluate. `extra`: found, not opened."""

    name: str
    files: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    environment: tuple[str, ...] = ()
    inventory: str = "inv/hosts"
    playbook: str = "a/site.yml"
    galaxy_file: str = ""
    extra: frozenset[str] = frozenset()


def debug(*expressions: str) -> str:
    return "".join(f'    - debug: {{msg: "{each}"}}\n' for each in expressions)


def role(name: str, tasks: str = "- debug:\n") -> dict[str, str]:
    return {f"{name}/tasks/main.yml": tasks}


LAYOUTS = (
    Layout(
        name="variables_behind_an_unknown_argument",
        files={"a/site.yml": TASKS + debug("{{ v }} {{ w }}"), "v.yml": "v: 1\n", "w.json": '{"w": 2}'},
        arguments=("-e", "pass=@secret@", "-e", "@v.yml", "-e@w.json"),
        unknown={"@secret@": "x y=z"},
    ),
    Layout(
        name="options_of_every_spelling",
        files={
            "a/site.yml": TASKS + debug("{{ a }}{{ b }}{{ c }}{{ d }}"),
            **{f"{name}.yml": f"{name}: 1\n" for name in "abcd"},
        },
        arguments=("--extra-vars=@a.yml", "-ve@b.yml", "-vve", "@c.yml", "--extra", "@d.yml", "--forks", "2", "-D"),
    ),
    Layout(
        name="an_unknown_option_in_front_of_others",
        files={"a/site.yml": TASKS + debug("{{ a }}"), "a.yml": "a: 1\n", "more/hosts": HOSTS},
        arguments=("@flag@", "-e", "@a.yml", "-i", "more/hosts"),
        unknown={"@flag@": "--diff"},
    ),
    Layout(
        name="inventories_with_their_variables",
        files={
            "a/site.yml": TASKS
            + debug("{{ lookup('file', from_ini) }}", "{{ lookup('file', from_yaml) }}", "{{ one }}"),
            "one/hosts": "[g]\ndefault ansible_connection=local\n[g:vars]\nfrom_ini=i.txt\n",
            "one/group_vars/all.yml": "one: 1\n",
            "one/host_vars/default/main.yml": "two: 2\n",
            "two/hosts.yml": "all:\n  hosts:\n    default: {from_yaml: y.txt}\n",
            "two/group_vars/g/nested/deep.yml": "three: 3\n",
            "a/i.txt": "",
            "a/files/y.txt": "",
        },
        arguments=("--inventory=one/hosts", "--inventory", "two/hosts.yml", "-i", "default,"),
    ),
    Layout(
        name="a_folder_of_inventories",
        files={
            "a/site.yml": TASKS + debug("{{ lookup('file', named) }}"),
            "many/static": HOSTS,
            "many/listed.yml": "all:\n  vars:\n    named: n.txt\n",
            "many/built.constructed.yml": "plugin: constructed\nstrict: false\ngroups: {made: true}\n",
            "many/group_vars/made.yml": "made: true\n",
            "many/script": "#!/bin/sh\ncat inventory-data.json\n",
            "inventory-data.json": '{"_meta": {"hostvars": {}}, "scripted": {"hosts": ["default"]}}',
            "a/n.txt": "",
        },
        arguments=("-imany",),
        environment=("ANSIBLE_INVENTORY_ENABLED=host_list,script,constructed,auto,yaml,ini",),
        extra=frozenset({"many/group_vars/made.yml"}),
    ),
    Layout(
        name="ansible_cfg_with_its_paths",
        files={
            "ansible.cfg": "[defaults]\nroles_path = {{CWD}}/lib/roles:other\nlibrary = lib/modules\nmodule_utils=lib/utils\n"
            "filter_plugins = lib/filters\ncallback_plugins = lib/callbacks\nvars_plugins=lib/vars\n",
            "a/site.yml": PLAY + "  roles: [one, two]\n  tasks:\n    - own:\n" + debug("{{ 'x' | shout }}"),
            **role("lib/roles/one"),
            **role("other/two"),
            "lib/modules/own.py": "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n"
            "from ansible.module_utils.helper_of_ours import HELP\n"
            "AnsibleModule(argument_spec={}).exit_json(msg=HELP)\n",
            "lib/utils/helper_of_ours.py": "HELP = 'h'\n",
            "lib/filters/shout.py": "class FilterModule:\n    def filters(self):\n        return {'shout': str.upper}\n",
            "lib/callbacks/said.py": "from ansible.plugins.callback import CallbackBase\n"
            "class CallbackModule(CallbackBase):\n    CALLBACK_VERSION = 2.0\n    CALLBACK_NAME = 'said'\n",
        },
    ),
    Layout(
        name="the_environment_of_the_provisioner",
        files={
            "conf/own.cfg": "[defaults]\nroles_path = roles\n",
            "a/site.yml": PLAY + "  roles: [one]\n  tasks:\n" + debug("{{ 'x' | shout }}"),
            **role("conf/roles/one"),
            "plugins/shout.py": "class FilterModule:\n    def filters(self):\n        return {'shout': str.upper}\n",
        },
        environment=("ANSIBLE_CONFIG=conf/own.cfg", "ANSIBLE_FILTER_PLUGINS=plugins"),
    ),
    Layout(
        name="plugins_beside_the_playbook",
        files={
            "a/site.yml": TASKS + "    - own:\n" + debug("{{ lookup('ours', 'x') }}", "{{ 'x' is loud }}"),
            "a/library/own.py": "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n"
            "AnsibleModule(argument_spec={}).exit_json()\n",
            "a/lookup_plugins/ours.py": "from ansible.plugins.lookup import LookupBase\nclass LookupModule(LookupBase):\n"
            "    def run(self, terms, variables=None, **options):\n        return terms\n",
            "a/test_plugins/loud.py": "class TestModule:\n    def tests(self):\n        return {'loud': str.isupper}\n",
        },
    ),
    Layout(
        name="modules_from_the_command_line",
        files={
            "a/site.yml": TASKS + "    - own:\n",
            "mods/own.py": "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n"
            "AnsibleModule(argument_spec={}).exit_json()\n",
        },
        arguments=("-M", "mods:nowhere"),
    ),
    Layout(
        name="lookups_of_files",
        files={
            "a/site.yml": TASKS
            + debug(
                "{{ lookup('csvfile', 'k file=t.csv delimiter=,') }}",
                "{{ lookup('csvfile', 'k', file='u.csv', delimiter=',') }}",
                "{{ lookup('ini', 'k section=s file=t.ini') }}",
                "{{ lookup('ansible.builtin.ini', 'k', section='s', file='u.ini') }}",
                "{{ query('file', 'one', 'two') }}",
                "{{ q('unvault', 'three') }}",
                "{{ lookup('template', 'page.j2') }}",
                "{{ lookup('file', *['four', 'files/' ~ 'five']) }}",
            ),
            "a/files/t.csv": "k,v\n",
            "a/u.csv": "k,v\n",
            "a/t.ini": "[s]\nk=v\n",
            "a/files/u.ini": "[s]\nk=v\n",
            "a/one": "",
            "a/files/two": "",
            "a/three": "",
            "a/templates/page.j2": "{% include 'part.j2' %}{{ lookup('file', 'six') }}",
            "a/templates/part.j2": "",
            "a/four": "",
            "a/files/five": "",
            "a/six": "",
        },
    ),
    Layout(
        name="lookups_of_commands",
        files={
            "a/site.yml": TASKS
            + debug(
                "{{ lookup('pipe', 'cat piped.txt | sort') }}",
                "{{ query('lines', 'cat ' ~ playbook_dir ~ '/lines.txt') }}",
                "{{ lookup('pipe', './run.sh') }}",
            ),
            "a/piped.txt": "",
            "a/lines.txt": "x\n",
            "a/run.sh": "#!/bin/sh\ntrue\n",
        },
    ),
    Layout(
        name="first_found_of_every_form",
        files={
            "a/site.yml": TASKS
            + debug(
                "{{ lookup('first_found', ['none', 'list.txt']) }} {{ lookup('file', lookup('first_found', ['no', 'deep.txt'])) }}",
                "{{ lookup('first_found', {'files': ['no', 'd.txt'], 'paths': ['x', 'y']}) }}",
                "{{ lookup('first_found', params) }}",
            )
            + '    - include_tasks: "{{ item }}"\n      with_first_found: [no.yml, t.yml]\n'
            + "    - include_vars: \"{{ lookup('first_found', found_vars) }}\"\n      vars:\n"
            + "        found_vars: {files: ['{{ who }}.yml', default.yml], paths: [vars]}\n"
            + '    - copy: {src: "{{ item }}", dest: /dev/null}\n      check_mode: true\n      with_first_found:\n'
            + "        - files: [no.conf, a.conf]\n          paths: [conf]\n",
            "a/group_vars/all.yml": "who: nobody\nparams: {files: [p.txt], paths: ['{{ playbook_dir }}/q']}\n",
            "a/list.txt": "",
            "a/deep.txt": "",
            "a/y/d.txt": "",
            "a/q/p.txt": "",
            "a/t.yml": "- debug:\n",
            "a/vars/default.yml": "d: e\n",
            "a/conf/a.conf": "",
        },
        extra=frozenset({"a/list.txt", "a/y/d.txt", "a/q/p.txt"}),
    ),
    Layout(
        name="loops_of_every_form",
        files={
            "a/site.yml": TASKS
            + "".join(
                f"    - debug: {{msg: \"{{{{ lookup('file', {name}) }}}}\"}}\n      {loop}\n"
                for name, loop in (
                    ("item", "loop: [l1, l2]"),
                    ("item", "with_items: '{{ names }}'"),
                    ("item.value", "with_dict: {a: d1, b: d2}"),
                    ("item.0 ~ item.1", "with_nested: [[n, m], [1, 2]]"),
                    ("item.file", "loop: '{{ maps }}'"),
                    ("item.value.f", "loop: '{{ tree | dict2items }}'"),
                    ("item.1", "with_subelements: ['{{ owners }}', files]"),
                    ("one", "loop: '{{ names + [\"z\"] }}'\n      loop_control: {loop_var: one}"),
                    ("item", "loop: '{{ maps | map(attribute=\"file\") | list }}'"),
                    ("item[1]", "with_indexed_items: [i1]"),
                    ("item.0 + item.1", "loop: \"{{ ['p'] | product(['1', '2']) | list }}\""),
                )
            ),
            "a/group_vars/all.yml": "names: [v1, v2]\nmaps: [{file: m1}]\ntree: {k: {f: t1}}\n"
            "owners: [{name: o, files: [s1, s2]}]\n",
            **dict.fromkeys(
                [
                    f"a/files/{name}"
                    for name in "l1 l2 v1 v2 d1 d2 n1 n2 m1 m2 t1 s1 s2 z i1 p1 p2".split()  # noqa: SIM905
                ],
                "",
            ),
        },
    ),
    Layout(
        name="globs_that_include",
        files={
            "a/site.yml": TASKS
            + "    - include_tasks: '{{ item }}'\n      with_fileglob: ['steps/*.yml']\n"
            + "    - include_vars: '{{ item }}'\n      loop: \"{{ query('fileglob', playbook_dir ~ '/settings/*.yml') }}\"\n"
            + debug("{{ lookup('file', from_settings) }}"),
            "a/steps/1.yml": "- include_vars: more.yml\n",
            "a/steps/2.yml": "- debug: {msg: \"{{ lookup('file', 'in-step') }}\"}\n",
            "a/vars/more.yml": "m: n\n",
            "a/files/in-step": "",
            "a/settings/x.yml": "from_settings: s.txt\n",
            "a/s.txt": "",
        },
    ),
    Layout(
        name="loops_that_include",
        files={
            "a/site.yml": TASKS
            + "    - include_tasks: each.yml\n      loop: [one, two]\n"
            + "    - include_role: {name: '{{ item }}'}\n      loop: [r1, r2]\n"
            + "    - include_tasks: {file: named.yml}\n      vars: {which: three}\n",
            "a/each.yml": "- debug: {msg: \"{{ lookup('file', item ~ '.txt') }}\"}\n",
            "a/named.yml": "- debug: {msg: \"{{ lookup('file', which ~ '.txt') }}\"}\n",
            **dict.fromkeys(("a/one.txt", "a/files/two.txt", "a/three.txt"), ""),
            **role("a/roles/r1"),
            **role("a/roles/r2"),
        },
    ),
    Layout(
        name="conditions_hide_nothing",
        files={
            "a/site.yml": TASKS
            + '    - include_tasks: \'{{ "yes.yml" if so else "no.yml" }}\'\n      vars: {so: true}\n'
            + "    - debug:\n      when: lookup('file', 'asked') == ''\n"
            + "    - include_tasks: skipped.yml\n      when: false\n"
            + "    - assert: {that: [\"lookup('file', 'asserted') == ''\"]}\n"
            + debug("{{ lookup('file', 'x.txt' if true else 'y.txt') }}"),
            "a/yes.yml": "- debug:\n",
            "a/no.yml": "- debug:\n",
            "a/skipped.yml": "- debug:\n",
            **dict.fromkeys(("a/asked", "a/files/asserted", "a/x.txt", "a/y.txt"), ""),
        },
        extra=frozenset({"a/no.yml", "a/skipped.yml", "a/y.txt"}),
    ),
    Layout(
        name="local_commands",
        files={
            "a/site.yml": TASKS
            + "    - command: ./make.sh --with conf.ini\n      delegate_to: localhost\n"
            + "    - local_action: shell cat here.txt > /dev/null\n"
            + "    - shell: cat there.txt\n      args: {chdir: '{{ playbook_dir }}/src'}\n      delegate_to: 127.0.0.1\n"
            + "    - command:\n        argv: [cat, '{{ playbook_dir }}/v.txt']\n"
            + "    - block:\n        - command: cat in-block.txt\n      delegate_to: localhost\n",
            "a/make.sh": '#!/bin/sh\ncat "$2"\n',
            "a/src/other": "",
            **dict.fromkeys(("a/conf.ini", "a/here.txt", "a/src/there.txt", "a/v.txt", "a/in-block.txt"), ""),
        },
        extra=frozenset({"a/src/other"}),
    ),
    Layout(
        name="modules_that_take_files",
        files={
            "a/site.yml": TASKS
            + "    - copy: {src: c.txt, dest: '{{ to }}/c'}\n"
            + "    - template: {src: '{{ \"t\" }}.j2', dest: '{{ to }}/t'}\n"
            + "    - script: s.sh with words\n"
            + "    - script: {cmd: 'u.sh x'}\n"
            + "    - assemble: {src: parts, dest: '{{ to }}/p', remote_src: false}\n"
            + "    - include_vars: {dir: many, extensions: [yml]}\n"
            + "    - copy: {src: tree/, dest: '{{ to }}/tree'}\n",
            "a/files/c.txt": "",
            "a/templates/t.j2": "{% from 'macros.j2' import m %}{{ m() }}",
            "a/templates/macros.j2": "{% macro m() %}{% endmacro %}",
            "a/files/s.sh": "#!/bin/sh\n",
            "a/u.sh": "#!/bin/sh\n",
            "a/files/parts/1": "",
            "a/many/one.yml": "o: n\n",
            "a/files/tree/sub/x": "",
        },
    ),
    Layout(
        name="roles_with_all_their_parts",
        files={
            "a/site.yml": PLAY + "  roles:\n    - role: main\n      vars: {param: by-param.txt}\n",
            **role(
                "a/roles/main",
                "- debug: {msg: \"{{ lookup('file', param) }}{{ lookup('file', 'own.txt') }}\"}\n"
                "- include_tasks: 'sub/more.yml'\n- include_role: {name: inner, tasks_from: other}\n"
                "- debug:\n  changed_when: true\n  notify: ring\n",
            ),
            "a/roles/main/tasks/sub/more.yml": "- debug: {msg: \"{{ lookup('file', 'deep.txt') }}\"}\n",
            "a/roles/main/handlers/main.yml": "- name: ring\n  include_tasks: rung.yml\n",
            "a/roles/main/handlers/rung.yml": "- debug:\n",
            "a/roles/main/files/own.txt": "",
            "a/roles/main/files/deep.txt": "",
            "a/roles/main/meta/main.yml": "dependencies:\n  - {role: base, vars: {x: y}}\n",
            "a/roles/main/defaults/main.yml": "p: q\n",
            **role("a/roles/base", "- debug: {msg: \"{{ lookup('file', 'of-the-parent.txt') }}\"}\n"),
            "a/roles/main/files/of-the-parent.txt": "",
            "a/roles/inner/tasks/other.yml": "- debug:\n",
            "a/files/by-param.txt": "",
        },
    ),
    Layout(
        name="collections_beside_the_playbook",
        files={
            "a/site.yml": PLAY
            + "  collections: [ns.short]\n  roles: [ns.full.deep]\n  tasks:\n    - own:\n    - ns.full.mine:\n"
            + "- import_playbook: ns.full.again\n",
            **role("a/collections/ansible_collections/ns/full/roles/deep"),
            "a/collections/ansible_collections/ns/full/galaxy.yml": "namespace: ns\nname: full\nversion: 1.0.0\n",
            "a/collections/ansible_collections/ns/full/playbooks/again.yml": TASKS
            + debug("{{ lookup('file', 'by-again.txt') }}"),
            "a/collections/ansible_collections/ns/full/playbooks/by-again.txt": "",
            **{
                f"a/collections/ansible_collections/ns/{name}.py": "#!/usr/bin/python\n"
                "from ansible.module_utils.basic import AnsibleModule\nAnsibleModule(argument_spec={}).exit_json()\n"
                for name in ("full/plugins/modules/mine", "short/plugins/modules/own")
            },
        },
        extra=frozenset({"a/collections/ansible_collections/ns/full/galaxy.yml"}),
    ),
    Layout(
        name="roles_that_the_project_keeps_where_galaxy_installs",
        files={
            "a/site.yml": PLAY + "  roles: [kept]\n",
            **role("a/roles/kept"),
            "req.yml": "roles: [kept]\n",
        },
        galaxy_file="req.yml",
        extra=frozenset({"req.yml"}),
    ),
    Layout(
        name="variables_files_of_a_play",
        files={
            "a/site.yml": "- hosts: all\n  gather_facts: false\n  vars_files:\n    - '{{ kind }}.yml'\n    - [no.yml, vars/found.yml]\n"
            "    - ../common/all.yml\n  vars: {kind: web}\n  vars_prompt:\n    - {name: asked, default: prompted.txt}\n"
            "  tasks:\n" + debug("{{ lookup('file', asked) }}", "{{ lookup('file', from_common) }}"),
            "a/web.yml": "w: x\n",
            "a/vars/found.yml": "f: g\n",
            "common/all.yml": "from_common: '{{ playbook_dir }}/../common/c.txt'\n",
            "common/c.txt": "",
            "a/prompted.txt": "",
        },
    ),
    Layout(
        name="vaulted_variables_with_their_password",
        files={
            "a/site.yml": TASKS + debug("x"),
            "pass": "secret\n",
            "other-pass": "secret\n",
            "a/group_vars/all/plain.yml": "p: q\n",
        },
        arguments=("--vault-password-file", "pass", "--vault-id", "dev@other-pass"),
    ),
    Layout(
        name="passwords_and_environment",
        files={
            "a/site.yml": TASKS
            + debug(
                "{{ lookup('password', 'creds/p length=8') }}", "{{ lookup('env', 'FROM') | default('e.txt', true) }}"
            ),
            "a/creds/p": "abcdefgh\n",
        },
    ),
    Layout(
        name="playbooks_that_import_others",
        files={
            "a/site.yml": "- import_playbook: sub/one.yml\n- import_playbook: '{{ other }}.yml'\n  vars: {v: w}\n",
            "a/sub/one.yml": PLAY + "  roles: [near]\n  tasks:\n" + debug("{{ lookup('file', 'near.txt') }}"),
            **role("a/sub/roles/near"),
            "a/sub/group_vars/all.yml": "g: h\n",
            "a/sub/near.txt": "",
            "a/two.yml": TASKS + debug("{{ lookup('file', 'far.txt') }}"),
            "a/files/far.txt": "",
        },
        arguments=("-e", "other=two"),
    ),
    Layout(
        name="an_expression_with_unknown_parts",
        files={
            "a/site.yml": TASKS
            + "    - command: echo u.txt\n      register: run\n"
            + debug(
                "{{ lookup('file', [run.stdout, 'k.txt'] | last) }}",
                "{{ (lookup('first_found', [run.stdout ~ '.none', 'l.txt'])) }}{{ lookup('file', 'm/' ~ run.stdout) }}",
                "{{ lookup('file', {'a': run.stdout, 'b': 'n.txt'}[run.rc | string | replace('0', 'b')]) }}",
            ),
            **dict.fromkeys(("a/k.txt", "a/l.txt", "a/m/u.txt", "a/n.txt"), ""),
        },
        extra=frozenset({"a/l.txt"}),
    ),
)
