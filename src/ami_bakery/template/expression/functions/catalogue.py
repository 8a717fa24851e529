"""Table of Packer's pure functions: parameters, result type and implementation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ami_bakery.template.expression import cty_types
from ami_bakery.template.expression.cty_types import BOOL, DYNAMIC, NUMBER, STRING, UNKNOWN, Type
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ami_bakery.template.expression.cty import Cty


class Parameter(Frozen):
    type: Type
    null: bool = False


_CODES: dict[str, Type] = {
    "s": STRING,
    "n": NUMBER,
    "b": BOOL,
    "a": DYNAMIC,
    "ls": cty_types.list_of(STRING),
    "lb": cty_types.list_of(BOOL),
    "la": cty_types.list_of(DYNAMIC),
    "sa": cty_types.set_of(DYNAMIC),
}


class Function(Frozen):
    """A pure function.

    parameters, rest  its parameters, and that of all further arguments; `rest` is None if there are none
    returns           the type of its result if it is always the same
    work              `module.function` in this package, imported on first call
    structural        it only moves elements: an unknown or tainted one does not affect the others
    unknown           it accepts an argument that is wholly unknown
    any_checkout      its result does not depend on the path of the checkout
    keeps_elements    with an unknown element in a collection, the result contains at least that without it
    """

    parameters: tuple[Parameter, ...]
    rest: Parameter | None
    returns: Type
    work: str
    structural: bool = False
    unknown: bool = False
    any_checkout: bool = False
    keeps_elements: bool = False

    def call(self, *arguments: Cty) -> Cty:
        module, name = self.work.split(".")
        found: Any = getattr(import_module(f"ami_bakery.template.expression.functions.{module}"), name)
        result: Cty = found(*arguments)
        return result


def _function(codes: str, returns: Type, work: str, **flags: bool) -> Function:
    """`codes`: one for each parameter; with `?`, null is allowed; with `*`, any number of arguments."""
    fixed: list[Parameter] = []
    rest: Parameter | None = None
    for code in codes.split():
        parameter = Parameter(type=_CODES[code.rstrip("?*")], null="?" in code)
        if code.endswith("*"):
            rest = parameter
        else:
            fixed.append(parameter)
    return Function(parameters=tuple(fixed), rest=rest, returns=returns, work=work, **flags)


_TEXTS = cty_types.list_of(STRING)
_PATH = {"any_checkout": True}
_MOVES = {"structural": True, "any_checkout": True, "keeps_elements": True}
_KEEPS = {"any_checkout": True, "keeps_elements": True}

FUNCTIONS: Mapping[str, Function] = {
    # strings
    "chomp": _function("s", STRING, "text_functions.chomp", **_PATH),
    "endswith": _function("s s", BOOL, "text_functions.endswith"),
    "indent": _function("n s", STRING, "text_functions.indent"),
    "join": _function("s ls*", STRING, "text_functions.join", **_PATH),
    "lower": _function("s", STRING, "text_functions.lower"),
    "replace": _function("s s s", STRING, "text_functions.replace", **_PATH),
    "split": _function("s s", _TEXTS, "text_functions.split"),
    "startswith": _function("s s", BOOL, "text_functions.startswith"),
    "strcontains": _function("s s", BOOL, "text_functions.strcontains"),
    "strrev": _function("s", STRING, "text_functions.strrev"),
    "substr": _function("s n n", STRING, "text_functions.substr"),
    "title": _function("s", STRING, "text_functions.title"),
    "trim": _function("s s", STRING, "text_functions.trim"),
    "trimprefix": _function("s s", STRING, "text_functions.trimprefix", **_PATH),
    "trimspace": _function("s", STRING, "text_functions.trimspace", **_PATH),
    "trimsuffix": _function("s s", STRING, "text_functions.trimsuffix", **_PATH),
    "upper": _function("s", STRING, "text_functions.upper"),
    "basename": _function("s", STRING, "text_functions.basename", **_PATH),
    "dirname": _function("s", STRING, "text_functions.dirname", **_PATH),
    "format": _function("s a?*", STRING, "format_functions.format_", **_PATH),
    "formatlist": _function("s a?*", _TEXTS, "format_functions.formatlist", **_PATH),
    "regex": _function("s s", UNKNOWN, "regex_functions.regex"),
    "regexall": _function("s s", UNKNOWN, "regex_functions.regexall"),
    "regex_replace": _function("s s s", STRING, "regex_functions.regex_replace"),
    # numbers
    "abs": _function("n", NUMBER, "number_functions.absolute"),
    "ceil": _function("n", NUMBER, "number_functions.ceil"),
    "floor": _function("n", NUMBER, "number_functions.floor"),
    "log": _function("n n", NUMBER, "number_functions.log"),
    "max": _function("n*", NUMBER, "number_functions.maximum"),
    "min": _function("n*", NUMBER, "number_functions.minimum"),
    "parseint": _function("a n", NUMBER, "number_functions.parseint"),
    "pow": _function("n n", NUMBER, "number_functions.power"),
    "signum": _function("n", NUMBER, "number_functions.signum"),
    "sum": _function("a", NUMBER, "number_functions.total"),
    "range": _function("n*", cty_types.list_of(NUMBER), "number_functions.range_"),
    # collections
    "alltrue": _function("lb", BOOL, "collection_functions.alltrue"),
    "anytrue": _function("lb", BOOL, "collection_functions.anytrue"),
    "chunklist": _function("la n", UNKNOWN, "collection_functions.chunklist", **_MOVES),
    "coalesce": _function("a?*", UNKNOWN, "collection_functions.coalesce", structural=True, unknown=True, **_PATH),
    "coalescelist": _function("a?*", UNKNOWN, "collection_functions.coalescelist", unknown=True, **_MOVES),
    "compact": _function("ls", _TEXTS, "collection_functions.compact", **_KEEPS),
    "concat": _function("a*", UNKNOWN, "collection_functions.concat", **_MOVES),
    "contains": _function("a a", BOOL, "collection_functions.contains", **_PATH),
    "distinct": _function("la", UNKNOWN, "collection_functions.distinct", **_KEEPS),
    "element": _function("a n", UNKNOWN, "collection_functions.element", **_MOVES),
    "flatten": _function("a", UNKNOWN, "collection_functions.flatten", **_KEEPS),
    "index": _function("a a", NUMBER, "collection_functions.index", **_PATH),
    "keys": _function("a", UNKNOWN, "collection_functions.keys", **_MOVES),
    "length": _function("a", NUMBER, "collection_functions.length", structural=True, any_checkout=True),
    "lookup": _function("a s a", UNKNOWN, "collection_functions.lookup", **_MOVES),
    "merge": _function("a?*", UNKNOWN, "collection_functions.merge", **_MOVES),
    "reverse": _function("a", UNKNOWN, "collection_functions.reverse", **_MOVES),
    "setintersection": _function("sa sa*", UNKNOWN, "collection_functions.setintersection", **_KEEPS),
    "setproduct": _function("a*", UNKNOWN, "collection_functions.setproduct", **_MOVES),
    "setunion": _function("sa sa*", UNKNOWN, "collection_functions.setunion", **_KEEPS),
    "slice": _function("a n n", UNKNOWN, "collection_functions.slice_", **_MOVES),
    "sort": _function("ls", _TEXTS, "collection_functions.sort", keeps_elements=True),
    "values": _function("a", UNKNOWN, "collection_functions.values", **_MOVES),
    "zipmap": _function("ls a", UNKNOWN, "collection_functions.zipmap", **_MOVES),
    # encodings
    "base64decode": _function("s", STRING, "encoding_functions.base64decode"),
    "base64encode": _function("s", STRING, "encoding_functions.base64encode"),
    "base64gzip": _function("s", STRING, "encoding_functions.unknown_to_us"),
    "textdecodebase64": _function("s s", STRING, "encoding_functions.textdecodebase64"),
    "textencodebase64": _function("s s", STRING, "encoding_functions.textencodebase64"),
    "csvdecode": _function("s", UNKNOWN, "json_and_csv.csvdecode"),
    "jsondecode": _function("s", UNKNOWN, "json_and_csv.jsondecode"),
    "jsonencode": _function("a?", STRING, "json_and_csv.jsonencode"),
    "yamldecode": _function("s", UNKNOWN, "yaml_functions.yamldecode"),
    "yamlencode": _function("a?", STRING, "yaml_functions.yamlencode"),
    "md5": _function("s", STRING, "encoding_functions.md5"),
    "sha1": _function("s", STRING, "encoding_functions.sha1"),
    "sha256": _function("s", STRING, "encoding_functions.sha256"),
    "sha512": _function("s", STRING, "encoding_functions.sha512"),
    "urlencode": _function("s", STRING, "encoding_functions.urlencode"),
    "uuidv5": _function("s s", STRING, "encoding_functions.uuidv5"),
    # networks and dates
    "cidrhost": _function("s n", STRING, "network_functions.cidrhost"),
    "cidrnetmask": _function("s", STRING, "network_functions.cidrnetmask"),
    "cidrsubnet": _function("s n n", STRING, "network_functions.cidrsubnet"),
    "cidrsubnets": _function("s n*", _TEXTS, "network_functions.cidrsubnets"),
    "formatdate": _function("s s", STRING, "date_functions.formatdate"),
    "timeadd": _function("s s", STRING, "date_functions.timeadd"),
    # functions that only Packer can evaluate
    **dict.fromkeys(
        [
            *("aws_secretsmanager", "aws_secretsmanager_raw", "bcrypt", "consul_key", "legacy_isotime"),
            *("legacy_strftime", "rfc3339_parse", "rsadecrypt", "timestamp", "unix_timestamp_parse", "uuidv4", "vault"),
        ],
        _function("a?*", UNKNOWN, "encoding_functions.unknown_to_us"),
    ),
}

NEWER = frozenset(
    [
        *("alltrue", "anytrue", "aws_secretsmanager_raw", "base64gzip", "endswith", "filebase64", "legacy_isotime"),
        *("legacy_strftime", "regex", "regexall", "rfc3339_parse", "startswith", "strcontains", "sum"),
        *("templatefile", "textdecodebase64", "textencodebase64", "unix_timestamp_parse"),
    ]
)
"""Functions that Packer 1.6.6 does not have."""
