"""Proposes a `bakery.toml` for the templates of a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from ami_bakery.core.config.keys import parse_region
from ami_bakery.core.config.model import ImageConfig
from ami_bakery.core.config.value_parsers import InvalidValue
from ami_bakery.core.init.image_names import image_names
from ami_bakery.core.init.parents import BuiltImage, Parent, own_patterns, parents_of
from ami_bakery.core.init.proposal import Proposal, ProposedImage, Todo, UnusedFile
from ami_bakery.core.init.template_units import TemplateUnit
from ami_bakery.core.init.toml_text import toml_string
from ami_bakery.define.inputs import walks_of
from ami_bakery.errors import BakeryError, UsageError
from ami_bakery.inspect.template_search import SearchResult, search_templates
from ami_bakery.inspect.unit_reading import NoImage, ReadImage, UnitReader
from ami_bakery.template.component_fields import is_known
from ami_bakery.template.source_tree import FileKind
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.ports import TemplateReader
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.source_tree import SourceTree


FILE = "bakery.toml"
_READ_NO_FILES = frozenset({"http", "windows-update"})
"""Types of well-known plugins that read no files on this machine."""


def propose(tree: SourceTree, templates: TemplateReader, root_name: str, chosen: Sequence[str] = ()) -> Proposal:
    """Returns the proposal. Starts no program, and does not read the environment.

    root_name  the name of the root folder
    chosen     only these templates, relative to the root; all by default
    """
    found = search_templates(tree)
    if chosen:
        units = tuple(_chosen_unit(tree, path) for path in dict.fromkeys(chosen))
        found = replace(found, units=units, skipped=())
    read, unused = _read_all(tree, templates, found)
    names = image_names([(_unit_name(each), each.label) for each in read], root_name)
    parents = parents_of([_built(name, each, found) for name, each in zip(names, read, strict=True)])
    regions = [_region(each) for each in read]
    common = (regions[0],) if regions and regions[0] and len(set(regions)) == 1 else ()
    images = tuple(
        _with_input_problem(
            tree,
            each.facts,
            _proposed(
                name,
                each,
                parents.get(name),
                region="" if common else region,
                shares=_holds_others(each, read),
            ),
        )
        for name, each, region in zip(names, read, regions, strict=True)
    )
    shared = _shared_todos(images)
    images = tuple(replace(each, todos=tuple(todo for todo in each.todos if todo not in shared)) for each in images)
    return Proposal(images=images, regions=common, todos=shared, unused=unused, is_cut=found.is_cut)


def _shared_todos(images: Sequence[ProposedImage]) -> tuple[Todo, ...]:
    """Returns what must be decided for every image. One decision in [defaults] is enough."""
    if len(images) < 2:
        return ()
    return tuple(todo for todo in images[0].todos if all(todo in image.todos for image in images))


def _with_input_problem(tree: SourceTree, facts: TemplateFacts, image: ProposedImage) -> ProposedImage:
    """Adds a TODO if a missing file prevents listing the inputs."""
    config = ImageConfig(
        name=image.name,
        template=image.template,
        inputs=() if image.reads_only else None,
        workdir=image.workdir or None,
        only=(image.only,) if image.only else (),
        var_files=image.var_files,
    )
    try:
        for walk in chain.from_iterable(walks_of(tree, config, FILE, facts)):
            deque(walk, maxlen=0)
    except BakeryError as error:
        todo = Todo(text=f"Fix an input: {error.doing.replace(f'{FILE}:1', image.template)}: {error.wrong}.")
        return replace(image, todos=(*image.todos, todo))
    return image


def _chosen_unit(tree: SourceTree, path: str) -> TemplateUnit:
    entry = tree.entry(path, follow=True)
    if entry is None or entry.kind is FileKind.OTHER:
        raise UsageError(f"reading --template {path}", "no such file or folder", "Correct the path.")
    return TemplateUnit(path=path, is_folder=entry.kind is FileKind.FOLDER)


def _read_all(
    tree: SourceTree, templates: TemplateReader, found: SearchResult
) -> tuple[tuple[ReadImage, ...], tuple[UnusedFile, ...]]:
    read: list[ReadImage] = []
    unused = list(found.skipped)
    for unit in found.units:
        try:
            read += tuple(UnitReader(tree, templates, unit, found).images())
        except NoImage as reason:
            unused.append(UnusedFile(path=unit.path, why=str(reason), is_broken=reason.is_broken))
    return tuple(read), tuple(sorted(unused, key=lambda item: item.path))


def _unit_name(image: ReadImage) -> str:
    return f"{image.unit.path}/template.pkr.hcl" if image.unit.is_folder else image.unit.path


def _built(name: str, image: ReadImage, found: SearchResult) -> BuiltImage:
    base = image.builder.source_ami_filter
    return BuiltImage(
        name=name,
        template=image.unit.path,
        ami_names=(image.builder.ami_name,) if image.builder.ami_name else (),
        filters=own_patterns(base.owners, base.filters) if base is not None and not base.written else (),
        variable=image.variable,
        built_after=_built_by_same_script(image, found),
    )


def _built_by_same_script(image: ReadImage, found: SearchResult) -> tuple[str, ...]:
    """Returns the templates of a script that sets the image's source variable."""
    units = {unit.path for unit in found.units}
    scripts = {
        call.location.file
        for call in found.calls
        if image.variable in call.variables and call.resolve(call.template, units.__contains__) == image.unit.path
    }
    called = (call.resolve(call.template, units.__contains__) for call in found.calls if call.location.file in scripts)
    return tuple(dict.fromkeys(path for path in called if path is not None))


