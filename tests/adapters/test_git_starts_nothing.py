"""Git starts no program that a repository or the environment names.

Each case first shows that plain git does start the program.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ami_bakery.adapters.git import GitProgram
from ami_bakery.errors import SourceError

IDENTITY = {
    **{f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A work tree at `top`, with the working folder `folder`. `mark` is a program that writes a file."""

    top: Path
    folder: Path
    mark: Path
    environment: dict[str, str] = field(default_factory=lambda: {**os.environ, **IDENTITY})

    @property
    def marked(self) -> bool:
        return self.mark.with_name("marked").exists()

    def git(self, *arguments: str, cwd: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=cwd or self.top, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def configure(self, *pairs: str, file: str | None = None) -> None:
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.git("config", *(["--file", file] if file else []), "--add", name, value)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")

    def touch(self, name: str = "file") -> None:
        """Changes the time but not the size, so that git compares the content."""
        os.utime(self.folder / name, (1, 1))

    def bare(self, folder: Path) -> None:
        """Writes the files that make a folder a bare repository; all of them can be tracked."""
        (folder / "objects").mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "HEAD").write_text("ref: refs/heads/main\n")
        (folder / "config").write_text(
            f"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = {folder}\n\tfsmonitor = {self.mark}\n"
        )


def repository_in(tmp_path: Path) -> Repository:
    top = tmp_path / "top"
    (top / "folder").mkdir(parents=True)
    mark = tmp_path / "mark"
    mark.write_text(f'#!/bin/sh\ntouch "{tmp_path}/marked"\nexit 1\n')
    mark.chmod(0o755)
    made = Repository(top=top, folder=top / "folder", mark=mark)
    made.git("init", "--quiet", "--initial-branch=main")
    (top / "folder/file").write_text("content\n")
    made.commit()
    return made


Trigger = tuple[str, ...]
"""Arguments with which plain git, in the working folder, starts the case's program."""
STATUS: Trigger = ("status",)


def bare_repository(it: Repository) -> Trigger:
    it.bare(it.folder)
    return STATUS


def file_system_monitor(it: Repository) -> Trigger:
    it.configure("core.fsmonitor", str(it.mark))
    return STATUS


def hook(it: Repository) -> Trigger:
    (it.top / ".git/hooks/post-index-change").symlink_to(it.mark)
    it.touch()
    return STATUS


def hooks_path(it: Repository) -> Trigger:
    (it.top / "hooks").mkdir()
    (it.top / "hooks/post-index-change").symlink_to(it.mark)
    it.configure("core.hooksPath", "hooks")
    it.touch()
    return STATUS


def with_filter(it: Repository, driver: str = "x") -> None:
    (it.folder / ".gitattributes").write_text(f"file filter={driver}\n")
    it.commit()
    it.touch()


def clean_filter(it: Repository) -> Trigger:
    with_filter(it)
    it.configure("filter.x.clean", str(it.mark), "filter.x.required", "true")
    return STATUS


def long_running_filter(it: Repository) -> Trigger:
    with_filter(it)
    it.configure("filter.x.process", str(it.mark))
    return STATUS


def filter_with_a_strange_name(it: Repository) -> Trigger:
    with_filter(it, "a=b.c")
    it.configure("filter.a=b.c.clean", str(it.mark))
    return STATUS


def filter_without_a_name(it: Repository) -> Trigger:
    with_filter(it, "")
    config = it.top / ".git/config"
    config.write_text(f'{config.read_text()}[filter ""]\n\tclean = {it.mark}\n')
    return STATUS


def filter_of_an_included_file(it: Repository) -> Trigger:
    with_filter(it)
    it.configure("filter.x.clean", str(it.mark), file=str(it.folder / "more"))
    it.configure("include.path", "../folder/more")
    return STATUS


def filter_of_one_work_tree(it: Repository) -> Trigger:
    with_filter(it)
    it.configure("extensions.worktreeConfig", "true")
    it.configure("filter.x.clean", str(it.mark), file=str(it.top / ".git/config.worktree"))
    return STATUS


