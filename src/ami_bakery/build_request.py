"""What Packer is asked for: one image's definition as a run of `packer build`."""

from __future__ import annotations

from ami_bakery.core.digest import Scheme
from ami_bakery.core.template import TemplateFacts, TemplateFormat
from ami_bakery.planning import Planned
from ami_bakery.ports import BuildRequest
from ami_bakery.resolve import Resolver

_CREDENTIALS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


def build_request(resolver: Resolver, planned: Planned, facts: TemplateFacts) -> BuildRequest:
    image, region = planned.definition.image, planned.plan.regions[0]
    tree, environment = resolver.outside.tree, resolver.outside.environment
    workdir = resolver.workdir(image)
    inside = _relative_to(tree.relative(image.template), workdir) if image.scheme is Scheme.SHA256 else None
    variables = resolver.handed_variables(planned.definition, facts, region)
    sensitive = frozenset(variable.name for variable in facts.variables if variable.sensitive)
    return BuildRequest(
        image=image.name,
        template=inside or tree.absolute(image.template),
        workdir=tree.absolute(workdir),
        region=region,
        variables=variables,
        sensitive=sensitive,
        var_files=tuple(tree.absolute(path) for path in image.var_files),
        only=image.only,
        except_=image.except_,
        definition_arguments=resolver.arguments.definition,
        arguments=resolver.arguments.passed,
        debug=resolver.arguments.debug,
        needs_init=bool(facts.required_plugins),
        hcl2=facts.format is TemplateFormat.HCL2,
        secrets=facts.secrets
        | {value for name, value in variables if name in sensitive}
        | {environment[name] for name in _CREDENTIALS if environment.get(name)},
    )


def _relative_to(path: str, folder: str) -> str | None:
    """`path` from `folder`, both relative to the root, where it lies within; None where it does not."""
    if path == folder:
        return "."
    if folder == ".":
        return None if path.startswith(("/", "../")) else path
    prefix = folder.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None
