"""A template, and the settings that Packer runs it with."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.packer.arguments import PackerArguments
from ami_bakery.define.inputs import template_folder
from ami_bakery.errors import UsageError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.core.config.model import Config, ImageConfig
    from ami_bakery.core.packer.plugins import UsedPlugin
    from ami_bakery.ports import Ports
    from ami_bakery.template.facts import TemplateFacts


class TemplateSettings(Frozen):
    """One template, and how Packer runs it.

    image      the keys of the template in bakery.toml: an image's, or those of another template, such as a test
    arguments  those after `--`; by default none
    is_past    whether the files come from a git revision, which other programs cannot read
    """

    ports: Ports
    config: Config
    image: ImageConfig
    arguments: PackerArguments = field(default_factory=PackerArguments)
    is_past: bool = False

    @property
    def regions(self) -> tuple[str, ...]:
        """The build region, then the regions of the copies."""
        return self.image.regions or (self.ports.ec2.default_region(),)

    @property
    def template(self) -> str:
        """The template's path, relative to the root."""
        return self.ports.tree.relative(self.image.template)

    @property
    def workdir(self) -> str:
        """Packer's working directory, relative to the root."""
        tree, image = self.ports.tree, self.image
        return tree.relative(image.workdir) if image.workdir is not None else template_folder(tree, image.template)

    @property
    def absolute_workdir(self) -> str:
        return self.ports.tree.absolute(self.workdir)

    @property
    def var_files(self) -> tuple[str, ...]:
        """The variable files in Packer's order, relative to the root.

        The user writes those after `--` relative to Packer's working directory.
        """
        tree, workdir = self.ports.tree, self.workdir
        behind = (path if path.startswith("/") else f"{workdir}/{path}" for path in self.arguments.var_files)
        return tuple(tree.relative(path) for path in (*self.image.var_files, *behind))

    @property
    def template_argument(self) -> str:
        """The template's path for Packer's command line.

        It is relative to Packer's working directory, because Packer sets `path.root` to this text, and the template
        reader relies on that. In drop-in mode it is absolute, as in the original.
        """
        path = self.template
        if self.image.scheme is Scheme.SHA1 or path.startswith("/"):
            return self.ports.tree.absolute(self.image.template)
        return posixpath.relpath(path, self.workdir)

    @property
    def log_files(self) -> tuple[str, ...]:
        """Packer's log file, if enabled, relative to the root; not an input."""
        log = self.ports.environment.get("PACKER_LOG_PATH", "")
        return (log if log.startswith("/") else f"{self.workdir}/{log}",) if log else ()

    def facts(self, handed: Mapping[str, str] | None = None) -> TemplateFacts:
        """Reads the template with the variables that Packer will get.

        handed  known values of variables that ami-bakery passes; its other variables are unknown
        """
        handed = handed or {}
        if self.image.regions:
            return self._read(handed, region=self.image.regions[0])
        facts = self._read(handed)
        if facts.declares("aws_region") and "aws_region" not in {*handed, *dict(self.image.variables)}:
            region = self._default_region()
            if region is not None:
                return self._read(handed, region=region)
        return facts

    def _default_region(self) -> str | None:
        """Returns AWS's default region, read only if the template uses it."""
        try:
            return self.regions[0]
        except UsageError:
            return None

    def _read(self, handed: Mapping[str, str], *, region: str | None = None) -> TemplateFacts:
        from ami_bakery.template.facts import TemplateRequest

        image = self.image
        given = {**handed, **dict(image.variables)}
        optional = {"aws_region": region} if region is not None and "aws_region" not in given else {}
        pinned = {image.from_variable} if image.base is not None else set()
        request = TemplateRequest(
            template=self.template,
            workdir=self.workdir,
            variables=given,
            optional_variables=optional,
            deferred=frozenset({"aws_region", "config_checksum", *pinned} - {*given, *optional}),
            var_files=self.var_files,
            only=image.only,
            except_=image.except_,
            environment=self.ports.environment,
        )
        return self.ports.templates.read(self.ports.tree, request)

    def plugins(self, facts: TemplateFacts) -> tuple[UsedPlugin, ...]:
        """Returns the plugins of the build.

        Raises `PackerError` if a required plugin is missing and may not or cannot be installed.
        """
        ports = self.ports
        return ports.packer.plugins(
            self.image.name, self.template_argument, self.absolute_workdir, facts, ports.reporter
        )

    def plugin_programs(self, facts: TemplateFacts) -> tuple[str, ...]:
        """Returns the programs of the plugins whose checksums are in the digest."""
        if self.image.scheme is Scheme.SHA1 or "plugin-versions" in self.image.digest_exclude:
            return ()
        found = self.ports.packer.plugin_programs(self.template_argument, self.absolute_workdir, facts)
        return tuple(os.path.realpath(path) for path in found)
