"""Defines the test of an image, which has its own digest.

The test's template is read, its inputs are found, and its manifest is created by the same code as an image's. Its
source AMI is the AMI under test, which is not in the digest; nor are the timeout and the action after a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.config.model import DEFAULT_FROM_VARIABLE, BaseId, ImageConfig, ImageTest
from ami_bakery.define.base_resolution import PLACEHOLDER_AMI
from ami_bakery.define.input_collection import checked_facts, collect_inventory
from ami_bakery.define.inputs import template_folder
from ami_bakery.define.preconditions import check_required
from ami_bakery.define.template_manifest import template_manifest
from ami_bakery.define.template_settings import TemplateSettings
from ami_bakery.errors import TemplateError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ami_bakery.core.check.finding import Finding
    from ami_bakery.core.config.model import KeyPath
    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.definition.manifest import Manifest
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.location import SourceLocation
    from ami_bakery.template.source_tree import SourceTree

SECTION = "test"


class TestDefinition(Frozen):
    """The test of an image with all inputs resolved.

    test   the configuration: how long it may take, and what happens to an AMI that fails
    image  the test in the form of an image, for the functions that define and build images
    """

    __test__ = False

    test: ImageTest
    image: ImageConfig
    digest: Digest
    facts: TemplateFacts
    inventory: Inventory
    manifest: Manifest


def define_test(
    resolver: Resolver, image: ImageConfig, tools: tuple[tuple[str, ...], ...] | None = None
) -> TestDefinition | None:
    """Defines the test of an image; None if it has none. Needs no AWS.

    tools  Packer's version and plugins, if known; None: query Packer

    Raises `ConfigError` and `TemplateError` for a test that cannot work, and `SourceError` for an input that cannot be
    hashed.
    """
    if image.test is None:
        return None
    settings = settings_of_test(resolver.settings(image), image.test)
    facts, inventory = inputs_of_test(resolver, image, image.test)
    manifest = template_manifest(settings, facts, inventory, (), tools)
    return TestDefinition(
        test=image.test,
        image=settings.image,
        digest=manifest.digest(),
        facts=facts,
        inventory=inventory,
        manifest=manifest,
    )


def inputs_of_test(resolver: Resolver, image: ImageConfig, test: ImageTest) -> tuple[TemplateFacts, Inventory]:
    """Returns the facts of the test's template and all its inputs."""
    settings = settings_of_test(resolver.settings(image), test)
    facts = _facts(settings)
    return facts, collect_inventory(settings, facts)


def check_test(resolver: Resolver, image: ImageConfig, facts: TemplateFacts) -> None:
    """Raises for a test that certainly fails, or tests something else. `facts`: the image's."""
    from ami_bakery.core.check.finding import Level

    if image.test is None:
        return
    settings = settings_of_test(resolver.settings(image), image.test)
    own = _facts(settings)
    _check_conflict(settings.image, own, facts, settings.config.file)
    check_required(settings.config.file, settings.image, own)
    for finding in findings_of_test(resolver, image, facts):
        if finding.level is Level.ERROR:
            raise _as_error(image, finding)


def _check_conflict(of_test: ImageConfig, own: TemplateFacts, facts: TemplateFacts, file: str) -> None:
    """Raises if the image and its test share a template file. `facts`: the image's."""
    from ami_bakery.core.check.ami_test_findings import template_conflict

    finding = template_conflict(own.files, facts.files, file, of_test.line("template"))
    if finding is not None:
        raise _as_error(of_test, finding)


def _as_error(image: ImageConfig, finding: Finding) -> TemplateError:
    doing = f"checking the test of image {image.name} ({finding.location})"
    return TemplateError(doing, finding.message, finding.todo, marks=(finding.location.mark(finding.message),))


