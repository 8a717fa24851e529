"""The manifest: the canonical list of an image's inputs, whose SHA-256 is the digest.

The bytes are a canonical S-expression (RFC 9804, section 6.1): `(` and `)` around lists, and each atom as its length in
bytes, a colon and the bytes. Every value has one encoding, and nothing in a name or a value can forge a separator.
docs/reference/manifest-format.md specifies each field, and why it is in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias, assert_never

from ami_bakery.core.definition.digest import SHORT_LENGTH, Digest, Scheme
from ami_bakery.values import Frozen

FORMAT = 1
"""The version of the bytes. Any change of the bytes needs a new number."""


Expression: TypeAlias = str | Sequence["Expression"]


class EntryKind(StrEnum):
    FILE = "file"
    FOLDER = "directory"
    LINK = "symlink"


class Entry(NamedTuple):
    """One input.

    path        POSIX, relative to the root; names that are not UTF-8 with surrogateescape
    executable  the owner's executable bit of the file, or of a link's target
    sha256      of the content, as hex; None for a folder or a link to one
    target      the text of a link; None for files and folders
    """

    path: str
    kind: EntryKind
    executable: bool = False
    sha256: str | None = None
    target: str | None = None

    @property
    def sort_key(self) -> tuple[bytes, ...]:
        """Path components as bytes, so that a folder's entries are adjacent."""
        return tuple(part.encode("utf-8", "surrogateescape") for part in self.path.split("/"))

    def encoded(self) -> bytes:
        path = self.path.encode("utf-8", "surrogateescape")
        bit = b"1:1" if self.executable else b"1:0"
        if self.kind is EntryKind.FILE:
            sha256 = (self.sha256 or "").encode("ascii")
            return b"(4:file%d:%b%b%d:%b)" % (len(path), path, bit, len(sha256), sha256)
        if self.kind is EntryKind.FOLDER:
            return b"(9:directory%d:%b)" % (len(path), path)
        if self.kind is not EntryKind.LINK:
            assert_never(self.kind)
        target, content = _atom(self.target or ""), _atom(self.sha256 or "")
        return b"(7:symlink%d:%b%b%b%b)" % (len(path), path, target, bit, content)


class ManifestPart(StrEnum):
    """The parts of a manifest. They are compared one by one to show which of them changed."""

    FILES = "files"
    VARIABLES = "variables"
    BASE = "base"
    TOOLS = "tools"
    SETTINGS = "settings"


class Manifest(Frozen):
    """All inputs of one image.

    variables    (name, SHA-256 of the value) of `-var`, sorted by name
    var_files    paths in their order; their content is in the entries
    environment  (name, SHA-256 of the value; None if unset), sorted by name
    base         (builder, AMI id), sorted by builder; builder is empty if all builders have the same source AMI
    tools        (name, version) of Packer, then (name, version, SHA-256 of the program) of plugins
    left_out     parts that `digest_exclude` excludes, sorted by name
    """

    image: str
    salt: str
    template: str
    workdir: str
    entries: tuple[Entry, ...]
    variables: tuple[tuple[str, str], ...] = ()
    var_files: tuple[str, ...] = ()
    environment: tuple[tuple[str, str | None], ...] = ()
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    base: tuple[tuple[str, str], ...] = ()
    tools: tuple[tuple[str, ...], ...] = ()
    left_out: tuple[str, ...] = ()

    def parts(self, entries: Iterable[Entry] | None = None) -> Iterator[tuple[ManifestPart, Iterable[bytes]]]:
        """Yields the canonical bytes of each part in chunks, in order. Entries must be sorted by `sort_key`.

        entries  used instead of the manifest's own
        """
        yield (
            ManifestPart.SETTINGS,
            _encode(
                (
                    ("image", self.image),
                    ("salt", self.salt),
                    ("template", self.template),
                    ("workdir", self.workdir),
                    ("only", *sorted(self.only)),
                    ("except", *sorted(self.except_)),
                    ("arguments", *self.arguments),
                    ("left-out", *self.left_out),
                )
            ),
        )
        yield (
            ManifestPart.VARIABLES,
            _encode(
                (
                    ("variables", *((name, sha256) for name, sha256 in self.variables)),
                    ("var-files", *self.var_files),
                    (
                        "environment",
                        *(
                            (name, "unset") if value is None else (name, "set", value)
                            for name, value in self.environment
                        ),
                    ),
                )
            ),
        )
        yield ManifestPart.BASE, _encode(tuple((builder, ami) for builder, ami in self.base))
        yield ManifestPart.TOOLS, _encode(tuple(tuple(tool) for tool in self.tools))
        yield ManifestPart.FILES, _encode_entries(self.entries if entries is None else entries)

    def to_bytes(self) -> bytes:
        return b"".join(self.chunks())

    def chunks(self, entries: Iterable[Entry] | None = None) -> Iterator[bytes]:
        """Yields the canonical bytes in chunks."""
        yield b"(" + _atom("ami-bakery-manifest") + _atom(str(FORMAT))
        for component, encoded in self.parts(entries):
            yield b"(" + _atom(component)
            yield from encoded
            yield b")"
        yield b")"

    def digest(self, entries: Iterable[Entry] | None = None) -> Digest:
        """Computes the digest. `entries` are used instead of the manifest's own, to avoid keeping them in memory."""
        sha256 = hashlib.sha256()
        for chunk in self.chunks(entries):
            sha256.update(chunk)
        return Digest(Scheme.SHA256, sha256.hexdigest())

    def components(self) -> dict[ManifestPart, str]:
        """Returns a short digest of each part, for the tag `ami-bakery:components`."""
        return {component: _short(encoded) for component, encoded in self.parts()}


def hash_value(value: str) -> str:
    """Returns the SHA-256 of a variable's value: the manifest never contains the value itself."""
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def format_components(components: dict[ManifestPart, str]) -> str:
    """Formats the tag's value: `base=0123456789ab files=...`, sorted by name."""
    return " ".join(f"{name}={components[name]}" for name in sorted(components))


def parse_components(text: str) -> dict[ManifestPart, str]:
    """Parses the tag's value. Parts that this version does not know are ignored."""
    known = {component.value for component in ManifestPart}
    pairs = (part.partition("=") for part in text.split())
    return {ManifestPart(name): value for name, _, value in pairs if name in known}


def _atom(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return b"%d:%b" % (len(data), data)


def _encode(expression: Expression) -> Iterator[bytes]:
    if isinstance(expression, str):
        yield _atom(expression)
        return
    yield b"("
    for part in expression:
        yield from _encode(part)
    yield b")"


def _encode_entries(entries: Iterable[Entry]) -> Iterator[bytes]:
    yield b"("
    for entry in entries:
        yield entry.encoded()
    yield b")"


def _short(chunks: Iterable[bytes]) -> str:
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return sha256.hexdigest()[:SHORT_LENGTH]
