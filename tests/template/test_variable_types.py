"""Defaults of variables are converted to their types as by current Packer."""

from __future__ import annotations

from pathlib import Path

from ami_bakery.template.expression.functions.json_and_csv import json_text
from ami_bakery.template.hcl.hcl_parser import parse_body
from ami_bakery.template.hcl.input_variables import declarations, default_of
from tests.template.console import answers

TYPED = (
    *(("string", "1"), ("string", "null"), ("string", "true"), ("number", '"1.50"'), ("bool", '"true"')),
    *(("any", '[1, "a"]'), ("any", "null"), ("any", "{}"), ("list(any)", '[1, "a", true]')),
    *(("list(string)", "[1, null]"), ("list(string)", "[]"), ("list(number)", '["1"]')),
    *(("set(string)", '["b", "a", "b"]'), ("set(any)", '[1, "1"]'), ("set(number)", '[10, 9, "9"]')),
    *(("map(any)", '{ a = 1, b = "x" }'), ("map(string)", "{ a = 1 }"), ("map(number)", "{}")),
    *(("map(list(string))", "{ a = [1] }"), ("map(any)", '{ a = [1], b = ["x"] }')),
    *(("object({ a = string })", "{ a = 1, b = 2 }"), ("object({})", "{ a = 1 }")),
    ("object({ a = string, b = optional(number) })", "{ a = 1 }"),
    ('object({ a = optional(string, "d"), b = optional(number, 3) })', "{}"),
    ('object({ a = optional(string, "d") })', "{ a = null }"),
    ('object({ a = optional(object({ b = optional(string, "x") }), {}) })', "{}"),
    ("list(object({ a = string, b = optional(bool, true) }))", "[{ a = 1 }, { a = 2, b = false }]"),
    ('map(object({ a = optional(list(string), ["z"]) }))', "{ k = {}, l = { a = [1] } }"),
    ('set(object({ a = optional(string, "q") }))', '[{}, { a = "q" }]'),
    ("tuple([object({ a = optional(number, 1) })])", "[{}]"),
    ("tuple([string, number])", '[1, "2"]'),
    ("object({ a = any })", '{ a = [1, "x"] }'),
    ("list(any)", '[{ a = 1 }, { a = "x" }]'),
    ("list(any)", '[{ a = 1 }, { b = "x" }]'),
    ("list(any)", '[[1], ["x", 2]]'),
    ("list(list(string))", '[[1], ["a"]]'),
)
TEMPLATE = "".join(
    f'variable "typed{number}" {{\n  type    = {kind}\n  default = {default}\n}}\n'
    f'variable "plain{number}" {{\n  default = {default}\n}}\n'
    for number, (kind, default) in enumerate(TYPED)
)


def test_defaults_are_converted_as_by_current_packer(current_packer: Path, tmp_path: Path) -> None:
    declared = declarations([parse_body(TEMPLATE.encode(), "a.pkr.hcl")])
    questions = [f"var.{name}" for name in declared]
    environment = {"PACKER_PLUGIN_PATH": str(current_packer / "plugins")}
    theirs = answers(current_packer / "packer", tmp_path, TEMPLATE, questions, environment)

    assert [json_text(default_of(each)) for each in declared.values()] == theirs
