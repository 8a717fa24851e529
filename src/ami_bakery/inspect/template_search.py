"""Searches a folder for Packer templates, var-files, and files that call Packer."""

from __future__ import annotations

import posixpath
import re
from collections import deque

from ami_bakery.core.init.packer_calls import PackerCall, packer_calls
from ami_bakery.core.init.proposal import UnusedFile
from ami_bakery.core.init.template_units import HclFile, TemplateUnit, units_of
from ami_bakery.core.init.toml_text import is_toml_text
from ami_bakery.errors import BakeryError
from ami_bakery.template.hcl.file_names import names_in
from ami_bakery.template.packer_json.recognize import JsonKind, kind_of_json
from ami_bakery.template.source_tree import FileKind, SourceTree, TreeEntry
from ami_bakery.values import Frozen

LARGEST_TEMPLATE = 1 << 20
"""Bytes. Larger files are not templates: they are data."""
MOST_ENTRIES = 500_000
_SKIPPED_FOLDERS = re.compile(
    r"\.(?:bundle|bzr|direnv|eggs|git|gradle|hg|idea|kitchen|m2|nox|npm|packer\.d|svn|terraform|tox|vagrant|venv|yarn)"
    r"|__pycache__|bower_components|node_modules|packer_cache|site-packages|vendor|venv|\..*[_-]?cache",
)
_CI_FOLDERS = frozenset((".buildkite", ".circleci", ".github", ".gitlab", ".woodpecker"))
_CALLERS = re.compile(
    r"(?:GNU)?makefile.*|.*\.mk|.*\.(?:sh|bash|zsh|groovy|ps1)|jenkinsfile.*|justfile|taskfile\.ya?ml|rakefile"
    r"|\.gitlab-ci\.ya?ml|\.travis\.ya?ml|(?:azure|bitbucket)-pipelines\.ya?ml|build-?spec.*\.ya?ml|cloudbuild\.ya?ml",
    re.IGNORECASE,
)
_HCL2 = (".pkr.hcl", ".pkr.json")
_VARS = (".pkrvars.hcl", ".pkrvars.json")


class SearchResult(Frozen):
    """What a search found. All paths are relative to the root.

    units     what Packer can build, sorted by path
    values    files that may be var-files, by folder
    calls     calls of Packer, in the order of the files
    is_cut    whether the search ended at `MOST_ENTRIES`
    """

    units: tuple[TemplateUnit, ...]
    values: tuple[str, ...]
    calls: tuple[PackerCall, ...]
    skipped: tuple[UnusedFile, ...]
    is_cut: bool = False

    def values_in(self, folder: str) -> tuple[str, ...]:
        return tuple(path for path in self.values if (posixpath.dirname(path) or ".") == folder)


def search_templates(tree: SourceTree) -> SearchResult:
    """Searches the whole tree. Links are not followed; nothing is executed."""
    search = _Search(tree)
    search.walk()
    return search.result()


