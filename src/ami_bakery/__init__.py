"""AMI Bakery: builds AWS machine images with Packer, only when their definition changed.

The public API is `__all__` (docs/guides/library.md); everything else may change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_bakery.api import (
        BakedImage,
        BakeFailed,
        Bakery,
        ChannelEntry,
        ChannelFailed,
        ChannelUpdate,
        Event,
        EventKind,
        PlannedImage,
        PrunedImageAmi,
        PruneFailed,
        Revocation,
        RevocationFailed,
        RevokedAmi,
    )
    from ami_bakery.core.channel.parameter import ChannelResult, RevocationResult
    from ami_bakery.core.plan.desired_state import Step, StepKind
    from ami_bakery.core.plan.outcome import Result
    from ami_bakery.core.plan.plan import Action, Reason
    from ami_bakery.core.prune.prunable import PruneOutcome
    from ami_bakery.core.prune.retention import PruneAction, PruneReason
    from ami_bakery.errors import (
        AwsError,
        BakeryError,
        ConfigError,
        PackerError,
        SkippedError,
        SourceError,
        TemplateError,
        UsageError,
        VerificationError,
    )

__all__ = [
    "Action",
    "AwsError",
    "BakeFailed",
    "BakedImage",
    "Bakery",
    "BakeryError",
    "ChannelEntry",
    "ChannelFailed",
    "ChannelResult",
    "ChannelUpdate",
    "ConfigError",
    "Event",
    "EventKind",
    "PackerError",
    "PlannedImage",
    "PruneAction",
    "PruneFailed",
    "PruneOutcome",
    "PruneReason",
    "PrunedImageAmi",
    "Reason",
    "Result",
    "Revocation",
    "RevocationFailed",
    "RevocationResult",
    "RevokedAmi",
    "SkippedError",
    "SourceError",
    "Step",
    "StepKind",
    "TemplateError",
    "UsageError",
    "VerificationError",
]


_ELSEWHERE = {
    "Action": "core.plan.plan",
    "ChannelResult": "core.channel.parameter",
    "PruneAction": "core.prune.retention",
    "PruneOutcome": "core.prune.prunable",
    "PruneReason": "core.prune.retention",
    "Reason": "core.plan.plan",
    "Result": "core.plan.outcome",
    "RevocationResult": "core.channel.parameter",
    "Step": "core.plan.desired_state",
    "StepKind": "core.plan.desired_state",
}


def __getattr__(name: str) -> object:
    """Imports a name on first use, so that `--help` stays fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _ELSEWHERE.get(name, "errors" if name.endswith("Error") else "api")
    return getattr(importlib.import_module(f"ami_bakery.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
