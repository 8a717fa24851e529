"""Builds images from a base image that is pulled, or built from Debian's packages."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.docker.engine import Engine, quick_folder, root_prefix
from tests.documents import ROOT

BASE = "debian:bookworm-slim"
"""The Dockerfile's default."""
IMAGE_ARGUMENTS = {"VERSION": "1.2.3", "REVISION": "f" * 40}
"""Build arguments of the image that most tests use."""
_IMPORTED = "ami-bakery-test/debian:bookworm-slim"
_WEEK_SECONDS = 7 * 24 * 3600
_BUILD_SECONDS = 900
_FROM_PIP = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@contextlib.contextmanager
def built(engine: Engine, folder: Path, **arguments: str) -> Iterator[str]:
    """Builds the image and yields its name. `arguments`: build arguments; `folder`: for temporary files."""
    with built_of(engine, ROOT, *build_options(engine, folder), *words_of(arguments)) as name:
        yield name


def words_of(arguments: Mapping[str, str]) -> list[str]:
    return [f"--build-arg={name}={value}" for name, value in arguments.items()]


@contextlib.contextmanager
def built_of(engine: Engine, context: Path, *options: str) -> Iterator[str]:
    """Builds the Dockerfile in `context` and yields the image's name; removes the image at the end."""
    name = f"ami-bakery-test:{uuid.uuid4().hex[:12]}"
    engine.answer("build", *options, "--network=host", f"--tag={name}", str(context), timeout=_BUILD_SECONDS)
    yield name
    engine.run("image", "rm", "--force", name)


def build_options(engine: Engine, folder: Path) -> list[str]:
    """Returns the build options of this machine: the base image and pip's index."""
    settings = _pip_settings()
    configuration = folder / "pip.conf"
    lines = [f"{name} = {settings[name]}\n" for name in _FROM_PIP if name in settings]
    configuration.write_text("[global]\n" + "".join(lines))
    options = ["--network=host", f"--build-arg=BASE={_base(engine)}", f"--secret=id=pip.conf,src={configuration}"]
    if "cert" in settings:
        options.append(f"--secret=id=ca.crt,src={settings['cert']}")
    return options + [f"--build-arg={name}={os.environ[name]}" for name in _PROXIES if name in os.environ]


def _pip_settings() -> dict[str, str]:
    """Returns pip's settings from its files and the environment."""
    output = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings = {}
    for line in output.splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = ast.literal_eval(value)
    return settings


def _base(engine: Engine) -> str:
    """Returns the base image's name, after pulling or importing it if necessary."""
    for name in (_IMPORTED, BASE):
        if engine.run("image", "inspect", name).returncode == 0:
            return name
    with contextlib.suppress(subprocess.TimeoutExpired):
        if engine.run("pull", "--quiet", BASE, timeout=300).returncode == 0:
            return BASE
    engine.answer("import", str(_base_archive()), _IMPORTED, timeout=300)
    return _IMPORTED


def _base_archive() -> Path:
    """Returns an archive like the official image, built from the same packages; cached for a week."""
    archive = ROOT / ".cache" / "debian-bookworm-slim.tar"
    if archive.exists() and time.time() - archive.stat().st_mtime < _WEEK_SECONDS:
        return archive
    assert shutil.which("mmdebstrap"), f"cannot pull {BASE}, and mmdebstrap, which could build it, is not installed"
    archive.parent.mkdir(exist_ok=True)
    unfinished = archive.with_suffix(".new.tar")
    excluded = ("doc", "info", "locale", "man")
    done = subprocess.run(
        [
            *root_prefix(),
            *("env", f"TMPDIR={quick_folder(devices=True)}"),
            *("mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"),
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in excluded),
            *("bookworm", str(unfinished)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"mmdebstrap cannot build {BASE}:\n{done.stderr}"
    unfinished.rename(archive)
    return archive
