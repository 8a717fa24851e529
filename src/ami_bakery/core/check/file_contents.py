"""Recognizes secrets, Git LFS pointers and broken shebangs in files' first bytes."""

from __future__ import annotations

import re

SCAN_BYTES = 1 << 20
"""The part of a file that is examined."""

_SECRET_NAMES = re.compile(
    r"(^|/)(id_(rsa|dsa|ecdsa|ed25519)|[^/]*\.(key|p12|pfx|jks|keystore|kdbx)|\.env(\.[^/]*)?|\.netrc|\.pgpass"
    r"|\.vault[-_]pass[^/]*|[^/]*\.tfstate|\.htpasswd|\.aws/credentials)$"
)
"""Files that are a secret, independent of their content."""
_SECRET_CONTENT = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-\d"
    rb"|\b(AKIA|ASIA)[A-Z0-9]{16}\b|\b(ghp|gho|ghs|ghu|ghr)_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{60,}"
    rb"|\bglpat-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}|\bnpm_[A-Za-z0-9]{36}\b|\bsk_live_[A-Za-z0-9]{16,}"
)
_ASSIGNED = re.compile(
    rb"(?im)^[ \t]*(?:-[ \t]+)?(?:export[ \t]+)?[\"']?(?:[a-z0-9]+[_.-])*"
    rb"(?:password|passwd|secret|token|api_?key|secret_?access_?key|private_?key)[\"']?[ \t]*[:=][ \t]*(?P<value>\S.*)$"
)
"""`NAME_PASSWORD=value`, in .env, YAML and INI files."""
_REFERENCE = re.compile(
    rb"""^(?:!vault\b|[|>]|["']?(?:\{\{|\$|<|%|\*+["']?$|vault:|ssm:|arn:)"""
    rb"""|(?:null|~|true|false|no|yes|""|'')[ \t]*(?:\#.*)?$)"""
)
"""A value that refers to another value, or that is empty."""
_HOLDS_ASSIGNMENTS = re.compile(
    r"(^|/)(\.env(\.[^/]*)?|\.npmrc|[^/]*\.env|[^/]*(credential|secret|password|passwd)[^/]*)$", re.IGNORECASE
)
"""Files whose assignments are examined. In other files, a password may be an example."""
_EXAMPLE = re.compile(r"\.(example|sample|template|dist|tpl|j2)$|(^|/)example[^/]*$", re.IGNORECASE)

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LFS_BYTES = 1024
"""A pointer is smaller than this (specification of Git LFS)."""


def secret_in(path: str, content: bytes) -> str:
    """Returns why a file looks like a secret, as a clause; empty if it does not.

    Private keys and tokens of well-known services count in every file. Public certificates do not count, nor do files
    that only have the name of a secret: of `credentials.yml`, the assignments are examined.
    """
    content = content[:SCAN_BYTES]
    if _SECRET_NAMES.search(path) and not _EXAMPLE.search(path) and not _is_public(content):
        return "files of this name are secrets"
    if _SECRET_CONTENT.search(content):
        return "it contains a private key or an access token"
    if _HOLDS_ASSIGNMENTS.search(path) and not _EXAMPLE.search(path) and _assigns_secret(content):
        return "it sets a password, a token or a key"
    return ""


def _is_public(content: bytes) -> bool:
    """Whether the content is only certificates and public keys.

    Public keys include binary OpenPGP (RFC 9580, packet type 6).
    """
    armored = b"-----BEGIN " in content and b"PRIVATE KEY" not in content
    return armored or content[:1] in (b"\x98", b"\x99", b"\xc6")


def _assigns_secret(content: bytes) -> bool:
    values = (match["value"].strip() for match in _ASSIGNED.finditer(content))
    return any(not _REFERENCE.match(value) for value in values)


def is_lfs_pointer(content: bytes) -> bool:
    """Whether git checked out a Git LFS pointer instead of the file."""
    return content.startswith(LFS_POINTER) and len(content) < _LFS_BYTES


def has_windows_shebang(content: bytes) -> bool:
    """Whether the interpreter's name ends in a carriage return. Linux cannot find such an interpreter."""
    first = content[:256].partition(b"\n")[0]
    return first.startswith(b"#!") and first.endswith(b"\r")


def has_windows_line_ends(content: bytes) -> bool:
    """Whether every line of the content ends in CR LF."""
    lines = content.count(b"\n")
    return lines > 0 and content.count(b"\r\n") == lines
