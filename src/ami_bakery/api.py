"""The library: plan and bake from Python; nothing is printed, no signal is handled, and nothing ends the process.

>>> from ami_bakery import Bakery
>>> bakery = Bakery.load("bakery.toml")
>>> for image in bakery.plan():
...     print(image.name, image.action, image.reasons[0].kind)
app bake never-baked
>>> (app,) = bakery.bake("app")
>>> app.ami_id
'ami-...'
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from ami_bakery.core.config.keys import InvalidValue, parse_region
from ami_bakery.core.config.selection import named, with_parents
from ami_bakery.core.packer.arguments import parse_packer_arguments
from ami_bakery.core.plan.desired_state import Step  # noqa: TC001
from ami_bakery.core.plan.outcome import Result  # noqa: TC001 (whoever asks for the hints of these classes gets them)
from ami_bakery.core.plan.plan import Action, Reason  # noqa: TC001
from ami_bakery.errors import BakeryError, SkippedError, UsageError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from datetime import timedelta

    from ami_bakery.core.config.model import Config
    from ami_bakery.core.ec2.image import Ami
    from ami_bakery.core.plan.outcome import Outcome
    from ami_bakery.core.plan.plan import ImagePlan
    from ami_bakery.core.text.table import Table
    from ami_bakery.define.resolver import Resolver

_JOBS = 4
_ABSENT = 'Create one with the lines: version = 1, [images.NAME], template = "PATH". Or name one.'


class EventKind(StrEnum):
    STEP = "step"
    """What is being done for the image now."""
    LINE = "line"
    """A line of Packer's, secrets masked."""
    DONE = "done"
    """Nothing more is being done for the image; without a text."""
    NOTE = "note"
    WARNING = "warning"


class Event(Frozen):
    """Something that happened meanwhile, for people. `image` is None where it is of none, or of several."""

    kind: EventKind
    text: str
    image: str | None = None


class PlannedImage(Frozen):
    """What a bake would do for one image.

    digest   as hex digits; None where its base is still to be baked
    regions  the first is where it is baked
    amis     the ids that are there already, by region
    steps    what a bake would do, in its order: the bake, copies, tags and permissions
    """

    name: str
    action: Action
    reasons: tuple[Reason, ...]
    digest: str | None
    regions: tuple[str, ...]
    amis: Mapping[str, str]
    steps: tuple[Step, ...] = ()


class BakedImage(Frozen):
    """What became of one image.

    amis   ids by region, in the order of the image's regions: the first is where it was baked. Of one that failed,
           those that are finished all the same
    error  where the outcome is `failed`
    """

    name: str
    outcome: Result
    digest: str | None
    amis: Mapping[str, str]
    seconds: float
    error: BakeryError | None = None

    @property
    def ami_id(self) -> str:
        """The AMI in the region where the image is baked. Raises `error` where there is none."""
        if self.error is not None:
            raise self.error
        return next(iter(self.amis.values()))


class BakeFailed(BakeryError):
    """An image could not be baked. `images` has what became of each, and of what they are made from; parents first.

    Its three parts, and its `__cause__`, are those of the first that failed by itself.
    """

    def __init__(self, images: tuple[BakedImage, ...], first: BakeryError) -> None:
        super().__init__(first.doing, first.wrong, first.todo)
        self.images = images


