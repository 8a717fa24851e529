"""Finds files that texts of a playbook name: in modules, lookups, templates and local commands."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ami_bakery.errors import TooLargeError
from ami_bakery.template.ansible.jinja.holes import FACT, HOLE, has_hole, is_static, merged_texts
from ami_bakery.template.ansible.jinja.rendering import (
    LookupCall,
    first_found_terms,
    included_templates,
    known_words,
    lookups,
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
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.ansible.variables import VariableTable
    from ami_bakery.template.definition import Reading

FILE_LOOKUPS = {
    "file": "files",
    "unvault": "files",
    "template": "templates",
    "fileglob": "files",
    "first_found": "files",
    "filetree": "files",
}
"""Lookups and `with_...` loops whose terms are files, each with the subfolder that Ansible searches first."""
_COMMANDS = frozenset({"pipe", "lines"})
_IN_OPTIONS = {"csvfile": "ansible.csv", "ini": "ansible.ini"}
_NO_FILES = frozenset(
    """env vars varnames sequence dict items list flattened nested together subelements random_choice indexed_items
    inventory_hostnames config dig url redis etcd""".split()  # noqa: SIM905
)
_UNKNOWN = "it is only known when Ansible runs"
Take = Callable[[str], None]


def _is_outside(name: str) -> bool:
    """Whether a name with a hole is an absolute path outside the project."""
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

    def follow(
        self,
        text: str,
        folders: tuple[str, ...],
        location: SourceLocation,
        take: Take,
        context: Context,
        *,
        optional: bool = False,
    ) -> None:
        """Calls `take` with each path that a text may name; reports an unknown or missing path."""
        names = text_alternatives(text, self.scope(context))
        unknown, found_any = not parses(text), False
        for name in names:
            found = self._named(name, folders, context)
            for path in found or ():
                take(path)
            found_any = found_any or found is None or bool(found)
            unknown = unknown or (found == [] and (HOLE in name or _is_outside(name)))
        if any(HOLE in name for name in names):
            self.follow_known_words(text, folders, take, context)
        if unknown:
            self.report(location, text)
        elif not found_any and not optional and FACT not in "".join(names):
            self.report(location, text, f"there is no such file in {' or '.join(folders[:2])}")

    def _named(self, name: str, folders: tuple[str, ...], context: Context) -> list[str] | None:
        """Returns the files that a name may mean; None if it cannot name a file on this machine."""
        name = name.removeprefix("file://")
        if "://" in name or not name.strip("./ ") or "\n" in name:
            return None
        found = find_paths(self.reading, name, folders)
        if context.role and any(path.startswith(context.role + "/") for path in found):
            # A partly known name in a role: outside the role, it can only name files of the same kind.
            found = [path for path in found if posixpath.dirname(path) != context.playbook]
        return found

    def follow_known_words(self, text: str, folders: tuple[str, ...], take: Take, context: Context) -> None:
        """Calls `take` with the files that literal words of an unknown expression name."""
        for word in known_words(text, self.scope(context)):
            if word.strip("./ ") and "\n" not in word and "://" not in word:
                for path in find_paths(self.reading, word, folders):
                    if is_file(self.reading, path):
                        take(path)

    def files(
        self, text: str, kind: str, context: Context, line: int, each: Take | None = None, *, optional: bool = False
    ) -> None:
        """Records every file that a text may name, in the folders that Ansible searches for files of this kind."""
        location = self.location(context, line)

        def take(path: str) -> None:
            self.reference(path, location, context)
            if each:
                each(path)

        optional = optional or kind == "vars"
        self.follow(text, search_folders(context, kind), location, take, context, optional=optional)

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

    # --- lookups

    def lookups(self, part: Any, context: Context) -> None:
        for text in texts_in(part):
            for call in lookups(text, self.scope(context)):
                self.lookup(call, str(text), context, text.line)

    def lookup(self, call: LookupCall, text: str, context: Context, line: int) -> None:
        terms = merged_texts(call.terms)
        if call.plugin == "env":
            for name in terms:
                if not has_hole(name):
                    self.reading.collector.environment(name, self.location(context, line))
                else:
                    self.report(self.location(context, line), text)
        elif call.plugin in _COMMANDS:
            self.command(terms, text, context, line)
        elif call.plugin in _IN_OPTIONS:
            self._option_files(call, terms, text, context, line)
        elif call.plugin == "password":
            self._passwords(terms, text, context, line)
        elif call.plugin in FILE_LOOKUPS:
            names = list(first_found_terms(call)) if call.plugin == "first_found" else terms
            self._lookup_files(call.plugin, names, text, context, line)
        elif call.plugin not in _NO_FILES:
            self._note_existing_terms(call, terms, context, line)

    def _lookup_files(self, plugin: str, names: Iterable[str], written: str, context: Context, line: int) -> None:
        kind, location = FILE_LOOKUPS[plugin], self.location(context, line)
        folders = search_folders(context, kind)
        if plugin == "first_found":
            folders += tuple(
                path for other in ("templates", "vars", "tasks") for path in search_folders(context, other)
            )
        found_any, unknown = False, False
        for name in names:
            if plugin == "fileglob" and not has_hole(name):
                found: list[str] | None = glob_in(self.reading, name, folders)
            else:
                found = self._named(name, folders, context)
            for path in found or ():
                self.reference(path, location, context)
                if plugin == "template":
                    self.template(path, context)
            if HOLE in name:
                self.follow_known_words(written, folders, lambda path: self.reference(path, location, context), context)
            found_any = found_any or found is None or bool(found) or FACT in name
            unknown = unknown or (not found and (HOLE in name or (found is not None and _is_outside(name))))
        if unknown:
            self.report(location, written)
        elif not found_any and plugin not in ("first_found", "fileglob"):
            self.report(location, written, f"there is no such file in {' or '.join(folders[:2])}")

    def _option_files(self, call: LookupCall, terms: list[str], text: str, context: Context, line: int) -> None:
        """Reads `csvfile` and `ini`: the file is an option, within the term or separate."""
        files = merged_texts(call.options.get("file", ()))
        for term in terms:
            files += [word.partition("=")[2] for word in term.split() if word.startswith("file=")]
        names = files or [_IN_OPTIONS[call.plugin]]
        self._lookup_files("file", names, text, context, line)

    def _passwords(self, terms: list[str], text: str, context: Context, line: int) -> None:
        """Reads `password`: a file that is read if it exists, and created otherwise."""
        folders, location = (context.playbook, self.reading.paths.workdir), self.location(context, line)
        for term in terms:
            name = term.split(" ")[0]
            found = find_paths(self.reading, name, folders) if name and name != "/dev/null" else [name]
            for path in found if name != "/dev/null" else ():
                self.reference(path, location, context)
            if not found:
                self.report(
                    location, text, "Ansible creates this password file while Packer runs, and later builds read it"
                )

    def _note_existing_terms(self, call: LookupCall, terms: list[str], context: Context, line: int) -> None:
        """Records files that the texts of an unknown plugin name."""
        texts = [*terms, *merged_texts(value for values in call.options.values() for value in values)]
        for text in texts:
            if text.strip("./ ") and "\n" not in text and not has_hole(text):
                for path in find_paths(self.reading, text, search_folders(context, "files")):
                    if is_file(self.reading, path):
                        self.reference(path, self.location(context, line), context)

    # --- templates

    def template(self, path: str, context: Context) -> None:
        """Reads a template: other templates that it includes, and files that it looks up."""
        if not is_file(self.reading, path) or not self.first_visit(path, context.playbook, "template"):
            return
        inside = replace(context, file=path)
        try:
            text = self.reading.parsed(path).decode("utf-8", "replace")
        except TooLargeError as error:
            self.report(self.location(inside, 1), posixpath.basename(path), error.wrong)
            return
        if not parses(text):
            self.report(self.location(inside, 1), posixpath.basename(path), "it is not a valid Jinja template")
            return
        self.lookups([YamlText(text, 1)], inside)
        location, folders = self.location(inside, 1), search_folders(inside, "templates")

        def take(found: str) -> None:
            self.reference(found, location, context)
            self.template(found, inside)

        for name in included_templates(text, self.scope(inside)):
            for found in self._named(name, folders, inside) or ():
                take(found)
            if HOLE in name:
                self.follow_known_words(text, folders, take, inside)
                self.report(
                    location, posixpath.basename(path), "the template that it includes is only known when Ansible runs"
                )

    # --- commands on this machine

    def command(
        self, texts: Iterable[str], written: str, context: Context, line: int, folders: tuple[str, ...] = ()
    ) -> None:
        """Follows a local command, which Ansible starts in the playbook's folder, or in that of `chdir`."""
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
