"""HCL2's functions of text; each gives what Packer's gives, or raises where that would."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import posixpath
import re
from collections.abc import Mapping
from urllib.parse import quote_plus

from ami_bakery.core.expression.operators import whole_number
from ami_bakery.core.expression.values import (
    CHECKOUT,
    Text,
    Unknown,
    Value,
    as_text,
    is_mapping,
    is_sequence,
    names_checkout,
)


def text(value: Value) -> str:
    """The text of a value, or a `ValueError` that says why it has none."""
    converted = as_text(value)
    if isinstance(converted, Unknown):
        raise ValueError(converted.why)
    return converted


def whole(value: Value) -> int:
    number = whole_number(value)
    if isinstance(number, Unknown):
        raise ValueError(number.why)
    return number


def sequence(value: Value) -> tuple[Value, ...]:
    if not is_sequence(value):
        raise ValueError("a list is needed")
    return value


def _kept(before: Value, after: str) -> str:
    """`after`, with the place of the text that it was made from."""
    return Text(after, before.place, tainted=before.tainted) if isinstance(before, Text) else after


def lower(value: Value) -> Value:
    return _kept(value, text(value).lower())


def upper(value: Value) -> Value:
    return _kept(value, text(value).upper())


def title(value: Value) -> Value:
    return _kept(value, re.sub(r"(?<!\w)[^\W\d_]", lambda found: found[0].upper(), text(value)))


def split(separator: Value, value: Value) -> Value:
    whole_text, by = text(value), text(separator)
    parts = whole_text.split(by) if by else list(whole_text)
    return tuple(_kept(value, part) for part in parts)


def join(separator: Value, *lists: Value) -> Value:
    items = [item for each in lists for item in sequence(each)]
    joined = text(separator).join(text(item) for item in items)
    return _kept(items[0], joined) if items else joined


def replace(value: Value, old: Value, new: Value) -> Value:
    subject, wanted = text(value), text(old)
    if names_checkout((value, old, new)) and wanted != "\\":
        raise ValueError("it depends on where the checkout lies")
    return _kept(value, subject.replace(wanted, text(new)))


def _python_regex(pattern: str) -> re.Pattern[str]:
    """RE2's syntax as Python reads it: `$` is the very end, and classes are ASCII."""
    if re.search(r"\\[pPzCQE]|\[\[:|\(\?[a-zA-Z]*[mU]", pattern):
        raise ValueError(f"the regular expression {pattern!r} is read by Packer alone")
    made = "".join(
        r"\Z" if part == "$" else part for part in re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|.", pattern, re.S)
    )
    try:
        return re.compile(made, re.ASCII)
    except re.error as error:
        raise ValueError(f"the regular expression {pattern!r} is read by Packer alone: {error}") from None


def regex_replace(value: Value, pattern: Value, replacement: Value) -> Value:
    def expand(found: re.Match[str]) -> str:
        def group(name: re.Match[str]) -> str:
            key = name[1] or name[2]
            if name[0] == "$$":
                return "$"
            try:
                return found[int(key)] or "" if key.isdigit() else found[key] or ""
            except (IndexError, KeyError):
                return ""

        return re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", group, text(replacement))

    return _kept(value, _python_regex(text(pattern)).sub(expand, text(value)))


def _captures(found: re.Match[str]) -> Value:
    if found.re.groupindex:
        return dict(found.groupdict())
    return tuple(found.groups()) if found.re.groups else found[0]


def regex(pattern: Value, value: Value) -> Value:
    found = _python_regex(text(pattern)).search(text(value))
    if not found:
        raise ValueError("the pattern does not match")
    return _captures(found)


def regexall(pattern: Value, value: Value) -> Value:
    return tuple(_captures(found) for found in _python_regex(text(pattern)).finditer(text(value)))


def substr(value: Value, offset: Value, length: Value) -> Value:
    subject, start, size = text(value), whole(offset), whole(length)
    if start < 0:
        start += len(subject)
    return _kept(value, subject[start:] if size == -1 else subject[start : start + size])


def strrev(value: Value) -> Value:
    return _kept(value, text(value)[::-1])


def indent(spaces: Value, value: Value) -> Value:
    return _kept(value, text(value).replace("\n", "\n" + " " * whole(spaces)))


def chomp(value: Value) -> Value:
    return _kept(value, re.sub(r"(?:\r\n?|\n)*\Z", "", text(value)))


def trim(value: Value, characters: Value) -> Value:
    return _kept(value, text(value).strip(text(characters)))


def trimspace(value: Value) -> Value:
    return _kept(value, text(value).strip())


def trimprefix(value: Value, prefix: Value) -> Value:
    return _kept(value, text(value).removeprefix(text(prefix)))


