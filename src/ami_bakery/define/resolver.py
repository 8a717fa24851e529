"""Resolves all inputs of an image, and computes its manifest and digest."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, assert_never

from ami_bakery.core.config.model import (
    BaseFilter,
    BaseId,
    BaseImage,
    BaseParameter,
    Config,
    ImageConfig,
)
from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.definition.manifest import Manifest, format_components, hash_value
from ami_bakery.core.packer.arguments import PackerArguments
from ami_bakery.define.base_lookup import BaseQuery, BaseResult, ask, base_queries, query_of_filter
from ami_bakery.define.drop_in import SUBNET_VARIABLE, Unseen, drop_in_checksum, warnings
from ami_bakery.define.inputs import Inventory, inventory_of, stream, template_folder, would_be_input
from ami_bakery.define.preconditions import check_paths, check_variables
from ami_bakery.define.progress import HashingProgress
from ami_bakery.errors import (
    AwsError,
    BakeryError,
    SourceError,
    TemplateError,
    TemplateSyntaxError,
    TooLargeError,
    UsageError,
)
from ami_bakery.ports import BuildRequest
from ami_bakery.template.env_inputs import why_not_hashed
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.core.definition.stamp import Stamps
    from ami_bakery.core.ec2.image import Ami
    from ami_bakery.core.packer.plugins import UsedPlugin
    from ami_bakery.define.test_definition import TestDefinition
    from ami_bakery.ports import Ports
    from ami_bakery.template.facts import Builder, SourceAmiFilter, TemplateFacts


PLACEHOLDER_AMI = "ami-00000000000000000"
"""A placeholder for the id of an AMI that is not built yet. Only for Packer and the template reader."""


class ImageDefinition(Frozen):
    """An image with all inputs resolved.

    digest    None if it is unknown because the parent image `awaits` must be built first
    manifest  None in drop-in mode, whose checksum only covers files
    base      (builder, AMI id), as in the manifest
    unseen    warnings about things that the digest does not cover
    test      None if the image has no test
    """

    image: ImageConfig
    digest: Digest | None = None
    awaits: str | None = None
    facts: TemplateFacts | None = None
    inventory: Inventory | None = None
    manifest: Manifest | None = None
    base: tuple[tuple[str, str], ...] = ()
    unseen: tuple[str, ...] = ()
    test: TestDefinition | None = None

    @property
    def regions_of_template(self) -> tuple[str, ...]:
        """The other regions in which the template itself creates the AMI, if known."""
        builders = self.facts.builders if self.facts else ()
        return tuple(dict.fromkeys(region for builder in builders for region in builder.ami_regions))

    @property
    def components(self) -> str:
        return format_components(self.manifest.components()) if self.manifest else ""


class _Base(Frozen):
    """The source AMIs of an image, or the parent image that must be built first."""

    ids: tuple[tuple[str, str], ...] = ()
    awaits: str | None = None


class Resolver(Frozen):
    """Resolves the images of one configuration. Each source AMI is looked up once.

    is_past  whether the files come from a git revision, which other programs cannot read
    """

    ports: Ports
    config: Config
    arguments: PackerArguments = field(default_factory=PackerArguments)
    regions: tuple[str, ...] = ()
    is_past: bool = False
    _answers: dict[BaseQuery, BaseResult] = field(default_factory=dict)

    def image(self, name: str) -> ImageConfig:
        """Returns the configured image, with the arguments after `--` and `--region` merged in."""
        image = self.config.image(name)
        return replace(
            image,
            regions=self.regions or image.regions,
            variables=tuple(sorted({**dict(image.variables), **dict(self.arguments.variables)}.items())),
            only=self.arguments.only or image.only,
            except_=self.arguments.except_ or image.except_,
        )

    def regions_of(self, image: ImageConfig) -> tuple[str, ...]:
        return image.regions or (self.ports.ec2.default_region(),)

    def region_of(self, image: ImageConfig) -> str:
        """Returns the build region."""
        return self.regions_of(image)[0]

    def kms_keys(self, image: ImageConfig) -> dict[str, str]:
        """Returns the KMS keys of copies, by region. In the build region, the template sets the key."""
        keys = {region: image.kms_keys.of(region) for region in self.regions_of(image)[1:]}
        return {region: key for region, key in keys.items() if key}

    def workdir(self, image: ImageConfig) -> str:
        """Returns Packer's working directory, relative to the root."""
        tree = self.ports.tree
        return tree.relative(image.workdir) if image.workdir is not None else template_folder(tree, image.template)

    def var_files(self, image: ImageConfig) -> tuple[str, ...]:
        """Returns the variable files in Packer's order, relative to the root.

        The user writes those after `--` relative to Packer's working directory.
        """
        tree, workdir = self.ports.tree, self.workdir(image)
        behind = (path if path.startswith("/") else f"{workdir}/{path}" for path in self.arguments.var_files)
        return tuple(tree.relative(path) for path in (*image.var_files, *behind))

    def template_argument(self, image: ImageConfig) -> str:
        """Returns the template's path for Packer's command line.

        It is relative to Packer's working directory, because Packer sets `path.root` to this text, and the template
        reader relies on that. In drop-in mode it is absolute, as in the original.
        """
        tree = self.ports.tree
        path = tree.relative(image.template)
        if image.scheme is Scheme.SHA1 or path.startswith("/"):
            return tree.absolute(image.template)
        return posixpath.relpath(path, self.workdir(image))

    def facts(self, image: ImageConfig, handed: Mapping[str, str] | None = None) -> TemplateFacts:
        """Reads the template with the variables that Packer will get.

        handed  known values of variables that ami-bakery passes; its other variables are unknown
        """
        configured = self.regions or image.regions
        if configured:
            return self._read_template(image, handed or {}, region=configured[0])
        facts = self._read_template(image, handed or {})
        if facts.declares("aws_region") and "aws_region" not in {*(handed or {}), *dict(image.variables)}:
            region = self._default_region(image)
            if region is not None:
                return self._read_template(image, handed or {}, region=region)
        return facts

    def _default_region(self, image: ImageConfig) -> str | None:
        """Returns the default region of the AWS configuration. Reads it only if the template uses it."""
        try:
            return self.region_of(image)
        except UsageError:
            return None

    def _read_template(
        self, image: ImageConfig, handed: Mapping[str, str], *, region: str | None = None
    ) -> TemplateFacts:
        from ami_bakery.template.facts import TemplateRequest

        workdir = self.workdir(image)
        given = {**handed, **dict(image.variables)}
        optional = {"aws_region": region} if region is not None and "aws_region" not in given else {}
        pinned = {image.from_variable} if image.base is not None else set()
        request = TemplateRequest(
            template=self.ports.tree.relative(image.template),
            workdir=workdir,
            variables=given,
            optional_variables=optional,
            deferred=frozenset({"aws_region", "config_checksum", *pinned} - {*given, *optional}),
            var_files=self.var_files(image),
            only=image.only,
            except_=image.except_,
            environment=self.ports.environment,
        )
        return self.ports.templates.read(self.ports.tree, request)

    def inputs(self, image: ImageConfig) -> tuple[TemplateFacts, Inventory]:
        """Returns the facts of the template and all inputs. Needs no AWS."""
        facts = self.checked_facts(image)
        return facts, self.inventory(image, facts)

    def inventory(self, image: ImageConfig, facts: TemplateFacts) -> Inventory:
        return inventory_of(self._inputs(image, facts))

    def stamps(self, image: ImageConfig, facts: TemplateFacts) -> Stamps:
        """Returns the stamps of all inputs. Stamps from before and after a build show which inputs were replaced."""
        from ami_bakery.define.input_stamps import take_stamps

        ports = self.ports
        # With -debug Packer writes a private key into its folder, and removes it.
        busy = (self.workdir(image),) if self.arguments.debug else ()
        written = self._written(image)
        made = take_stamps(ports.tree, ports.stamps, image, self.config.file, facts, written, busy=busy)
        programs = ((path, ports.stamps.stamp(path)) for path in self._plugin_programs(image, facts))
        return replace(made, files={**made.files, **{path: stamp for path, stamp in programs if stamp is not None}})

    def _plugin_programs(self, image: ImageConfig, facts: TemplateFacts) -> tuple[str, ...]:
        """Returns the programs of the plugins whose checksums are in the digest."""
        if image.scheme is Scheme.SHA1 or "plugin-versions" in image.digest_exclude:
            return ()
        workdir = self.ports.tree.absolute(self.workdir(image))
        found = self.ports.packer.plugin_programs(self.template_argument(image), workdir, facts)
        return tuple(os.path.realpath(path) for path in found)

    def entries(
        self, image: ImageConfig, facts: TemplateFacts, stack: ExitStack, at_once: Callable[[int], bool]
    ) -> Iterator[Entry]:
        """Yields the inputs for a digest. Keeps only those in memory that are hashed immediately.

        stack    closes files that are still open
        at_once  called with the number of hashed inputs; returns whether to hash one more immediately
        """
        found = stack.enter_context(closing(self._inputs(image, facts)))
        entries = (entry for entry, _ in found)
        first: list[Entry] = []
        while at_once(len(first)) and (entry := next(entries, None)) is not None:
            first.append(entry)
        return chain(first, entries)

    def checked_facts(self, image: ImageConfig) -> TemplateFacts:
        """Reads the template. Raises `ConfigError` if it does not fit the configuration."""
        try:
            self.check_paths(image)
            facts = self.facts(image)
        except TemplateSyntaxError as error:
            raise self._in_packers_words(image, error) from error
        except TemplateError as error:
            raise self._with_folder_advice(image, error) from error
        check_variables(self.config, image, facts)
        return facts

    def check_paths(self, image: ImageConfig) -> None:
        check_paths(self.ports.tree, self.config.file, image)

    def _inputs(self, image: ImageConfig, facts: TemplateFacts) -> Generator[tuple[Entry, tuple[SourceLocation, ...]]]:
        """Yields the inputs in order, and reports the progress."""
        home = self.ports.environment.get("HOME", "")
        with self._progress(image) as progress:
            try:
                yield from stream(
                    self.ports.tree,
                    image,
                    self.config.file,
                    facts,
                    self._written(image),
                    home=home,
                    progress=progress,
                )
            except SourceError as error:
                raise self._with_folder_advice(image, error) from error

    def _missing_submodule(self, image: ImageConfig, error: BakeryError) -> str | None:
        """Returns the submodule that would contain the missing file of `error`, if it is not checked out."""
        tree = self.ports.tree
        declared = {tree.relative(path) for path in image.inputs or ()}
        missing = map(tree.relative, self.ports.git.missing_submodules(self.config.root))
        return next((path for path in missing if f" {path}/" in error.doing or path in declared), None)

    def _in_packers_words(self, image: ImageConfig, error: TemplateError) -> BakeryError:
        """Returns Packer's own syntax error, whose line is more precise, except for a git revision."""
        if self.is_past:
            return error
        tree = self.ports.tree
        request = BuildRequest(
            image=image.name,
            template=self.template_argument(image),
            workdir=tree.absolute(self.workdir(image)),
            region=next(iter(image.regions), "us-east-1"),
            var_files=tuple(tree.absolute(path) for path in self.var_files(image)),
            hcl2=True,
        )
        from ami_bakery.define.template_errors import in_packers_words

        return in_packers_words(tree, self.ports.packer, request, error)

    def _with_folder_advice(self, image: ImageConfig, error: BakeryError) -> BakeryError:
        """Replaces the advice if one of these helps: check out a submodule, or set another working directory."""
        if isinstance(error, TooLargeError):
            return error
        submodule = None if self.is_past else self._missing_submodule(image, error)
        if submodule is not None:
            todo = f"Check the submodule out: `git submodule update --init --recursive {submodule}`."
            return type(error)(error.doing, error.wrong, todo, marks=error.marks)
        from ami_bakery.define.template_errors import better_folder

        folder = template_folder(self.ports.tree, image.template)
        found = better_folder(
            self.ports.tree,
            self.workdir(image),
            folder,
            lambda workdir: self.facts(replace(image, workdir=workdir)),
        )
        if found is None:
            return error
        todo = found.advice(image.name, self.config.file)
        return type(error)(error.doing, error.wrong, todo, marks=error.marks)

    @contextmanager
    def _progress(self, image: ImageConfig) -> Iterator[HashingProgress]:
        progress = HashingProgress(self.ports.reporter, self.ports.clock, image.name)
        try:
            yield progress
        finally:
            progress.end()

    def would_be_input(self, image: ImageConfig, path: str) -> bool:
        """Whether a file at the absolute `path` would be an input of the image."""
        return would_be_input(self.ports.tree, image, self.config.file, self.facts(image), path)

    def _written(self, image: ImageConfig) -> tuple[str, ...]:
        """Returns Packer's log file if the environment enables it. It is not an input."""
        log = self.ports.environment.get("PACKER_LOG_PATH", "")
        return (log if log.startswith("/") else f"{self.workdir(image)}/{log}",) if log else ()

    def define(
        self,
        image: ImageConfig,
        parents: Mapping[str, Ami | None],
        inputs: tuple[TemplateFacts, Inventory | Iterator[Entry]] | None = None,
    ) -> ImageDefinition:
        """Defines an image.

        parents  the AMI of each parent image; None if it must be built first
        inputs   the result of `inputs` or `entries`, if it is known already; entries are not kept in memory
        """
        if image.scheme is Scheme.SHA1:
            unseen = Unseen()
            with self._progress(image) as progress:
                digest = drop_in_checksum(self.ports.tree, image, unseen, progress)
            unseen_inputs = tuple(warnings(self.ports.tree, image, self.ports.environment, unseen))
            return ImageDefinition(image=image, digest=digest, unseen=unseen_inputs)
        facts, found = inputs or self.inputs(image)
        inventory, entries = (found, None) if isinstance(found, Inventory) else (None, found)
        base = self._base(image, facts, parents)
        if base.awaits is not None:
            self._check_base_is_used(image, PLACEHOLDER_AMI)
            return ImageDefinition(image=image, awaits=base.awaits, facts=facts, inventory=inventory)
        if image.base is not None:
            self._check_base_is_used(image, base.ids[0][1])
        manifest = self.manifest(image, facts, inventory, base.ids)
        return ImageDefinition(
            image=image,
            digest=manifest.digest(entries),
            facts=facts,
            inventory=inventory,
            manifest=manifest if inventory else None,
            base=base.ids,
        )

    def manifest(
        self,
        image: ImageConfig,
        facts: TemplateFacts,
        inventory: Inventory | None,
        base: tuple[tuple[str, str], ...],
        tools: tuple[tuple[str, ...], ...] | None = None,
    ) -> Manifest:
        """Creates the manifest. `tools`: Packer's version and plugins, if known; None: query Packer."""
        without = frozenset(image.digest_exclude)
        selected = "selection" not in without
        return Manifest(
            image=image.name,
            salt=image.salt,
            template=self.ports.tree.relative(image.template),
            workdir=self.workdir(image),
            entries=inventory.entries if inventory else (),
            variables=tuple((name, hash_value(value)) for name, value in image.variables),
            var_files=self.var_files(image),
            environment=() if "environment" in without else self._environment(image, facts),
            only=image.only if selected else (),
            except_=image.except_ if selected else (),
            arguments=self.arguments.other,
            base=base,
            tools=tuple(self._tools(image, facts, without)) if tools is None else tools,
            left_out=tuple(sorted(without)),
        )

    def without_cache(self) -> Resolver:
        """Returns a resolver that looks everything up again."""
        self.ports.packer.forget_plugins()
        return replace(self, _answers={})

    def warm_up_tools(self, names: Iterable[str]) -> None:
        """Starts to query Packer in the background, if these images' digests cover its version or plugins."""
        images = [image for image in map(self.image, names) if image.scheme is Scheme.SHA256]
        plugins = any("plugin-versions" not in image.digest_exclude for image in images)
        if plugins or any("packer-version" not in image.digest_exclude for image in images):
            self.ports.packer.warm_up(plugins=plugins)

    def warm_up_ec2(self, names: Iterable[str]) -> None:
        """Starts to connect to EC2 in the background, in the first image's build region."""
        for name in islice(names, 1):
            regions = self.regions or self.config.image(name).regions
            self.ports.ec2.warm_up(regions[0] if regions else None)

    def _tools(self, image: ImageConfig, facts: TemplateFacts, without: frozenset[str]) -> Iterator[tuple[str, ...]]:
        if "packer-version" not in without:
            yield "packer", self.ports.packer.version()
        if "plugin-versions" not in without:
            yield from self.plugins(image, facts)

    def plugins(self, image: ImageConfig, facts: TemplateFacts) -> tuple[UsedPlugin, ...]:
        """Returns the plugins of the image's build.

        Raises `PackerError` if a required plugin is missing and may not or cannot be installed.
        """
        workdir = self.ports.tree.absolute(self.workdir(image))
        argument = self.template_argument(image)
        return self.ports.packer.plugins(image.name, argument, workdir, facts, self.ports.reporter)

    def handed_variables(
        self, definition: ImageDefinition, facts: TemplateFacts, region: str
    ) -> tuple[tuple[str, str], ...]:
        """Returns the variables for `-var`: the image's, and those of ami-bakery that the template declares."""
        image, digest = definition.image, definition.digest
        ours = {"config_checksum": digest.hex if digest else "", "aws_region": region}
        if image.scheme is Scheme.SHA1 and (subnet := self.ports.environment.get(SUBNET_VARIABLE)):
            ours["aws_subnet_id"] = subnet
        handed = {name: value for name, value in ours.items() if facts.declares(name)}
        if image.base is not None and definition.base:
            handed[image.from_variable] = definition.base[0][1]
        after_dashes = {name for name, _ in self.arguments.variables}
        own = {name: value for name, value in image.variables if name not in after_dashes}
        return tuple(sorted({**handed, **own}.items()))

    def _environment(self, image: ImageConfig, facts: TemplateFacts) -> tuple[tuple[str, str | None], ...]:
        """Returns the values of declared variables and of those that the template reads; None if unset."""
        read = {name for name, _ in facts.environment if why_not_hashed(name, facts) is None}
        values = self.ports.environment
        return tuple(
            (name, hash_value(values[name]) if name in values else None) for name in sorted({*image.environment, *read})
        )

    def questions(self, image: ImageConfig, facts: TemplateFacts) -> tuple[BaseQuery, ...]:
        """Returns the queries for an image's source AMI."""
        return tuple(base_queries(image, facts, lambda: self.region_of(image), self.ports.packer))

    def prefetch(self, questions: Iterable[BaseQuery]) -> None:
        """Runs queries in bulk, so that `define` does not run them for each image."""
        self._answers.update(ask(self.ports, self.unanswered(questions)))

    def unanswered(self, questions: Iterable[BaseQuery]) -> list[BaseQuery]:
        return [question for question in questions if question not in self._answers]

    def known_bases(self, region: str) -> dict[str, Ami]:
        """Returns the source AMIs of a region that were looked up in this run, by id."""
        results = (answer for answer in self._answers.values() if isinstance(answer, tuple))
        return {ami.id: ami for amis in results for ami in amis if ami.region == region}

    def _base(self, image: ImageConfig, facts: TemplateFacts, parents: Mapping[str, Ami | None]) -> _Base:
        match image.base:
            case None:
                return _Base(ids=tuple(self._template_bases(image, facts)))
            case BaseId(ami=ami):
                return _Base(ids=(("", ami),))
            case BaseImage(image=name):
                parent = parents.get(name)
                return _Base(awaits=name) if parent is None else _Base(ids=(("", parent.id),))
            case BaseFilter() | BaseParameter():
                location = SourceLocation(file=self.config.file, line=image.line("from"))
                (question,) = self.questions(image, facts)
                return _Base(ids=(("", self._answer(question, location)[-1]),))
            case _:
                assert_never(image.base)

    def _answer(self, question: BaseQuery, location: SourceLocation) -> tuple[str, ...]:
        """Returns the ids of the newest AMIs; several if they were created in the same second.

        location  the line with the query
        """
        self.prefetch([question])
        match self._answers[question]:
            case str(ami):
                return (ami,)
            case ():
                raise AwsError(
                    f"looking up the source AMI in {question.region} ({location})",
                    str(question),
                    "Fix the filters, the owners or the region.",
                    marks=(location.mark(f"no base image in {question.region}: {question}"),),
                )
            case AwsError() as error:
                raise AwsError(
                    f"{error.doing} ({location})",
                    error.wrong,
                    error.todo,
                    code=error.code,
                    marks=(location.mark(str(error)),),
                )
            case BakeryError() as error:
                raise error
            case tuple(amis):
                return tuple(ami.id for ami in amis)

    def _check_base_is_used(self, image: ImageConfig, base: str) -> None:
        """Raises if a builder uses another source AMI than the hashed one."""
        for builder in self.facts(image, {image.from_variable: base}).builders:
            if builder.source_ami_filter is not None or builder.source_ami not in (None, base):
                other = builder.source_ami or "what a filter finds"
                awaited = image.base.image if isinstance(image.base, BaseImage) else base
                wrong = f"image {image.name} is made from {awaited} (`from`), and the builder uses {other}"
                raise TemplateError(
                    f"looking at what {builder.name} starts from ({builder.location})",
                    wrong,
                    f"Write the variable {image.from_variable} as its source_ami.",
                    marks=(builder.location.mark(wrong),),
                )

    def _template_bases(self, image: ImageConfig, facts: TemplateFacts) -> list[tuple[str, str]]:
        """Returns the source AMIs in the template, by builder; unknown ones are hashed as written."""
        bases = []
        for builder in facts.builders:
            if builder.source_ami:
                bases.append((builder.name, builder.source_ami))
            elif builder.source_ami_filter is not None:
                found = self._filtered(image, builder, builder.source_ami_filter)
                bases += [(builder.name, ami) for ami in found]
        return sorted(bases)

    def _filtered(self, image: ImageConfig, builder: Builder, asked: SourceAmiFilter) -> tuple[str, ...]:
        if not asked.owners:
            from ami_bakery.core.check.finding import without_owners

            raise TemplateError(
                f"looking for the base of {builder.name} ({builder.location})",
                "its filter has no owners: without owners, anyone's AMI can match",
                'Add owners, for example "owners": ["099720109477"].',
                marks=(builder.location.mark(without_owners(builder)),),
            )
        return self._answer(query_of_filter(asked, self.region_of(image), self.ports.packer), builder.location)
