"""Finds files that the texts of a playbook name."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ami_bakery.template.ansible.jinja.holes import FACT, HOLE, has_hole, is_static
from ami_bakery.template.ansible.jinja.rendering import (
    known_words,
    parses,
    text_alternatives,
    texts_in,
)
from ami_bakery.template.ansible.scope import Context, PlayScope, glob_in, search_folders
from ami_bakery.template.ansible.search import find_paths, is_file
from ami_bakery.template.ansible.yaml_files import documents_of, yaml_at, yaml_below
from ami_bakery.template.expression.known_values import CHECKOUT
from ami_bakery.template.expression.known_values import HOLE as PACKERS_HOLE
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.shell.local_commands import LocalRun
from ami_bakery.template.yaml_parser import YamlText

if TYPE_CHECKING:
    from ami_bakery.template.ansible.variables import VariableTable
    from ami_bakery.template.definition import Reading

_UNKNOWN = "it is only known when Ansible runs"


def is_plain_name(name: str) -> bool:
    """Whether a text can be a path: not a URL, several lines, or only dots."""
    return bool(name.strip("./ ")) and "\n" not in name and "://" not in name


def is_outside(name: str) -> bool:
    """Whether a name with a hole is absolute and outside the project."""
    return has_hole(name) and name.startswith(("/", "~")) and not name.startswith(CHECKOUT)


class Files:
    """Records findings in the collector, and variables in the table. `run` follows local commands."""

    def __init__(self, reading: Reading, variables: VariableTable) -> None:
        self.reading = reading
        self.variables = variables
        self.run = LocalRun(reading)
        self._visited: set[tuple[str, ...]] = set()

    def scope(self, context: Context) -> PlayScope:
        return PlayScope(self.reading, self.variables, context)

    def first_visit(self, *key: str) -> bool:
        if key in self._visited:
            return False
        self._visited.add(key)
        return True

    def report(self, location: SourceLocation, written: str, why: str = _UNKNOWN) -> None:
        self.reading.collector.unresolved(location, str(written), why)

    def reference(self, path: str, location: SourceLocation, context: Context | None = None) -> None:
        roles = (context.role, *context.above) if context is not None and context.role else ()
        if not any(path.startswith(f"{role}/") for role in roles):  # the whole folder of a role is already an input
            self.reading.collector.reference(path, location, required=False)

    # --- names

    def paths(
        self, text: str, folders: tuple[str, ...], location: SourceLocation, context: Context, *, optional: bool = False
    ) -> list[str]:
        """Returns the paths that a text may name; reports an unknown or missing path."""
        names = text_alternatives(text, self.scope(context))
        paths: list[str] = []
        unknown, found_any = not parses(text), False
        for name in names:
            found = self.paths_of_name(name, folders, context)
            paths += found or ()
            found_any = found_any or found is None or bool(found)
            unknown = unknown or (found == [] and (HOLE in name or is_outside(name)))
        if any(HOLE in name for name in names):
            paths += self.paths_of_known_words(text, folders, context)
        if unknown:
            self.report(location, text)
        elif not found_any and not optional and FACT not in "".join(names):
            self.report(location, text, f"there is no such file in {' or '.join(folders[:2])}")
        return paths

    def paths_of_name(self, name: str, folders: tuple[str, ...], context: Context) -> list[str] | None:
        """Returns the files that a name may mean; None if it cannot name a file on this machine."""
        name = name.removeprefix("file://")
        if not is_plain_name(name):
            return None
        found = find_paths(self.reading, name, folders)
        if context.role and any(path.startswith(context.role + "/") for path in found):
            # A partly known name in a role: outside the role, it can only name files of the same kind.
            found = [path for path in found if posixpath.dirname(path) != context.playbook]
        return found

    def paths_of_known_words(self, text: str, folders: tuple[str, ...], context: Context) -> list[str]:
        """Returns the files that literal words of an unknown expression name."""
        words = [word for word in known_words(text, self.scope(context)) if is_plain_name(word)]
        paths = (path for word in words for path in find_paths(self.reading, word, folders))
        return [path for path in paths if is_file(self.reading, path)]

    def files(self, text: str, kind: str, context: Context, line: int, *, optional: bool = False) -> list[str]:
        """Records and returns every file that a text may name.

        It searches the folders that Ansible searches for this kind of file.
        """
        location = self.location(context, line)
        found = self.paths(text, search_folders(context, kind), location, context, optional=optional or kind == "vars")
        for path in found:
            self.reference(path, location, context)
        return found

    def glob(self, text: str, context: Context, line: int) -> None:
        folders = search_folders(context, "files")
        for pattern in text_alternatives(text, self.scope(context)):
            if has_hole(pattern):
                self.files(YamlText(text, line), "files", context, line, optional=True)
                continue
            for path in glob_in(self.reading, pattern, folders):
                self.reference(path, self.location(context, line), context)

    def note_existing_texts(self, document: Any, path: str) -> None:
        """Records existing files that texts of a configuration name."""
        folders = (posixpath.dirname(path) or ".", self.reading.paths.workdir)
        for text in texts_in(document):
            if text.strip("./ ") and "\n" not in text and is_static(text):
                for found in find_paths(self.reading, text, folders):
                    if is_file(self.reading, found):
                        self.reference(found, SourceLocation(file=path, line=max(text.line, 1)))

    # --- commands on this machine

    def command(
        self, texts: Iterable[str], written: str, context: Context, line: int, folders: tuple[str, ...] = ()
    ) -> None:
        """Follows a local command. Ansible starts it in the playbook's folder, or in that of `chdir`."""
        location = self.location(context, line)
        for text in texts:
            known = text.replace(HOLE, PACKERS_HOLE).replace(FACT, PACKERS_HOLE)
            for folder in folders or (context.playbook,):
                self.run.text(known, [location], folder=folder, tainted=not is_static(written))
            self.run.loose(known, location, folder=self.reading.paths.workdir)
            if text.lstrip().startswith(HOLE):
                self.report(location, written)

    # --- variables

    def variables_folder(self, folder: str) -> None:
        for path in yaml_below(self.reading, folder):
            self._variables_in(path)

    def variables_file(self, path: str) -> None:
        """Reads a file of variables.

        Values of a file outside the repository are not used, because file names could reveal them.
        """
        for file in yaml_at(self.reading, path):
            if self.reading.is_foreign(file):
                why = "it is outside the repository, and planning does not use its values"
                self.report(SourceLocation(file=file, line=1), posixpath.basename(file), why)
            else:
                self._variables_in(file)

    def _variables_in(self, file: str) -> None:
        for document in documents_of(self.reading, file):
            self.variables.add(document)

    @staticmethod
    def location(context: Context, line: int) -> SourceLocation:
        return SourceLocation(file=context.file, line=max(line, 1))
