"""The library: plan, bake, release and prune AMIs from Python.

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

from ami_bakery.api.bakery import Bakery
from ami_bakery.api.events import Event, EventKind, Watch
from ami_bakery.api.results import (
    BakedImage,
    BakeFailed,
    ChannelEntry,
    ChannelFailed,
    ChannelUpdate,
    PlannedImage,
    PrunedImageAmi,
    PruneFailed,
    Revocation,
    RevocationFailed,
    RevokedAmi,
)

__all__ = [
    "BakeFailed",
    "BakedImage",
    "Bakery",
    "ChannelEntry",
    "ChannelFailed",
    "ChannelUpdate",
    "Event",
    "EventKind",
    "PlannedImage",
    "PruneFailed",
    "PrunedImageAmi",
    "Revocation",
    "RevocationFailed",
    "RevokedAmi",
    "Watch",
]
