"""The library: plan and bake from Python.

It prints nothing, handles no signals, and never exits the process.

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

from ami_bakery.core.channel.parameter import ChannelResult  # noqa: TC001
from ami_bakery.core.config.keys import parse_region
from ami_bakery.core.config.selection import named, with_parents
from ami_bakery.core.config.value_parsers import InvalidValue
from ami_bakery.core.ec2.ami import DIGEST_TAG
from ami_bakery.core.packer.arguments import parse_packer_arguments
from ami_bakery.core.plan.desired_state import Step  # noqa: TC001
from ami_bakery.core.plan.outcome import Result  # noqa: TC001 (get_type_hints of the classes below needs them)
from ami_bakery.core.plan.plan import Action, Reason  # noqa: TC001
from ami_bakery.errors import BakeryError, SkippedError, UsageError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ami_bakery.core.config.model import Config
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.plan.outcome import Outcome
    from ami_bakery.core.plan.plan import ImagePlan
    from ami_bakery.core.text.table import Table
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.release.promotion import ChannelChange, ChannelPolicy

_JOBS = 4
_ABSENT = 'Create one with the lines: version = 1, [images.NAME], template = "PATH". Or pass its path.'


class EventKind(StrEnum):
    STEP = "step"
    """The image's current step."""
    LINE = "line"
    """A line of Packer's output, with secrets masked."""
    DONE = "done"
    """The work on the image has ended; the text is empty."""
    NOTE = "note"
    WARNING = "warning"


class Event(Frozen):
    """A progress event, for the user. `image` is None if it is not about exactly one image."""

    kind: EventKind
    text: str
    image: str | None = None


class PlannedImage(Frozen):
    """What a bake would do for one image.

    digest   as hex digits; None if its parent image has not been built yet
    regions  the image is built in the first one
    amis     ids of existing AMIs, by region; for the action `test`, they do not count yet
    steps    the steps of a bake, in order: the build, copies, tags and permissions
    """

    name: str
    action: Action
    reasons: tuple[Reason, ...]
    digest: str | None
    regions: tuple[str, ...]
    amis: Mapping[str, str]
    steps: tuple[Step, ...] = ()


class BakedImage(Frozen):
    """The result for one image.

    amis   ids by region, in the order of the image's regions; it was built in the first one. For a failed image, the
           AMIs that were finished anyway
    error  the error if the outcome is `failed`
    """

    name: str
    outcome: Result
    digest: str | None
    amis: Mapping[str, str]
    seconds: float
    error: BakeryError | None = None

    @property
    def ami_id(self) -> str:
        """The AMI in the image's first region. Raises `error` if the image failed."""
        if self.error is not None:
            raise self.error
        return next(iter(self.amis.values()))


class ChannelUpdate(Frozen):
    """The result of a promotion or roll-back for one image.

    parameter  the name of the SSM parameter, which is the same in each region
    amis       the ids that the channel has now, by region; after a failure, only regions that have the new AMI
    error      the error if the outcome is `failed`
    """

    name: str
    channel: str
    parameter: str
    outcome: ChannelResult
    digest: str | None
    amis: Mapping[str, str]
    error: BakeryError | None = None


class ChannelEntry(Frozen):
    """A channel of an image in one region.

    ami      None if this region has no parameter, or one that is not a channel
    behind   the number of newer builds of the image in this region; None if unknown
    by       the ARN of the last writer
    revoked  why the AMI is revoked; None if it is not
    differs  whether it has another build than the region that was written last
    problem  what is wrong with it, for users; empty if nothing is
    """

    name: str
    channel: str
    region: str
    parameter: str
    ami: str | None
    version: int | None
    digest: str | None
    behind: int | None
    since: datetime | None
    by: str | None
    revoked: str | None
    differs: bool
    problem: str


