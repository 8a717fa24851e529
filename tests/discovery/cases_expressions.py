"""Expressions whose exact value selects a file, and files next to unknown parts."""

from __future__ import annotations

from tests.discovery.case import Case
from tests.discovery.cases_hcl import _hcl, _shell

_VARIABLES = """
variable "on" { default = true }
variable "size" { default = 100 }
variable "nothing" { default = null }
variable "numbers" {
  type    = set(number)
  default = [10, 9, 100, 1]
}
variable "texts" {
  type    = list(string)
  default = [1, true, "x"]
}
variable "narrow" {
  type    = object({ a = string })
  default = { a = 1, b = "dropped" }
}
variable "objects" { default = [{ n = ["o1", "o2"] }, { n = ["o3"] }] }
locals { now = timestamp() }
"""


def _named(name: str, scripts: str, *files: str, extra: str = "") -> Case:
    """A case with scripts that an expression names."""
    return Case(
        name=name,
        template="a.pkr.hcl",
        files={"a.pkr.hcl": _hcl(_shell(scripts), _VARIABLES), **dict.fromkeys([*files, *extra.split()], "true")},
        extra=frozenset(extra.split()),
    )


def _read(name: str, value: str, files: dict[str, str]) -> Case:
    """A case with files that a partly unknown local reads."""
    inline = '  provisioner "shell" {\n    inline = ["true"]\n  }\n'
    more = f"{_VARIABLES}\nlocals {{\n  value = {value}\n}}\n"
    return Case(name=name, template="a.pkr.hcl", files={"a.pkr.hcl": _hcl(inline, more), **files})


def _settings(name: str, declaration: str, scripts: str, given: str, *files: str, extra: str) -> Case:
    """A variable without a type and with an empty default: Packer 1.6.6 drops the var-file's value, newer ones keep it."""
    return Case(
        name=name,
        template="a.pkr.hcl",
        files={
            "a.pkr.hcl": _hcl(_shell(scripts), declaration),
            "v.pkrvars.hcl": given,
            **dict.fromkeys([*files, *extra.split()], "true"),
        },
        var_files=("v.pkrvars.hcl",),
        extra=frozenset(extra.split()),
    )


EXPRESSIONS = (
    _settings(
        "an_empty_default_and_scripts",
        'variable "step" { default = {} }',
        'try(var.step.scripts, ["none.sh"])',
        'step = { scripts = ["one.sh", "two.sh"] }',
        "none.sh",
        extra="one.sh two.sh",
    ),
    _settings(
        "an_empty_default_and_nested_objects",
        'variable "steps" { default = {} }',
        '[try(var.steps.first.script, "none.sh")]',
        'steps = { first = { script = "one.sh" } }',
        "none.sh",
        extra="one.sh",
    ),
    _settings(
        "an_empty_default_and_its_size",
        'variable "steps" { default = {} }',
        'length(var.steps) > 0 ? ["some.sh"] : ["none.sh"]',
        "steps = { a = 1 }",
        "none.sh",
        extra="some.sh",
    ),
    _settings(
        "an_empty_default_and_a_loop",
        'variable "steps" { default = {} }',
        'concat(["always.sh"], [for name, on in var.steps : "${name}.sh" if on])',
        "steps = { web = true, db = false }",
        "always.sh",
        extra="web.sh",
    ),
    _settings(
        "a_block_of_variables_with_an_empty_default",
        "variables {\n  step = {}\n}",
        '[try(var.step.script, "none.sh")]',
        'step = { script = "one.sh" }',
        "none.sh",
        extra="one.sh",
    ),
    _named(
        "a_list_is_no_tuple", '[split(",", "web,db") == ["web", "db"] ? "yes.sh" : "no.sh"]', "no.sh", extra="yes.sh"
    ),
    _named("decimal_arithmetic", '["s${var.size * 1.1}.sh", "t${var.size * 1.1 == 110}.sh"]', "s110.sh", "ttrue.sh"),
    _named("a_set_of_numbers_in_its_order", '["${join("-", [for n in var.numbers : n])}.sh"]', "1-9-10-100.sh"),
    _named("arms_of_one_type", '["u${jsonencode(var.on ? 1 : "a")}.sh"]', 'u"1".sh'),
    _named("coalesce_converts", '["c${jsonencode(coalesce("", 7, "x"))}.sh"]', 'c"7".sh'),
    _named("distinct_of_mixed_types", '[for v in distinct([1, "1", true]) : "d${v}.sh"]', "d1.sh", "dtrue.sh"),
    _named("numbers_beyond_floats", '["${9007199254740993 + 2}.sh"]', "9007199254740995.sh"),
    _named("a_splat_of_attributes_alone", '[for n in var.objects.*.n[0] : "${n}.sh"]', "o1.sh", "o2.sh"),
    _named("an_empty_pattern_replaced", '["${regex_replace("abc", "", "-")}.sh"]', "-a-b-c-.sh"),
    _named("a_whole_number_in_json", '["${jsonencode(1.0)}.sh"]', "1.sh"),
    _named("formats_of_go", '[format("%05s%#x%v.sh", "ab", 255, 1000000)]', "000ab0xff1e+06.sh"),
    _named("characters_as_readers_see_them", '["${strrev("xe\\u0301")}${length("👍🏽")}.sh"]', "\u00e9x1.sh"),
    _named("letters_as_go_changes_them", '["${upper("ßa")}${title("o\'neil")}.sh"]', "ßAO'Neil.sh"),
    _named("escapes_before_a_brace", '["$${x}.sh"]', "${x}.sh"),
    _named("a_number_with_an_exponent", '["${1e3}.sh"]', "1000.sh"),
    _named("try_and_can", '[try(var.narrow.b, "t.sh"), can(var.objects[7]) ? "u.sh" : "v.sh"]', "t.sh", "v.sh"),
    _named(
        "types_of_variables",
        '[for t in var.texts : "${t}${jsonencode(var.narrow)}.sh"]',
        *(f'{text}{{"a":"1"}}.sh' for text in ("1", "true", "x")),
    ),
    _named("a_variable_that_is_null", '[var.nothing == null ? "n.sh" : "m.sh"]', "n.sh", extra="m.sh"),
    _named("chunks_and_products", '[for p in setproduct(["a", "b"], [1]) : "${p[0]}${p[1]}.sh"]', "a1.sh", "b1.sh"),
    _read("an_object_with_an_unknown_key", '{ (local.now) = "x", z = file("s/a") }', {"s/a": "x"}),
    _read(
        "unknown_keys_of_a_for",
        '{ for f in fileset("s", "*") : "${f}-${local.now}" => file("s/${f}") }',
        {"s/a": "x", "s/b": "y"},
    ),
    _read(
        "a_directive_over_something_unknown",
        '"%{ for u in split("-", local.now) }${file("part.txt")}%{ endfor }"',
        {"part.txt": "x"},
    ),
    _read("both_arms_under_an_unknown_condition", 'local.now == "x" ? file("a") : file("b")', {"a": "x", "b": "y"}),
    _read(
        "a_loop_over_something_unknown",
        '[for u in split("-", local.now) : [for f in ["a", "b"] : "${u}${file(f)}"]]',
        {"a": "x", "b": "y"},
    ),
    _read("a_loop_with_an_unknown_filter", '[for f in ["a", "b"] : file(f) if local.now != ""]', {"a": "x", "b": "y"}),
)
