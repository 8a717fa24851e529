"""What stands on Packer's command line, and what goes through a private file instead."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.errors import PackerError

if TYPE_CHECKING:
    from ami_bakery.ports import BuildRequest

_LONGEST_ARGUMENT = 30_000
"""Characters of a value. Linux takes an argument of 128 kB, and a character may be four bytes."""


@contextlib.contextmanager
def private_variables(request: BuildRequest) -> Iterator[str | None]:
    """A var-file for sensitive variables: what stands on a command line can be read by every user of the machine. And
    for those that are too long to stand there.

    HCL2 takes lists and tables there as such, legacy JSON takes text.
    """
    values = {
        name: json.loads(value) if request.hcl2 and name in request.structured else value
        for name, value in request.variables
        if _goes_in_a_file(request, name, value)
    }
    if not values:
        yield None
        return
    suffix = ".pkrvars.json" if request.hcl2 else ".json"
    try:
        file = tempfile.NamedTemporaryFile("w", prefix="ami-bakery-", suffix=suffix, encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise PackerError(
            f"writing variables of image {request.image} to a private file",
            error.strerror or str(error),
            "Make room in the folder for temporary files, or name another one in TMPDIR.",
        ) from error
    with file:
        json.dump(values, file)
        file.flush()
        yield file.name


def _goes_in_a_file(request: BuildRequest, name: str, value: str) -> bool:
    return name in request.sensitive or len(value) > _LONGEST_ARGUMENT


def build_options(request: BuildRequest, private: str | None) -> Iterator[str]:
    if not request.debug:
        yield "-machine-readable"
    yield "-color=false"
    yield from definition_options(request, private)
    yield from request.arguments


def definition_options(request: BuildRequest, private: str | None) -> Iterator[str]:
    """What `packer build` and `packer validate` both take."""
    for path in request.var_files:
        yield f"-var-file={path}"
    if private:
        yield f"-var-file={private}"
    for name, value in request.variables:
        if not _goes_in_a_file(request, name, value):
            yield "-var"
            yield f"{name}={value}"
    if request.only:
        yield f"-only={','.join(request.only)}"
    if request.except_:
        yield f"-except={','.join(request.except_)}"
    yield from request.definition_arguments
