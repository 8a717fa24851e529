"""Reads a Packer template and the files that its components name.

The modules for HCL2, JSON and Ansible are imported only when a template needs them: they are most of the program.
"""

from __future__ import annotations

import posixpath

from ami_bakery.errors import BakeryError, TemplateError, TooLargeError
from ami_bakery.template.builders import builder_of
from ami_bakery.template.collector import Collector
from ami_bakery.template.component import ComponentKind, connects_through_packer, runs_ansible_here
from ami_bakery.template.component_fields import reads_only_named_files
from ami_bakery.template.definition import Reading, TemplateDefinition
from ami_bakery.template.expression.budget import TooCostly, limited
from ami_bakery.template.expression.known_values import shown
from ami_bakery.template.facts import Builder, TemplateFacts, TemplateFormat, TemplateRequest
from ami_bakery.template.packer_outputs import SeparatedFiles
from ami_bakery.template.paths import PathResolver
from ami_bakery.template.references import find_references
from ami_bakery.template.shell.started_programs import started_by_validate
from ami_bakery.template.source_tree import FileKind, SourceTree
from ami_bakery.values import replace


class PackerTemplateReader:
    """Reads templates by Packer's rules, without Packer. It keeps no state between templates.

    It assumes that Packer gets the template's path relative to the folder that it runs in.
    """

    def read(self, tree: SourceTree, request: TemplateRequest) -> TemplateFacts:
        """Reads a template.

        Raises `TemplateError` if the template is absent or does not parse, `SourceError` if it is unreadable.
        """
        request = replace(request, template=posixpath.normpath(request.template))
        try:
            with limited():
                return _without_marks(self._read(tree, request))
        except TooCostly as error:
            raise TooLargeError(
                f"reading the template {request.template}",
                str(error),
                "Make its strings shorter, or pass them to Packer as variables.",
            ) from None
        except BakeryError as error:
            error.doing, error.wrong, error.todo = map(shown, (error.doing, error.wrong, error.todo))
            error.marks = tuple(mark._replace(message=shown(mark.message)) for mark in error.marks)
            raise
        except RecursionError:
            raise TemplateError(
                f"reading the template {request.template}", "it is nested too deeply", "Make it flatter."
            ) from None

    def _read(self, tree: SourceTree, request: TemplateRequest) -> TemplateFacts:
        entry = tree.entry(request.template, follow=True)
        if entry is None:
            raise TemplateError(
                f"reading the template {request.template}", "there is no such file", "Fix the path of the template."
            )
        is_folder = entry.kind is FileKind.FOLDER
        folder = request.template if is_folder else posixpath.dirname(request.template)
        paths = PathResolver(tree, workdir=request.workdir or ".", template=folder or ".")
        reading = Reading(tree=tree, request=request, paths=paths, collector=Collector())
        if is_folder or request.template.endswith((".pkr.hcl", ".pkr.json")):
            from ami_bakery.template.hcl.document import read_hcl2

            return _facts(TemplateFormat.HCL2, reading, read_hcl2(reading))
        if request.template.endswith(".hcl"):
            raise TemplateError(
                f"reading the template {request.template}",
                "Packer reads it as JSON, because its name does not end in .pkr.hcl",
                "Rename it to *.pkr.hcl.",
            )
        from ami_bakery.template.packer_json.legacy_template import read_legacy

        return _facts(TemplateFormat.JSON, reading, read_legacy(reading, reading.parsed(request.template)))


def _facts(kind: TemplateFormat, reading: Reading, definition: TemplateDefinition) -> TemplateFacts:
    for component in definition.components:
        for found in component.fields.values():
            for value in (found.value, *found.alternatives):
                reading.collector.withhold(value)
        reading.collector.on_condition = component.may_not_run
        find_references(reading, component)
        if not reads_only_named_files(component.type):
            reading.collector.unseen(component.type or "a component of an unknown type", component.location)
        if runs_ansible_here(component):
            from ami_bakery.template.ansible import find_ansible_files

            find_ansible_files(reading, component)
    collector = reading.collector
    collector.on_condition = False
    separated = SeparatedFiles(collector, reading.tree)
    builders: dict[Builder, None] = {
        builder_of(component, reading.request.environment): None
        for component in definition.components
        if component.kind is ComponentKind.BUILDER
    }
    return TemplateFacts(
        format=kind,
        files=definition.files,
        variables=definition.variables,
        builders=tuple(builders),
        components=tuple(sorted({component.type for component in definition.components if component.type})),
        required_plugins=definition.plugins,
        references=tuple(separated.references),
        unresolved=collector.all_unresolved,
        environment=collector.all_environment,
        outputs=separated.outputs,
        overwritten=tuple(separated.overwritten),
        contested=tuple(separated.contested),
        touched=collector.touched,
        generated=separated.generated,
        local_commands=collector.local_commands,
        unseen=collector.all_unseen,
        unhashed_environment=collector.unhashed_environment,
        credentials=collector.credentials,
        builds_nothing=not builders and _certainly_builds_nothing(reading, definition),
        ansible=tuple(
            dict.fromkeys(
                (component.location, connects_through_packer(component))
                for component in definition.components
                if runs_ansible_here(component)
            )
        ),
        tolerant=tuple(
            dict.fromkeys(
                (component.type, component.location)
                for component in definition.components
                if component.kind is ComponentKind.PROVISIONER and component.is_true("continue_on_error")
            )
        ),
        started=tuple(dict.fromkeys(started_by_validate(definition.components))),
        secrets=collector.secrets,
        withheld=collector.secrets | collector.withheld,
    )


def _certainly_builds_nothing(reading: Reading, definition: TemplateDefinition) -> bool:
    """Whether a template without builders has none: nothing is deselected, and no `dynamic` block may create one.

    Packer versions that know `required_plugins` refuse such a template themselves.
    """
    request = reading.request
    selected = request.only or request.except_
    return (
        not selected
        and not definition.plugins
        and not any(b"dynamic" in reading.content(file) for file in definition.files)
    )


def _without_marks(facts: TemplateFacts) -> TemplateFacts:
    """Removes the marks for the checkout's path and for unknown parts.

    A name, a region or a base that depends on the checkout's path differs between checkouts: it is unknown.
    """
    unresolved = (
        replace(item, expression=shown(item.expression), why=shown(item.why))
        if contains_mark(item.expression) or contains_mark(item.why)
        else item
        for item in facts.unresolved
    )
    return replace(facts, builders=tuple(map(_known_everywhere, facts.builders)), unresolved=tuple(unresolved))


def contains_mark(text: str | None) -> bool:
    return text is not None and shown(text) != text


def _known_everywhere(builder: Builder) -> Builder:
    found = builder.source_ami_filter
    texts = (*found.owners, *(value for _, values in found.filters for value in values)) if found is not None else ()
    if contains_mark(builder.source_ami) or any(map(contains_mark, texts)):
        why = "it depends on the path of the checkout"
        builder = replace(builder, source_ami=None, source_ami_filter=None, base_unknown=why)
    if contains_mark(builder.name) or contains_mark(builder.base_unknown):
        builder = replace(builder, name=shown(builder.name), base_unknown=shown(builder.base_unknown))
    return replace(
        builder,
        ami_name=None if contains_mark(builder.ami_name) else builder.ami_name,
        region=None if contains_mark(builder.region) else builder.region,
        ami_regions=tuple(region for region in builder.ami_regions if not contains_mark(region)),
        region_locations=tuple(pair for pair in builder.region_locations if not contains_mark(pair[0])),
    )
