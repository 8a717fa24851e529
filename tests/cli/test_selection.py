"""Selection of images: by name, tag, change since a revision, and dependent images."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness import Harness, json_template
from tests.histories.test_why import commit, git

HEAD = 'version = 1\n[defaults]\nregions = ["us-east-1"]\ntags = { owner = "us" }\n'
TABLES = {
    "base": 'tags = { team = "web", tier = "1" }\n',
    "app": 'from = "base"\ntags = { team = "web" }\n',
    "leaf": 'from = "app"\n',
    "job": 'tags = { team = "data", tier = "2" }\nvars = { size = "t3.small" }\n',
}


def write_config(harness: Harness, tables: dict[str, str], file: str = "bakery.toml") -> None:
    text = "".join(f'[images.{name}]\ntemplate = "{name}/{name}.json"\n{table}' for name, table in tables.items())
    harness.write(file, HEAD + text)


@pytest.fixture
def bakery(harness: Harness) -> Harness:
    """The images base <- app <- leaf, and job. They are in a git repository, each with a template and a script."""
    for name, table in TABLES.items():
        template = json_template()
        if "from = " in table:
            del template["builders"][0]["source_ami_filter"]
            template["builders"][0]["source_ami"] = "{{user `source_ami`}}"
            template["variables"]["source_ami"] = ""
        harness.write(f"{name}/{name}.json", template)
        harness.write(f"{name}/setup.sh", "echo set up\n")
    write_config(harness, TABLES)
    git(harness, "init", "--quiet", "--initial-branch=main")
    commit(harness)
    return harness


def chosen(harness: Harness, *options: str) -> list[str]:
    """Returns the selected images. `inputs` calls no AWS API, and selects images like every command."""
    run = harness.run("inputs", "--json", *options)
    assert run.status == 0, run.stderr
    return [item["image"] for item in run.images]


def changed(harness: Harness, revision: str = "HEAD") -> list[str]:
    return chosen(harness, "--changed-since", revision)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), ["base", "app", "leaf", "job"]),
        (("job", "base"), ["base", "job"]),
        (("*a*",), ["base", "app", "leaf"]),
        (("--tag", "team=web"), ["base", "app"]),
        (("--tag", "tier"), ["base", "job"]),
        (("--tag", "tier", "--tag", "team=web"), ["base"]),
        (("--tag", "owner=us"), ["base", "app", "leaf", "job"]),
        (("app", "job", "--tag", "team=web"), ["app"]),
        (("--downstream", "app"), ["app", "leaf"]),
        (("--downstream", "base"), ["base", "app", "leaf"]),
        (("--tag", "tier=1", "--downstream"), ["base", "app", "leaf"]),
        (("--tag", "tier=", "--downstream"), []),
        (("--tag", "team=we"), []),
    ],
)
def test_selection_by_name_tag_and_downstream(bakery: Harness, options: tuple[str, ...], names: list[str]) -> None:
    assert chosen(bakery, *options) == names


def test_changed_since_needs_no_aws_and_no_checkout(bakery: Harness) -> None:
    assert changed(bakery) == []
    bakery.write("job/setup.sh", "other\n")
    bakery.write("base/more.sh", "not even added\n")
    assert changed(bakery) == ["base", "job"]
    assert chosen(bakery, "--changed-since", "HEAD", "--tag", "team=web") == ["base"]
    assert chosen(bakery, "job", "--changed-since", "HEAD") == ["job"]
    assert chosen(bakery, "--changed-since", "HEAD", "--downstream") == ["base", "app", "leaf", "job"]
    assert bakery.calls() == {}
    first = commit(bakery)
    assert changed(bakery) == []
    assert changed(bakery, "HEAD~1") == ["base", "job"]
    (bakery.folder / "leaf/setup.sh").chmod(0o755)
    commit(bakery)
    assert changed(bakery, first) == ["leaf"]
    assert git(bakery, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("image", "table", "says_so"),
    [
        ("job", 'tags = { team = "nobody" }\nvars = { size = "t3.small" }\n', False),
        ("job", 'max_age = "1d"\nshare_with = ["123456789012"]\nvars = { size = "t3.small" }\n', False),
        ("job", 'regions = ["us-east-1", "eu-west-1"]\nvars = { size = "t3.small" }\n', False),
        ("job", 'regions = ["eu-west-1", "us-east-1"]\nvars = { size = "t3.small" }\n', True),
        ("job", 'vars = { size = "t3.large" }\n', True),
        ("job", 'vars = { size = "t3.small" }\nsalt = "1"\n', True),
        ("app", 'from = "job"\n', True),
        ("app", 'from = "ami-12345678"\n', True),
    ],
)
def test_changed_since_counts_only_settings_in_the_digest(
    bakery: Harness, image: str, table: str, says_so: bool
) -> None:
    write_config(bakery, TABLES | {image: table})
    assert changed(bakery) == ([image] if says_so else [])


def test_image_missing_in_the_revision_counts_as_changed(bakery: Harness) -> None:
    shutil.copytree(bakery.folder / "job", bakery.folder / "renamed")
    (bakery.folder / "renamed/job.json").rename(bakery.folder / "renamed/renamed.json")
    write_config(bakery, {name: table for name, table in TABLES.items() if name != "job"} | {"renamed": TABLES["job"]})
    assert changed(bakery) == ["renamed"]


def test_bakery_toml_missing_in_the_revision_counts_as_changed(bakery: Harness) -> None:
    (bakery.folder / "bakery.toml").rename(bakery.folder / "other.toml")
    assert chosen(bakery, "-C", "other.toml", "--changed-since", "HEAD") == ["base", "app", "leaf", "job"]


def test_unreadable_image_counts_as_changed(bakery: Harness) -> None:
    bakery.write("job/job.json", "{")
    commit(bakery)
    bakery.write("job/job.json", json_template())
    bakery.write("leaf/leaf.json", "{")
    run = bakery.run("plan", "--json", "--changed-since", "HEAD", "job")
    assert [item["image"] for item in run.images] == ["job"]
    run = bakery.run("inputs", "--changed-since", "HEAD", "leaf")
    assert (run.status, run.stdout) == (1, "")
    assert "leaf/leaf.json" in run.stderr


def test_changed_since_uses_the_current_environment_for_both_sides(bakery: Harness) -> None:
    write_config(bakery, TABLES | {"job": 'env = ["CHANNEL"]\n'})
    commit(bakery)
    run = bakery.run("inputs", "--json", "--changed-since", "HEAD", environment={"CHANNEL": "beta"})
    assert run.images == []
    write_config(bakery, TABLES | {"job": 'env = ["CHANNEL", "OTHER"]\n'})
    assert changed(bakery) == ["job"]


def test_files_outside_git_are_compared_as_they_are_now(bakery: Harness) -> None:
    """Ignored files, files outside the repository, and empty folders."""
    outside = bakery.folder.parent / "outside.sh"
    outside.write_text("1")
    bakery.write(".gitignore", "*.bin\nout/\n")
    bakery.write("job/built.bin", "1")
    bakery.write("job/out/deep/built.sh", "1")
    bakery.make_folder(bakery.folder / "job/empty")
    (bakery.folder / "job/linked.sh").symlink_to("../../outside.sh")
    write_config(bakery, TABLES | {"job": 'inputs = ["job", "../outside.sh"]\n'})
    commit(bakery)
    assert changed(bakery) == []
    bakery.write("job/built.bin", "2")
    outside.write_text("2")
    assert changed(bakery) == []
    write_config(bakery, TABLES | {"job": 'inputs = ["job"]\n'})
    assert changed(bakery) == ["job"], "the parts of the definition are compared"


def test_file_that_differs_only_by_git_conversions_is_unchanged(bakery: Harness) -> None:
    for name, command in (("clean", "tr a-z b-za"), ("smudge", "tr b-za a-z")):
        git(bakery, "config", f"filter.secret.{name}", command)
    bakery.write(".gitattributes", "job/setup.sh text eol=crlf\n*.txt filter=secret\nbase/setup.sh ident\n")
    # Older than git's index: git reads the content of files modified within the same second again.
    os.utime(bakery.write('job/a "name"\n.txt', "hello\n"), (1, 1))
    bakery.write("base/setup.sh", "echo $Id$\n")
    commit(bakery)
    for path in ("job/setup.sh", "base/setup.sh"):
        (bakery.folder / path).unlink()
        git(bakery, "checkout", "--", path)
    assert (bakery.folder / "job/setup.sh").read_bytes() == b"echo set up\r\n"
    assert git(bakery, "show", 'HEAD:job/a "name"\n.txt') == "ifmmp"
    assert len((bakery.folder / "base/setup.sh").read_text()) > 40
    assert changed(bakery) == []
    bakery.write('job/a "name"\n.txt', "hello\n")
    assert changed(bakery) == ["job"], "rewritten: without running the filter, it counts as changed"


def test_file_with_a_missing_filter_is_compared_unfiltered(bakery: Harness) -> None:
    bakery.write(".gitattributes", "job/setup.sh filter=absent\n")
    commit(bakery)
    git(bakery, "config", "filter.absent.clean", "/no/such/program")
    git(bakery, "config", "filter.absent.required", "true")
    assert changed(bakery) == []
    (bakery.folder / "job/setup.sh").touch()
    assert changed(bakery) == []
    bakery.write("job/setup.sh", "other\n")
    assert changed(bakery) == ["job"]


def test_changed_since_compares_submodules(bakery: Harness) -> None:
    library = bakery.make_folder(bakery.folder.parent / "library")

    def in_library(*arguments: str) -> None:
        git(bakery, "-C", str(library), *arguments)

    (library / "lib.sh").write_text("1")
    (library / ".gitignore").write_text("*.o\n")
    in_library("init", "--quiet")
    in_library("add", "--all")
    in_library("commit", "--quiet", "--message", "1")
    git(bakery, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(library), "job/library")
    bakery.write("job/library/lib.o", "built")
    before = commit(bakery)
    assert changed(bakery) == []
    bakery.write("job/library/lib.sh", "2")
    assert changed(bakery) == ["job"]
    git(bakery, "-C", "job/library", "commit", "--quiet", "--all", "--message", "2")
    assert changed(bakery) == ["job"], "the submodule is at another commit"
    commit(bakery)
    assert (changed(bakery), changed(bakery, before)) == ([], ["job"])
    git(bakery, "submodule", "deinit", "--force", "--all")
    assert changed(bakery) == [], "not checked out, it is an empty folder"


def test_changed_since_works_in_a_subfolder_of_the_repository(bakery: Harness) -> None:
    below = bakery.folder / "job"
    bakery.write("shared/common.sh", "1")
    bakery.write("job/bakery.toml", f'{HEAD}[images.job]\ntemplate = "job.json"\ninputs = [".", "../shared"]\n')
    commit(bakery)
    assert bakery.run("inputs", "--json", "--changed-since", "HEAD", cwd=below).images == []
    bakery.write("shared/common.sh", "2")
    (image,) = bakery.run("inputs", "--json", "--changed-since", "HEAD", cwd=below).images
    assert image["image"] == "job"


def test_changed_since_in_drop_in_mode_compares_the_checksum(bakery: Harness) -> None:
    bakery.environment |= {
        "PACKER_JSON_PATH": f"{bakery.folder}/job/job.json",
        "AMI_DEFINITION_DIRS": f"{bakery.folder}/job,base/",
    }
    assert changed(bakery) == []
    (bakery.folder / "job/setup.sh").chmod(0o755)
    assert changed(bakery) == [], "the drop-in checksum does not cover modes"
    bakery.write("base/setup.sh", "other\n")
    assert changed(bakery) == ["default"]


@pytest.mark.parametrize("command", ["bake", "plan", "digest", "inputs", "check", "images"])
def test_empty_selection_is_not_an_error(bakery: Harness, command: str) -> None:
    options = ("--tag", "team=nobody", "--changed-since", "HEAD")
    run = bakery.run(command, *options)
    assert (run.status, run.stdout) == (0, "")
    assert run.stderr == "nothing to do: no image has the tag team=nobody and changed since HEAD\n"
    run = bakery.run(command, "-q", "--json", *options)
    assert (run.status, run.images, run.stderr) == (0, [], "")
    assert bakery.calls() == {}


def test_unknown_image_name_is_an_error(bakery: Harness) -> None:
    run = bakery.run("plan", "bse", "--tag", "team=nobody")
    assert (run.status, run.stdout) == (2, "")
    assert "did you mean 'base'?" in run.stderr


def test_unknown_revision_is_wrong_usage(bakery: Harness) -> None:
    for revision in ("nowhere", "--all", "HEAD:job", "0" * 40):
        run = bakery.run("plan", f"--changed-since={revision}")
        assert (run.status, run.stdout) == (2, ""), revision
        assert f"resolving the git revision {revision!r}" in run.stderr
        assert "shallow" not in run.stderr


def test_unknown_revision_in_a_shallow_clone_advises_to_fetch_more(bakery: Harness) -> None:
    bakery.write("job/setup.sh", "other\n")
    commit(bakery)
    git(bakery, "clone", "--quiet", "--depth=1", f"file://{bakery.folder}", str(bakery.folder.parent / "clone"))
    run = bakery.run("plan", "--changed-since", "HEAD~1", cwd=bakery.folder.parent / "clone")
    assert (run.status, run.stdout) == (2, "")
    assert "git fetch --unshallow" in run.stderr


def test_changed_since_without_a_repository_or_git_is_an_error(bakery: Harness) -> None:
    shutil.rmtree(bakery.folder / ".git")
    run = bakery.run("plan", "--changed-since", "HEAD")
    assert (run.status, run.stdout) == (2, "")
    assert "not a git repository" in run.stderr
    empty = bakery.make_folder(bakery.folder.parent / "no-programs")
    run = bakery.run("plan", "--changed-since", "HEAD", environment={"PATH": str(empty)})
    assert (run.status, run.stdout) == (2, "")
    assert "git cannot be run: there is no such program on PATH" in run.stderr


def test_bake_builds_the_selected_images_and_their_parents(bakery: Harness) -> None:
    bakery.write("app/setup.sh", "other\n")
    run = bakery.run("bake", "--changed-since", "HEAD", "--json")
    assert [(item["image"], item["outcome"]) for item in run.images] == [("app", "baked")]
    assert bakery.packer_runs == 2, "base, and its child app"


def test_the_examples_of_the_documentation_work(bakery: Harness) -> None:
    """Runs every command of docs/guides/selecting.md in a shell."""
    text = (Path(__file__).parents[2] / "docs/guides/selecting.md").read_text()
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    for name in ("worker", "web-front"):
        shutil.copytree(bakery.folder / "job", bakery.folder / name)
        (bakery.folder / name / "job.json").rename(bakery.folder / name / f"{name}.json")
    write_config(bakery, TABLES | {"worker": "", "web-front": TABLES["job"]})
    commit(bakery)
    git(bakery, "update-ref", "refs/remotes/origin/main", "HEAD~1")
    assert len(commands) == 7
    for command in commands:
        run = bakery.run("-c", command, program="/bin/sh")
        assert (run.status, "error" in run.stderr) == (0, False), (command, run.stderr)


def test_bash_completes_tags_and_revisions(bakery: Harness) -> None:
    git(bakery, "tag", "v1.0")
    script = """
        eval "$(ami-bakery completion bash)"
        complete_line() {
            COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMP_WORDS=($1) COMP_CWORD=1
            _python_argcomplete "${1%% *}"
            echo "${COMPREPLY[*]}"
        }
        complete_line "ami-bakery plan --down"
        complete_line "ami-bakery plan --tag te"
        complete_line "ami-bakery plan --changed-since v"
    """
    done = subprocess.run(
        ["bash", "-c", script], env=bakery.environment, cwd=bakery.folder, capture_output=True, text=True, check=True
    )
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["--downstream"],
        ["team", "team=data", "team=web"],
        ["v1.0"],
    ]
