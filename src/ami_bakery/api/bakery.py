"""The images of a `bakery.toml`, and what can be done with them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from ami_bakery.api.conversions import (
    baked_image,
    channel_entry,
    channel_policy,
    channel_updates,
    checked_prune,
    checked_revocation,
    planned_image,
)
from ami_bakery.api.events import CallbackReporter
from ami_bakery.api.results import BakeFailed
from ami_bakery.core.config.keys import parse_region
from ami_bakery.core.config.selection import named, with_parents
from ami_bakery.core.config.value_parsers import InvalidValue
from ami_bakery.core.packer.arguments import parse_packer_arguments
from ami_bakery.errors import SkippedError, UsageError

if TYPE_CHECKING:
    from ami_bakery.api.events import Watch
    from ami_bakery.api.results import (
        BakedImage,
        ChannelEntry,
        ChannelUpdate,
        PlannedImage,
        PrunedImageAmi,
        Revocation,
        RevokedAmi,
    )
    from ami_bakery.core.config.model import Config
    from ami_bakery.define.resolver import Resolver

_JOBS = 4
_ABSENT = 'Create one with the lines: version = 1, [images.NAME], template = "PATH". Or pass its path.'


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
        return tuple(planned_image(item.plan) for item in plans if item.plan.image in names or item.plan.to_do)

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
            baked = {outcome.image: baked_image(outcome) for outcome in done}
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
        policy = channel_policy(adopt, timeout, wait, wait_timeout)
        with self._resolver(trusted=True, fetch_plugins=True) as resolver:
            return channel_updates(promote(resolver, names, to, Origin(channel=source or "", ami=ami or ""), policy))

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
        from ami_bakery.release.channel_rollback import roll_back

        policy = channel_policy(adopt, timeout, wait, wait_timeout)
        target = "" if to is None else str(to)
        if target and not target.startswith("ami-") and not (target.isascii() and target.isdigit()):
            raise UsageError("rolling back", f"to={target!r} is neither an AMI id nor a version", "Correct it.")
        with self._resolver(trusted=True, fetch_plugins=True) as resolver:
            (update,) = channel_updates(roll_back(resolver, named(self._config, [image]), channel, target, policy))
            return update

    def channels(self, *images: str) -> tuple[ChannelEntry, ...]:
        """Returns the channels of these images in each region. Accepts globs; the default is all images."""
        from ami_bakery.release.channel_listing import list_channels

        with self._resolver(trusted=False, fetch_plugins=False) as resolver:
            return tuple(map(channel_entry, list_channels(resolver, named(self._config, images))))

    def revoke(
        self,
        *targets: str,
        reason: str,
        descendants: bool = False,
        rollback_channels: bool = False,
        adopt: bool = False,
        timeout: timedelta | None = None,
        wait: bool = True,
        wait_timeout: timedelta | None = None,
        init: bool = False,
    ) -> Revocation:
        """Revokes AMIs and all their copies: they do not count, are no source AMIs, and are never promoted.

        targets            AMI ids, and names or globs of images, which mean the AMIs of their current definitions
        reason             at most 256 characters; saved in a tag
        descendants        also revoke all AMIs that were built from them
        rollback_channels  also roll back every channel that has one of them; `adopt`, `timeout`, `wait` and
                           `wait_timeout` are those of `rollback`
        init               as in `plan`

        Raises `RevocationFailed` if an AMI or a roll-back failed, after all others are done. If the channels cannot be
        read, this is a warning, or with `rollback_channels`, a failure.
        """
        from ami_bakery.core.channel.descendants import reason_problem
        from ami_bakery.release.revocation import revocation_targets, revoke_and_roll_back

        if problem := reason_problem(reason):
            raise UsageError("reading the reason", problem, "Write a short reason, such as 'CVE-2026-1234 in openssl'.")
        _check_targets(targets)
        policy = channel_policy(adopt, timeout, wait, wait_timeout) if rollback_channels else None
        with self._resolver(trusted=True, fetch_plugins=init) as resolver:
            words = revocation_targets(resolver.config, targets)
            outcome = revoke_and_roll_back(resolver, words, reason, policy, descendants=descendants)
            if outcome.unread is not None:
                resolver.ports.reporter.warn(f"cannot check whether a channel has a revoked AMI: {outcome.unread}")
        return checked_revocation(outcome)

    def unrevoke(self, *targets: str, descendants: bool = False, init: bool = False) -> tuple[RevokedAmi, ...]:
        """Undoes revocations. An image means all revoked AMIs of its current definition.

        The arguments and errors are those of `revoke`.
        """
        from ami_bakery.release.revocation import RevocationOutcome, revocation_targets, unrevoke_amis

        _check_targets(targets)
        with self._resolver(trusted=True, fetch_plugins=init) as resolver:
            words = revocation_targets(resolver.config, targets)
            changes = unrevoke_amis(resolver, words, descendants=descendants)
        return checked_revocation(RevocationOutcome(changes=changes, channels=())).amis

    def prune(
        self,
        *images: str,
        apply: bool = False,
        quarantine: timedelta = timedelta(days=14),
        limit: int = 50,
        limit_percent: float = 25.0,
        init: bool = False,
    ) -> tuple[PrunedImageAmi, ...]:
        """Returns what happens to each finished AMI, and why; with `apply`, disables and deregisters AMIs.

        Accepts globs; the default is all images. What protects an AMI does not depend on the selection.

        quarantine     how long an AMI is disabled before it is deregistered; zero deregisters at once
        limit          the maximum number of AMIs to disable or deregister
        limit_percent  the same, in percent of all finished AMIs
        init           as in `plan`

        Raises `PruneFailed` if an AMI failed, after all others are done.
        """
        from ami_bakery.core.prune.retention import PruneSettings
        from ami_bakery.release.promoted_amis import refuse_drop_in
        from ami_bakery.release.pruning import prune

        if quarantine < timedelta() or limit < 0 or not 0 <= limit_percent <= 100:
            wrong = f"quarantine={quarantine}, limit={limit} or limit_percent={limit_percent} is out of range"
            raise UsageError("pruning AMIs", wrong, "Use no negative values, and at most 100 percent.")
        names = named(self._config, images)
        for name in names:
            refuse_drop_in(self._config.image(name), "pruning AMIs")
        settings = PruneSettings(quarantine=quarantine, limit=limit, percent=limit_percent)
        with self._resolver(trusted=False, fetch_plugins=init) as resolver:
            return checked_prune(prune(resolver, names, settings, apply=apply))

    @contextmanager
    def _resolver(self, *, trusted: bool, fetch_plugins: bool) -> Iterator[Resolver]:
        """Creates new ports for each call: interrupted ones stay interrupted, and credentials expire."""
        from ami_bakery.adapters.terminal.prompt import NoPrompter
        from ami_bakery.define.resolver import Resolver
        from ami_bakery.wiring import create_ports

        reporter = CallbackReporter(self._watch)
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


def _checked_region(text: str) -> str:
    try:
        return parse_region(text)
    except InvalidValue as wrong:
        raise UsageError("reading regions", wrong.message, 'Write, for example: regions=["us-east-1"]') from None


def _check_targets(targets: Sequence[str]) -> None:
    if not targets:
        raise UsageError("revoking", "no AMI and no image is given", "Name at least one.")
