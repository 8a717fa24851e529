"""Finds the files that Packer writes locally: by post-processors and downloads."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, assert_never

from ami_bakery.template import component_fields as known
from ami_bakery.template.component import Component, ComponentKind
from ami_bakery.template.expression.known_values import HOLE, Unknown, is_tainted
from ami_bakery.template.facts import Certainty, Output, Reference
from ami_bakery.template.outputs import OutputNames, display_form
from ami_bakery.template.source_tree import FileKind
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.collector import Collector
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.location import SourceLocation
    from ami_bakery.template.source_tree import SourceTree

_PROVENANCE = (".provenance.json", ".provenance.sigstore.json", ".sbom.cdx.json", ".sbom.spdx.json", ".sbom.att.json")


def find_packer_outputs(reading: Reading, component: Component) -> None:
    if component.kind is ComponentKind.POST_PROCESSOR:
        _of_post_processor(reading, component)
    elif component.kind is ComponentKind.PROVISIONER and component.type == "file":
        _of_file(reading, component)
    elif component.kind is ComponentKind.PROVISIONER and component.type == "hcp-sbom":
        for text, location, written in _known_texts(reading, component, "destination"):
            if _is_folder(reading, text):
                _write(reading, posixpath.join(text, f"packer-user-sbom-{HOLE}.json"), location, written)
            else:
                _write(reading, text, location, written)


def _of_post_processor(reading: Reading, component: Component) -> None:
    for name in known.OUTPUTS.get(component.type, ()):
        for text, location, written in _known_texts(reading, component, name):
            # `artifice` only lists files that another program has written.
            _write(reading, text, location, written, likely=component.type == "artifice")
    if "output" not in component.fields:
        for default in known.DEFAULT_OUTPUTS.get(component.type, ()):
            _write(reading, default.replace("*", HOLE), component.location, default)
    if component.type == "provenance":
        found = _known_texts(reading, component, "output_dir")
        for folder, _, written in found or [(".", component.location, ".")]:
            for suffix in (*_PROVENANCE, ".sbom.att.sigstore.json"):
                _write(reading, posixpath.join(folder, f"{HOLE}{suffix}"), component.location, written)


def is_download(component: Component) -> bool:
    return component.value("direction") == "download"


def _of_file(reading: Reading, component: Component) -> None:
    """A download writes local files; the bake itself creates a `generated` source."""
    if is_download(component):
        sources = [
            text for name in ("source", "sources") for text, _, _ in _known_texts(reading, component, name, silent=True)
        ]
        for text, location, written in _known_texts(reading, component, "destination"):
            for source in sources or [HOLE]:
                _write(reading, _downloaded(text, source), location, written)
    elif component.is_true("generated"):
        for name in ("source", "sources"):
            for text, location, written in _known_texts(reading, component, name):
                path = reading.paths.from_workdir(text)
                if isinstance(path, str):
                    reading.collector.generated(path, location, written=_if_hidden(written))


def _downloaded(target: str, source: str) -> str:
    """Returns the local path of a download, by Packer's rules.

    A folder downloads as a whole; a file keeps its name if the destination ends with a slash.
    """
    if source.endswith("/") or re.search(r"[*?\[]", source):
        return posixpath.join(target, "**")
    return posixpath.join(target, posixpath.basename(source)) if target.endswith("/") else target


class _Hidden(str):
    """An expression whose value messages must hide."""


def _if_hidden(written: str) -> str:
    return str(written) if isinstance(written, _Hidden) else ""


def _known_texts(
    reading: Reading, component: Component, name: str, *, silent: bool = False
) -> list[tuple[str, SourceLocation, str]]:
    """Returns strings with `HOLE` for unknown parts. A wholly unknown one is a finding, unless `silent`."""
    found = []
    for each in (component, *component.alternatives(name)):
        for text, location, written in each.list_texts(name) if name in known.LISTS else each.texts(name):
            if isinstance(text, Unknown) and not text.known:
                if not silent and each is component:
                    reading.collector.not_known(location, written, text)
            elif known_text := text.known if isinstance(text, Unknown) else text:
                found.append((known_text, location, _Hidden(written) if is_tainted(text) else written))
    return found


def _write(reading: Reading, text: str, location: SourceLocation, written: str, *, likely: bool = False) -> None:
    path = reading.paths.from_workdir(text)
    if not isinstance(path, str) or path == ".":
        return
    folder = "." if path == "**" else path.removesuffix("/**")
    if folder != path and reading.paths.holds_template(folder):
        why = "it writes into a folder that contains the template; list the files that it writes in `ignore`"
        reading.collector.unresolved(location, written, why)
        return
    certainty = Certainty.LIKELY if likely or folder != path else Certainty.SURE
    reading.collector.output(path, location, certainty=certainty, written=_if_hidden(written))


def _is_folder(reading: Reading, text: str) -> bool:
    path = reading.paths.from_workdir(text)
    entry = reading.tree.entry(path, follow=True) if isinstance(path, str) else None
    return text.endswith("/") or (entry is not None and entry.kind is FileKind.FOLDER)


class SeparatedFiles:
    """Separates inputs and outputs once all components are read: an output is never an input."""

    def __init__(self, collector: Collector, tree: SourceTree) -> None:
        self.generated = _separate_generated(collector)
        self.outputs: tuple[Output, ...] = collector.outputs
        self.references: list[Reference] = []
        self.overwritten: list[tuple[Reference, Output]] = []
        self.contested: list[tuple[Reference, Output]] = []
        names = OutputNames(self.outputs)
        for reference in collector.references:
            output = names.match(reference.path)
            if output is not None and output.certainty is Certainty.PERHAPS and _is_created(reference, tree):
                self.overwritten.append((reference, output))
            elif output is None or not _is_output(output, reference, early=collector.is_read_early(reference.path)):
                self.references.append(reference)
                self.contested.extend([(reference, output)] if output is not None else [])
            elif reference.required:
                self.overwritten.append((reference, output))


def _is_created(reference: Reference, tree: SourceTree) -> bool:
    """Whether only the bake can create the file: it is required and does not exist yet."""
    return reference.required and tree.entry(reference.path) is None


def _is_output(output: Output, reference: Reference, *, early: bool) -> bool:
    """Whether a written file is no input although the template names it."""
    match output.certainty:
        case Certainty.SURE:
            return reference.required or not early
        case Certainty.LIKELY:
            return not reference.required and not early
        case Certainty.PERHAPS:
            return False
        case _:
            assert_never(output.certainty)


def _separate_generated(collector: Collector) -> tuple[tuple[Reference, bool], ...]:
    """Adds `generated` sources as outputs or inputs.

    They are outputs if a component may create them, else inputs. Returns those that no component is known to create,
    and whether they are inputs.
    """
    names = OutputNames(collector.outputs)
    written = [output.path for output in collector.outputs]
    unseen = []
    for source in collector.all_generated:
        within = any(path.startswith(f"{source.path}/") for path in written)
        seen = names.match(source.path) is not None or within
        if within and not names.match(source.path) and not collector.local_commands:
            # Only the known outputs in the folder are created.
            collector.reference(source.path, source.location, required=False, written=source.written)
        elif seen or collector.local_commands or HOLE in source.path:
            collector.output(source.path, source.location, written=source.written)
            collector.output(f"{source.path}/**", source.location, certainty=Certainty.LIKELY, written=source.written)
        else:
            collector.reference(source.path, source.location, required=False, written=source.written)
        if not seen:
            is_input = not collector.local_commands and HOLE not in source.path
            unseen.append((replace(source, path=display_form(source.path)), is_input))
    return tuple(unseen)