class ChannelFailed(BakeryError):
    """A promotion or roll-back failed. `images`: the results of all images.

    The message, and the `__cause__`, are those of the first image that failed.
    """

    def __init__(self, images: tuple[ChannelUpdate, ...], first: BakeryError) -> None:
        super().__init__(first.doing, first.wrong, first.todo)
        self.images = images


class BakeFailed(BakeryError):
    """An image failed.

    images  the results of all images and their parents; parents first

    The message, and the `__cause__`, are those of the first image that failed itself.
    """

    def __init__(self, images: tuple[BakedImage, ...], first: BakeryError) -> None:
        super().__init__(first.doing, first.wrong, first.todo)
        self.images = images


Watch = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Bakery:
    """The images of one `bakery.toml`. Each call reads the files, EC2 and the environment again.

    Credentials, proxies and the default region come from the process's environment and AWS's configuration files.
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
        """Reads a `bakery.toml`; None means the one in the current folder or the nearest folder above it.

        regions           override the configured regions, like --region
        packer            name or path of the Packer program
        packer_arguments  extra arguments for `packer build`, such as ("-var", "channel=stable"). Changes that they
                          make to an image are part of its digest
        watch             called with each `Event`, by one thread at a time, but not always by your thread. If it
                          raises, it is not called again, and the error is raised at the end of `plan` or `bake`

        Raises `UsageError` if the file does not exist, and `ConfigError` if it is invalid.
        """
        from ami_bakery.wiring import find_bakery_toml

        arguments = tuple(packer_arguments)
        if parse_packer_arguments(arguments).debug:
            raise UsageError(
                "reading packer_arguments",
                "-debug prompts on a terminal, which a library does not have",
                "Remove it, or run: ami-bakery bake -- -debug",
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
        """The names of the enabled images, in the order of the file."""
        return named(self._config, ())

    def plan(self, *images: str, force: bool = False, init: bool = False) -> tuple[PlannedImage, ...]:
        """Returns what `bake` would do for these images, and why. Accepts globs; the default is all images.

        Parents with pending changes are included. Parents come first.

        init  install missing required plugins with `packer init`; otherwise they are a `PackerError`.
              AMI_BAKERY_INIT=1 in the environment has the same effect
        """
        from ami_bakery.plan.planner import make_plans, with_locks
        from ami_bakery.plan.sharing import add_steps
        from ami_bakery.plan.uncovered import warn_of_unseen

        names = named(self._config, images)
        with self._resolver(trusted=False, fetch_plugins=init) as resolver:
            plans = make_plans(resolver, names, forced=frozenset(names if force else ()))
            plans = add_steps(resolver, with_locks(resolver, plans))
            warn_of_unseen(resolver, plans)
        return tuple(_planned(item.plan) for item in plans if item.plan.image in names or item.plan.to_do)

    def bake(
        self,
        *images: str,
        force: bool = False,
        jobs: int = _JOBS,
        fail_fast: bool = False,
        wait: bool = True,
        wait_timeout: timedelta | None = None,
    ) -> tuple[BakedImage, ...]:
        """Builds the missing AMIs of these images. Accepts globs; the default is all images.

        force      rebuild even if an AMI exists
        jobs       maximum number of concurrent builds
        fail_fast  stop at the first failure; otherwise independent images continue
        wait       if another runner is building an image, wait for its AMI, at most `wait_timeout`; without `wait`, or
                   after the timeout, the image fails with a `BusyError`

        Returns the images in the order of the file. Raises `BakeFailed` if an image failed.
        """
        forced = frozenset(named(self._config, images) if force else ())
        return self._bake(images, forced, frozenset(), jobs, fail_fast, wait, wait_timeout, builds=True)

    def test(
        self,
        *images: str,
        force: bool = False,
        jobs: int = _JOBS,
        fail_fast: bool = False,
        wait: bool = True,
        wait_timeout: timedelta | None = None,
    ) -> tuple[BakedImage, ...]:
        """Tests these images' AMIs that have not passed the current test. Builds nothing.

        force  also test AMIs that passed it

        The other parameters, and the result, are those of `bake`. Images without a test are ignored. An image without
        an AMI, or with an AMI that fails its test, has failed.
        """
        names = named(self._config, images)
        with_test = [name for name in names if self._config.image(name).test is not None]
        if not with_test:
            return ()
        retested = frozenset(with_test if force else ())
        return self._bake(with_test, frozenset(), retested, jobs, fail_fast, wait, wait_timeout, builds=False)

    def _bake(
        self,
        images: Sequence[str],
        forced: frozenset[str],
        retested: frozenset[str],
        jobs: int,
        fail_fast: bool,
        wait: bool,
        wait_timeout: timedelta | None,
        *,
        builds: bool,
    ) -> tuple[BakedImage, ...]:
        from ami_bakery.bake import WaitPolicy, bake_all

        if jobs < 1:
            raise UsageError(f"baking with jobs={jobs}", "jobs must be at least 1", "The default is 4.")
        names = named(self._config, images)
        with self._resolver(trusted=True, fetch_plugins=True) as resolver:
            done = bake_all(
                resolver,
                names,
                forced=forced,
                jobs=jobs,
                fail_fast=fail_fast,
                wait_policy=WaitPolicy(waits=wait, timeout=wait_timeout),
                builds=builds,
                retested=retested,
            )
            baked = {outcome.image: _baked(outcome) for outcome in done}
        errors = [image.error for image in baked.values() if image.error is not None]
        if errors:
            first = next((error for error in errors if not isinstance(error, SkippedError)), errors[0])
            raise BakeFailed(tuple(baked[name] for name in with_parents(self._config, names)), first) from first
        return tuple(baked[name] for name in names)

    def promote(
        self,
        *images: str,
        to: str,
        source: str | None = None,
        ami: str | None = None,
        adopt: bool = False,
        timeout: timedelta | None = None,
        wait: bool = True,
        wait_timeout: timedelta | None = None,
    ) -> tuple[ChannelUpdate, ...]:
        """Puts an AMI of each image into channel `to` in every region. Accepts globs; the default is all images.

        source   promote the AMI of this channel; the default is the AMI of the current definition
        ami      promote this AMI of the only image, and its copies in the other regions
        adopt    overwrite parameters that ami-bakery did not create
        timeout  how long each region may take to show the AMI; the default is a minute
        wait     wait for another runner that changes the channel, at most `wait_timeout`; otherwise `BusyError`

        Raises `ChannelFailed` if an image failed, after all others are done.
        """
        from ami_bakery.release.promotion import Origin, promote

        names = named(self._config, images)
        if source and ami:
            raise UsageError("promoting", "source and ami are both given", "Give one of them.")
        if ami and len(names) != 1:
            raise UsageError("promoting an AMI", f"{len(names)} images are selected", "Name exactly one image.")
        policy = _channel_policy(adopt, timeout, wait, wait_timeout)
        with self._resolver(trusted=True, fetch_plugins=True) as resolver:
            return _updates(promote(resolver, names, to, Origin(channel=source or "", ami=ami or ""), policy))

    def rollback(
        self,
        image: str,
        *,
        channel: str,
        to: str | int | None = None,
        adopt: bool = False,
        timeout: timedelta | None = None,
        wait: bool = True,
        wait_timeout: timedelta | None = None,
    ) -> ChannelUpdate:
        """Puts the previous AMI back into the channel, in every region.

        Skips AMIs that do not exist any more or are revoked.

        to  an AMI that was in the channel, or the number of a version in the image's first region

        The other arguments and errors are those of `promote`.
        """
        from ami_bakery.release.promotion import roll_back

        policy = _channel_policy(adopt, timeout, wait, wait_timeout)
        target = "" if to is None else str(to)
        if target and not target.startswith("ami-") and not (target.isascii() and target.isdigit()):
            raise UsageError("rolling back", f"to={target!r} is neither an AMI id nor a version", "Correct it.")
        with self._resolver(trusted=True, fetch_plugins=True) as resolver:
            (update,) = _updates(roll_back(resolver, named(self._config, [image]), channel, target, policy))
            return update

    def channels(self, *images: str) -> tuple[ChannelEntry, ...]:
        """Returns the channels of these images in each region. Accepts globs; the default is all images."""
        from ami_bakery.release.channel_listing import list_channels

        with self._resolver(trusted=False, fetch_plugins=False) as resolver:
            return tuple(map(_entry, list_channels(resolver, named(self._config, images))))

    @contextmanager
    def _resolver(self, *, trusted: bool, fetch_plugins: bool) -> Iterator[Resolver]:
        """Creates new ports for each call: interrupted ones stay interrupted, and credentials expire."""
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
    """A `Reporter` that calls a function of the user.

    An exception of that function must not stop the thread that reads Packer's output: it is stored in `failure`, and
    the function is not called again.
    """

    def __init__(self, watch: Watch | None) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self.failure: Exception | None = None

    def step(self, image: str, step: str) -> None:
        self._emit(EventKind.STEP, step, image)

    def update(self, image: str, step: str) -> None:
        self._emit(EventKind.STEP, step, image)

    def line(self, image: str, line: str) -> None:
        self._emit(EventKind.LINE, line, image)

    def lines(self, image: str, lines: Sequence[str]) -> None:
        for line in lines:
            self.line(image, line)

    def done(self, image: str) -> None:
        self._emit(EventKind.DONE, "", image)

    def remaining(self, images: int) -> None:
        """Ignored: the caller knows the number of images."""

    def note(self, message: str) -> None:
        self._emit(EventKind.NOTE, message)

    def warn(self, message: str) -> None:
        self._emit(EventKind.WARNING, message)

    def error(self, message: str) -> None:
        self._emit(EventKind.WARNING, message)

    def table(self, table: Table) -> None:
        """Ignored: tables are for the command line."""

    def close(self) -> None:
        pass

    def _emit(self, kind: EventKind, text: str, image: str | None = None) -> None:
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


def _channel_policy(
    adopt: bool, timeout: timedelta | None, wait: bool, wait_timeout: timedelta | None
) -> ChannelPolicy:
    from ami_bakery.bake import WaitPolicy
    from ami_bakery.release.promotion import DEFAULT_TIMEOUT, ChannelPolicy

    waits = WaitPolicy(waits=wait, timeout=wait_timeout)
    return ChannelPolicy(wait=waits, timeout=DEFAULT_TIMEOUT if timeout is None else timeout, adopt=adopt)


def _updates(changes: Iterable[ChannelChange]) -> tuple[ChannelUpdate, ...]:
    """Returns the results. Raises `ChannelFailed` if one has an error."""
    updates = tuple(
        ChannelUpdate(
            name=change.image,
            channel=change.channel,
            parameter=change.parameter,
            outcome=change.result,
            digest=change.digest or None,
            amis=_ids(change.amis),
            error=change.error,
        )
        for change in changes
    )
    first = next((update.error for update in updates if update.error is not None), None)
    if first is not None:
        raise ChannelFailed(updates, first) from first
    return updates


def _entry(row: ChannelRow) -> ChannelEntry:
    current = row.current
    return ChannelEntry(
        name=row.image,
        channel=row.channel,
        region=row.region,
        parameter=row.parameter.name,
        ami=current.value if current and current.holds_amis else None,
        version=current.number if current else None,
        digest=row.ami.tags.get(DIGEST_TAG) if row.ami else None,
        behind=row.behind,
        since=current.modified if current else None,
        by=(current.user if current else "") or None,
        revoked=row.revoked or None,
        differs=row.differs,
        problem=row.problem,
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
