"""Defines the test of an image: as an image of its own, with a digest of its own.

The test's template is read, its inputs are found, and its manifest is created by the same code as an image's. Its
source AMI is the AMI under test, which is not in the digest; nor are the timeout and the action after a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.config.model import DEFAULT_FROM_VARIABLE, BaseId, Config, ImageConfig, ImageTest
from ami_bakery.core.packer.arguments import PackerArguments
from ami_bakery.define.base_resolution import PLACEHOLDER_AMI
from ami_bakery.define.inputs import template_folder
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from ami_bakery.core.config.model import KeyPath
    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.definition.manifest import Manifest
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import TemplateFacts
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


def define_test(resolver: Resolver, image: ImageConfig) -> TestDefinition | None:
    """Defines the test of an image; None if it has none. Needs no AWS.

    Raises the errors of `Resolver.checked_facts`, and `SourceError` for an input that cannot be hashed.
    """
    if image.test is None:
        return None
    tests = resolver_of_tests(resolver)
    as_image = tests.image(image.name)
    facts, inventory = tests.inputs(as_image)
    manifest = tests.manifest(as_image, facts, inventory, base=())
    return TestDefinition(
        test=image.test,
        image=as_image,
        digest=manifest.digest(),
        facts=facts,
        inventory=inventory,
        manifest=manifest,
    )


def resolver_of_tests(resolver: Resolver) -> Resolver:
    """Returns a resolver whose images are the tests, under the names of their images.

    The arguments after `--` are for the builds of images, not for their tests.
    """
    config, tree = resolver.config, resolver.ports.tree
    tests = tuple(_as_image(tree, image, image.test) for image in config.images if image.test is not None)
    return replace(
        resolver,
        config=Config(root=config.root, file=config.file, images=tests),
        arguments=PackerArguments(),
    )


def _as_image(tree: SourceTree, image: ImageConfig, test: ImageTest) -> ImageConfig:
    """Returns a test in the form of an image, whose source AMI is the AMI under test."""
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
    """Returns () if only the files that the test's template reads count; None if its folder counts, too.

    `inputs = []` is for the test as well. The default inputs of an image cover its template's folder, so the files
    there that the test does not name are in the image's digest.
    """
    shares_folder = template_folder(tree, test.template) == template_folder(tree, image.template)
    return () if image.inputs == () or (image.inputs is None and shares_folder) else None


def _lines(image: ImageConfig) -> dict[KeyPath, int]:
    """Returns the lines of the test's keys. With `test = "path"`, every key is on that line."""
    below = {key[1:]: line for key, line in image.lines.items() if key[:1] == (SECTION,)}
    return {(): image.line(SECTION), **below}
