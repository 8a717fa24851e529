"""What a Packer template says, as values: its variables, its builders, and what it reads from disk."""

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
    """What a template is read with.

    template     the file, or the folder of `*.pkr.hcl`/`*.pkr.json`, relative to the root
    workdir      the folder that Packer is started in, relative to the root ("." is the root)
    variables    what is given with `-var`, as Packer gets it
    offered      what is given likewise where the template declares the variable
    var_files    paths relative to the root, in the order in which Packer gets them
    only, except_  Packer's `-only` and `-except`
    environment  the environment that Packer will have
    later        variables that Packer will be given a value which is not known yet
    """

    template: str
    workdir: str
    variables: Mapping[str, str] = field(default_factory=dict)
    offered: Mapping[str, str] = field(default_factory=dict)
    var_files: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    later: frozenset[str] = frozenset()


class Variable(Frozen):
    """A variable that the template declares. `required`: it has no default; `missing`: nor does anything give it a
    value."""

    name: str
    location: SourceLocation
    sensitive: bool
    required: bool
    missing: bool = False


class SourceAmiFilter(Frozen):
    """A `source_ami_filter`, or the data source whose id is the `source_ami`, evaluated. `filters` is sorted by name;
    each has its values in the order given.

    most_recent  true as well where it cannot be worked out
    deprecated   whether those that are deprecated count, too
    region       where a data source asks; None: where the image is baked
    written      where it stands, if no message may show its values; empty if they may be shown
    """

    filters: tuple[tuple[str, tuple[str, ...]], ...]
    owners: tuple[str, ...]
    most_recent: bool
    deprecated: bool = False
    region: str | None = None
    written: str = field(default="", compare=False)


class Login(Frozen):
    """The credentials that a builder names for itself.

    named    the fields that do
    role     the ARN of the role that it assumes
    unknown  why some of it cannot be worked out; empty where all of it is known
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
    """One builder that takes part (after -only and -except), with what the bakery must know of it.

    name       as `-only` knows it: ``amazon-ebs`` or a name of its own in JSON, ``amazon-ebs.base`` in HCL2
    type       ``amazon-ebs``
    source_ami, source_ami_filter  literal or worked out; None where absent or not known
    base_unknown  why the base that the template names cannot be worked out; empty where it names none, or a known one
    ami_name   worked out with what only Packer knows left as written; None where not known
    ami_name_written  the expression, if no message may show the name; empty if it may be shown
    region_unknown  why the region cannot be worked out; empty where the template names none, or a known one
    login      None where it takes the credentials of the environment
    force_deregister  whether Packer removes what has the AMI's name
    tags       the names of the tags that the AMI gets from Packer, as far as they are known
    region_locations  the line that says each region, by its name: of `region` and of `ami_regions`
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
    """A file or folder that the template makes Packer (or what Packer starts) read.

    path      relative to the root, normalised, or absolute where the template says an absolute path outside the root
    required  False where its absence is no error: `fileexists()`, an optional Ansible folder
    guessed   a word of a local command that is the name of something here; `ignore` holds for it
    written   the expression, if a file, the environment or a secret had a part in the path: a message about a path that
              is not there shows that and not the path; empty if it may be shown
    """

    path: str
    location: SourceLocation
    required: bool = True
    guessed: bool = False
    written: str = ""

    @property
    def shown(self) -> str:
        """The path as a message may show it; of an input that is there, the path itself may be."""
        return self.written or self.path


class Certainty(StrEnum):
    """How sure it is that a bake writes a file."""

    SURE = "sure"
    """It is never an input."""
    LIKELY = "likely"
    """It is an input only where the template surely names it."""
    PERHAPS = "perhaps"
    """It is written on a condition. It stays an input."""


class Output(Frozen):
    """A file that a bake writes.

    path       relative to the root; where parts are not known, or it stands for several files, with `*`
    pattern    the regular expression for `path` where it stands for several files; empty where it is one
    is_folder  only the folder itself, where nothing is in it
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
    """A component that runs commands here that may read files which nobody can name.

    programs  those that may open more than their words say; others are not named
    unknown   where words stand that cannot be worked out
    """

    location: SourceLocation
    component: str
    programs: tuple[str, ...]
    unknown: tuple[SourceLocation, ...] = ()


class Unresolved(Frozen):
    """A path that cannot be worked out before Packer runs: `expression` as written, `why` as a clause."""

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
    """All that the bakery wants to know of a template.

    files          the template's own files, relative to the root (one, or those of a folder build)
    components     the types of builders, provisioners, post-processors and data sources that take part, sorted
    environment    names of environment variables that the template reads, set or not, each with the first location that
                   does; and the PKR_VAR_... that are set, that it declares, and that nothing given overrides.
                   Credentials (AWS_SECRET_ACCESS_KEY and the like) are among them: what may not be hashed is left
                   out by who asks
    outputs        files that a bake writes (manifests, downloads, what local commands write), relative to the root
    overwritten    files that the template names surely and that a bake surely writes: they are no inputs
    contested      files that the template names surely and that a bake may write: they are inputs
    touched        files and folders of which a local command changes the mode, the times or the name; and a verb
    generated      `generated` sources that nothing in the template is seen to write, and whether they are inputs
    local_commands components that run commands here which may open what no word names
    unhashed_environment  environment variables that local commands read and that tell of the machine or the CI job, or
                   look like a secret: each with its location and why it is not hashed
    credentials    files of keys and passwords that the template names: they stay out of the digest
    builds_nothing  whether it surely has no builder at all, whatever is selected
    ansible        provisioners that run Ansible on this machine: the location of each, and whether it connects through
                   Packer's own SSH server with the host key algorithms that OpenSSH accepts by default
    tolerant       provisioners that may fail without failing the build: the type and location of each
    started        programs of the definition that `packer validate` would start: expression and location of each
    secrets        the values of sensitive variables, to be masked wherever Packer's words are shown or kept
    withheld       those and all other values that a file, the environment or a data source had a part in: to be masked
                   in what Packer says before a build
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
    unhashed_environment: tuple[tuple[str, SourceLocation, str], ...] = ()
    credentials: tuple[Reference, ...] = ()
    builds_nothing: bool = False
    ansible: tuple[tuple[SourceLocation, bool], ...] = ()
    tolerant: tuple[tuple[str, SourceLocation], ...] = ()
    started: tuple[tuple[str, SourceLocation], ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    withheld: frozenset[str] = field(default=frozenset(), repr=False)

    def region_of(self, builder: str) -> str | None:
        """Where a builder works, by the name that Packer prints: HCL2's named builds stand in front of it."""
        named = (one for one in self.builders if builder == one.name or builder.endswith(f".{one.name}"))
        return next((one.region for one in named), None)

    def declares(self, name: str) -> bool:
        return any(variable.name == name for variable in self.variables)


def regions_named(builders: Iterable[Builder]) -> tuple[str, ...]:
    """The regions that builders work in or copy to, as far as they are known."""
    return tuple(
        dict.fromkeys(region for one in builders for region in (one.region, *one.ami_regions) if region is not None)
    )
