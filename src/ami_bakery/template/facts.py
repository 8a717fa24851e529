"""The facts that the reader finds in a Packer template. They are plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.template.location import SourceLocation


class TemplateFormat(StrEnum):
    JSON = "json"
    HCL2 = "hcl2"


class TemplateRequest(Frozen):
    """The template to read, and the arguments that Packer will get.

    template     the file, or the folder of `*.pkr.hcl`/`*.pkr.json`, relative to the root
    workdir      the folder that Packer runs in, relative to the root ("." is the root)
    variables    values for `-var`
    optional_variables  values for `-var` if the template declares the variable
    var_files    paths relative to the root, in Packer's order
    only, except_  Packer's `-only` and `-except`
    environment  Packer's environment
    deferred     variables that get their values only at build time
    """

    template: str
    workdir: str
    variables: Mapping[str, str] = field(default_factory=dict)
    optional_variables: Mapping[str, str] = field(default_factory=dict)
    var_files: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    deferred: frozenset[str] = frozenset()


class Variable(Frozen):
    """A variable that the template declares.

    required  it has no default
    missing   it has no default, and nothing else sets it
    """

    name: str
    location: SourceLocation
    sensitive: bool
    required: bool
    missing: bool = False


class SourceAmiFilter(Frozen):
    """An evaluated `source_ami_filter`, or the data source whose id is the `source_ami`.

    filters      sorted by name; values in the template's order
    most_recent  also true if its value is unknown
    deprecated   whether deprecated AMIs match, too
    region       the region of the data source; None: the region of the build
    written      its location, if messages must hide its values; else empty
    """

    filters: tuple[tuple[str, tuple[str, ...]], ...]
    owners: tuple[str, ...]
    most_recent: bool
    deprecated: bool = False
    region: str | None = None
    written: str = field(default="", compare=False)


class Login(Frozen):
    """The credentials that a builder configures itself.

    named    the fields that configure them
    role     the ARN of the assumed role
    unknown  why a part of them is unknown; empty if all is known
    """

    location: SourceLocation
    named: tuple[str, ...]
    role: str = ""
    profile: str = ""
    credentials_file: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    unknown: str = ""


class Builder(Frozen):
    """The facts of one selected builder (after `-only` and `-except`).

    name       the name for `-only`: ``amazon-ebs`` or its own name in JSON, ``amazon-ebs.base`` in HCL2
    type       ``amazon-ebs``
    source_ami, source_ami_filter  evaluated; None if absent or unknown
    base_unknown  why the template's source AMI is unknown; empty if it has none, or a known one
    ami_name   evaluated; parts that only Packer knows stay as written; None if unknown
    ami_name_written  the expression, if messages must hide the name; else empty
    region_unknown  why the region is unknown; empty if the template has none, or a known one
    login      None if it uses the credentials of the environment
    force_deregister  whether Packer deregisters an existing AMI of the same name
    tags       the known names of tags that Packer adds to the AMI
    region_locations  the line of each region in `region` and `ami_regions`, by its name
    """

    name: str
    type: str
    location: SourceLocation
    source_ami: str | None = None
    source_ami_filter: SourceAmiFilter | None = None
    base_unknown: str = ""
    ami_name: str | None = None
    ami_name_written: str = ""
    region: str | None = None
    ami_regions: tuple[str, ...] = ()
    skip_create_ami: bool = False
    region_unknown: str = ""
    login: Login | None = None
    tags: frozenset[str] = frozenset()
    force_deregister: bool = False
    region_locations: tuple[tuple[str, SourceLocation], ...] = ()


class Reference(Frozen):
    """A file or folder that Packer or a program it starts reads.

    path      relative to the root, normalised; absolute if the template has an absolute path outside the root
    required  False if its absence is no error: `fileexists()`, an optional Ansible folder
    guessed   a word of a local command that is the name of an existing file; `ignore` applies to it
    written   the expression, if the path depends on a file, the environment or a secret: messages about an absent path
              show it instead of the path; else empty
    """

    path: str
    location: SourceLocation
    required: bool = True
    guessed: bool = False
    written: str = ""

    @property
    def shown(self) -> str:
        """The text for messages. An existing input may also be shown by its path."""
        return self.written or self.path


class Certainty(StrEnum):
    """How certain it is that a bake writes a file."""

    SURE = "sure"
    """It is never an input."""
    LIKELY = "likely"
    """It is an input only if the template certainly names it."""
    PERHAPS = "perhaps"
    """It is written conditionally, so it is still an input."""


class Output(Frozen):
    """A file that a bake writes.

    path       relative to the root; with `*` if parts are unknown or it matches several files
    pattern    the regular expression for `path` if it matches several files; else empty
    is_folder  only the folder itself, not its content
    written    see `Reference`
    is_removed it is removed, not written
    """

    path: str
    location: SourceLocation
    certainty: Certainty = Certainty.SURE
    pattern: str = ""
    is_folder: bool = False
    written: str = ""
    is_removed: bool = False

    @property
    def shown(self) -> str:
        return self.written or self.path


class LocalCommand(Frozen):
    """A component whose local commands may read files that no word names.

    programs  only those that may open more files than their arguments name
    unknown   locations of words with unknown values
    """

    location: SourceLocation
    component: str
    programs: tuple[str, ...]
    unknown: tuple[SourceLocation, ...] = ()


class Unresolved(Frozen):
    """A path that is unknown before Packer runs: `expression` as written, `why` as a clause."""

    location: SourceLocation
    expression: str
    why: str


class Plugin(Frozen):
    """One entry of `required_plugins`."""

    name: str
    source: str
    version: str
    location: SourceLocation


class TemplateFacts(Frozen):
    """The facts of a template.

    files          the template's own files, relative to the root (one, or those of a folder build)
    components     the types of selected builders, provisioners, post-processors and data sources, sorted
    environment    names of environment variables that the template reads, set or not, each with the first location; and
                   every declared PKR_VAR_... that is set and that no argument overrides. Includes credentials such as
                   AWS_SECRET_ACCESS_KEY: the caller excludes variables that must not be hashed
    outputs        files that a bake writes (manifests, downloads, what local commands write), relative to the root
    overwritten    files that the template certainly names and a bake certainly writes: not inputs
    contested      files that the template certainly names and a bake may write: inputs
    touched        files and folders whose mode, times or name a local command changes; and a verb
    generated      `generated` sources that no known part of the template writes, and whether they are inputs
    local_commands components that run commands on this machine which may open files that no word names
    unseen         other code on this machine that may read files which nothing names: components of unknown plugins,
                   and plugins of Ansible. Each with the location that names it
    unhashed_environment  environment variables that local commands read and that describe the machine or the CI job, or
                   look like a secret: each with its location and why it is not hashed
    credentials    files with keys and passwords that the template names: not in the digest
    builds_nothing  whether it certainly has no builder, selected or not
    ansible        provisioners that run Ansible on this machine: the location of each, and whether it connects through
                   Packer's own SSH server with the host key algorithms that OpenSSH accepts by default
    tolerant       provisioners that may fail without failing the build: the type and location of each
    started        programs of the definition that `packer validate` would start: expression and location of each
    secrets        the values of sensitive variables: masked in all shown or stored output of Packer
    withheld       these, and all other values that depend on a file, the environment or a data source: masked in
                   Packer's output before a build
    """

    format: TemplateFormat
    files: tuple[str, ...]
    variables: tuple[Variable, ...]
    builders: tuple[Builder, ...]
    components: tuple[str, ...] = ()
    required_plugins: tuple[Plugin, ...] = ()
    references: tuple[Reference, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()
    environment: tuple[tuple[str, SourceLocation], ...] = ()
    outputs: tuple[Output, ...] = ()
    overwritten: tuple[tuple[Reference, Output], ...] = ()
    contested: tuple[tuple[Reference, Output], ...] = ()
    touched: tuple[tuple[str, SourceLocation, str], ...] = ()
    generated: tuple[tuple[Reference, bool], ...] = ()
    local_commands: tuple[LocalCommand, ...] = ()
    unseen: tuple[tuple[str, SourceLocation], ...] = ()
    unhashed_environment: tuple[tuple[str, SourceLocation, str], ...] = ()
    credentials: tuple[Reference, ...] = ()
    builds_nothing: bool = False
    ansible: tuple[tuple[SourceLocation, bool], ...] = ()
    tolerant: tuple[tuple[str, SourceLocation], ...] = ()
    started: tuple[tuple[str, SourceLocation], ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    withheld: frozenset[str] = field(default=frozenset(), repr=False)

    def region_of(self, builder: str) -> str | None:
        """Returns a builder's region. `builder`: the name that Packer prints, in HCL2 prefixed by the build's."""
        named = (each for each in self.builders if builder == each.name or builder.endswith(f".{each.name}"))
        return next((each.region for each in named), None)

    def declares(self, name: str) -> bool:
        return any(variable.name == name for variable in self.variables)


def regions_named(builders: Iterable[Builder]) -> tuple[str, ...]:
    """The known regions that builders build in or copy to."""
    return tuple(
        dict.fromkeys(region for each in builders for region in (each.region, *each.ami_regions) if region is not None)
    )
