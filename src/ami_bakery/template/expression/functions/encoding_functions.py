"""Base64, hashes, URLs and other encodings of strings."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from urllib.parse import quote_plus

from ami_bakery.template.expression import cty
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure

_ENCODINGS = {
    "utf-8": "utf-8",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "us-ascii": "ascii",
    "iso-8859-1": "latin-1",
}


def unknown_to_us(*_: Cty) -> Cty:
    raise Unsure("only Packer knows its result")


def base64encode(value: Cty) -> Cty:
    return cty.text(base64.b64encode(value.raw.encode("utf-8", "surrogatepass")).decode())


def base64decode(value: Cty) -> Cty:
    try:
        return cty.text(_decoded(value.raw).decode())
    except UnicodeDecodeError:
        raise EvaluationError("the bytes are not UTF-8") from None


def _decoded(text: str) -> bytes:
    # Go skips line ends, and refuses other characters outside the alphabet.
    clean = text.replace("\r", "").replace("\n", "")
    try:
        return base64.b64decode(clean, validate=True) if clean.isascii() else _refuse()
    except (binascii.Error, ValueError):
        raise EvaluationError("the string is not base64") from None


def _refuse() -> bytes:
    raise ValueError


def _encoding(name: Cty) -> str:
    found = _ENCODINGS.get(name.raw.lower())
    if found is None:
        raise Unsure("only Packer knows the encoding")
    return found


def textencodebase64(value: Cty, encoding: Cty) -> Cty:
    try:
        return cty.text(base64.b64encode(value.raw.encode(_encoding(encoding))).decode())
    except UnicodeEncodeError:
        raise EvaluationError("a character is not in the encoding") from None


def textdecodebase64(value: Cty, encoding: Cty) -> Cty:
    name = _encoding(encoding)
    if name == "ascii":
        raise Unsure("only Packer knows the encoding")
    try:
        result = _decoded(value.raw).decode(name)
    except UnicodeDecodeError:
        raise EvaluationError("the bytes are not valid in the encoding") from None
    if "\ufffd" in result or result.startswith("\ufeff"):
        raise Unsure("only Packer can read the string")
    return cty.text(result)


def _hash(name: str, value: Cty) -> Cty:
    return cty.text(hashlib.new(name, value.raw.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest())


def md5(value: Cty) -> Cty:
    return _hash("md5", value)


def sha1(value: Cty) -> Cty:
    return _hash("sha1", value)


def sha256(value: Cty) -> Cty:
    return _hash("sha256", value)


def sha512(value: Cty) -> Cty:
    return _hash("sha512", value)


def urlencode(value: Cty) -> Cty:
    return cty.text(quote_plus(value.raw, safe=""))


_NAMESPACES = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}


def uuidv5(namespace: Cty, name: Cty) -> Cty:
    space = _NAMESPACES.get(namespace.raw)
    if space is None:
        raise Unsure("only Packer can read the namespace")
    return cty.text(str(uuid.uuid5(space, name.raw)))
