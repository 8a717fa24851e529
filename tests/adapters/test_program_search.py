"""Finding programs on PATH but not in the repository, and finding Packer's plugins."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from ami_bakery.adapters.git import GitProgram
from ami_bakery.adapters.packer.plugin_files import PluginFolders
from ami_bakery.adapters.program_search import find_program, git_folder_named_by, safe_path, work_tree_of


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "repository/.git").mkdir(parents=True)
    (tmp_path / "repository/images").mkdir()
    return tmp_path / "repository"


@pytest.mark.parametrize(
    "entry", ["", ".", "bin", "../bin", "{repository}", "{repository}/bin", "{repository}/images/../bin", "{outside}"]
)
def test_a_program_in_the_repository_is_not_found(
    repository: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    for folder in ("bin", "images", "."):
        program(repository / folder / "tool")
    (repository.parent / "bin").symlink_to(repository / "bin")
    installed = program(repository.parent / "installed/tool")
    monkeypatch.chdir(repository / "images")
    path = f"{entry.format(repository=repository, outside=repository.parent / 'bin')}:{installed.parent}"
    assert find_program("tool", {"PATH": path}, str(repository / "images")) == str(installed)
    assert safe_path({"PATH": path}, str(repository / "images")) == str(installed.parent)


def test_a_link_to_a_program_in_the_repository_is_not_found(repository: Path) -> None:
    folder = repository.parent / "bin"
    folder.mkdir()
    (folder / "tool").symlink_to(program(repository / "tool"))
    assert find_program("tool", {"PATH": str(folder)}, str(repository)) is None
    assert find_program("tool", {"PATH": str(folder)}) == str(folder / "tool")


def test_an_explicit_path_may_be_in_the_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(repository / "tool")
    monkeypatch.chdir(repository)
    assert find_program("./tool", {"PATH": ""}, str(repository)) == str(repository / "tool")
    assert find_program("./other", {"PATH": ""}, str(repository)) is None


def test_folders_and_files_that_are_not_executable_are_not_programs(tmp_path: Path) -> None:
    (tmp_path / "a/tool").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/tool").write_text("")
    assert find_program("tool", {"PATH": f"{tmp_path}/a:{tmp_path}/b"}) is None


def test_the_repository_of_a_submodule_is_the_outermost_one(repository: Path) -> None:
    submodule = repository / "sub"
    submodule.mkdir()
    (submodule / ".git").write_text("gitdir: ../.git/modules/sub\n")
    assert work_tree_of(str(submodule)) == str(repository)
    (submodule / ".git").write_text("gitdir: /elsewhere/.git/worktrees/sub\n")
    assert work_tree_of(str(submodule)) == str(submodule)
    assert work_tree_of(str(repository / "images")) == str(repository)
    assert work_tree_of(str(repository.parent)) == str(repository.parent)


def test_a_linked_work_tree_has_a_commit(tmp_path: Path) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, env=environment, capture_output=True)
        return done.stdout.decode().strip()

    git("init", "--quiet", "main")
    git("-C", "main", "commit", "--quiet", "--allow-empty", "--message", "x")
    git("-C", "main", "worktree", "add", "--quiet", "../linked")
    head = git("-C", "main", "rev-parse", "HEAD")
    assert head
    assert GitProgram(environment).commit(str(tmp_path / "linked")) == head


@pytest.mark.parametrize("version", [(1, 6, 6), (1, 9, 0), (1, 9, 2), (1, 10, 3), (1, 11, 0), (1, 16, 0)])
@pytest.mark.parametrize("plugin_path", ["", "/more", "/more:", "relative"])
def test_plugins_are_found_in_the_folders_of_each_packer_version(
    tmp_path: Path, version: tuple[int, ...], plugin_path: str
) -> None:
    """The rules of packer/plugin_folders.go and packer/plugin.go."""
    home, workdir = tmp_path / "home", tmp_path / "workdir"
    for folder in (home / ".packer.d/plugins", workdir / "relative", tmp_path / "bin"):
        folder.mkdir(parents=True)
        program(folder / f"packer-provisioner-{folder.name}")
    program(workdir / "packer-provisioner-workdir")
    folders = PluginFolders(
        version=version,
        program=str(program(tmp_path / "bin/packer")),
        workdir=str(workdir),
        environment={"HOME": str(home), **({"PACKER_PLUGIN_PATH": plugin_path} if plugin_path else {})},
        repository=(str(workdir),),
    )
    own = ["bin", "plugins", "workdir"]
    named = {"": [], "/more": [], "/more:": ["workdir"], "relative": ["relative"]}[plugin_path]
    expected = [] if version >= (1, 11) else named if plugin_path and version >= (1, 9, 2) else [*own, *named]
    found = folders.manual()
    assert [file.name for file in found] == list(dict.fromkeys(expected))
    assert {file.name for file in found if folders.is_of_repository(file.path)} == {"workdir", "relative"} & {*expected}


@pytest.mark.parametrize("kind", ["pipe", "endless link", "endless line", "link in a circle", "socket"])
def test_a_git_file_that_cannot_be_read_to_its_end_is_not_a_repository_and_does_not_block(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "repository/.git"
    path.parent.mkdir()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "endless link":
            path.symlink_to("/dev/zero")
        case "link in a circle":
            path.symlink_to(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        case _:
            path.write_text("gitdir: ")
            os.truncate(path, 1 << 40)
    assert git_folder_named_by(str(path)) == ""
    assert work_tree_of(str(path.parent)) == str(path.parent)
    assert GitProgram(dict(os.environ)).commit(str(path.parent)) == ""