def trimsuffix(value: Value, suffix: Value) -> Value:
    return _kept(value, text(value).removesuffix(text(suffix)))


def startswith(value: Value, prefix: Value) -> Value:
    return text(value).startswith(text(prefix))


def endswith(value: Value, suffix: Value) -> Value:
    return text(value).endswith(text(suffix))


def strcontains(value: Value, part: Value) -> Value:
    return text(part) in text(value)


def tostring(value: Value) -> Value:
    return value if isinstance(value, str) or value is None else text(value)


def parseint(value: Value, base: Value) -> Value:
    return int(text(value), whole(base))


def _formatted(flags: str, verb: str, value: Value) -> str:
    if verb in "sv":
        if verb == "v" and (is_mapping(value) or is_sequence(value)):
            return str(jsonencode(value))
        return f"%{flags.replace('0', '') if flags.startswith('0') else flags}s" % text(value)
    if verb == "q":
        return json.dumps(text(value), ensure_ascii=False)
    if verb in "doxXb":
        number = whole(value)
        return format(number, "b") if verb == "b" else f"%{flags}{verb}" % number
    if verb in "eEfgG":
        return f"%{flags}{verb}" % float(text(value))
    if verb == "t" and isinstance(value, bool):
        return text(value)
    raise ValueError(f"the verb %{verb} is not known")


def format_(form: Value, *arguments: Value) -> Value:
    template, rest = text(form), list(arguments)
    if "[" in re.sub(r"%%", "", template) and re.search(r"%[^a-zA-Z%]*\[", template):
        raise ValueError("numbered arguments of a format are read by Packer alone")
    made, end = "", 0
    for found in re.finditer(r"%([-+ 0#]*\d*(?:\.\d+)?)([a-zA-Z%])", template):
        made += template[end : found.start()]
        end = found.end()
        if found[2] == "%":
            made += "%"
            continue
        if not rest:
            raise ValueError("too few arguments for the format")
        made += _formatted(found[1], found[2], rest.pop(0))
    if rest or "%" in template[end:]:
        raise ValueError("the format and its arguments do not fit")
    place = next((argument for argument in arguments if isinstance(argument, Text)), form)
    return _kept(form if isinstance(form, Text) else place, made + template[end:])


def formatlist(form: Value, *arguments: Value) -> Value:
    lists = [argument for argument in arguments if is_sequence(argument)]
    if len({len(each) for each in lists}) > 1:
        raise ValueError("the lists are of different length")
    count = len(lists[0]) if lists else 1
    return tuple(
        format_(form, *(argument[number] if is_sequence(argument) else argument for argument in arguments))
        for number in range(count)
    )


def basename(value: Value) -> Value:
    path = text(value).rstrip("/")
    if names_checkout(path) and (path == CHECKOUT or posixpath.basename(path) == ".."):
        raise ValueError("it depends on where the checkout lies")
    return _kept(value, posixpath.basename(path) or ("/" if text(value) else "."))


def dirname(value: Value) -> Value:
    path = text(value)
    if path == CHECKOUT:
        return _kept(value, CHECKOUT + "/..")
    if names_checkout(path) and ".." in path.split("/"):
        raise ValueError("it depends on where the checkout lies")
    folder = posixpath.split(path)[0]
    return _kept(value, go_clean(folder))


def go_clean(path: str) -> str:
    """Go's `filepath.Clean`, which folds `..` without asking the disk."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def base64encode(value: Value) -> Value:
    return base64.b64encode(text(value).encode()).decode()


def base64decode(value: Value) -> Value:
    return base64.b64decode(text(value), validate=True).decode()


def md5(value: Value) -> Value:
    return hashlib.md5(text(value).encode()).hexdigest()


def sha1(value: Value) -> Value:
    return hashlib.sha1(text(value).encode()).hexdigest()


def sha256(value: Value) -> Value:
    return hashlib.sha256(text(value).encode()).hexdigest()


def sha512(value: Value) -> Value:
    return hashlib.sha512(text(value).encode()).hexdigest()


def urlencode(value: Value) -> Value:
    return quote_plus(text(value))


def _plain(value: Value) -> object:
    if is_mapping(value):
        return {key: _plain(value[key]) for key in sorted(value)}
    return [_plain(item) for item in value] if is_sequence(value) else value


def jsonencode(value: Value) -> Value:
    made = json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)
    return made.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def from_document(value: object) -> Value:
    """What a JSON or YAML document holds, as a value."""
    if isinstance(value, Mapping):
        return {str(key): from_document(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return tuple(from_document(child) for child in value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def jsondecode(value: Value) -> Value:
    return from_document(json.loads(text(value)))


def csvdecode(value: Value) -> Value:
    return tuple(from_document(row) for row in csv.DictReader(io.StringIO(text(value), newline="")))