def _region(image: ReadImage) -> str:
    region = image.builder.region
    return region if region is not None and _is_region(region) else ""


def _is_region(text: str) -> bool:
    try:
        return bool(parse_region(text))
    except InvalidValue:
        return False


def _holds_others(image: ReadImage, images: Sequence[ReadImage]) -> bool:
    """Whether the template's folder also has files of other templates."""
    others = [other.folder for other in images if other.unit.path != image.unit.path]
    return image.folder == "." or any(f"{other}/".startswith(f"{image.folder}/") for other in others)


def _proposed(name: str, image: ReadImage, parent: Parent | None, *, region: str, shares: bool) -> ProposedImage:
    notes, todos = list(image.notes), list(image.todos)
    unknown = _unknown_readers(image.facts)
    reads_only = shares and not unknown
    if reads_only:
        what = "the root folder" if image.folder == "." else "this folder, which has files of other images"
        notes.append(f"`inputs = []`: only the files that the template reads, not all of {what}")
    elif shares:
        notes.append(f"the digest covers the whole folder, because {unknown[0]} may read more files of it")
    copied = [region for region in image.builder.ami_regions if _is_region(region)]
    if copied:
        notes.append(f"the template itself copies the AMI to {', '.join(copied)}")
    is_edge = parent is not None and image.variable != ""
    if parent is not None and is_edge:
        notes.append(f"`from` = {parent.image}: {parent.why}")
    else:
        todos += _source_todos(image, parent)
    return ProposedImage(
        name=name,
        template=image.unit.path,
        only=image.only,
        reads_only=reads_only,
        workdir=image.workdir,
        var_files=image.var_files,
        region=region,
        parent=parent.image if parent is not None and is_edge else "",
        from_variable=image.variable if is_edge and image.variable != "source_ami" else "",
        notes=tuple(notes),
        todos=tuple(todos),
    )


def _unknown_readers(facts: TemplateFacts) -> tuple[str, ...]:
    """Returns what may read files that the template does not name: lines of files, and types of plugins."""
    locations = (*(each.location for each in facts.unresolved), *(each.location for each in facts.local_commands))
    builders = {builder.type for builder in facts.builders}
    plugins = (each for each in facts.components if each not in builders | _READ_NO_FILES and not is_known(each))
    return (*map(str, locations), *plugins)


def _source_todos(image: ReadImage, parent: Parent | None) -> Sequence[Todo]:
    if parent is not None:
        text = (
            f"It seems to start from {parent.image}: {parent.why}. To build {parent.image} first, declare the variable "
            "source_ami in the template, use it as source_ami, and set `from`."
        )
        return (Todo(text=text, lines=(f"from = {toml_string(parent.image)}",)),)
    if image.builder.base_unknown and not image.variable:
        if any(each.missing for each in image.facts.variables):
            return ()  # The reason is a missing variable, which has its own TODO.
        override = image.override or "source_ami"
        text = f"Set `from`, or the source AMI is not in the digest: {image.builder.base_unknown}."
        return (Todo(text=text, lines=_from_lines(override)),)
    if not image.variable:
        return ()
    text = f"Set `from`: {image.variable} receives the source AMI, and no file says which one it is."
    return (Todo(text=text, lines=_from_lines(image.variable)),)


def _from_lines(variable: str) -> tuple[str, ...]:
    filters = 'from = { owners = ["self"], filters = { name = "NAME-*" } }'
    return (filters, *(() if variable == "source_ami" else (f"from_variable = {toml_string(variable)}",)))
