"""One template in HCL2 for each construct."""

from __future__ import annotations

from tests.discovery.case import Case


def _hcl(build: str, more: str = "") -> str:
    return (
        'source "amazon-ebs" "one" {\n  ami_name = "x"\n}\n'
        + more
        + '\nbuild {\n  sources = ["source.amazon-ebs.one"]\n'
        + build
        + "\n}\n"
    )


def _shell(scripts: str) -> str:
    return f'  provisioner "shell" {{\n    scripts = {scripts}\n  }}\n'


HCL = (
    Case(
        name="path_root_and_path_cwd",
        template="images",
        files={
            "images/a.pkr.hcl": _hcl(_shell('["${path.root}/a.sh", "${path.cwd}/b.sh", "c.sh", abspath("d.sh")]')),
            "images/a.sh": "true",
            **dict.fromkeys(["b.sh", "c.sh", "d.sh"], "true"),
        },
    ),
    Case(
        name="a_folder_reads_its_files_and_auto_var_files",
        template="images",
        workdir="images",
        files={
            "images/a.pkr.hcl": _hcl(_shell("[var.name]")),
            "images/.hidden.pkr.hcl": 'variable "name" {}\n',
            "images/x.auto.pkrvars.hcl": 'name = "auto.sh"\n',
            "images/not.pkrvars.hcl": 'name = "no.sh"\n',
            "images/auto.sh": "true",
        },
    ),
    Case(
        name="a_single_file_reads_no_auto_var_files",
        template="images/a.pkr.hcl",
        workdir="images",
        files={
            "images/a.pkr.hcl": 'variable "name" { default = "default.sh" }\n' + _hcl(_shell("[var.name]")),
            "images/b.pkr.hcl": "syntax error that nobody reads",
            "images/x.auto.pkrvars.hcl": 'name = "auto.sh"\n',
            "images/default.sh": "true",
        },
    ),
    Case(
        name="precedence_of_variables",
        template="t",
        workdir="t",
        environment={"PKR_VAR_a": "env.sh", "PKR_VAR_b": "env.sh", "PKR_VAR_c": "env.sh", "PKR_VAR_d": '["e1.sh"]'},
        variables={"c": "cli.sh", "e": '["l1.sh", "l2.sh"]'},
        var_files=("t/one.pkrvars.hcl", "t/two.pkrvars.hcl"),
        files={
            "t/a.pkr.hcl": 'variable "a" { default = "d.sh" }\nvariable "b" { default = "d.sh" }\n'
            'variable "c" { default = "d.sh" }\nvariable "d" { type = list(string) }\nvariable "e" { type = list(string) }\n'
            + _hcl(_shell("concat([var.a, var.b, var.c], var.d, var.e)")),
            "t/auto.auto.pkrvars.hcl": 'b = "auto.sh"\n',
            "t/one.pkrvars.hcl": 'b = "one.sh"\n',
            "t/two.pkrvars.hcl": 'b = "two.sh"\nc = "two.sh"\n',
            **{f"t/{name}.sh": "true" for name in ("env", "auto", "one", "two", "cli", "e1", "l1", "l2", "d")},
        },
    ),
    Case(
        name="file_fileset_and_fileexists_are_relative_to_the_template",
        template="sub",
        files={
            "sub/a.pkr.hcl": _hcl(
                '  provisioner "shell" {\n    inline = [file("in.sh"), fileexists("there") ? "a" : "b",'
                ' fileexists("absent") ? file("absent") : "x"]\n  }\n'
                + _shell('[for f in fileset(".", "s/*.sh") : "sub/${f}"]')
            ),
            "sub/in.sh": "true",
            "sub/there": "x",
            "sub/s/a.sh": "true",
            "sub/s/b.sh": "true",
            "sub/s/c.txt": "",
            "in.sh": "",
        },
        extra=frozenset({"sub/there"}),  # Packer only asks whether it is there
    ),
    Case(
        name="file_in_the_branch_not_taken_is_read_all_the_same",
        template="a.pkr.hcl",
        files={
            "a.pkr.hcl": _hcl(
                '  provisioner "shell" {\n    inline = [true ? file("a") : file("b"), true ? "x" : file("c")]\n  }\n'
            ),
            "a": "true",
            "b": "true",
        },
    ),
    Case(
        name="locals_for_expressions_and_functions",
        template="a.pkr.hcl",
        files={
            "a.pkr.hcl": 'variable "m" { default = { b = "two", a = "one" } }\n'
            'locals {\n  d = "s"\n  all = [for k, v in var.m : format("%s/%s-%s.sh", local.d, k, v) if v != "none"]\n'
            '  more = [join("/", [local.d, "x.sh"]), replace("s-y.sh", "-", "/"), lookup(var.m, "zz", "s/z.sh"),'
            ' element(["s/e.sh"], 3), regex_replace("s_r.sh", "(s)_", "$1/"), basename("x/base.sh"), "${dirname("s/k/x")}/d.sh",'
            ' coalesce("", "co.sh"), trimprefix("xpre.sh", "x"), substr("subs.sh", 3, 4), lower("LOW.SH"), keys({"key.sh" = 1})[0]]\n}\n'
            + _hcl(
                _shell(
                    'concat(local.all, local.more, values({z = "vz.sh", a = "va.sh"}), sort(["so.sh"]),'
                    ' distinct(["di.sh", "di.sh"]), flatten([["fl.sh"]]), compact(["", "cm.sh"]), [for s in [{n = "sp.sh"}] : s][*].n)'
                )
            ),
            **dict.fromkeys(
                [
                    "s/a-one.sh",
                    "s/b-two.sh",
                    "s/x.sh",
                    "s/y.sh",
                    "s/z.sh",
                    "s/e.sh",
                    "s/r.sh",
                    "base.sh",
                    "s/k/d.sh",
                    "co.sh",
                    "pre.sh",
                    "s.sh",
                    "low.sh",
                    "key.sh",
                    "vz.sh",
                    "va.sh",
                    "so.sh",
                    "di.sh",
                    "fl.sh",
                    "cm.sh",
                    "sp.sh",
                ],
                "true",
            ),
        },
    ),
    Case(
        name="templates_heredocs_and_directives",
        template="a.pkr.hcl",
        files={
            "a.pkr.hcl": 'variable "on" { default = true }\n'
            "locals {\n  text = <<EOT\na.sh\n%{ if var.on ~}\nb.sh\n%{ else ~}\nc.sh\n%{ endif ~}\n"
            '%{ for x in ["d", "e"] ~}\n${x}.sh\n%{ endfor ~}\nEOT\n'
            '  indented = <<-EOT\n      f.sh\n    ${"g"}.sh\n\n      h.sh\n    EOT\n}\n'
            + _hcl(
                _shell(
                    'concat(split("\\n", chomp(local.text)), [for l in compact(split("\\n", local.indented)) : replace(l, " ", "_")])'
                )
            ),
            **dict.fromkeys(["a.sh", "b.sh", "d.sh", "e.sh", "__f.sh", "g.sh", "__h.sh"], "true"),
            "c.sh": "",
        },
        extra=frozenset({"c.sh"}),  # the other arm of a conditional counts
    ),
    Case(
        name="dynamic_blocks",
        template="a.pkr.hcl",
        files={
            "a.pkr.hcl": _hcl(
                '  dynamic "provisioner" {\n    for_each = { one = "1", two = "2" }\n    labels = ["shell"]\n    iterator = it\n'
                '    content {\n      script = "${it.key}-${it.value}.sh"\n    }\n  }\n'
            ),
            "one-1.sh": "true",
            "two-2.sh": "true",
        },
    ),
    Case(
        name="only_except_override_and_the_source_in_a_name",
        template="a.pkr.hcl",
        files={
            "a.pkr.hcl": 'source "amazon-ebs" "a" {\n}\nsource "amazon-ebs" "b" {\n}\nsource "amazon-ebs" "unused" {\n}\n'
            'build {\n  name = "named"\n  sources = ["source.amazon-ebs.a"]\n  source "amazon-ebs.b" {\n    name = "local"\n  }\n'
            '  provisioner "shell" {\n    only = ["amazon-ebs.a"]\n    script = "only.sh"\n  }\n'
            '  provisioner "shell" {\n    except = ["amazon-ebs.a", "amazon-ebs.local"]\n    script = "never.sh"\n  }\n'
            '  provisioner "shell" {\n    script = "${source.name}.sh"\n  }\n'
            '  provisioner "shell" {\n    script = "plain.sh"\n    override = { a = { script = "over.sh" } }\n  }\n}\n',
            **dict.fromkeys(["only.sh", "never.sh", "a.sh", "local.sh", "plain.sh", "over.sh"], "true"),
        },
    ),
    Case(
        name="only_with_a_pattern_on_the_command_line",
        template="a.pkr.hcl",
        only=("named.*.a",),
        files={
            "a.pkr.hcl": 'source "amazon-ebs" "a" {\n}\nsource "amazon-ebs" "b" {\n}\n'
            'build {\n  name = "named"\n  sources = ["source.amazon-ebs.a", "source.amazon-ebs.b"]\n'
            '  provisioner "shell" {\n    script = "${source.name}.sh"\n  }\n}\n',
            "a.sh": "true",
            "b.sh": "true",
        },
    ),
    Case(
        name="go_templates_in_hcl2",
        template="a.pkr.hcl",
        files={
            "a.pkr.hcl": _hcl(_shell('["{{ upper `a` }}.sh", "{{build_name}}.sh", "{{pwd}}/c.sh"]')),
            "c.sh": "true",
            "A.sh": "true",
            "one.sh": "true",
        },
    ),
    Case(
        name="hcl2_in_json_syntax",
        template="t",
        workdir="t",
        files={
            "t/a.pkr.json": '{"//": "a comment", "variable": {"dir": {"default": "s"}}, "locals": {"x": "${var.dir}/x.sh"},'
            ' "source": {"amazon-ebs": {"one": {}}}, "build": {"sources": ["source.amazon-ebs.one"],'
            ' "provisioner": [{"shell": {"scripts": ["${local.x}", "${var.dir}/y.sh"]}}, {"file": {"source": "f", "destination": "/tmp/"}}]}}',
            "t/v.auto.pkrvars.json": '{"dir": "z"}',
            "t/z/x.sh": "true",
            "t/z/y.sh": "true",
            "t/f": "x",
        },
    ),
    Case(
        name="variables_from_the_environment_by_env",
        template="a.pkr.hcl",
        environment={"WHICH": "w"},
        files={
            "a.pkr.hcl": 'variable "w" { default = env("WHICH") }\n' + _hcl(_shell('["${var.w}.sh"]')),
            "w.sh": "true",
        },
    ),
    Case(
        name="json_and_yaml_documents_decoded",
        template="a.pkr.hcl",
        files={
            "a.pkr.hcl": _hcl(_shell('concat(jsondecode(file("l.json")).scripts, yamldecode(file("l.yaml")).scripts)')),
            "l.json": '{"scripts": ["a.sh"]}',
            "l.yaml": "scripts:\n  - b.sh\n",
            "a.sh": "true",
            "b.sh": "true",
        },
    ),
    Case(
        name="an_override_on_top_of_a_longer_list",
        template="a.pkr.hcl",
        files={
            "a.pkr.hcl": _hcl(
                '  provisioner "shell" {\n    scripts = ["a.sh", "b.sh"]\n    override = { one = { scripts = ["c.sh"] } }\n  }\n'
            ),
            **dict.fromkeys(["a.sh", "b.sh", "c.sh"], "true"),
        },
    ),
    Case(
        name="post_processors_with_only_and_except_by_pattern",
        template="a.pkr.hcl",
        except_=("la*",),
        run_local=True,
        files={
            "a.pkr.hcl": _hcl(
                '  provisioner "shell" {\n    script = "a.sh"\n  }\n'
                '  post-processors {\n    post-processor "shell-local" {\n      script = "./one.sh"\n    }\n'
                '    post-processor "shell-local" {\n      name = "later"\n      script = "./two.sh"\n    }\n'
                '    post-processor "shell-local" {\n      script = "./three.sh"\n    }\n  }\n'
                '  post-processor "shell-local" {\n    only = ["amazon-ebs.other"]\n    script = "./four.sh"\n  }\n'
                '  post-processor "shell-local" {\n    except = ["amazon-ebs.other"]\n    script = "./five.sh"\n  }\n'
            ),
            **dict.fromkeys(["a.sh", "one.sh", "two.sh", "three.sh", "four.sh", "five.sh"], "#!/bin/sh\ntrue\n"),
        },
    ),
    Case(
        name="types_convert_what_is_given",
        template="a.pkr.hcl",
        variables={"n": "05", "s": '["b", "a", "b"]', "m": '{ x = "y" }', "o": "{ k = 7 }", "b": "true"},
        files={
            "a.pkr.hcl": 'variable "n" { type = number }\nvariable "s" { type = set(string) }\nvariable "m" { type = map(string) }\n'
            'variable "o" { type = object({ k = string }) }\nvariable "b" { type = bool }\nvariables {\n  plain = "p"\n}\n'
            + _hcl(
                _shell(
                    'concat(["${var.n}.sh", "${var.m.x}.sh", "${var.o.k}.sh", var.b ? "t.sh" : "f.sh", "${var.plain}.sh"],'
                    ' [for v in var.s : "${v}.sh"], ["${join("", var.s)}.sh"])'
                )
            ),
            **dict.fromkeys(["5.sh", "y.sh", "7.sh", "t.sh", "p.sh", "a.sh", "b.sh", "ab.sh"], "true"),
        },
    ),
    Case(
        name="local_chains_and_the_template_in_a_linked_folder",
        template="link/a.pkr.hcl",
        files={
            "link": "-> real/folder",
            "real/folder/a.pkr.hcl": 'locals {\n  a = local.b\n}\nlocals {\n  b = local.c\n  c = file("n")\n}\n'
            + _hcl(_shell('["${path.root}/${trimspace(local.a)}.sh"]')),
            "real/folder/n": "x\n",
            "real/folder/x.sh": "true",
        },
    ),
    Case(
        name="absolute_paths_that_packer_makes",
        template="w/a.pkr.hcl",
        workdir="w",
        files={
            "w/a.pkr.hcl": 'locals {\n  n = trimspace(file("${path.cwd}/../n"))\n  up = dirname(path.cwd)\n  e = fileexists(abspath("../n"))\n'
            '  f = join(",", fileset(path.cwd, "s/*"))\n}\n'
            + _hcl(
                _shell(
                    '["${local.up}/${local.n}.sh", abspath("../y.sh"), "${path.cwd}/../z.sh", "${path.cwd}/${local.f}"]'
                )
            ),
            "n": "x\n",
            **dict.fromkeys(["x.sh", "y.sh", "z.sh", "w/s/k.sh"], "true"),
        },
    ),
)
