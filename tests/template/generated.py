"""Generates random HCL expressions of every kind, reproducible by seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

VARIABLES = """
variable "on" { default = true }
variable "name" { default = "app" }
variable "size" { default = 100 }
variable "empty" { default = "" }
variable "nothing" { default = null }
variable "list" { default = ["x", "y", "x"] }
variable "mixed" { default = ["a", 1, true, null] }
variable "typed" {
  type    = list(string)
  default = ["web", "db"]
}
variable "numbers" {
  type    = set(number)
  default = [10, 9, 100, 1]
}
variable "names" {
  type    = set(string)
  default = ["b", "a", "B"]
}
variable "map" { default = { b = "two", a = "one" } }
variable "typed_map" {
  type    = map(string)
  default = { z = "1", a = "2" }
}
variable "objects" { default = [{ id = "i", n = [1, 2] }, { id = "j", n = [] }] }
variable "maps" {
  type    = list(map(number))
  default = [{ a = 1 }, { a = 2, b = 3 }]
}
"""
_TEXTS = (
    *("", "a", "web,db", "Hello World", "a/b/c.sh", "  padded  ", "1", "1.50", "true", "x-y_z", "1e3", "ß", "ΑΣ"),
    *(
        "e\\u0301a",
        "\\n",
        "a\\nb\\n",
        "日本語",
        "👨‍👩‍👧x",
        "🇩🇪🇫🇷",
        "İI",
        "ǆ word",
        "<&>",
        "\\u2028",
        "$${x}",
        "%%{y}",
        'a\\"b',
    ),
    *("$a$", "-7", "0x10", "aaa", "a.b", "[x]", "ﬁ", "ŉ", "q'uote", "it's o'clock", "Ünï cödé", "नि", "  ", "+5", ".5"),
)
_NUMBERS = (
    *("0", "1", "2", "3", "10", "100", "1.1", "0.1", "0.2", "1.5", "2.50", "1e3", "1e-3", "9007199254740993", "-1"),
    *("123456789012345678901234567890", "0.30000000000000004", "3.0", "1000000", "1e21", "1.0e-7", "255", "7"),
)
_PATTERNS = (
    *("a", "a*", "[a-z]+", "(a)(b)?", "(?P<x>a)(?P<y>.)?", "^", "$", "\\\\b", ".", "\\\\d+", "(a+)+$", "x|y", "(?i)A"),
    *("[^,]+", "", "(", "\\\\s+", "(.)\\\\.(.)", "(?m)^b"),
)
_BODIES = ("v", "upper(v)", '"${v}!"', "[v]", "v == 1")
_DOCUMENTS = ('"[1,2.50,null]"', '"{\\"a\\":1e2}"', '"x"', '"7"')
_FORMATS = (
    *("%s", "%v", "%d", "%5d|", "%-5d|", "%05d", "%x", "%X", "%#x", "%b", "%#b", "%o", "%#o", "%e", "%f", "%.2f"),
    *("%g", "%8.3f|", "%-8.2f|", "%08.2f", "%+d", "% d", "%q", "%5s|", "%-5s|", "%05s", "%.2s", "%t", "%%", "%#v"),
    *("%G", "%E", "%.3g", "%.0f", "%10v|", "%.3d", "%5.3d|", "a%sb", "%[1]s", "%#q", "%+f", "%z", "%"),
)


CORNERS = (
    'split(",", "web,db") == ["web", "db"]',
    'split(",", "web,db") == var.typed',
    "100 * 1.1 == 110",
    "var.size * 1.1",
    "var.size / 3",
    "[for n in var.numbers : n]",
    'true ? 1 : "a"',
    'coalesce(1, "a")',
    'distinct([1, "1", true])',
    'compact(["a", "", null, 1])',
    "sort([10, 9, 1])",
    'chunklist([1, "a", true], 2)',
    'true ? [1, 2] : ["a"]',
    'true ? { a = 1 } : { b = "x" }',
    "true ? var.list : var.typed",
    "9007199254740993 + 1",
    "9007199254740993 == 9007199254740992",
    "var.objects.*.n[0]",
    "var.objects[*].n[*]",
    'regex_replace("abc", "", "-")',
    'regex_replace("abc", "x*", "-")',
    'regex_replace("baaac", "a*", "<$0>")',
    'regex_replace("a-b", "(a)-(b)", "$2-$1")',
    'regex_replace("a-b", "(a)-(b)", "$${2}_$${1}x$1y")',
    "jsonencode(1.0)",
    'jsonencode("\\u2028<>&")',
    'format("%v %v", 1000000, 1e21)',
    'format("%s", 1.50)',
    'format("%05s|%-5s|%5s", "ab", "ab", "ab")',
    'format("%q", "a\\"b<")',
    'format("%#b %#x %#o %+d", 5, 255, 8, 3)',
    'length("👨‍👩‍👧e\\u0301🇩🇪")',
    'substr("e\\u0301👨‍👩‍👧x", 1, 1)',
    'strrev("ae\\u0301👍🏽")',
    'upper("ß ŉ ﬁ ǆ")',
    'lower("ΑΣ İ")',
    'title("o\'neil x-y_z élan ǆ")',
    '"$${x} $$${1} %%{y}"',
    "1e3 + 1E-2",
    'can(regex("x", "a"))',
    'try(regex("x", "a"), "none")',
    'try(regex("(a)(b)?", "a"), "none")',
    'regex("(?P<first>.)(?P<rest>.*)", "abc")',
    'lookup({ a = 1 }, "b", "x")',
    'lookup(var.typed_map, "b", "x")',
    'jsondecode("{\\"a\\": [1.10, null, true]}")',
    "try(tonumber(1), 2)",
    "var.nothing == null",
    'coalesce(var.nothing, "", "b")',
    "var.on ? null : 1",
    "[for k, v in { b = 1, a = 2 } : k]",
    '{ for v in ["a", "b", "a"] : v => v... }',
    "setunion([3, 20, 100], [9])",
    'setproduct(["a"], [1, "true"])',
    'zipmap(["b", "a"], [1, "x"])',
    "merge({ a = 1 }, null, { a = [2] })",
    "flatten([[1, [2]], [], [[3]]])",
    'formatlist("%s-%d", ["a", "b"], [1, 2])',
    "1 / 3 * 3 == 1",
    "-7 % 3",
    "0.1 + 0.2 == 0.3",
    'convert(["b", "a", "b"], set(string))',
    "convert({ a = 1 }, object({ a = string }))",
    'parseint("zz", 36)',
    "[null] == [1]",
    'cidrsubnets("10.0.0.0/8", 4, 8)',
)


class Generator:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def expression(self) -> str:
        kinds = (self.text, self.number, self.truth, self.list, self.map, self.odd)
        return self.random.choice(kinds)(self.random.choice((1, 2, 2, 3)))

    def any(self, depth: int) -> str:
        kinds = (self.text, self.number, self.truth, self.list, self.map)
        return self.random.choice(kinds)(depth)

    def pick(self, *choices: Callable[[], str]) -> str:
        return self.random.choice(choices)()

    def quoted(self) -> str:
        return f'"{self.random.choice(_TEXTS)}"'

    # --- kinds

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(self.quoted, self.quoted, lambda: "var.name", lambda: "var.map.a", lambda: "var.empty")
        less = depth - 1
        r = self.random

        def text() -> str:
            return self.text(less)

        def number() -> str:
            return self.number(less)

        def truth() -> str:
            return self.truth(less)

        def items() -> str:
            return self.list(less)

        return self.pick(
            self.quoted,
            lambda: f"{r.choice(('upper', 'lower', 'title', 'strrev', 'chomp', 'trimspace', 'md5'))}({text()})",
            lambda: f"{r.choice(('base64encode', 'urlencode', 'basename', 'dirname', 'sha1', 'sha256'))}({text()})",
            lambda: f"{r.choice(('trimprefix', 'trimsuffix', 'trim'))}({text()}, {text()})",
            lambda: f"replace({text()}, {text()}, {text()})",
            lambda: (
                f'regex_replace({text()}, "{r.choice(_PATTERNS)}", "{r.choice(("-", "<$1>", "$$", "${1}x", ""))}")'.replace(
                    '"${', '"$${'
                )
            ),
            lambda: f'regex("{r.choice(_PATTERNS)}", {text()})',
            lambda: f"substr({text()}, {r.choice((0, 1, 2, -1, -2, 5))}, {r.choice((0, 1, 2, -1, 9))})",
            lambda: f"join({self.quoted()}, {items()})",
            lambda: f'format("{r.choice(_FORMATS)}", {self.any(less)})',
            lambda: f'format("%s-%d %v", {text()}, {number()}, {self.any(less)})',
            lambda: f"jsonencode({self.any(less)})",
            lambda: f'"{r.choice(("", "pre-"))}${{{self.any(less)}}}{r.choice(("", "/x"))}"',
            lambda: f'"%{{ if {truth()} }}{r.choice(("y", "yes "))}%{{ else }}n%{{ endif }}"',
            lambda: f'"%{{ for k, v in {items()} ~}} ${{k}}=${{v}} %{{ endfor }}"',
            lambda: f"({truth()} ? {text()} : {r.choice((text, number, truth))()})",
            lambda: f"coalesce({text()}, {self.any(less)}, {text()})",
            lambda: f"try({text()}, {text()})",
            lambda: f"element({items()}, {r.choice((0, 1, 5))})",
            lambda: f"lookup({self.map(less)}, {self.quoted()}, {text()})",
            lambda: f"indent({r.choice((0, 2))}, {text()})",
        )

    def number(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(lambda: self.random.choice(_NUMBERS), lambda: "var.size")
        less = depth - 1
        r = self.random
        return self.pick(
            lambda: r.choice(_NUMBERS),
            lambda: f"({self.number(less)} {r.choice('+-*/%')} {self.number(less)})",
            lambda: f"({self.number(less)} {r.choice('+-*')} {self.number(less)})",
            lambda: f"length({r.choice((self.text, self.list, self.map))(less)})",
            lambda: f"{r.choice(('abs', 'ceil', 'floor', 'signum'))}({self.number(less)})",
            lambda: f"{r.choice(('max', 'min'))}({self.number(less)}, {self.number(less)}, {self.number(less)})",
            lambda: f'parseint("{r.choice(("10", "ff", "-7", "z"))}", {r.choice((2, 10, 16, 36))})',
            lambda: f"pow({r.choice((2, 3, 10, 1.5))}, {r.choice((0, 1, 2, 10))})",
            lambda: f"sum([{self.number(less)}, {self.number(less)}])",
            lambda: f"index({self.list(less)}, {self.any(less)})",
            lambda: f"-{self.number(0)}",
            lambda: f"({self.truth(less)} ? {self.number(less)} : {self.number(less)})",
        )

    def truth(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(lambda: "true", lambda: "false", lambda: "var.on")
        less = depth - 1
        r = self.random
        return self.pick(
            lambda: f"({self.any(less)} {r.choice(('==', '!='))} {self.any(less)})",
            lambda: f"({self.number(less)} {r.choice(('<', '>', '<=', '>=', '=='))} {self.number(less)})",
            lambda: f"({self.truth(less)} {r.choice(('&&', '||'))} {self.truth(less)})",
            lambda: f"!{self.truth(less)}",
            lambda: f"contains({self.list(less)}, {self.any(less)})",
            lambda: f"can({self.any(less)})",
            lambda: f'can(regex("{r.choice(_PATTERNS)}", {self.text(less)}))',
            lambda: f"{r.choice(('startswith', 'endswith', 'strcontains'))}({self.text(less)}, {self.quoted()})",
            lambda: f"{r.choice(('alltrue', 'anytrue'))}([{self.truth(less)}, {self.truth(less)}])",
        )

    def list(self, depth: int) -> str:
        r = self.random
        names = ("var.list", "var.typed", "var.numbers", "var.names", "var.mixed", "[]")
        if depth <= 0:
            return self.pick(
                lambda: r.choice(names),
                lambda: "[" + ", ".join(self.any(0) for _ in range(r.randrange(4))) + "]",
                lambda: "[" + ", ".join(self.quoted() for _ in range(r.randrange(4))) + "]",
            )
        less = depth - 1
        return self.pick(
            lambda: "[" + ", ".join(self.any(less) for _ in range(r.randrange(4))) + "]",
            lambda: f"split({self.quoted()}, {self.text(less)})",
            lambda: f"concat({self.list(less)}, {self.list(less)})",
            lambda: f"{r.choice(('distinct', 'sort', 'compact', 'reverse', 'flatten'))}({self.list(less)})",
            lambda: f"{r.choice(('setunion', 'setintersection', 'setproduct'))}({self.list(less)}, {self.list(less)})",
            lambda: f"slice({self.list(less)}, {r.choice((0, 1))}, {r.choice((1, 2))})",
            lambda: f"chunklist({self.list(less)}, {r.choice((0, 1, 2))})",
            lambda: f"{r.choice(('keys', 'values'))}({self.map(less)})",
            lambda: (
                f"range({', '.join(r.choice(('0', '1', '3', '-2', '0.5', '5')) for _ in range(r.choice((1, 2, 3))))})"
            ),
            lambda: f"[for v in {self.list(less)} : {r.choice(_BODIES)}]",
            lambda: f"[for k, v in {r.choice((self.list, self.map))(less)} : k if {self.truth(less)}]",
            lambda: f'formatlist("{r.choice(("%s", "%s-%s", "%d"))}", {self.list(less)})',
            lambda: f'regexall("{r.choice(_PATTERNS)}", {self.text(less)})',
            lambda: f"{r.choice(('var.objects[*].id', 'var.objects.*.id', 'var.objects[*].n', 'var.maps[*].a'))}",
            lambda: f"{r.choice(('var.objects.*.n[0]', 'var.objects[*].n[0]', 'var.objects[*].n[*]', 'var.name[*]'))}",
            lambda: f"({self.truth(less)} ? {self.list(less)} : {self.list(less)})",
            lambda: f"coalescelist({self.list(less)}, {self.list(less)})",
        )

    def map(self, depth: int) -> str:
        r = self.random
        if depth <= 0:
            return self.pick(
                lambda: "var.map",
                lambda: "var.typed_map",
                lambda: "{}",
                lambda: "{ a = " + self.any(0) + ', "b" = ' + self.any(0) + " }",
            )
        less = depth - 1
        return self.pick(
            lambda: "{ a = " + self.any(less) + ", (" + self.text(less) + ") = " + self.any(less) + " }",
            lambda: f"merge({self.map(less)}, {self.map(less)})",
            lambda: f'zipmap(["a", "b"], {self.list(less)})',
            lambda: f'{{ for v in {self.list(less)} : "k${{v}}" => v }}',
            lambda: f"{{ for k, v in {self.map(less)} : k => {r.choice(('v', 'k', '[v]'))} }}",
            lambda: f'{{ for v in {self.list(less)} : "k" => v... }}',
            lambda: f"jsondecode(jsonencode({self.map(less)}))",
            lambda: f"({self.truth(less)} ? {self.map(less)} : {self.map(less)})",
        )

    def odd(self, depth: int) -> str:
        """Returns an invalid expression: wrong argument types, accesses to absent elements."""
        r = self.random
        return self.pick(
            lambda: f"try({self.any(depth)}.x, {self.any(0)})",
            lambda: f"try({self.list(depth - 1)}[{r.choice((0, 1, 3))}], {self.any(0)})",
            lambda: f"try({self.map(depth - 1)}[{self.quoted()}], {self.any(0)})",
            lambda: f"({self.truth(depth - 1)} ? {self.any(depth - 1)} : {self.any(depth - 1)})",
            lambda: f"({self.truth(0)} ? {self.any(0)} : null)",
            lambda: f"try({self.any(0)} + {self.any(0)}, {self.any(0)})",
            lambda: f"[{self.any(0)}, {self.any(0)}] == [{self.any(0)}, {self.any(0)}]",
            lambda: (
                f"convert({self.any(0)}, {r.choice(('string', 'list(string)', 'set(number)', 'map(string)', 'bool'))})"
            ),
            lambda: f"jsondecode({r.choice(_DOCUMENTS)})",
            lambda: (
                f'formatdate("{r.choice(("YYYY-MM-DD", "hh:mm:ss ZZZZZ", "EEE, D MMM AA H"))}", "2020-02-29T13:04:05Z")'
            ),
            lambda: f'cidrsubnet("10.1.0.0/16", {r.choice((4, 8))}, {r.choice((0, 2))})',
            lambda: f"try(length({self.any(depth - 1)}), -1)",
        )


def generated(count: int, seed: int) -> list[str]:
    """Returns distinct expressions, each on one line."""
    generator = Generator(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        made[generator.expression()] = None
    return list(made)
