"""An unknown part of an expression does not hide files that its known parts name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.template.reading import BUILD, paths, read

LATER = "data.amazon-parameterstore.p.value"

READ = (
    f'[for u in split(",", {LATER}) : templatefile("found", {{ u = u }})]',
    'join(",", [for x in ["a"] : file("found") if packer.version != "1.0.0"])',
    '{ (timestamp()) = "x", z = file("found") }',
    '{ for f in ["found"] : "${f}-${timestamp()}" => file(f) }',
    f'"%{{ for u in {LATER} }}${{file("found")}}%{{ endfor }}"',
    'timestamp() == "x" ? file("found") : "b"',
    'timestamp() == "x" ? "a" : file("found")',
    f'"%{{ if {LATER} }}${{file("found")}}%{{ endif }}"',
    f'"%{{ if {LATER} }}a%{{ else }}${{file("found")}}%{{ endif }}"',
    f'join({LATER}, [file("found")])',
    f'{LATER}[file("found")]',
    f'element([file("found")], {LATER})',
    'file(timestamp() == "x" ? "found" : "other")',
    'filebase64(timestamp() == "x" ? "other" : "found")',
    f'templatefile("vars.tpl", {LATER})',
    f'templatefile("vars.tpl", {{ names = {LATER} }})',
    f'[for k, v in {{ a = "found" }} : file(v) if {LATER}]',
    f'{{ for v in ["found"] : v => file(v) if {LATER} }}',
    f'{LATER} == fileexists("found")',
    f'try({LATER}.x, file("found"))',
    f'can(file("found")) && {LATER}',
    f'coalesce({LATER}, file("found"))',
    f'[for a in {LATER} : [for b in ["found"] : "${{a}}${{file(b)}}"]]',
    f'merge({{ a = file("found") }}, {LATER})',
    f'lookup({LATER}, "a", file("found"))',
    f'format("%s%s", {LATER}, file("found"))',
    f'upper("${{{LATER}}}-${{file("found")}}")',
    f'[for f in concat(["found"], {LATER}) : file(f)]',
    f'[for f in flatten(["found", {LATER}]) : file(f)]',
    f'[for f in values({{ a = "found", b = {LATER} }}) : file(f)]',
)
NAMED = (
    f'["found", {LATER}]',
    'timestamp() == "x" ? "found" : "other"',
    'timestamp() == "x" ? ["other"] : ["found"]',
    'var.on ? "other" : "found"',
    "local.choice",
    '"${var.on ? "other" : "fou"}nd"',
    f'try({LATER}, "found")',
    'try("other", "found")',
    f'coalesce("", {LATER}, "found")',
    'coalesce("other", "found")',
    f'flatten(["found", [{LATER}]])',
    f'concat(["found"], {LATER})',
    f'distinct(["found", {LATER}])',
    f'sort(compact(["found", {LATER}]))',
    f'[for s in concat(["found"], {LATER}) : "./${{s}}"]',
    f'[for s in {LATER} : "found"]',
    f'[for s in ["found"] : s if {LATER}]',
    f'{{ a = "found", b = "other" }}[{LATER}]',
    f'["found", "other"][{LATER}]',
    f'[for k, v in merge({{ a = "found" }}, {LATER}) : v]',
    f'values({{ a = "found", b = {LATER} }})',
    f'split(",", "found,${{{LATER}}}")',
    f'setunion(["found"], [{LATER}])',
    f'reverse(["found", {LATER}])',
    f'slice(["found", {LATER}], 0, 1)',
    f'coalescelist({LATER}, ["found"])',
    f'trimsuffix("found.x", {LATER} == "a" ? ".x" : ".x")',
    f'"${{{LATER} == "x" ? "fou" : "oth"}}${{{LATER} == "x" ? "nd" : "er"}}"',
)
MORE = """
variable "on" { default = true }
locals { choice = var.on ? "other" : "found" }
"""
FILES = {"found": "x", "other": "x", "vars.tpl": '%{ for n in names }${n}${file("found")}%{ endfor }'}


@pytest.mark.parametrize("expression", READ)
def test_a_known_file_next_to_an_unknown_part_is_found(expression: str, tmp_path: Path) -> None:
    template = f"{MORE}\nlocals {{\n  value = {expression}\n}}\n" + BUILD % ""

    assert "found" in paths(read(tmp_path, {**FILES, "a.pkr.hcl": template}))


@pytest.mark.parametrize("expression", NAMED)
def test_every_file_that_a_field_may_name_is_found(expression: str, tmp_path: Path) -> None:
    template = MORE + BUILD % f'  provisioner "shell" {{\n    scripts = {expression}\n  }}'

    assert "found" in paths(read(tmp_path, {**FILES, "a.pkr.hcl": template}))