def findings_of_test(resolver: Resolver, image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    """Yields the findings about the test's template and its builders. `facts`: the image's."""
    from ami_bakery.core.check.ami_test_findings import builder_findings, template_conflict

    if image.test is None:
        return
    settings = settings_of_test(resolver.settings(image), image.test)
    own = _facts(settings, {DEFAULT_FROM_VARIABLE: PLACEHOLDER_AMI})
    conflict = template_conflict(own.files, facts.files, settings.config.file, settings.image.line("template"))
    if conflict is not None:
        yield conflict
        return
    yield from builder_findings(own, PLACEHOLDER_AMI, resolver.ports.packer.version)


def paths_of_test(settings: TemplateSettings, facts: TemplateFacts) -> frozenset[str]:
    """Returns the paths that only the test of an image reads.

    They are relative to the root. The default inputs of an image are all files of its template's folder. Without these
    paths, a test in that folder does not change the image's digest. A path that the image's template reads, too, stays
    an input. If the template may read files that it does not name, only the test's template and var-files are left out.

    settings, facts  the image's
    """
    test = settings.image.test
    if test is None or settings.image.inputs is not None:
        return frozenset()
    of_test = settings_of_test(settings, test)
    own = _facts(of_test)
    # Before the image's own files are missed: its folder build would read the test's template.
    _check_conflict(of_test.image, own, facts, settings.config.file)
    paths = {*own.files, *of_test.var_files}
    if may_read_unnamed(facts) is None:
        paths.update(reference.path for reference in own.references)
        folder = template_folder(settings.ports.tree, test.template)
        paths.update({folder} - {template_folder(settings.ports.tree, settings.image.template)})
    read = (*facts.files, *settings.var_files, *(reference.path for reference in facts.references))
    return frozenset(path for path in paths if not _holds_one_of(path, read))


def may_read_unnamed(facts: TemplateFacts) -> tuple[str, SourceLocation] | None:
    """Returns a part that may read unnamed files, and its location."""
    found = (
        *((item.expression, item.location) for item in facts.unresolved),
        *((command.component, command.location) for command in facts.local_commands),
        *facts.unseen,
    )
    return next(iter(found), None)


def _holds_one_of(path: str, others: Iterable[str]) -> bool:
    return any(other == path or other.startswith(f"{path}/") for other in others)


def settings_of_test(settings: TemplateSettings, test: ImageTest) -> TemplateSettings:
    """Returns the settings of a test's template. The arguments after `--` are for the build of the image."""
    return TemplateSettings(
        ports=settings.ports,
        config=settings.config,
        image=_as_image(settings.ports.tree, settings.image, test),
        is_past=settings.is_past,
    )


def _facts(settings: TemplateSettings, handed: dict[str, str] | None = None) -> TemplateFacts:
    facts = checked_facts(settings, dict(settings.image.variables))
    return facts if handed is None else settings.facts(handed)


def _as_image(tree: SourceTree, image: ImageConfig, test: ImageTest) -> ImageConfig:
    """Returns a test as an image that starts from the tested AMI."""
    return ImageConfig(
        name=image.name,
        section=SECTION,
        template=test.template,
        inputs=_inputs(tree, image, test),
        workdir=test.workdir,
        only=test.only,
        except_=test.except_,
        ignore=image.ignore,
        base=BaseId(ami=PLACEHOLDER_AMI),
        from_variable=DEFAULT_FROM_VARIABLE,
        variables=test.variables,
        structured=test.structured,
        var_files=test.var_files,
        environment=image.environment,
        regions=image.regions,
        owners=image.owners,
        digest_exclude=image.digest_exclude,
        lines=_lines(image),
    )


def _inputs(tree: SourceTree, image: ImageConfig, test: ImageTest) -> tuple[str, ...] | None:
    """Returns the test's `inputs`: (), or None if its folder counts, too.

    `inputs = []` is for the test as well. The default inputs of an image cover its template's folder, so the files
    there that the test does not name are in the image's digest.
    """
    shares_folder = template_folder(tree, test.template) == template_folder(tree, image.template)
    return () if image.inputs == () or (image.inputs is None and shares_folder) else None


def _lines(image: ImageConfig) -> dict[KeyPath, int]:
    """Returns the lines of the test's keys. With `test = "path"`, every key is on that line."""
    below = {key[1:]: line for key, line in image.lines.items() if key[:1] == (SECTION,)}
    return {(): image.line(SECTION), **below}