def filter_of_all_attributes(it: Repository) -> Trigger:
    (it.top / ".git/info").mkdir(exist_ok=True)
    (it.top / ".git/info/attributes").write_text("* filter=x\n")
    it.configure("filter.x.clean", str(it.mark))
    it.touch()
    return STATUS


def home_in_the_repository(it: Repository) -> Trigger:
    del it.environment["GIT_CONFIG_GLOBAL"]
    it.environment["HOME"] = str(it.folder)
    it.configure("core.fsmonitor", str(it.mark), "filter.x.clean", str(it.mark), file=str(it.folder / ".gitconfig"))
    return STATUS


def add_submodule(it: Repository) -> Path:
    inner = it.top.parent / "inner"
    inner.mkdir()
    it.git("init", "--quiet", cwd=inner)
    (inner / "file").write_text("inner\n")
    it.git("add", "--all", cwd=inner)
    it.git("commit", "--quiet", "--message", "x", cwd=inner)
    it.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "folder/sub")
    it.commit()
    return it.folder / "sub"


def submodule_with_a_monitor(it: Repository) -> Trigger:
    it.git("config", "core.fsmonitor", str(it.mark), cwd=add_submodule(it))
    return STATUS


def submodule_with_a_filter(it: Repository) -> Trigger:
    sub = add_submodule(it)
    it.git("config", "filter.x.clean", str(it.mark), cwd=sub)
    (sub / ".gitattributes").write_text("file filter=x\n")
    it.touch("sub/file")
    return STATUS


def submodule_that_leads_into_the_tree(it: Repository) -> Trigger:
    sub = add_submodule(it)
    commit = it.git("rev-parse", "HEAD", cwd=sub)
    evil = it.folder / "evil"
    it.git("clone", "--quiet", "--bare", str(it.top.parent / "inner"), str(evil))
    it.configure("core.bare", "false", "core.worktree", "../sub", "core.fsmonitor", str(it.mark), file=f"{evil}/config")
    it.git("config", "--file", f"{evil}/config", "--unset-all", "core.bare", "true")
    (evil / "HEAD").write_text(f"{commit}\n")
    (sub / ".git").write_text("gitdir: ../evil\n")
    return STATUS


def submodule_update(it: Repository) -> Trigger:
    add_submodule(it)
    it.configure("submodule.folder/sub.update", f"!{it.mark}", "submodule.recurse", "true")
    (it.folder / "sub/file").unlink()
    it.git("commit", "--quiet", "--allow-empty", "--message", "y", cwd=it.folder / "sub")
    return ("submodule", "update")


def partial_clone(it: Repository, url: str, *settings: str) -> Trigger:
    """A clone that lacks the content of a file, and would fetch it."""
    blob = it.git("rev-parse", "HEAD:folder/file")
    (it.top / ".git/objects" / blob[:2] / blob[2:]).unlink()
    it.configure("remote.origin.url", url, "remote.origin.promisor", "true", "extensions.partialClone", "origin")
    it.configure("core.repositoryFormatVersion", "1", *settings)
    it.git("config", "--replace-all", "core.repositoryFormatVersion", "1")
    return ("cat-file", "-p", blob)


def fetch_by_an_external_helper(it: Repository) -> Trigger:
    return partial_clone(it, f"ext::{it.mark}", "protocol.ext.allow", "always", "protocol.allow", "always")


def fetch_by_ssh(it: Repository) -> Trigger:
    return partial_clone(it, "ssh://nobody@localhost/x", "core.sshCommand", str(it.mark))


def fetch_by_ssh_of_the_environment(it: Repository) -> Trigger:
    it.environment["GIT_SSH_COMMAND"] = str(it.mark)
    return partial_clone(it, "ssh://nobody@localhost/x")


def fetch_by_upload_pack(it: Repository) -> Trigger:
    return partial_clone(it, str(it.top), "remote.origin.uploadpack", str(it.mark))


