"""What we ask of the outside world, as protocols; adapters answer, and tests may."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ami_bakery.template.source_tree import SourceTree
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from ami_bakery.core.config.model import Config
    from ami_bakery.core.definition.stamp import Stamp
    from ami_bakery.core.ec2.image import Ami
    from ami_bakery.core.ec2.resource import Resource
    from ami_bakery.core.lock.lock import SeenLock
    from ami_bakery.core.packer.build_progress import CreatedResource
    from ami_bakery.core.packer.machine_output import Built, ValidationIssue
    from ami_bakery.core.packer.plugins import UsedPlugin
    from ami_bakery.core.text.table import Table
    from ami_bakery.errors import BakeryError
    from ami_bakery.template.facts import Login, TemplateFacts, TemplateRequest


class StampReader(Protocol):
    """Reads what the filesystem records about files. Paths are those of `SourceTree`; raises `SourceError` likewise."""

    def stamp(self, path: str) -> Stamp | None:
        """The status of what stands at `path`, links not followed; None where nothing does."""

    def visited_paths(self, path: str) -> Iterator[str]:
        """Every folder and link on the way to what `path` leads to, and that itself, as absolute paths."""


class RevisionTree(SourceTree, Protocol):
    """The files of a git revision. What no revision can tell of is as it is now: files that git is told to ignore, and
    what lies outside the repository."""

    def holds(self, path: str) -> bool:
        """Whether the revision itself has what stands at `path`."""

    def same_content(self, paths: Sequence[str]) -> frozenset[str]:
        """Those files whose content surely is to git what it is now, apart from what a checkout does to line ends and
        encodings, and from Git LFS. No filter is run."""

    def undecided(self, paths: Sequence[str]) -> frozenset[str]:
        """Of files that are not the same by `same_content`, those that a filter applies to: whether they changed is not
        known."""


class TemplateReader(Protocol):
    """Reads a Packer template as Packer would, without running it."""

    def read(self, tree: SourceTree, request: TemplateRequest) -> TemplateFacts:
        """Raises `TemplateError` where the template is absent or does not parse, naming the line."""


class BuilderAccount(Frozen):
    """`accounts` are those that it may be: one where it is certain. `unknown`: why it may be another one."""

    accounts: frozenset[str] = frozenset()
    unknown: str = ""


class CopyRequest(Frozen):
    """A copy of an AMI to another region, encrypted where there is a `kms_key`."""

    source: Ami
    region: str
    name: str
    tags: Mapping[str, str]
    snapshot_tags: Mapping[str, str]
    kms_key: str = ""


class Ec2(Protocol):
    """EC2's images, in one region at a time. Every method raises `AwsError`, and asks for every page."""

    def default_region(self) -> str:
        """The region of the environment or of the AWS profile. Raises `UsageError` where neither names one."""

    def known_regions(self) -> tuple[str, ...]:
        """The regions that the SDK knows. Empty where EC2 is at an address of the user's own. Asks nothing."""

    def warm_up(self, region: str | None) -> None:
        """EC2 will be asked, most likely in this region (None: the default one): what takes time before may be done
        meanwhile."""

    def account(self, region: str) -> str:
        """The account whose credentials these are; asked once."""

    def account_of(self, region: str, login: Login, packer: str) -> BuilderAccount:
        """The account that a builder with credentials of its own builds in, with this version of Packer. Starts no
        program that a profile names. Raises nothing."""

    def find_by_digest(self, region: str, digests: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        """AMIs whose tag `ami_config_checksum` is one of `digests`, in any state."""

    def find_by_image(self, region: str, images: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        """AMIs whose tag `ami-bakery:image` is one of `images`, in any state."""

    def find_tagged(self, region: str, images: Sequence[str], tag: str) -> tuple[Ami, ...]:
        """AMIs of this account whose tag `ami-bakery:image` is one of `images` and that carry `tag`, in any state."""

    def regions(self, region: str) -> tuple[str, ...]:
        """The regions that this account can use, as `region` tells of them."""

    def find_with_any_digest(self, region: str, owners: Sequence[str]) -> tuple[Ami, ...]:
        """AMIs that carry the tag `ami_config_checksum`, whatever its value, in any state."""

    def find_by_id(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        """Those of `ids` that exist."""

    def find_own(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        """Those of `ids` that belong to this account."""

    def find_snapshots_by_digest(self, region: str, digests: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Snapshots of this account tagged with one of the digests, by digest: they outlive a deregistered AMI."""

    def find_matching(
        self,
        region: str,
        owners: Sequence[str],
        filters: Sequence[tuple[str, Sequence[str]]],
        *,
        deprecated: bool = False,
        in_any_state: bool = False,
    ) -> tuple[Ami, ...]:
        """AMIs of these owners that match EC2's filters: available ones, and of others' not those that are deprecated,
        where nothing else is said."""

    def find_by_name(self, region: str, names: Sequence[str]) -> tuple[Ami, ...]:
        """AMIs of this account with one of these names, in any state: a name is taken once."""

    def find_created_from(self, region: str, instances: Sequence[str]) -> tuple[Ami, ...]:
        """AMIs of this account that were made from these instances, which may be gone."""

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str]) -> None: ...

    def untag(self, region: str, ids: Sequence[str], names: Sequence[str]) -> None:
        """Take tags off, or empty them where the credentials may not take them off."""

    def permissions(self, region: str, resource: str) -> frozenset[str]:
        """Who may launch an AMI, or make volumes of a snapshot: accounts, ARNs, and `all` where it is public."""

    def grant(self, region: str, resource: str, targets: Sequence[str]) -> None:
        """Let these launch an AMI, or make volumes of a snapshot."""

    def revoke(self, region: str, resource: str, targets: Sequence[str]) -> None:
        """Take it back from these."""

    def copy(self, order: CopyRequest) -> str:
        """Start a copy; its id. It is pending, and has its tags from the first moment."""


class TemporaryResources(Protocol):
    """What is put up in EC2 to make an AMI, in one region at a time. Every method raises `AwsError`, asks for every
    page, and passes over what is not there."""

    def tagged(self, region: str, keys: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Everything of this account that carries one of these tags, by id: those of its tags that were asked for."""

    def instances(
        self, region: str, *, ids: Sequence[str] = (), key_pairs: Sequence[str] = (), amis: Sequence[str] = ()
    ) -> tuple[Resource, ...]:
        """Those that are not terminated: with these ids, with key pairs of these names, or started from these AMIs."""

    def security_groups(
        self, region: str, *, ids: Sequence[str] = (), names: Sequence[str] = ()
    ) -> tuple[Resource, ...]: ...

    def key_pairs(self, region: str) -> tuple[Resource, ...] | None:
        """All of this account; None where there is no right to list them, which is not in Packer's own policy."""

    def volumes(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]: ...

    def snapshots(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]:
        """Those of this account."""

    def remove(self, thing: Resource) -> None:
        """Ask for it to be removed, which may take its time. What is gone already is removed."""


class Locks(Protocol):
    """What stands in EC2 for somebody at work on a digest: one of a name, in one region at a time. Every method raises
    `AwsError`."""

    def holder(self) -> str:
        """This machine and process, for people: ``build-7 (pid 42)``."""

    def now(self, region: str) -> datetime:
        """EC2's own time, which is the same for all runners. Asks nothing."""

    def acquire(self, region: str, name: str, tags: Mapping[str, str]) -> str | None:
        """The id of the new lock, which has these tags from its first moment on; None where the name is taken."""

    def of_digests(self, region: str, digests: Sequence[str]) -> tuple[SeenLock, ...]:
        """The locks that carry one of these digests in their tags, expired ones too."""

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str], *, patient: bool = True) -> bool:
        """Tag all of these, locks and AMIs; False where one is not there, and then none is tagged. Without patience a
        failure is told soon."""

    def delete(self, region: str, lock: str) -> None:
        """By its id; where it is not there nothing happens."""


class ParameterStore(Protocol):
    """SSM's Parameter Store."""

    def values(self, region: str, names: Sequence[str]) -> Mapping[str, str | BakeryError]:
        """The AMI id that each parameter holds, or why it cannot be had: a bad name does not keep the others back."""


class BuildRequest(Frozen):
    """One run of `packer build`.

    template          as Packer gets it: absolute, or relative to `workdir`
    workdir           absolute path of the folder that Packer is started in
    variables         given with `-var`; those named in `sensitive`, and long ones, go through a private file instead.
                      The values of those in `structured` are JSON for numbers, booleans, lists or tables
    definition_arguments, arguments  more words: those that `packer validate` takes too, and the others
    secrets           to be masked in all that Packer says
    withheld          the same, in what it says before a build
    region            where the AMI is to be made: for templates that leave it to the environment
    """

    image: str
    template: str
    workdir: str
    region: str
    variables: tuple[tuple[str, str], ...] = ()
    sensitive: frozenset[str] = frozenset()
    structured: frozenset[str] = frozenset()
    var_files: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    definition_arguments: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    debug: bool = False
    hcl2: bool = False
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    withheld: frozenset[str] = field(default=frozenset(), repr=False)


class Packer(Protocol):
    def warm_up(self, *, plugins: bool) -> None:
        """`version`, and `plugins` where said, will be asked for soon: find out meanwhile. Raises nothing."""

    def version(self) -> str:
        """``1.6.6``. Raises `PackerError` where there is no Packer, or one that is too old."""

    def ssh_accepts_rsa(self) -> bool:
        """Whether the OpenSSH of this machine, as its user has configured it, accepts ssh-rsa host keys, which old
        Packers offer to Ansible. True where that is not known."""

    def lists_in_filters(self) -> bool:
        """Whether its builders take the value of a filter for comma-separated values. Raises as `version`."""

    def plugins(
        self, image: str, template: str, workdir: str, facts: TemplateFacts, reporter: Reporter
    ) -> tuple[UsedPlugin, ...]:
        """The plugins that a template will be built with, apart from those that this Packer has built in. `template` is
        as `build` gets it. What is installed is listed once, and again after `forget_plugins`.

        What the template requires and is not installed is fetched with `packer init`, if that is allowed; else it
        raises `PackerError`. No program in the repository is started.
        """

    def plugin_programs(self, template: str, workdir: str, facts: TemplateFacts) -> tuple[str, ...]:
        """The absolute paths of the same plugins, of those that are installed."""

    def forget_plugins(self) -> None: ...

    def build(self, request: BuildRequest, reporter: Reporter, made: Callable[[CreatedResource], None]) -> Built:
        """The AMIs that Packer says it made, in its order. Raises `PackerError` where it failed: with the end of its
        log, where the whole of it is, and the AMIs that it made all the same. `made` is told of each thing as soon as
        Packer says it, in a thread that Packer waits for: it must not take long."""

    def interrupt(self) -> None:
        """Tell every build that runs to stop and clean up; `build` then raises as for one that failed."""

    def stop(self, image: str) -> None:
        """Tell this image's build alone, if it runs, to stop and clean up. Told again, it does nothing more."""

    def interrupted(self) -> bool:
        """Whether all were told to."""

    def running_builds(self) -> Mapping[str, tuple[CreatedResource, ...]]:
        """What each build that runs has made so far, by image."""

    def why_not_validated(self, request: BuildRequest, facts: TemplateFacts) -> str:
        """Why `validate` would start a program that the definition brings, as a clause; empty where it would not, or
        where it may."""

    def validate(self, request: BuildRequest, *, syntax_only: bool = False) -> tuple[ValidationIssue, ...]:
        """What `packer validate` complains of. It starts installed plugins, and what `why_not_validated` says.
        `syntax_only`: the template and its var-files are parsed, no more."""


class Git(Protocol):
    def commit(self, folder: str) -> str:
        """The commit that `folder` is at, with `+dirty` behind it where the tree has changes; empty where not known.

        What bakes write (`.ami_id.json`, `packer_cache`) is no change.
        """

    def resolve_revision(self, folder: str, revision: str) -> str:
        """The commit that a revision names, in the repository that `folder` is in. Raises `UsageError` where git does
        not know it."""

    def refusal(self, folder: str) -> str:
        """Why git refuses to read the repository that `folder` is in, in its words, and what to run; one line. Empty
        where it does not refuse, or where there is no repository."""

    def missing_submodules(self, folder: str) -> tuple[str, ...]:
        """The submodules of the repository that `folder` is in which are not checked out: absolute paths."""

    def references(self, folder: str) -> tuple[str, ...]:
        """The branches and tags of the repository that `folder` is in, by their short names."""

    def tree(self, folder: str, revision: str) -> AbstractContextManager[RevisionTree | None]:
        """The files of a revision of the repository that `folder` is in, with `folder` as the root; None where git
        does not know the revision."""


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""

    def monotonic(self) -> float:
        """Seconds, for spans."""

    def sleep(self, seconds: float) -> None:
        """Raises `Stopped` where it is interrupted, or was."""

    def sleep_uninterrupted(self, seconds: float) -> None:
        """A sleep for what has to be finished: an interruption does not end it."""

    def interrupt(self) -> None:
        """End every sleep, now and from now on."""


class Reporter(Protocol):
    """Where progress is told, for people: it decides nothing."""

    def step(self, image: str, step: str) -> None:
        """What is being done for `image` now, as a clause: `baking with Packer 1.6.6`."""

    def update(self, image: str, step: str) -> None:
        """The step that was told last goes on, and this is what to say of it now; for a log, now and then is enough."""

    def line(self, image: str, line: str) -> None:
        """A line of Packer's, secrets masked."""

    def lines(self, image: str, lines: Sequence[str]) -> None:
        """Several at once, of which a live view shows only the last."""

    def done(self, image: str) -> None:
        """Nothing more is being done for `image`."""

    def remaining(self, images: int) -> None:
        """So many images are not done yet, those at work among them."""

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def error(self, message: str) -> None:
        """A failure of one image among several, worded and colored already; told however quiet we are."""

    def table(self, table: Table) -> None: ...

    def close(self) -> None:
        """Leave the terminal as it was."""


class Prompter(Protocol):
    """Who sits at the terminal, if anybody does."""

    def is_interactive(self) -> bool:
        """Whether somebody can be asked."""

    def confirm(self, question: str, waits: Callable[[], bool] = ..., /) -> bool:
        """Asks, and gives whether the answer is yes. No where nobody is there, and as soon as it `waits` no longer."""

    def interrupted_again(self) -> bool:
        """Whether we were told to end, by any signal, once more since this was asked last; the first one interrupts."""


class Ports(Frozen):
    """The whole outside world, as one command sees it."""

    tree: SourceTree
    stamps: StampReader
    templates: TemplateReader
    ec2: Ec2
    temporary_resources: TemporaryResources
    locks: Locks
    parameters: ParameterStore
    packer: Packer
    git: Git
    clock: Clock
    reporter: Reporter
    prompter: Prompter
    parse_config: Callable[[bytes, Config], Config]
    """The text of bakery.toml as a configuration with the root and file of the one given. Raises `ConfigError`."""
    new_run: Callable[[], str]
    """The id of a run, like no other."""
    environment: Mapping[str, str] = field(repr=False)
