"""Reads what `init` needs to know about one template."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.config.keys import VARIABLE_NAME
from ami_bakery.core.init.proposal import Todo
from ami_bakery.core.init.toml_text import is_toml_text, toml_key, toml_list
from ami_bakery.define.base_resolution import PLACEHOLDER_AMI
from ami_bakery.define.inputs import template_folder
from ami_bakery.define.template_errors import better_folder
from ami_bakery.errors import BakeryError
from ami_bakery.template.env_inputs import is_possible_secret
from ami_bakery.template.facts import TemplateFacts, TemplateFormat, TemplateRequest
from ami_bakery.template.hcl.file_names import variables_in
from ami_bakery.template.source_tree import FileKind
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from ami_bakery.core.init.packer_calls import PackerCall
    from ami_bakery.core.init.template_units import TemplateUnit
    from ami_bakery.inspect.template_search import SearchResult
    from ami_bakery.ports import TemplateReader
    from ami_bakery.template.facts import Builder, Variable
    from ami_bakery.template.source_tree import SourceTree

_AMI_BUILDERS = ("amazon-chroot", "amazon-ebs", "amazon-ebssurrogate", "amazon-instance")
_SET_BY_BAKERY = frozenset(("aws_region", "config_checksum"))
_LIKE_A_SOURCE = re.compile(r"ami|base|image|source", re.IGNORECASE)
_EXAMPLE = re.compile(r"example|sample|template|\bdist\b", re.IGNORECASE)
_PLACE = re.compile(r"_(?:arn|dir|file|filename|folder|name|path|url)$", re.IGNORECASE)
_MOST_TRIED, _MOST_LISTED, _MOST_VARIANTS = 8, 5, 50


class ReadImage(Frozen):
    """What the template says about one image.

    only      the builder's name, if the template has several builders
    label     what distinguishes it from other images of the template: its builder, its var-file, or both
    variable  the variable that must receive the source AMI; empty if the template selects the AMI
    override  the variable that may receive it instead; empty if there is none
    """

    unit: TemplateUnit
    folder: str
    builder: Builder
    facts: TemplateFacts
    only: str = ""
    label: str = ""
    workdir: str = ""
    var_files: tuple[str, ...] = ()
    variable: str = ""
    override: str = ""
    notes: tuple[str, ...] = ()
    todos: tuple[Todo, ...] = ()


class NoImage(Exception):
    """The template produces no AMI. The text is a clause. `is_broken`: it cannot be read."""

    def __init__(self, why: str, *, is_broken: bool = False) -> None:
        super().__init__(why)
        self.is_broken = is_broken


class UnitReader:
    """Reads one unit, with the same result on every machine."""

    def __init__(self, tree: SourceTree, templates: TemplateReader, unit: TemplateUnit, found: SearchResult) -> None:
        self._tree = tree
        self._templates = templates
        self._unit = unit
        self._found = found
        self._folder = template_folder(tree, unit.path)
        self._workdir = self._folder
        self._var_files: tuple[str, ...] = ()
        self._variants: tuple[str, ...] = ()
        self._notes: list[str] = [unit.why] if unit.why else []
        self._todos: list[Todo] = []

    def images(self) -> Iterator[ReadImage]:
        """Yields an image for each AMI. Raises `NoImage`."""
        try:
            facts = self._read()
            if _producing(facts):
                self._choose_var_files(facts)
                self._drop_unreadable_var_files()
                self._choose_workdir()
            for variant in self._variants or ("",):
                self._var_files = (variant,) if variant else self._var_files
                yield from self._images_of(self._read(), _stem(variant))
        except BakeryError as error:
            raise NoImage(f"it cannot be read: {error.wrong}", is_broken=True) from None

    def _images_of(self, facts: TemplateFacts, variant: str) -> Iterator[ReadImage]:
        producing = _producing(facts)
        if not producing:
            raise NoImage(_why_none(facts))
        names = dict.fromkeys(each.name for each in producing)
        count = len({each.name for each in facts.builders})
        several = f"the template has {count} builders, and an image is one AMI: `only` selects its builder"
        for name in names:
            if not is_toml_text(name):
                raise NoImage("a builder's name is not valid Unicode", is_broken=True)
            builder = next(each for each in producing if each.name == name)
            image = self._image(builder, facts, only=name if count > 1 else "")
            label = "-".join(filter(None, (variant, name.rpartition(".")[2] if len(names) > 1 or not variant else "")))
            notes = (*image.notes, *((several,) if count > 1 else ()))
            yield replace(image, label=label if variant or count > 1 else "", notes=notes)

    def _image(self, builder: Builder, facts: TemplateFacts, *, only: str) -> ReadImage:
        facts = self._read(only=only) if only else facts
        variable = self._source_variable(builder, only, facts)
        is_missing = any(each.missing for each in facts.variables if each.name == variable)
        is_needed = is_missing or not builder.base_unknown
        todos = [*self._todos, *_missing_variables(facts, variable)]
        return ReadImage(
            unit=self._unit,
            folder=self._folder,
            builder=builder,
            facts=facts,
            only=only,
            workdir="" if self._workdir == self._folder else self._workdir,
            var_files=self._var_files,
            variable=variable if is_needed else "",
            override="" if is_needed else variable,
            notes=tuple(self._notes),
            todos=tuple(todos),
        )

    def _read(
        self, *, only: str = "", workdir: str | None = None, variables: Mapping[str, str] | None = None
    ) -> TemplateFacts:
        return self._templates.read(
            self._tree,
            TemplateRequest(
                template=self._unit.path,
                workdir=self._workdir if workdir is None else workdir,
                variables=variables or {},
                var_files=self._var_files,
                only=(only,) if only else (),
                deferred=frozenset(("config_checksum",)),
            ),
        )

    def _choose_workdir(self) -> None:
        better = better_folder(self._tree, self._folder, self._folder, lambda workdir: self._read(workdir=workdir))
        if better is not None:
            self._workdir = better.workdir
            paths = "path is" if better.missing == 1 else "paths are"
            self._notes.append(
                f"`workdir` = {better.workdir}: there, {better.found} of {better.missing} missing {paths} found"
            )

    def _choose_var_files(self, facts: TemplateFacts) -> None:
        calls = [call for call in self._found.calls if self._is_called(call) and call.var_files]
        if calls:
            self._var_files_of(calls)
        else:
            self._var_files_in_folder(facts)

    def _drop_unreadable_var_files(self) -> None:
        try:
            self._read()
        except BakeryError as error:
            text = f"Fix the var-files, or select others: {error.wrong}."
            self._todos.append(Todo(text=text, lines=(_var_files_line(self._var_files),)))
            self._var_files = ()

    def _is_called(self, call: PackerCall) -> bool:
        path = self._unit.path
        return call.resolve(call.template, lambda each: each in (path, self._folder)) is not None

    def _var_files_of(self, calls: Iterable[PackerCall]) -> None:
        sets: dict[tuple[str | None, ...], PackerCall] = {}
        for call in calls:
            sets.setdefault(tuple(call.resolve(word, self._is_file) for word in call.var_files), call)
        complete = [paths for paths in sets if None not in paths]
        if len(sets) == 1 and complete:
            self._var_files = tuple(path for path in complete[0] if path is not None)
            self._notes.append(f"`var_files` as in {sets[complete[0]].location}")
            return
        lines = tuple(_var_files_line(path for path in paths if path is not None) for paths in complete)
        where = ", ".join(dict.fromkeys(str(call.location) for call in sets.values()))
        what = "different var-files" if len(sets) > 1 else "a var-file whose name is unknown"
        self._todos.append(Todo(text=f"Select the var-files: {where} pass {what} to Packer.", lines=lines))

    def _is_file(self, path: str) -> bool:
        try:
            entry = self._tree.entry(path, follow=True)
        except BakeryError:
            return False
        return entry is not None and entry.kind is FileKind.FILE and path.endswith((".hcl", ".json"))

    def _var_files_in_folder(self, facts: TemplateFacts) -> None:
        declared = {variable.name for variable in facts.variables}
        endings = (".json",) if facts.format is TemplateFormat.JSON else (".hcl", ".json")
        nearby = [path for path in self._found.values_in(self._folder) if path.endswith(endings)]
        fitting = [path for path in nearby if self._fits(path, declared)]
        own = [path for path in fitting if _stem(path) == _stem(self._unit.path)]
        fitting = own or [path for path in fitting if not _EXAMPLE.search(posixpath.basename(path))]
        if len(fitting) == 1:
            self._var_files = (fitting[0],)
            self._notes.append(f"{posixpath.basename(fitting[0])} sets variables of this template")
        elif self._are_variants(fitting, facts):
            self._variants = tuple(fitting)
            self._notes.append("each var-file of this template is an image")
        elif fitting:
            lines = tuple(_var_files_line([path]) for path in fitting)
            self._todos.append(Todo(text="Select a var-file, or define an image for each.", lines=lines))

    def _are_variants(self, paths: Sequence[str], facts: TemplateFacts) -> bool:
        """Whether each var-file is named after the template, and is needed."""
        missing = {variable.name for variable in facts.variables if variable.missing}
        stem = _stem(self._unit.path)
        return 1 < len(paths) <= _MOST_VARIANTS and all(
            re.match(rf"{re.escape(stem)}[._-]", posixpath.basename(path)) and missing & self._variables_of(path)
            for path in paths
        )

    def _variables_of(self, path: str) -> set[str]:
        return set(variables_in(self._tree.read(path), path))

    def _fits(self, path: str, declared: set[str]) -> bool:
        """Whether a var-file sets only variables that the template declares."""
        try:
            names = self._variables_of(path)
        except (BakeryError, RecursionError):
            return False
        return bool(names) and declared.issuperset(names)

    def _source_variable(self, builder: Builder, only: str, facts: TemplateFacts) -> str:
        if builder.source_ami is not None or builder.source_ami_filter is not None:
            return ""
        declared = (each.name for each in facts.variables if VARIABLE_NAME.fullmatch(each.name))
        names = [name for name in declared if _LIKE_A_SOURCE.search(name)]
        for name in sorted(names, key=lambda name: "ami" not in name.lower())[:_MOST_TRIED]:
            try:
                builders = self._read(only=only, variables={name: PLACEHOLDER_AMI}).builders
            except BakeryError:
                continue
            if any(each.name == builder.name and each.source_ami == PLACEHOLDER_AMI for each in builders):
                return name
        return ""


def _stem(path: str) -> str:
    return re.sub(r"(\.pkr(vars)?)?\.(hcl|json)$", "", posixpath.basename(path))


def _why_none(facts: TemplateFacts) -> str:
    types = ", ".join(sorted({each.type for each in facts.builders}))
    if any(each.skip_create_ami for each in facts.builders):
        return f"no builder produces an AMI ({types}), because skip_create_ami is true"
    return f"no builder produces an AMI ({types})" if types else "it has no builder"


def _producing(facts: TemplateFacts) -> tuple[Builder, ...]:
    return tuple(each for each in facts.builders if each.type in _AMI_BUILDERS and not each.skip_create_ami)


def _missing_variables(facts: TemplateFacts, source: str) -> Iterator[Todo]:
    missing = [each for each in facts.variables if each.missing and each.name not in {*_SET_BY_BAKERY, source}]
    secret = [each for each in missing if each.sensitive or _may_be_secret(each.name)]
    named = [each for each in missing if each not in secret]
    if named:
        lines = tuple(f'vars.{toml_key(each.name)} = "..." # {each.location}' for each in named)
        yield Todo(text=f"Set {_without_default(named)}, or name a var-file.", lines=lines)
    if secret:
        names = ", ".join(f"PKR_VAR_{each.name}" for each in secret[:_MOST_LISTED])
        hcl2 = facts.format is TemplateFormat.HCL2
        how = f"in the environment ({names})" if hcl2 else "with -var after `--`, or use the environment's credentials"
        yield Todo(text=f"Set {_without_default(secret)}, {how}: a secret must not be in this file.")


def _may_be_secret(name: str) -> bool:
    """Whether the variable may contain a secret, not the path of one."""
    return is_possible_secret(name) and not _PLACE.search(name)


def _without_default(variables: Sequence[Variable]) -> str:
    names = [each.name for each in variables[:_MOST_LISTED]]
    names += [f"{len(variables) - len(names)} more"] if len(variables) > len(names) else []
    return f"{', '.join(names)}, which {'has' if len(variables) == 1 else 'have'} no default"


def _var_files_line(paths: Iterable[str]) -> str:
    return f"var_files = {toml_list(paths)}"
