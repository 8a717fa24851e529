"""Interfaces to external systems, as protocols; implemented by adapters and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ami_bakery.template.source_tree import SourceTree
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from ami_bakery.core.audit.trace import Trace
    from ami_bakery.core.channel.parameter import ChannelVersion
    from ami_bakery.core.config.model import Config
    from ami_bakery.core.definition.stamp import Stamp
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.ec2.resource import Resource
    from ami_bakery.core.lock.lock import LockRecord
    from ami_bakery.core.packer.build_progress import CreatedResource
    from ami_bakery.core.packer.machine_output import Built, ValidationIssue
    from ami_bakery.core.packer.plugins import UsedPlugin
    from ami_bakery.core.text.table import Table
    from ami_bakery.errors import BakeryError
    from ami_bakery.template.facts import Login, TemplateFacts, TemplateRequest


class StampReader(Protocol):
    """Reads file status. Paths and errors are those of `SourceTree`."""

    def stamp(self, path: str) -> Stamp | None:
        """Returns the status of `path`, without following links; None if it does not exist."""

    def visited_paths(self, path: str) -> Iterator[str]:
        """Yields all paths on the way to the target of `path`.

        They are the absolute paths of the folders and links on the way, and of the target.
        """


class RevisionTree(SourceTree, Protocol):
    """The files of a git revision.

    Ignored files, and files outside the repository, are read from disk as they are now.
    """

    def holds(self, path: str) -> bool:
        """Returns whether the revision contains `path`."""

    def same_content(self, paths: Sequence[str]) -> frozenset[str]:
        """Returns the files whose content is certainly the same now.

        Considers conversions of line endings and encodings, and Git LFS. Runs no filter.
        """

    def undecided(self, paths: Sequence[str]) -> frozenset[str]:
        """Returns the files that may have changed: `same_content` does not include them, and they have a filter."""


class TemplateReader(Protocol):
    """Reads a Packer template as Packer does, without running Packer."""

    def read(self, tree: SourceTree, request: TemplateRequest) -> TemplateFacts:
        """Reads a template. Raises `TemplateError`, with the line, if it is missing or does not parse."""


class BuilderAccount(Frozen):
    """The account that a builder builds in.

    accounts  the candidates; exactly one if the account is certain
    unknown   why it may be another account
    """

    accounts: frozenset[str] = frozenset()
    unknown: str = ""


class CopyRequest(Frozen):
    """A copy of an AMI to another region. It is encrypted if `kms_key` is set."""

    source: Ami
    region: str
    name: str
    tags: Mapping[str, str]
    snapshot_tags: Mapping[str, str]
    kms_key: str = ""


class Ec2(Protocol):
    """AMIs in EC2, one region per call. Each method reads all pages, and raises `AwsError`."""

    def default_region(self) -> str:
        """Returns the region of the environment or the AWS profile. Raises `UsageError` if neither has one."""

    def known_regions(self) -> tuple[str, ...]:
        """Returns the regions that the SDK knows, without a request. Empty with a custom endpoint."""

    def account(self, region: str) -> str:
        """Returns the account of the credentials. The answer is cached."""

    def account_of(self, region: str, login: Login, packer: str) -> BuilderAccount:
        """Returns the account of a builder with its own credentials.

        The result is for this version of Packer. The method does not run the `credential_process` of a profile. It
        raises no error.
        """

    def find_by_digest(self, region: str, digests: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        """Returns AMIs in any state whose tag `ami_config_checksum` is one of `digests`."""

    def find_by_image(self, region: str, images: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        """Returns AMIs in any state whose tag `ami-bakery:image` is one of `images`."""

    def find_tagged(self, region: str, images: Sequence[str], tag: str) -> tuple[Ami, ...]:
        """Returns this account's AMIs of these images that have the tag `tag`. They may be in any state."""

    def find_test_failed(self, region: str, digests: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        """Returns AMIs whose tag `ami-bakery:test-failed` is one of `digests`."""

    def regions(self, region: str) -> tuple[str, ...]:
        """Returns the regions that are enabled for this account, according to `region`."""

    def find_with_any_digest(self, region: str, owners: Sequence[str]) -> tuple[Ami, ...]:
        """Returns AMIs in any state that have the tag `ami_config_checksum`."""

    def find_by_id(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        """Returns the existing AMIs among `ids`."""

    def find_own(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        """Returns the AMIs among `ids` that belong to this account."""

    def find_snapshots_by_digest(self, region: str, digests: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Returns this account's snapshots by their digest tag. Snapshots outlive a deregistered AMI."""

    def find_matching(
        self,
        region: str,
        owners: Sequence[str],
        filters: Sequence[tuple[str, Sequence[str]]],
        *,
        deprecated: bool = False,
        in_any_state: bool = False,
    ) -> tuple[Ami, ...]:
        """Returns AMIs of these owners that match EC2's filters.

        By default, returns only available AMIs, and no deprecated AMIs of other accounts.
        """

    def find_by_name(self, region: str, names: Sequence[str]) -> tuple[Ami, ...]:
        """Returns this account's AMIs, in any state, with one of these names. Names are unique in an account."""

    def find_created_from(self, region: str, instances: Sequence[str]) -> tuple[Ami, ...]:
        """Returns this account's AMIs created from these instances, even from terminated ones."""

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str]) -> None: ...

    def untag(self, region: str, ids: Sequence[str], names: Sequence[str]) -> None:
        """Deletes tags; sets them to an empty value if the credentials may not delete them."""

    def drop_empty_tags(self, region: str, ids: Sequence[str], names: Sequence[str]) -> None:
        """Deletes those of these tags whose value is empty. Does nothing if the credentials may not delete tags."""

    def permissions(self, region: str, resource: str) -> frozenset[str]:
        """Returns the accounts and ARNs that may use an AMI or snapshot. Adds `all` if it is public."""

    def grant(self, region: str, resource: str, targets: Sequence[str]) -> None:
        """Shares an AMI or a snapshot with these targets."""

    def revoke(self, region: str, resource: str, targets: Sequence[str]) -> None:
        """Removes these targets' access."""

    def copy(self, request: CopyRequest) -> str:
        """Starts a copy. Returns the id of the new AMI, which is pending, and has its tags already."""


class TemporaryResources(Protocol):
    """Temporary resources of builds in EC2, one region per call.

    Each method reads all pages, ignores resources that do not exist, and raises `AwsError`.
    """

    def tagged(self, region: str, keys: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Returns all resources with one of these tags: the requested tags, by resource id."""

    def instances(
        self, region: str, *, ids: Sequence[str] = (), key_pairs: Sequence[str] = (), amis: Sequence[str] = ()
    ) -> tuple[Resource, ...]:
        """Returns instances that are not terminated: by id, by key pair name, or by AMI."""

    def source_amis(self, region: str, instances: Sequence[str]) -> Mapping[str, str]:
        """Returns the AMI that each of these instances was started from. Includes terminated ones that EC2 shows."""

    def security_groups(
        self, region: str, *, ids: Sequence[str] = (), names: Sequence[str] = ()
    ) -> tuple[Resource, ...]: ...

    def key_pairs(self, region: str) -> tuple[Resource, ...] | None:
        """Returns all key pairs; None without permission to list them, which Packer's documented policy lacks."""

    def volumes(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]: ...

    def snapshots(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]:
        """Returns the snapshots of this account among `ids`."""

    def remove(self, resource: Resource) -> None:
        """Requests the removal, without waiting for it. A missing resource counts as removed."""


class Locks(Protocol):
    """Locks in EC2, one region per call. A lock's name is unique. Each method raises `AwsError`."""

    def holder(self) -> str:
        """Returns a description of this machine and process: ``build-7 (pid 42)``."""

    def now(self, region: str) -> datetime:
        """Returns EC2's time without a request. The time is the same for all runners."""

    def acquire(self, region: str, name: str, tags: Mapping[str, str]) -> str | None:
        """Creates a lock with these tags and returns its id; None if a lock of this name exists."""

    def of_digests(self, region: str, digests: Sequence[str]) -> tuple[LockRecord, ...]:
        """Returns the locks of these digests, including expired ones."""

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str], *, retry: bool = True) -> bool:
        """Tags all these locks and AMIs, or none. Returns False if one does not exist.

        `retry`: whether to retry, with long timeouts; otherwise it fails after a few seconds.
        """

    def delete(self, region: str, lock: str) -> None:
        """Deletes a lock by its id. A missing lock is ignored."""


class ParameterStore(Protocol):
    """AWS Systems Manager Parameter Store."""

    def values(self, region: str, names: Sequence[str]) -> Mapping[str, str | BakeryError]:
        """Returns the AMI id in each parameter, or the error. One bad name does not affect the others."""

    def below(self, region: str, path: str) -> tuple[str, ...]:
        """Returns the names of all parameters below a path, sorted. Raises `AwsError`."""

    def history(self, region: str, name: str) -> tuple[ChannelVersion, ...]:
        """Returns the versions of a parameter, oldest first; none if it does not exist. Raises `AwsError`."""

    def current(self, region: str, name: str) -> tuple[int, str] | None:
        """Returns the newest version's number and value; None without a parameter. Raises `AwsError`."""

    def put(self, region: str, name: str, ami: str, description: str, *, overwrite: bool) -> int:
        """Asks SSM to write an AMI id. Returns the number that the version will have. Raises `AwsError`.

        SSM validates the id later, and drops the write if it is invalid. Without `overwrite`, an existing parameter is
        an error with the code `ParameterAlreadyExists`.
        """


class BuildRequest(Frozen):
    """One run of `packer build`.

    template          as passed to Packer: absolute, or relative to `workdir`
    workdir           absolute path of Packer's working directory
    variables         passed with `-var`. Long values, and variables in `sensitive`, are passed in a private file.
                      Values of variables in `structured` are JSON (numbers, booleans, lists, maps)
    definition_arguments  extra arguments that `packer validate` accepts, too
    arguments         other extra arguments
    secrets           values to mask in Packer's output
    withheld          values to mask in Packer's output before a build
    region            the region of the AMI, for templates that read it from the environment
    traced            called after the build, even a failed one, with what it opened; None: do not trace it
    tested_ami        the AMI that this run tests; empty for a build
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
    tested_ami: str = ""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    withheld: frozenset[str] = field(default=frozenset(), repr=False)
    traced: Callable[[Trace], None] | None = field(default=None, repr=False, compare=False)


class Packer(Protocol):
    """The installed Packer."""

    def warm_up(self, *, plugins: bool) -> None:
        """Looks up the version, and optionally the plugins, in the background. Raises no error."""

    def program(self) -> str:
        """Returns the absolute path of the program. Raises `PackerError` if Packer is missing."""

    def version(self) -> str:
        """Returns the version, such as ``1.6.6``. Raises `PackerError` if Packer is missing or too old."""

    def ssh_accepts_rsa(self) -> bool:
        """Returns whether the local OpenSSH configuration accepts ssh-rsa host keys; True if unknown.

        Old Packer versions offer only these keys to Ansible.
        """

    def lists_in_filters(self) -> bool:
        """Returns whether builders split filter values at commas. Raises the errors of `version`."""

    def plugins(
        self, image: str, template: str, workdir: str, facts: TemplateFacts, reporter: Reporter
    ) -> tuple[UsedPlugin, ...]:
        """Returns the plugins that a build will use, without Packer's built-in ones. `template` is as for `build`.

        Missing required plugins are installed with `packer init` if that is allowed; otherwise it raises
        `PackerError`. The list of installed plugins is cached until `forget_plugins`. No program of the repository
        runs.
        """

    def plugin_programs(self, template: str, workdir: str, facts: TemplateFacts) -> tuple[str, ...]:
        """Returns the absolute paths of the installed plugins among these."""

    def forget_plugins(self) -> None: ...

    def build(self, request: BuildRequest, reporter: Reporter, made: Callable[[CreatedResource], None]) -> Built:
        """Runs `packer build` and returns the AMIs that Packer reports.

        The AMIs are in Packer's order. Raises `PackerError` on failure: with the end of the log, the path of the full
        log, and AMIs that were created anyway. `made` is called for each created resource as soon as Packer reports
        it, in a thread that blocks Packer, so it must return quickly.
        """

    def check_tracing(self) -> None:
        """Raises `PackerError` if builds cannot be traced on this machine."""

    def interrupt(self) -> None:
        """Interrupts all running builds, so that they clean up. `build` then raises as for a failure."""

    def stop(self, image: str) -> None:
        """Interrupts the running build of this image, if any. A second call has no effect."""

    def interrupted(self) -> bool:
        """Returns whether `interrupt` was called."""

    def running_builds(self) -> Mapping[str, tuple[CreatedResource, ...]]:
        """Returns the resources that running builds have created so far, by image."""

    def why_not_validated(self, request: BuildRequest, facts: TemplateFacts) -> str:
        """Returns why `validate` would run a program of the definition.

        The reason is a clause. It is empty if `validate` would not, or if that is allowed.
        """

    def validate(self, request: BuildRequest, *, syntax_only: bool = False) -> tuple[ValidationIssue, ...]:
        """Returns the issues that `packer validate` reports.

        It runs installed plugins, and the programs that `why_not_validated` describes. With `syntax_only`, Packer only
        parses the template and its var-files.
        """


class Git(Protocol):
    """The git repository of a folder."""

    def commit(self, folder: str) -> str:
        """Returns the current commit, with `+dirty` if the work tree has changes; empty if unknown.

        Files that a bake writes (`.ami_id.json`, `packer_cache`) do not count as changes.
        """

    def resolve_revision(self, folder: str, revision: str) -> str:
        """Returns the commit of a revision in the repository of `folder`. Raises `UsageError` if it is unknown."""

    def refusal(self, folder: str) -> str:
        """Returns why git refuses to read the repository, and what to run.

        The text is one line. It is empty if git does not refuse.
        """

    def missing_submodules(self, folder: str) -> tuple[str, ...]:
        """Returns the absolute paths of submodules that are not checked out."""

    def references(self, folder: str) -> tuple[str, ...]:
        """Returns the short names of branches and tags."""

    def tree(self, folder: str, revision: str) -> AbstractContextManager[RevisionTree | None]:
        """Returns the files of a revision, with `folder` as the root; None if git does not know the revision."""


class Clock(Protocol):
    """This machine's time, and sleeps that can be interrupted."""

    def now(self) -> datetime:
        """Returns the time, timezone-aware, in UTC."""

    def monotonic(self) -> float:
        """Returns seconds, to measure durations."""

    def sleep(self, seconds: float) -> None:
        """Sleeps. Raises `Stopped` if `interrupt` is called, or was called before."""

    def sleep_uninterrupted(self, seconds: float) -> None:
        """Sleeps, even after `interrupt`: for work that must be finished."""

    def interrupt(self) -> None:
        """Ends all current and future sleeps."""


class Reporter(Protocol):
    """Shows progress and messages to the user."""

    def step(self, image: str, step: str) -> None:
        """Starts a step of `image`, described by a clause: `building with Packer 1.6.6`."""

    def update(self, image: str, step: str) -> None:
        """Updates the description of the current step. A log may show only some updates."""

    def line(self, image: str, line: str) -> None:
        """Shows a line of Packer's output, with secrets masked."""

    def lines(self, image: str, lines: Sequence[str]) -> None:
        """Shows several lines. A live view shows only the last one."""

    def done(self, image: str) -> None:
        """Ends the work on `image`."""

    def remaining(self, images: int) -> None:
        """Sets the number of unfinished images, including those in progress."""

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def error(self, message: str) -> None:
        """Shows the formatted error of one image among several, even with --quiet."""

    def table(self, table: Table) -> None: ...

    def close(self) -> None:
        """Restores the terminal."""


class Prompter(Protocol):
    """Prompts the user at the terminal, if any."""

    def is_interactive(self) -> bool:
        """Returns whether there is a terminal to ask on."""

    def confirm(self, question: str, waits: Callable[[], bool] = ..., /) -> bool:
        """Asks a yes-or-no question. Returns False without a terminal, or as soon as `waits` returns False."""

    def interrupted_again(self) -> bool:
        """Returns whether a signal to end arrived since the last call. The first signal does not count."""


class Ports(Frozen):
    """All external systems that a command uses."""

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
    """Parses the text of a bakery.toml, with the root and file of the given configuration. Raises `ConfigError`."""
    new_run: Callable[[], str]
    """Returns a unique id for a run."""
    environment: Mapping[str, str] = field(repr=False)
