"""One template in JSON for each construct."""

from __future__ import annotations

from tests.discovery.case import Case


def _json(provisioners: str, *, more: str = "", builders: str = '{"type": "amazon-ebs"}') -> str:
    return f'{{"builders": [{builders}], "provisioners": [{provisioners}] {more}}}'


JSON = (
    Case(
        name="paths_are_relative_to_the_working_folder",
        template="images/app/app.json",
        files={
            "images/app/app.json": _json('{"type": "shell", "scripts": ["scripts/a.sh", "images/app/b.sh"]}'),
            "scripts/a.sh": "true",
            "images/app/b.sh": "true",
            "images/app/scripts/a.sh": "not this one",
        },
    ),
    Case(
        name="template_dir_is_the_templates_folder",
        template="images/app.json",
        workdir="other",
        files={
            "images/app.json": _json('{"type": "shell", "script": "{{template_dir}}/a.sh"}'),
            "images/a.sh": "true",
            "other/a.sh": "",
        },
    ),
    Case(
        name="variables_nest_and_come_from_the_environment",
        template="a.json",
        environment={"STAGE": "prod"},
        files={
            "a.json": _json(
                '{"type": "shell", "script": "{{user `dir`}}/a.sh"}',
                more=', "variables": {"dir": "{{user `base`}}/{{user `stage`}}", "base": "s", "stage": "{{env `STAGE`}}"}',
            ),
            "s/prod/a.sh": "true",
        },
    ),
    Case(
        name="undeclared_variables_render_as_nothing",
        template="a.json",
        files={"a.json": _json('{"type": "shell", "script": "{{user `nobody`}}a.sh"}'), "a.sh": "true"},
    ),
    Case(
        name="the_command_line_beats_the_last_var_file",
        template="a.json",
        variables={"c": "from_cli"},
        var_files=("one.json", "two.json"),
        files={
            "a.json": _json(
                '{"type": "shell", "scripts": ["{{user `a`}}", "{{user `b`}}", "{{user `c`}}"]}',
                more=', "variables": {"a": "default", "b": "", "c": ""}',
            ),
            "one.json": '{"a": "one", "b": "one", "c": "one"}',
            "two.json": '{"b": "two", "c": "two"}',
            "one": "true",
            "two": "true",
            "from_cli": "true",
        },
    ),
    Case(
        name="lists_may_be_texts_with_commas",
        template="a.json",
        files={
            "a.json": _json(
                '{"type": "shell", "scripts": "{{user `list`}}"}', more=', "variables": {"list": "a.sh,b.sh"}'
            ),
            "a.sh": "true",
            "b.sh": "true",
        },
    ),
    Case(
        name="functions_of_texts_and_pipes",
        template="a.json",
        files={
            "a.json": _json(
                '{"type": "shell", "scripts": ["{{user `n` | lower}}.sh", "{{upper `b`}}.sh", "{{replace_all `-` `_` `c-d`}}.sh",'
                ' "{{split `x/e` `/` 1}}.sh", "{{ replace \\"f\\" \\"g\\" 1 \\"ff\\" -}} .sh", "{{build_name}}.sh", "{{build_type}}.x"]}',
                more=', "variables": {"n": "A"}',
                builders='{"type": "amazon-ebs", "name": "web"}',
            ),
            **dict.fromkeys(["a.sh", "B.sh", "c_d.sh", "e.sh", "gf.sh", "web.sh", "amazon-ebs.x"], "true"),
        },
    ),
    Case(
        name="whole_folders_with_hidden_files_and_links",
        template="a.json",
        files={
            "a.json": _json('{"type": "file", "source": "files/", "destination": "/tmp/x"}'),
            "files/.hidden": "1",
            "files/.d/x": "1",
            "files/sub/y": "1",
            "files/link": "-> ../elsewhere/z",
            "files/linked": "-> ../folder",
            "elsewhere/z": "1",
            "folder/w": "1",
        },
    ),
    Case(
        name="downloads_and_generated_files_are_no_inputs",
        template="a.json",
        files={
            "a.json": _json(
                '{"type": "shell-local", "inline": ["touch made"]},'
                '{"type": "file", "source": "made", "generated": true, "destination": "/tmp/"}'
            ),
        },
        run_local=True,
    ),
    Case(
        name="only_and_except_of_provisioners_and_overrides",
        template="a.json",
        files={
            "a.json": _json(
                '{"type": "shell", "script": "only.sh", "only": ["two"]},'
                '{"type": "shell", "script": "except.sh", "except": ["one"]},'
                '{"type": "shell", "script": "plain.sh", "override": {"one": {"script": "override.sh"}}}',
                builders='{"type": "amazon-ebs", "name": "one"}, {"type": "amazon-ebs", "name": "two"}',
            ),
            **dict.fromkeys(["only.sh", "except.sh", "plain.sh", "override.sh"], "true"),
        },
    ),
    Case(
        name="only_on_the_command_line_narrows",
        template="a.json",
        only=("one",),
        files={
            "a.json": _json(
                '{"type": "shell", "script": "only.sh", "only": ["two"]},'
                '{"type": "shell", "script": "plain.sh", "override": {"two": {"script": "override.sh"}}}',
                builders='{"type": "amazon-ebs", "name": "one"}, {"type": "amazon-ebs", "name": "two"}',
            ),
            **dict.fromkeys(["only.sh", "plain.sh", "override.sh"], "true"),
        },
    ),
    Case(
        name="except_on_the_command_line_ends_a_chain_of_post_processors",
        template="a.json",
        except_=("later",),
        run_local=True,
        files={
            "a.json": _json(
                '{"type": "shell", "script": "a.sh"}',
                more=', "post-processors": [[{"type": "shell-local", "script": "./first.sh"},'
                ' {"type": "shell-local", "name": "later", "script": "./second.sh"},'
                ' {"type": "shell-local", "script": "./third.sh"}], {"type": "shell-local", "script": "./fourth.sh"}]',
            ),
            **dict.fromkeys(["a.sh", "first.sh", "second.sh", "third.sh", "fourth.sh"], "#!/bin/sh\ntrue\n"),
        },
    ),
    Case(
        name="keys_in_any_case_and_comments",
        template="a.json",
        files={
            "a.json": '{"_comment": "x.sh", "Builders": [{"type": "amazon-ebs"}],'
            ' "provisioners": [{"type": "shell", "SCRIPT": "a.sh"}]}',
            "a.sh": "true",
            "x.sh": "",
        },
    ),
    Case(
        name="a_longer_list_shows_under_an_override",
        template="a.json",
        files={
            "a.json": _json(
                '{"type": "shell", "scripts": ["a.sh", "b.sh"], "override": {"amazon-ebs": {"scripts": ["c.sh"]}}}'
            ),
            **dict.fromkeys(["a.sh", "b.sh", "c.sh"], "true"),
        },
    ),
    Case(
        name="dots_behind_a_linked_folder_lead_where_the_link_leads",
        template="a.json",
        files={
            "a.json": _json('{"type": "shell", "script": "link/../a.sh"}'),
            "link": "-> deep/er/folder",
            "deep/er/folder/": "",
            "deep/er/a.sh": "true",
            "a.sh": "not this one",
        },
    ),
    Case(
        name="files_named_by_local_commands",
        template="a.json",
        run_local=True,
        files={
            "a.json": _json(
                '{"type": "shell-local", "inline": ["cat data/x.txt | grep -f patterns || true", "sh tool.sh --in=y.txt"]}'
            ),
            "data/x.txt": "x",
            "patterns": "x",
            "tool.sh": "cat ${1#--in=}",
            "y.txt": "y",
        },
    ),
    Case(
        name="puppet_chef_and_salt_folders",
        template="a.json",
        files={
            "a.json": _json(
                '{"type": "puppet-masterless", "manifest_file": "p/site.pp", "module_paths": ["p/modules"], "hiera_config_path": "p/hiera.yaml"},'
                '{"type": "chef-solo", "cookbook_paths": ["c/cookbooks"], "roles_path": "c/roles", "data_bags_path": "c/bags",'
                ' "environments_path": "c/env", "config_template": "c/solo.rb", "skip_install": true},'
                '{"type": "salt-masterless", "local_state_tree": "s/states", "local_pillar_roots": "s/pillar", "skip_bootstrap": true,'
                ' "minion_config": "s/minion"}'
            ),
            "p/site.pp": "x",
            "p/modules/m/init.pp": "x",
            "p/hiera.yaml": "x",
            "c/cookbooks/a/b.rb": "x",
            "c/roles/r.json": "{}",
            "c/bags/b.json": "{}",
            "c/env/e.json": "{}",
            "c/solo.rb": "x",
            "s/states/top.sls": "x",
            "s/pillar/top.sls": "x",
            "s/minion": "x",
        },
    ),
    Case(
        name="ansible_local_uploads_what_its_fields_name",
        template="a.json",
        files={
            "a.json": _json(
                '{"type": "ansible-local", "playbook_file": "a/site.yml", "role_paths": ["a/roles/one"], "group_vars": "a/group_vars",'
                ' "host_vars": "a/host_vars", "inventory_file": "a/hosts", "galaxy_file": "a/requirements.yml",'
                ' "playbook_paths": ["a/more"]}'
            ),
            "a/site.yml": "- hosts: all\n  roles: [one]\n",
            "a/roles/one/tasks/main.yml": "[]",
            "a/roles/two/tasks/main.yml": "[]",
            "a/group_vars/all.yml": "x: 1",
            "a/host_vars/h.yml": "x: 1",
            "a/hosts": "h",
            "a/requirements.yml": "[]",
            "a/more/extra.yml": "[]",
        },
    ),
    Case(
        name="env_in_a_var_file_and_fields_kept_in_a_variable",
        template="a.json",
        environment={"E": "e"},
        var_files=("v.json",),
        files={
            "a.json": _json(
                '{"type": "shell", "scripts": ["{{user `x`}}.sh", "{{user `y`}}.sh"]}',
                more=', "variables": {"x": "", "y": "{{ .Z }}"}',
            ),
            "v.json": '{"x": "{{env `E`}}"}',
            "e.sh": "true",
            "{{ .Z }}.sh": "true",
        },
    ),
    Case(
        name="names_of_builders_with_variables_and_provisioners_that_know_them_as_written",
        template="a.json",
        only=("web-1",),
        files={
            "a.json": _json(
                '{"type": "shell", "script": "a.sh", "only": ["web-{{user `n`}}"]}',
                more=', "variables": {"n": "1"}',
                builders='{"type": "amazon-ebs", "name": "web-{{user `n`}}"}',
            ),
            "a.sh": "true",
        },
    ),
    Case(
        name="names_that_are_not_ascii_and_names_with_spaces",
        template="a.json",
        files={
            "a.json": _json(
                '{"type": "shell", "scripts": ["sp ace/é.sh", "日本.sh"]}, {"type": "file", "source": "fö", "destination": "/tmp/x"}'
            ),
            "sp ace/é.sh": "true",
            "日本.sh": "true",
            "fö/ü ü": "x",
        },
    ),
)
