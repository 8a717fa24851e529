"""Packer's command line, and the private var-file for sensitive and long variables."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.errors import PackerError

if TYPE_CHECKING:
    from ami_bakery.ports import BuildRequest

_LONGEST_ARGUMENT = 30_000
"""Maximum number of characters of a value. Linux limits an argument to 128 kB, and a character can be 4 bytes."""


@contextlib.contextmanager
def private_variables(request: BuildRequest) -> Iterator[str | None]:
    """Writes a private var-file for sensitive and long variables.

    All users of the machine can read a command line, and its length is limited. In HCL2, lists and maps are JSON
    values; in legacy JSON templates, all values are strings. Yields the path; None if there are no such variables.
    Raises `PackerError`.
    """
    values = {
        name: json.loads(value) if request.hcl2 and name in request.structured else value
        for name, value in request.variables
        if _needs_file(request, name, value)
    }
    if not values:
        yield None
        return
    suffix = ".pkrvars.json" if request.hcl2 else ".json"
    try:
        file = tempfile.NamedTemporaryFile("w", prefix="ami-bakery-", suffix=suffix, encoding="utf-8", delete=False)  # noqa: SIM115
    except OSError as error:
        raise PackerError(
            f"writing variables of image {request.image} to a private file",
            error.strerror or str(error),
            "Free disk space in the folder for temporary files, or set TMPDIR to another folder.",
        ) from error
    with file:
        try:
            json.dump(values, file)
            file.flush()
            yield file.name
        finally:
            # The build may have removed all temporary files.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.name)


def _needs_file(request: BuildRequest, name: str, value: str) -> bool:
    return name in request.sensitive or len(value) > _LONGEST_ARGUMENT


def build_options(request: BuildRequest, private: str | None) -> Iterator[str]:
    if not request.debug:
        yield "-machine-readable"
    yield "-color=false"
    yield from definition_options(request, private)
    yield from request.arguments


def definition_options(request: BuildRequest, private: str | None) -> Iterator[str]:
    """Yields the options of both `packer build` and `packer validate`."""
    for path in request.var_files:
        yield f"-var-file={path}"
    if private:
        yield f"-var-file={private}"
    for name, value in request.variables:
        if not _needs_file(request, name, value):
            yield "-var"
            yield f"{name}={value}"
    if request.only:
        yield f"-only={','.join(request.only)}"
    if request.except_:
        yield f"-except={','.join(request.except_)}"
    yield from request.definition_arguments
