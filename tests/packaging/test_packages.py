"""The wheel and the sdist are reproducible and complete, and can be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.harness import Harness
from tests.packaging.building import DATA, DIST_INFO, SDIST, VERSION, WHEEL, build, run, tracked


def test_builds_of_two_clones_are_identical(repository: Path, packages: dict[str, bytes], tmp_path: Path) -> None:
    elsewhere = tmp_path / "a much longer path" / "somewhere else"
    elsewhere.parent.mkdir()
    other = build(repository, elsewhere, umask=0o077, TZ="Asia/Tokyo", LC_ALL="C", HOME=str(tmp_path))
    assert set(packages) == {WHEEL, SDIST}, "the tag is the version"
    assert other == packages


def test_the_wheel_built_from_the_sdist_is_identical(
    packages: dict[str, bytes], repository: Path, tmp_path: Path
) -> None:
    (tmp_path / SDIST).write_bytes(packages[SDIST])
    with tarfile.open(tmp_path / SDIST) as archive:
        archive.extractall(tmp_path, filter="data")
    date = run("git", "log", "-1", "--format=%ct", cwd=repository).strip()
    command = (sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path / "dist")
    run(*command, cwd=tmp_path / f"ami_bakery-{VERSION}", environment={"SOURCE_DATE_EPOCH": date})
    assert (tmp_path / "dist" / WHEEL).read_bytes() == packages[WHEEL]


def test_the_sdist_contains_the_tracked_files(packages: dict[str, bytes], repository: Path, tmp_path: Path) -> None:
    (tmp_path / SDIST).write_bytes(packages[SDIST])
    with tarfile.open(tmp_path / SDIST) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == tracked(repository) | {"PKG-INFO"}


def test_the_wheel_contains_only_the_package_and_its_man_pages(wheel: Path, repository: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {name.removeprefix("src/") for name in tracked(repository, "src/ami_bakery")}
    man = {f"{DATA}/share/man/man1/{name}.1" for name in ("ami-bakery", "bake")}
    about = {f"{DIST_INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert names == package | man | about
    assert "ami_bakery/py.typed" in names


def test_the_metadata_has_license_python_versions_and_the_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = message_from_bytes(archive.read(f"{DIST_INFO}/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_all("Provides-Extra") == ["local"]
    assert metadata.get_all("Project-URL") is None, "the project has no public URL"
    for python in ("3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {python}" in metadata.get_all("Classifier", [])


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; its dependencies are those of the tests' environment."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_the_installed_programs_bake(installed: Path, app: Harness) -> None:
    programs = str(installed / "bin")
    app.environment["PATH"] = f"{programs}:{app.environment['PATH'].partition(':')[0]}:{os.environ['PATH']}"
    assert run("ami-bakery", "--version", cwd=app.folder, environment=app.environment) == f"ami-bakery {VERSION}\n"
    code = "import ami_bakery; print(ami_bakery.__file__)"
    module = run(f"{programs}/python", "-c", code, cwd=app.folder, environment=app.environment)
    assert module.startswith(str(installed)), "not the source folder"
    baked = run(f"{programs}/ami-bakery", "bake", "app", cwd=app.folder, environment=app.environment)
    again = run(f"{programs}/bake", "app", cwd=app.folder, environment=app.environment)
    assert baked == again != ""
    assert app.packer_runs == 1


@pytest.mark.parametrize("page", ["ami-bakery", "bake"])
def test_the_man_pages_are_installed_and_valid(installed: Path, page: str) -> None:
    if shutil.which("groff") is None:
        pytest.skip("no groff on PATH")
    source = installed / "share/man/man1" / f"{page}.1"
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbu", "-ww", str(source)],
        cwd=installed / "share/man",
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "terraform-external" in done.stdout