Watch = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Bakery:
    """The images of one `bakery.toml`. Each call looks at the files, at EC2 and at the environment as they are then.

    Credentials, proxies and the region where none is configured come from the process's environment and AWS's files.
    """

    _config: Config
    _regions: tuple[str, ...] = ()
    _packer: str = "packer"
    _packer_arguments: tuple[str, ...] = ()
    _watch: Watch | None = None

    def __repr__(self) -> str:
        return f"<Bakery {self._config.root}/{self._config.file}>"

    @classmethod
    def load(
        cls,
        config: str | os.PathLike[str] | None = None,
        *,
        regions: Iterable[str] = (),
        packer: str | os.PathLike[str] = "packer",
        packer_arguments: Iterable[str] = (),
        watch: Watch | None = None,
    ) -> Self:
        """Read a `bakery.toml`; None means the one in the current folder, or in the nearest above it.

        regions           work in these instead of those configured, as with --region
        packer            the Packer program, by name or path
        packer_arguments  more arguments for `packer build`, such as ("-var", "channel=stable"): what they change of
                          an image is part of its digest
        watch             called with each `Event`, by one thread at a time, but not always by yours; what it raises
                          is raised when the call of `plan` or `bake` ends, and it is not called again until then

        Raises `UsageError` where there is no such file, and `ConfigError` where it is wrong.
        """
        from ami_bakery.wiring import find_bakery_toml

        arguments = tuple(packer_arguments)
        if parse_packer_arguments(arguments).debug:
            raise UsageError(
                "reading packer_arguments",
                "-debug asks somebody at a terminal, and a library has none",
                "Leave it out, or run: ami-bakery bake -- -debug",
            )
        return cls(
            _config=find_bakery_toml(None if config is None else os.fspath(config), _ABSENT),
            _regions=tuple(dict.fromkeys(_checked_region(region) for region in regions)),
            _packer=os.fspath(packer),
            _packer_arguments=arguments,
            _watch=watch,
        )

    @property
    def images(self) -> tuple[str, ...]:
        """The names of the images that are switched on, in the order of the file."""
        return named(self._config, ())

    def plan(self, *images: str, force: bool = False, init: bool = False) -> tuple[PlannedImage, ...]:
        """What `bake` would do for these images, and why; all where none is named, and globs are taken too.

        With what they are made from, where there is something to do for that; parents first.

        init  fetch plugins that a template requires and that are missing, with `packer init`; else that is a
              `PackerError`. AMI_BAKERY_INIT=1 in the environment does the same
        """
        from ami_bakery.plan.planner import make_plans, warn_of_unseen, with_locks
        from ami_bakery.plan.sharing import add_steps

        names = named(self._config, images)
        with self._resolver(trusted=False, fetch_plugins=init) as resolver:
            made = make_plans(resolver, names, forced=frozenset(names if force else ()))
            plans = add_steps(resolver, with_locks(resolver, made))
            warn_of_unseen(resolver, plans)
        told = (item.plan for item in plans)
        return tuple(_planned(plan) for plan in told if plan.image in names or plan.to_do)

    def bake(
        self,
        *images: str,
        force: bool = False,
        jobs: int = _JOBS,
        fail_fast: bool = False,
        wait: bool = True,
        wait_timeout: timedelta | None = None,
    ) -> tuple[BakedImage, ...]:
        """Make sure that the AMIs of these images exist; all where none is named, and globs are taken too.

        force      bake these images whatever is there
        jobs       how many are baked at once, at most
        fail_fast  stop everything at the first failure; else what does not depend on it goes on
        wait       where another runner is baking the same, wait for its AMI, at most for `wait_timeout` or as long as
                   it takes; else, and when that is over, it fails with a `BusyError`

        Gives the images in the order of the file. Raises `BakeFailed` where one could not be baked.
        """
        from ami_bakery.bake import WaitPolicy, bake_all

        if jobs < 1:
            raise UsageError(f"baking with jobs={jobs}", "at least 1 is wanted", "Leave it out for 4.")
        names = named(self._config, images)
        forced = frozenset(names if force else ())
        with self._resolver(trusted=True, fetch_plugins=True) as resolver:
            patience = WaitPolicy(waits=wait, timeout=wait_timeout)
            done = bake_all(resolver, names, forced=forced, jobs=jobs, fail_fast=fail_fast, patience=patience)
            baked = {outcome.image: _baked(outcome) for outcome in done}
        errors = [image.error for image in baked.values() if image.error is not None]
        if errors:
            first = next((error for error in errors if not isinstance(error, SkippedError)), errors[0])
            raise BakeFailed(tuple(baked[name] for name in with_parents(self._config, names)), first) from first
        return tuple(baked[name] for name in names)

    @contextmanager
    def _resolver(self, *, trusted: bool, fetch_plugins: bool) -> Iterator[Resolver]:
        """A new outside world for each call: an interrupted one stays interrupted, and credentials grow old."""
        from ami_bakery.adapters.terminal.prompt import NoPrompter
        from ami_bakery.define.resolver import Resolver
        from ami_bakery.wiring import create_ports

        reporter = _CallbackReporter(self._watch)
        with ExitStack() as stack:
            ports = create_ports(
                self._config,
                dict(os.environ),
                reporter,
                NoPrompter(),
                stack,
                packer=self._packer,
                fetch_plugins=fetch_plugins,
                trusted=trusted,
                terminal=io.BytesIO(),
            )
            yield Resolver(
                ports=ports,
                config=self._config,
                arguments=parse_packer_arguments(self._packer_arguments),
                regions=self._regions,
            )
        if reporter.failure is not None:
            raise reporter.failure


class _CallbackReporter:
    """A `Watcher` that hands on to a function of the user's.

    What that raises must not stop the thread that listens to Packer: it is kept, to be raised when the call ends, and
    the function is not called again.
    """

    def __init__(self, watch: Watch | None) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self.failure: Exception | None = None

    def step(self, image: str, step: str) -> None:
        self._tell(EventKind.STEP, step, image)

    def update(self, image: str, step: str) -> None:
        self._tell(EventKind.STEP, step, image)

    def line(self, image: str, line: str) -> None:
        self._tell(EventKind.LINE, line, image)

    def lines(self, image: str, lines: Sequence[str]) -> None:
        for line in lines:
            self.line(image, line)

    def done(self, image: str) -> None:
        self._tell(EventKind.DONE, "", image)

    def remaining(self, images: int) -> None:
        """Whoever calls knows how many there are."""

    def note(self, message: str) -> None:
        self._tell(EventKind.NOTE, message)

    def warn(self, message: str) -> None:
        self._tell(EventKind.WARNING, message)

    def error(self, message: str) -> None:
        self._tell(EventKind.WARNING, message)

    def table(self, table: Table) -> None:
        """Tables are for the command line."""

    def close(self) -> None:
        pass

    def _tell(self, kind: EventKind, text: str, image: str | None = None) -> None:
        if self._watch is None:
            return
        with self._lock:
            if self.failure is None:
                try:
                    self._watch(Event(kind=kind, text=text, image=image))
                except Exception as error:
                    self.failure = error


def _checked_region(text: str) -> str:
    try:
        return parse_region(text)
    except InvalidValue as wrong:
        raise UsageError("reading regions", wrong.message, 'Write, for example: regions=["us-east-1"]') from None


def _ids(amis: Mapping[str, Ami]) -> dict[str, str]:
    return {region: ami.id for region, ami in amis.items()}


def _planned(plan: ImagePlan) -> PlannedImage:
    return PlannedImage(
        name=plan.image,
        action=plan.action,
        reasons=plan.reasons,
        digest=plan.digest.hex if plan.digest else None,
        regions=plan.regions,
        amis=_ids(plan.amis),
        steps=plan.steps,
    )


def _baked(outcome: Outcome) -> BakedImage:
    return BakedImage(
        name=outcome.image,
        outcome=outcome.result,
        digest=outcome.plan.digest.hex if outcome.plan.digest else None,
        amis=_ids(outcome.amis),
        seconds=outcome.seconds,
        error=outcome.error,
    )
