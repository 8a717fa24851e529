"""Creates the request for `packer build` of an image or its test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.packer.arguments import PackerArguments
from ami_bakery.ports import BuildRequest
from ami_bakery.template.facts import TemplateFacts, TemplateFormat
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.plan.planner import Planned

_CREDENTIALS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


def build_request(resolver: Resolver, planned: Planned, facts: TemplateFacts) -> BuildRequest:
    return _request(resolver, planned.definition, facts, planned.plan.regions[0])


def request_for_test(resolver: Resolver, definition: ImageDefinition, ami: str, region: str) -> BuildRequest:
    """Creates the request for `packer build` of an image's test. The test starts from `ami`."""
    test = definition.test
    assert test is not None, "the image has no test"
    of_test = replace(definition, image=test.image, base=(("", ami),))
    # The arguments after `--` are for the build of the image.
    of_tests = replace(resolver, arguments=PackerArguments())
    return replace(_request(of_tests, of_test, test.facts, region), tested_ami=ami)


def _request(resolver: Resolver, definition: ImageDefinition, facts: TemplateFacts, region: str) -> BuildRequest:
    image = definition.image
    tree, environment = resolver.ports.tree, resolver.ports.environment
    settings = resolver.settings(image)
    variables = resolver.handed_variables(definition, facts, region)
    sensitive = frozenset(variable.name for variable in facts.variables if variable.sensitive)
    return BuildRequest(
        image=image.name,
        template=settings.template_argument,
        workdir=settings.absolute_workdir,
        region=region,
        variables=variables,
        sensitive=sensitive,
        structured=image.structured,
        var_files=tuple(tree.absolute(path) for path in image.var_files),
        only=image.only,
        except_=image.except_,
        definition_arguments=resolver.arguments.definition,
        arguments=resolver.arguments.passed,
        debug=resolver.arguments.debug,
        hcl2=facts.format is TemplateFormat.HCL2,
        withheld=facts.withheld,
        secrets=facts.secrets
        | {value for name, value in variables if name in sensitive}
        | {environment[name] for name in _CREDENTIALS if environment.get(name)},
    )
