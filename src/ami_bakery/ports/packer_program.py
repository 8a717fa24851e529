"""Interface to the installed Packer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.core.audit.trace import Trace
    from ami_bakery.core.packer.build_progress import CreatedResource
    from ami_bakery.core.packer.machine_output import Built, ValidationIssue
    from ami_bakery.core.packer.plugins import UsedPlugin
    from ami_bakery.ports.user_and_time import Reporter
    from ami_bakery.template.facts import TemplateFacts


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
