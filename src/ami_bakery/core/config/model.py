"""`bakery.toml` as values: its images, with the defaults merged in, and what each one starts from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.core.definition.digest import Scheme
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from datetime import timedelta

DEFAULT_FROM_VARIABLE = "source_ami"

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands in a document: table names, and indices into arrays."""


class BaseId(Frozen):
    """`from = "ami-0abc..."`"""

    ami: str


class BaseImage(Frozen):
    """`from = "another"`: an image of the same file."""

    image: str


class BaseFilter(Frozen):
    """`from = { owners, filters }`: the newest available AMI that matches. Filters sorted by name."""

    owners: tuple[str, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]


class BaseParameter(Frozen):
    """`from = { ssm }`: the AMI id that an SSM parameter holds."""

    parameter: str


class KmsKeys(Frozen):
    """`kms_key`: the keys that copies are encrypted with. `everywhere` stands for every region that is not named."""

    everywhere: str = ""
    by_region: tuple[tuple[str, str], ...] = ()

    def of(self, region: str) -> str:
        """Empty where a copy is made without a key of its own."""
        return dict(self.by_region).get(region, self.everywhere)


BaseSource: TypeAlias = BaseId | BaseImage | BaseFilter | BaseParameter


class ImageConfig(Frozen):
    """One image, with the defaults merged in. Paths are as written: relative to the root, the folder of bakery.toml.

    inputs     None: the template's folder
    workdir    None: the template's folder
    variables  as Packer gets them with `-var`: what is no string is written as JSON, and its name is in `structured`
    regions    empty: the region of the environment; else baked in the first and copied to the others
    kms_keys   for the copies; in the region of the bake, the template says how the AMI is encrypted
    share_with None: nobody has said, so that permissions are left as they are
    tags       (name, value), by name: for the AMIs, and to select images by; no part of the digest
    lines      the line of bakery.toml that says a key, by key; inputs have a line each as ("inputs", i)
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
    salt: str = ""
    digest_exclude: tuple[str, ...] = ()
    scheme: Scheme = Scheme.SHA256
    lines: Mapping[KeyPath, int] = field(default_factory=dict, repr=False, compare=False)

    def line(self, *key: str | int) -> int:
        path: KeyPath = key
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class Config(Frozen):
    """The images of one bakery, in the order of the file.

    root  absolute path of the folder that all paths are relative to
    file  what to call the configuration in messages, relative to the root: ``bakery.toml``
    """

    root: str
    file: str
    images: tuple[ImageConfig, ...]

    def has(self, name: str) -> bool:
        return name in self._by_name

    def image(self, name: str) -> ImageConfig:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, ImageConfig]:
        return {image.name: image for image in self.images}