def fetch_by_a_proxy(it: Repository) -> Trigger:
    return partial_clone(it, "git://localhost/x", "core.gitProxy", str(it.mark))


def signature(it: Repository) -> Trigger:
    head = it.git("cat-file", "commit", "HEAD")
    header, _, message = head.partition("\n\n")
    signed = f"{header}\ngpgsig -----BEGIN PGP SIGNATURE-----\n x\n -----END PGP SIGNATURE-----\n\n{message}\n"
    (it.top.parent / "commit").write_text(signed)
    it.git("reset", "--quiet", "--soft", it.git("hash-object", "-t", "commit", "-w", str(it.top.parent / "commit")))
    it.configure("gpg.program", str(it.mark), "log.showSignature", "true")
    return ("log", "-1")


def external_diff(it: Repository) -> Trigger:
    it.configure("diff.external", str(it.mark))
    (it.folder / "file").write_text("other\n")
    return ("diff",)


def text_conversion(it: Repository) -> Trigger:
    (it.folder / ".gitattributes").write_text("file diff=x\n")
    it.configure("diff.x.textconv", str(it.mark))
    it.commit()
    (it.folder / "file").write_text("other\n")
    return ("diff",)


def repository_of_the_environment(it: Repository) -> Trigger:
    it.bare(it.top.parent / "elsewhere")
    it.environment.update(GIT_DIR=str(it.top.parent / "elsewhere"), GIT_WORK_TREE=str(it.top))
    return STATUS


def program_in_the_current_folder(it: Repository) -> Trigger:
    (it.folder / "git").symlink_to(it.mark)
    it.environment["PATH"] = f":.:{it.environment['PATH']}"
    return STATUS


def program_in_the_repository(it: Repository) -> Trigger:
    (it.top / "bin").mkdir()
    (it.top / "bin/git").symlink_to(it.mark)
    it.environment["PATH"] = f"{it.top}/bin:{it.environment['PATH']}"
    return STATUS


CASES: Mapping[str, Callable[[Repository], Trigger]] = {
    plant.__name__: plant
    for plant in (
        *(bare_repository, file_system_monitor, hook, hooks_path),
        *(clean_filter, long_running_filter, filter_with_a_strange_name, filter_without_a_name),
        *(filter_of_an_included_file, filter_of_one_work_tree, filter_of_all_attributes, home_in_the_repository),
        *(submodule_with_a_monitor, submodule_with_a_filter, submodule_that_leads_into_the_tree, submodule_update),
        *(fetch_by_an_external_helper, fetch_by_ssh, fetch_by_ssh_of_the_environment, fetch_by_upload_pack),
        *(fetch_by_a_proxy, signature, external_diff, text_conversion, repository_of_the_environment),
        *(program_in_the_current_folder, program_in_the_repository),
    )
}


def use_every_method(it: Repository) -> None:
    git = GitProgram(it.environment)
    folder = str(it.folder)
    git.commit(folder)
    git.references(folder)
    with ExitStack() as stack:
        stack.callback(os.chdir, os.getcwd())
        os.chdir(folder)
        tree = stack.enter_context(git.tree(folder, git.resolve_revision(folder, "HEAD")))
        assert tree is not None
        paths = [entry.path for entry in tree.children(".")]
        assert "./file" in paths
        tree.same_content(paths)
        tree.undecided(paths)
        with suppress(SourceError):
            tree.read("file")


@pytest.mark.parametrize("case", CASES)
def test_git_starts_no_program_of_the_repository(tmp_path: Path, case: str) -> None:
    plain, ours = (repository_in(tmp_path / name) for name in ("plain", "ours"))
    trigger = CASES[case](plain)
    plain.git(*trigger, cwd=plain.folder, check=False)
    assert plain.marked, "plain git does not start the program: the case is useless"
    CASES[case](ours)
    assert not ours.marked
    use_every_method(ours)
    assert not ours.marked