class _Search:
    def __init__(self, tree: SourceTree) -> None:
        self.tree = tree
        self.folders: dict[str, list[str]] = {}
        self.auto: set[str] = set()
        self.json: list[str] = []
        self.values: list[str] = []
        self.calls: list[PackerCall] = []
        self.skipped: list[UnusedFile] = []
        self.is_cut = False

    def walk(self) -> None:
        waiting, seen = deque(["."]), 0
        while waiting:
            folder = waiting.popleft()
            try:
                children = sorted(self.tree.children(folder))
            except BakeryError as error:
                self._skip(folder, error.wrong, is_broken=True)
                continue
            seen += len(children)
            if seen > MOST_ENTRIES:
                self.is_cut = True
                return
            for path, kind in children:
                child = TreeEntry(posixpath.normpath(path), kind)
                name = posixpath.basename(child.path)
                if kind is FileKind.FOLDER and not _SKIPPED_FOLDERS.fullmatch(name):
                    waiting.append(child.path)
                elif kind is not FileKind.FOLDER:
                    self._sort(child, name, folder)

    def _sort(self, entry: TreeEntry, name: str, folder: str) -> None:
        is_template = name.endswith(_HCL2)
        if entry.kind is not FileKind.FILE:
            if is_template:
                what = "it is a symbolic link" if entry.kind is FileKind.LINK else "it is not a regular file"
                self._skip(entry.path, what)
        elif is_template and not is_toml_text(entry.path):
            self._skip(entry.path, "its name is not UTF-8: rename it", is_broken=True)
        elif is_template:
            self.folders.setdefault(folder, []).append(entry.path)
        elif name.endswith(_VARS):
            if name.endswith(tuple(f".auto{ending}" for ending in _VARS)):
                self.auto.add(folder)
            elif is_toml_text(entry.path):
                self.values.append(entry.path)
        elif name.endswith(".json"):
            self._sort_json(entry.path)
        elif _CALLERS.fullmatch(name) or (name.endswith((".yml", ".yaml")) and _is_of_ci(folder)):
            self._find_calls(entry.path)

    def _sort_json(self, path: str) -> None:
        content = self._content(path)
        match kind_of_json(content) if content else JsonKind.OTHER:
            case JsonKind.TEMPLATE | JsonKind.BROKEN if not is_toml_text(path):
                self._skip(path, "its name is not UTF-8: rename it", is_broken=True)
            case JsonKind.TEMPLATE:
                self.json.append(path)
            case JsonKind.BROKEN:
                self._skip(path, "it looks like a template, but is not valid JSON", is_broken=True)
            case JsonKind.VALUES if is_toml_text(path):
                self.values.append(path)
            case _:
                pass

    def _find_calls(self, path: str) -> None:
        text = self._content(path).decode("utf-8", "replace")
        if "packer" in text.lower():
            self.calls.extend(packer_calls(text, path))

    def _content(self, path: str) -> bytes:
        """Returns the content; empty if the file is too large or cannot be read."""
        try:
            content = self.tree.head(path, LARGEST_TEMPLATE + 1)
        except BakeryError:
            return b""
        return content if len(content) <= LARGEST_TEMPLATE else b""

    def _skip(self, path: str, why: str, *, is_broken: bool = False) -> None:
        self.skipped.append(UnusedFile(path=path, why=why, is_broken=is_broken))

    def result(self) -> SearchResult:
        known = {*self.folders, *self.json, *(path for paths in self.folders.values() for path in paths)}
        called = {call.resolve(call.template, known.__contains__) for call in self.calls}
        units = [TemplateUnit(path=path) for path in self.json]
        for folder, paths in self.folders.items():
            files = [file for path in paths if (file := self._names(path)) is not None]
            found = units_of(folder, files, called - {None}, auto=folder in self.auto)  # type: ignore[arg-type]
            units += found
            if files and not found:
                self._skip(folder, "no file of the folder has a `build` block")
        return SearchResult(
            units=tuple(sorted(units, key=lambda unit: unit.path)),
            values=tuple(sorted(self.values)),
            calls=tuple(self.calls),
            skipped=tuple(sorted(self.skipped, key=lambda item: item.path)),
            is_cut=self.is_cut,
        )

    def _names(self, path: str) -> HclFile | None:
        content = self._content(path)
        if not content:
            self._skip(path, "it is empty, unreadable or larger than 1 MiB", is_broken=True)
            return None
        try:
            names = names_in(content, path)
        except BakeryError as error:
            self._skip(path, f"it does not parse: {error.wrong}", is_broken=True)
            return None
        except RecursionError:
            self._skip(path, "it is nested too deeply", is_broken=True)
            return None
        return HclFile(path=path, declared=names.declared, used=names.used, builds=names.builds)


def _is_of_ci(folder: str) -> bool:
    return not _CI_FOLDERS.isdisjoint(folder.split("/"))
