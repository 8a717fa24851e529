"""Finds files that the lookups and templates of a playbook read."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ami_bakery.errors import TooLargeError
from ami_bakery.template.ansible.jinja.holes import FACT, HOLE, has_hole, merged_texts
from ami_bakery.template.ansible.jinja.jinja_evaluation import LookupCall, first_found_terms
from ami_bakery.template.ansible.jinja.rendering import included_templates, lookups, parses, texts_in
from ami_bakery.template.ansible.named_files import is_outside
from ami_bakery.template.ansible.scope import Context, glob_in, search_folders
from ami_bakery.template.ansible.search import find_paths, is_file
from ami_bakery.template.yaml_parser import YamlText
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.ansible.named_files import Files

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


class LookupFiles:
    """Records the files of lookups, `with_...` loops and templates."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def find_in(self, part: Any, context: Context) -> None:
        for text in texts_in(part):
            for call in lookups(text, self._files.scope(context)):
                self.lookup(call, str(text), context, text.line)

    def lookup(self, call: LookupCall, text: str, context: Context, line: int) -> None:
        terms = merged_texts(call.terms)
        if call.plugin == "env":
            for name in terms:
                if not has_hole(name):
                    self._files.reading.collector.environment(name, self._files.location(context, line))
                else:
                    self._files.report(self._files.location(context, line), text)
        elif call.plugin in _COMMANDS:
            self._files.command(terms, text, context, line)
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
        kind, location = FILE_LOOKUPS[plugin], self._files.location(context, line)
        folders = search_folders(context, kind)
        if plugin == "first_found":
            folders += tuple(
                path for other in ("templates", "vars", "tasks") for path in search_folders(context, other)
            )
        found_any, unknown = False, False
        for name in names:
            if plugin == "fileglob" and not has_hole(name):
                found: list[str] | None = glob_in(self._files.reading, name, folders)
            else:
                found = self._files.paths_of_name(name, folders, context)
            for path in found or ():
                self._files.reference(path, location, context)
                if plugin == "template":
                    self.template(path, context)
            if HOLE in name:
                for path in self._files.paths_of_known_words(written, folders, context):
                    self._files.reference(path, location, context)
            found_any = found_any or found is None or bool(found) or FACT in name
            unknown = unknown or (not found and (HOLE in name or (found is not None and is_outside(name))))
        if unknown:
            self._files.report(location, written)
        elif not found_any and plugin not in ("first_found", "fileglob"):
            self._files.report(location, written, f"there is no such file in {' or '.join(folders[:2])}")

    def _option_files(self, call: LookupCall, terms: list[str], text: str, context: Context, line: int) -> None:
        """Reads `csvfile` and `ini`: the file is an option, within the term or separate."""
        files = merged_texts(call.options.get("file", ()))
        for term in terms:
            files += [word.partition("=")[2] for word in term.split() if word.startswith("file=")]
        names = files or [_IN_OPTIONS[call.plugin]]
        self._lookup_files("file", names, text, context, line)

    def _passwords(self, terms: list[str], text: str, context: Context, line: int) -> None:
        """Reads `password`: a file that is read if it exists, and created otherwise."""
        folders, location = (context.playbook, self._files.reading.paths.workdir), self._files.location(context, line)
        for term in terms:
            name = term.split(" ")[0]
            found = find_paths(self._files.reading, name, folders) if name and name != "/dev/null" else [name]
            for path in found if name != "/dev/null" else ():
                self._files.reference(path, location, context)
            if not found:
                self._files.report(
                    location, text, "Ansible creates this password file while Packer runs, and later builds read it"
                )

    def _note_existing_terms(self, call: LookupCall, terms: list[str], context: Context, line: int) -> None:
        """Records files that the texts of an unknown plugin name."""
        texts = [*terms, *merged_texts(value for values in call.options.values() for value in values)]
        for text in texts:
            if text.strip("./ ") and "\n" not in text and not has_hole(text):
                for path in find_paths(self._files.reading, text, search_folders(context, "files")):
                    if is_file(self._files.reading, path):
                        self._files.reference(path, self._files.location(context, line), context)

    def template(self, path: str, context: Context) -> None:
        """Reads a template: other templates that it includes, and files that it looks up."""
        files = self._files
        if not is_file(files.reading, path) or not files.first_visit(path, context.playbook, "template"):
            return
        inside = replace(context, file=path)
        location, folders = files.location(inside, 1), search_folders(inside, "templates")
        try:
            text = files.reading.parsed(path).decode("utf-8", "replace")
        except TooLargeError as error:
            files.report(location, posixpath.basename(path), error.wrong)
            return
        if not parses(text):
            files.report(location, posixpath.basename(path), "it is not a valid Jinja template")
            return
        self.find_in([YamlText(text, 1)], inside)
        for name in included_templates(text, files.scope(inside)):
            found = files.paths_of_name(name, folders, inside) or []
            if HOLE in name:
                found += files.paths_of_known_words(text, folders, inside)
                why = "the template that it includes is only known when Ansible runs"
                files.report(location, posixpath.basename(path), why)
            for each in found:
                files.reference(each, location, context)
                self.template(each, inside)
