"""Planning an untrusted change runs none of its programs: every command, with real git and Packer."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ami_bakery.local import LocalAws
from tests.documents import ROOT
from tests.harness import TOML, Harness, json_template

COMMANDS = (
    ("digest",),
    ("plan",),
    ("check",),
    ("inputs",),
    ("images",),
    ("report", "--json"),
    ("digest", "--changed-since", "HEAD"),
    ("plan", "--changed-since", "HEAD"),
    ("check", "--changed-since", "HEAD"),
)


def git(harness: Harness, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=harness.folder, check=True, capture_output=True)


def marker(harness: Harness) -> Path:
    """A program that writes the file `ran` next to it."""
    outside = harness.folder.parent
    return harness.program("mark", f'#!/bin/sh\necho "$0 $*" >> "{outside}/ran"\nexit 1\n', outside)


def ran(harness: Harness) -> str:
    path = harness.folder.parent / "ran"
    return path.read_text() if path.exists() else ""


def complete(harness: Harness, line: str) -> list[str]:
    answer = harness.folder.parent / "completions"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    harness.run(environment=environment, cwd=harness.folder / "images")
    return answer.read_text().split()


@pytest.fixture
def modern(tmp_path: Path, local: LocalAws, current_packer: Path) -> Harness:
    harness = Harness(tmp_path, local, current_packer)
    shutil.copytree(ROOT / "tests/end_to_end/modern", harness.folder, dirs_exist_ok=True)
    return harness


@pytest.fixture
def planted(harness: Harness) -> Harness:
    """A pull request that adds a bare repository next to bakery.toml.

    The repository's own configuration names programs too.
    """
    harness.write("images/bakery.toml", TOML)
    harness.write("images/ami/app.json", json_template())
    harness.write("images/ami/setup.sh", "echo set up\n")
    harness.write("images/ami/.gitattributes", "setup.sh filter=x\n")
    git(harness, "init", "--quiet", "--initial-branch=main")
    git(harness, "add", "--all")
    git(harness, "commit", "--quiet", "--message", "x")
    mark = marker(harness)
    for path, content in {
        "HEAD": "ref: refs/heads/main\n",
        "objects/.keep": "",
        "refs/.keep": "",
        "config": f"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = {mark}\n",
    }.items():
        harness.write(f"images/{path}", content)
    for setting in ("filter.x.clean", "filter.x.process", "core.fsmonitor", "core.pager", "diff.external"):
        git(harness, "config", setting, str(mark))
    (harness.folder / ".git/hooks/post-index-change").symlink_to(mark)
    harness.write("images/ami/setup.sh", "echo set up!\n")
    return harness


def test_plain_git_runs_the_planted_programs(planted: Harness) -> None:
    done = subprocess.run(["git", "status"], cwd=planted.folder / "images", check=False, capture_output=True)
    assert ran(planted), done


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_git_runs_no_planted_program_for_a_command(planted: Harness, arguments: tuple[str, ...]) -> None:
    run = planted.run(*arguments, cwd=planted.folder / "images")
    assert (run.status, ran(planted)) == (0, ""), run.stderr


def test_git_runs_no_planted_program_for_a_bake_and_a_plan(planted: Harness) -> None:
    images = planted.folder / "images"
    assert planted.run("bake", cwd=images).status == 0
    planted.write("images/ami/setup.sh", "echo other\n")
    (plan,) = planted.run("plan", "--json", cwd=images).images
    assert "tree-was-dirty" in {reason["kind"] for reason in plan["reasons"]}, "git read the old files"
    (caveat,) = (reason["detail"] for reason in plan["reasons"] if reason["kind"] == "filter-not-run")
    assert "ami/setup.sh" in caveat
    assert ran(planted) == ""


def test_git_runs_no_planted_program_for_a_report_of_what_changed(planted: Harness) -> None:
    images = planted.folder / "images"
    settings = ("core.fsmonitor=", "core.hooksPath=/dev/null", "filter.x.clean=", "filter.x.process=")
    disabled = [word for setting in settings for word in ("-c", setting)]
    for text in ("one", "two"):
        planted.write("images/ami/setup.sh", f"echo {text}\n")
        git(planted, *disabled, "commit", "--quiet", "--all", "--message", text)
        assert planted.run("bake", cwd=images).status == 0
    assert ran(planted) == ""
    document = planted.run("report", "--json", cwd=images).document
    newest = document["images"][0]["builds"][0]
    assert document["commits"][newest["commit"]]["subject"] == "two"
    assert "ami/setup.sh" in {item["subject"] for item in newest["changes"]["items"]}, "git read the old files"
    assert ran(planted) == ""


def test_git_runs_no_planted_program_for_completion(planted: Harness) -> None:
    assert "main" in complete(planted, "ami-bakery plan --changed-since ")
    assert ran(planted) == ""


def with_provisioner(harness: Harness, **provisioner: object) -> Harness:
    harness.write("bakery.toml", TOML)
    harness.write("ami/app.json", json_template() | {"provisioners": [provisioner]})
    return harness


def plugin_in_the_current_folder(harness: Harness) -> None:
    (harness.folder / "packer-plugin-x").symlink_to(marker(harness))


def plugin_in_the_workdir(harness: Harness) -> None:
    (harness.folder / "ami/packer-plugin-x").symlink_to(marker(harness))


def copy_in_the_workdir(harness: Harness) -> None:
    path = harness.folder / "ami/packer-plugin-x_v1.0.0_x5.0_linux_amd64"
    path.write_bytes(marker(harness).read_bytes())
    path.chmod(0o755)


def provisioner_in_the_workdir(harness: Harness) -> None:
    with_provisioner(harness, type="x")
    (harness.folder / "ami/packer-provisioner-x").symlink_to(marker(harness))


def builder_in_the_workdir(harness: Harness) -> None:
    (harness.folder / "ami/packer-builder-amazon-ebs").symlink_to(marker(harness))


def post_processor_in_the_workdir(harness: Harness) -> None:
    harness.write("ami/app.json", json_template() | {"post-processors": [{"type": "manifest"}]})
    (harness.folder / "ami/packer-post-processor-manifest").symlink_to(marker(harness))


def home_in_the_repository(harness: Harness) -> None:
    harness.environment["HOME"] = str(harness.folder)
    (harness.folder / ".packer.d/plugins").mkdir(parents=True)
    (harness.folder / ".packer.d/plugins/packer-plugin-x").symlink_to(marker(harness))


def plugin_path_in_the_repository(harness: Harness) -> None:
    harness.environment["PACKER_PLUGIN_PATH"] = f"/nowhere:{harness.folder}/plugins"
    (harness.folder / "plugins").mkdir()
    (harness.folder / "plugins/packer-plugin-x").symlink_to(marker(harness))


def relative_plugin_path(harness: Harness) -> None:
    harness.environment["PACKER_PLUGIN_PATH"] = "plugins"
    (harness.folder / "ami/plugins").mkdir()
    (harness.folder / "ami/plugins/packer-plugin-x").symlink_to(marker(harness))


def configuration_in_the_repository(harness: Harness) -> None:
    with_provisioner(harness, type="x")
    harness.environment["PACKER_CONFIG"] = str(harness.folder / "packerconfig")
    harness.write("ami/sub/packer-provisioner-x", marker(harness).read_bytes()).chmod(0o755)
    harness.write("packerconfig", {"Provisioners": {"x": "sub/packer-provisioner-x"}})


def wrapper_of_ansible(harness: Harness) -> None:
    (harness.folder / "ami/wrapper").symlink_to(marker(harness))
    harness.write("ami/play.yml", "- hosts: all\n")
    with_provisioner(harness, type="ansible", playbook_file="play.yml", command="./wrapper")


def program_in_the_current_folder(harness: Harness) -> None:
    (harness.folder / "ami/packer").symlink_to(marker(harness))
    (harness.folder / "packer").symlink_to(marker(harness))
    harness.environment["PATH"] = f".::{harness.environment['PATH']}"


def program_in_the_repository(harness: Harness) -> None:
    program_in_the_current_folder(harness)
    harness.environment["PATH"] = f"{harness.folder}:{harness.environment['PATH']}"


def ansible_in_the_current_folder(harness: Harness) -> None:
    (harness.folder / "ami/ansible-playbook").symlink_to(marker(harness))
    (harness.folder / "ansible-playbook").symlink_to(marker(harness))
    harness.write("ami/play.yml", "- hosts: all\n")
    with_provisioner(harness, type="ansible", playbook_file="play.yml")
    harness.environment["PATH"] = f"{harness.folder}:{harness.environment['PATH']}"


NOT_VALIDATED = (
    *(plugin_in_the_workdir, copy_in_the_workdir, provisioner_in_the_workdir, builder_in_the_workdir),
    *(post_processor_in_the_workdir, home_in_the_repository, plugin_path_in_the_repository, relative_plugin_path),
    *(configuration_in_the_repository, wrapper_of_ansible),
)
VALIDATED = (
    *(plugin_in_the_current_folder, program_in_the_current_folder),
    *(program_in_the_repository, ansible_in_the_current_folder),
)


@pytest.mark.parametrize("plant", [*NOT_VALIDATED, *VALIDATED], ids=lambda plant: plant.__name__)
def test_packer_runs_no_program_of_the_definition(app: Harness, plant: Callable[[Harness], None]) -> None:
    plant(app)
    subprocess.run(
        ["packer", "validate", "app.json"],
        cwd=app.folder / ("." if plant is plugin_in_the_current_folder else "ami"),
        env=app.environment,
        check=False,
        capture_output=True,
    )
    assert ran(app), "plain Packer does not run it: the test proves nothing"
    (app.folder.parent / "ran").unlink()
    for command in ("digest", "plan", "check"):
        run = app.run(command)
        assert ran(app) == "", command
    assert ("packer validate was not run" in run.stdout) == (plant in NOT_VALIDATED), run.stdout + run.stderr


@pytest.mark.parametrize("command", ["digest", "plan", "inputs", "check"])
def test_syntax_error_check_runs_no_program_of_the_definition(app: Harness, command: str) -> None:
    plugin_in_the_workdir(app)
    app.write("ami/app.pkr.hcl", 'source "amazon-ebs" "x" {\n  region =\n}\n')
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    run = app.run(command)
    assert run.status == 1
    assert "Expected the start of an expression, but found an invalid expression token" in run.stdout + run.stderr
    assert ran(app) == ""


def test_plugins_in_the_repository_are_not_run_for_their_versions(modern: Harness, current_packer: Path) -> None:
    """Since 1.11, Packer loads plugins from one folder. Some CI systems can cache it only inside the project."""
    folder = modern.folder / ".packer/github.com/hashicorp/amazon"
    folder.mkdir(parents=True)
    (real,) = (current_packer / "plugins/github.com/hashicorp/amazon").glob("*_linux_amd64")
    program = modern.program(real.name, marker(modern).read_text().replace("exit 1", f'exec {real} "$@"'), folder)
    program.with_name(f"{real.name}_SHA256SUM").write_text(hashlib.sha256(program.read_bytes()).hexdigest())
    modern.environment["PACKER_PLUGIN_PATH"] = str(modern.folder / ".packer")
    subprocess.run(["packer", "plugins", "installed"], env=modern.environment, check=True, capture_output=True)
    assert ran(modern), "plain Packer does not run it: the test proves nothing"
    (modern.folder.parent / "ran").unlink()
    digest = modern.run("digest").answer
    modern.run("plan")
    check = modern.run("check")
    assert ran(modern) == ""
    assert f"packer validate was not run: it would start {program}" in check.stdout
    with program.open("a") as file:
        file.write("# another one\n")
    program.with_name(f"{real.name}_SHA256SUM").write_text(hashlib.sha256(program.read_bytes()).hexdigest())
    assert modern.run("digest").answer != digest
    assert modern.run("bake").status == 0
    assert ran(modern), "a bake runs the programs of its definition"


CREDENTIAL_PROCESS = """\
#!/bin/sh
echo run >> {folder}/asked
echo '{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "{secret}"}}'
"""


def test_credential_process_runs_only_from_the_users_configuration(app: Harness) -> None:
    """AWS SDKs read ~/.aws and the environment's files, never the current folder."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    key, secret = (app.environment.pop(name) for name in names)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_SESSION_TOKEN"):
        app.environment.pop(name, None)
    text = CREDENTIAL_PROCESS.format(folder=app.folder.parent, key=key, secret=secret)
    own = app.program("credentials", text, app.folder.parent)
    app.write(".aws/config", f"[default]\ncredential_process = {marker(app)}\n")
    home = app.folder.parent / ".aws"
    home.mkdir()
    (home / "config").write_text(f"[default]\ncredential_process = {own}\n")
    assert app.run("plan").status == 0
    assert (app.folder.parent / "asked").exists()
    assert ran(app) == ""


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "HOME"])
def test_credential_process_of_a_configuration_in_the_repository_is_not_run(app: Harness, variable: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        app.environment.pop(name, None)
    config = app.write(".aws/config", f"[default]\ncredential_process = {marker(app)}\n")
    environment = {variable: str(app.folder if variable == "HOME" else config)}
    run = app.run("plan", environment=environment)
    assert (run.status, ran(app)) == (1, "")
    assert f"{config} is in the repository: planning does not start its credential_process" in run.stderr
    assert app.run("bake", environment=environment).status == 1
    assert ran(app), "a bake runs the configured program"


def test_buildkite_agent_in_the_repository_is_not_run(app: Harness) -> None:
    (app.folder / "buildkite-agent").symlink_to(marker(app))
    path = f".:{app.folder}:{app.environment['PATH']}"
    run = app.run("check", environment={"BUILDKITE": "true", "PATH": path})
    assert (run.status, ran(app)) == (0, "")
