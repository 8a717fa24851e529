"""`bakery.toml` as values: its images, with the defaults merged in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.core.channel.names import ChannelSettings
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.core.audit.mode import AuditMode

DEFAULT_FROM_VARIABLE = "source_ami"

KeyPath: TypeAlias = tuple[str | int, ...]
"""The path of a value in a document: table names, and indices into arrays."""


class BaseId(Frozen):
    """`from = "ami-0abc..."`"""

    ami: str


class BaseImage(Frozen):
    """`from = "another"`: an image of the same file."""

    image: str


class BaseFilter(Frozen):
    """`from = { owners, filters }`: the newest available AMI that matches. Filters are sorted by name."""

    owners: tuple[str, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]


class BaseParameter(Frozen):
    """`from = { ssm }`: the AMI id in an SSM parameter."""

    parameter: str


class KmsKeys(Frozen):
    """`kms_key`: the keys that encrypt copies. `everywhere` is for every region that is not named."""

    everywhere: str = ""
    by_region: tuple[tuple[str, str], ...] = ()

    def of(self, region: str) -> str:
        """The key for copies in a region; empty if none is configured."""
        return dict(self.by_region).get(region, self.everywhere)


BaseSource: TypeAlias = BaseId | BaseImage | BaseFilter | BaseParameter


class OnFailure(StrEnum):
    """What happens to an AMI that fails its test."""

    KEEP = "keep"
    REMOVE = "remove"


class ImageTest(Frozen):
    """`test`: a Packer template that starts from a new AMI and makes none.

    Its variable `source_ami` receives the id of the AMI. The other fields are those of an image.
    """

    template: str
    workdir: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    structured: frozenset[str] = frozenset()
    var_files: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    timeout: timedelta = timedelta(minutes=60)
    on_failure: OnFailure = OnFailure.KEEP


class RetentionPolicy(Frozen):
    """`keep`: which AMIs of an image prune keeps for their age.

    last    how many of the newest builds are kept
    within  builds younger than this are kept
    """

    last: int = 0
    within: timedelta | None = None


class ImageConfig(Frozen):
    """An image, with the defaults merged in. Paths are as written: relative to the root, the folder of bakery.toml.

    inputs     None: the template's folder
    workdir    None: the template's folder
    variables  in the form of `-var`; values that are not strings are JSON, and their names are in `structured`
    regions    the first is for the build, the others are for copies; empty: the region of the environment
    kms_keys   for copies; in the region of the build, the template configures the encryption
    share_with None: not configured, permissions are not changed
    tags       (name, value), sorted by name: for the AMIs, and to select images; not in the digest
    keep       None: prune keeps all AMIs of the image; not in the digest
    test       the template that tests each new AMI; not in the digest, it has a digest of its own
    section    the table of its keys, below the image's: ``test`` for the test of an image, which is defined as an image
    lines      the line of each key in bakery.toml; each input has its own line as ("inputs", i)
    """

    name: str
    template: str
    enabled: bool = True
    inputs: tuple[str, ...] | None = None
    workdir: str | None = None
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    base: BaseSource | None = None
    from_variable: str = DEFAULT_FROM_VARIABLE
    variables: tuple[tuple[str, str], ...] = ()
    structured: frozenset[str] = frozenset()
    var_files: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    kms_keys: KmsKeys = field(default_factory=KmsKeys)
    share_with: tuple[str, ...] | None = None
    share_snapshots: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    owners: tuple[str, ...] = ("self",)
    max_age: timedelta | None = None
    keep: RetentionPolicy | None = None
    salt: str = ""
    digest_exclude: tuple[str, ...] = ()
    test: ImageTest | None = None
    audit: AuditMode | None = None
    scheme: Scheme = Scheme.SHA256
    section: str = ""
    lines: Mapping[KeyPath, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def in_bakery_toml(self) -> bool:
        """Whether a bakery.toml defines it. Otherwise only the option --template or drop-in mode does."""
        return bool(self.lines)

    @property
    def table(self) -> str:
        """The path of its keys in bakery.toml, for messages: `images.app`, or `images.app.test`."""
        return f"images.{self.name}.{self.section}" if self.section else f"images.{self.name}"

    def location(self, file: str, *key: str | int) -> SourceLocation:
        """Returns the line of a key in `file`, which is bakery.toml."""
        return SourceLocation(file=file, line=self.line(*key))

    def line(self, *key: str | int) -> int:
        path: KeyPath = key
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class Config(Frozen):
    """The images of one `bakery.toml`, in the order of the file.

    root  absolute path of the folder that all paths are relative to
    file  the configuration's path in messages, relative to the root: ``bakery.toml``
    """

    root: str
    file: str
    images: tuple[ImageConfig, ...]
    channels: ChannelSettings = field(default_factory=ChannelSettings)

    def has(self, name: str) -> bool:
        return name in self._by_name

    def image(self, name: str) -> ImageConfig:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, ImageConfig]:
        return {image.name: image for image in self.images}
