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
from tests.harness import TOML, Kitchen, json_template

COMMANDS = (
    ("digest",),
    ("plan",),
    ("check",),
    ("inputs",),
    ("images",),
    ("digest", "--changed-since", "HEAD"),
    ("plan", "--changed-since", "HEAD"),
    ("check", "--changed-since", "HEAD"),
)


def git(kitchen: Kitchen, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=kitchen.folder, check=True, capture_output=True)


def marker(kitchen: Kitchen) -> Path:
    """A program that writes the file `ran` next to it."""
    outside = kitchen.folder.parent
    return kitchen.program("mark", f'#!/bin/sh\necho "$0 $*" >> "{outside}/ran"\nexit 1\n', outside)


def ran(kitchen: Kitchen) -> str:
    path = kitchen.folder.parent / "ran"
    return path.read_text() if path.exists() else ""


def complete(kitchen: Kitchen, line: str) -> list[str]:
    answer = kitchen.folder.parent / "completions"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    kitchen.run(environment=environment, cwd=kitchen.folder / "images")
    return answer.read_text().split()


@pytest.fixture
def modern(tmp_path: Path, local: LocalAws, current_packer: Path) -> Kitchen:
    kitchen = Kitchen(tmp_path, local, current_packer)
    shutil.copytree(ROOT / "tests/end_to_end/modern", kitchen.folder, dirs_exist_ok=True)
    return kitchen


@pytest.fixture
def planted(kitchen: Kitchen) -> Kitchen:
    """A pull request that adds the files of a bare repository beside bakery.toml, in a repository whose own
    configuration names programs too."""
    kitchen.write("images/bakery.toml", TOML)
    kitchen.write("images/ami/app.json", json_template())
    kitchen.write("images/ami/setup.sh", "echo set up\n")
    kitchen.write("images/ami/.gitattributes", "setup.sh filter=x\n")
    git(kitchen, "init", "--quiet", "--initial-branch=main")
    git(kitchen, "add", "--all")
    git(kitchen, "commit", "--quiet", "--message", "x")
    mark = marker(kitchen)
    for path, content in {
        "HEAD": "ref: refs/heads/main\n",
        "objects/.keep": "",
        "refs/.keep": "",
        "config": f"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = {mark}\n",
    }.items():
        kitchen.write(f"images/{path}", content)
    for setting in ("filter.x.clean", "filter.x.process", "core.fsmonitor", "core.pager", "diff.external"):
        git(kitchen, "config", setting, str(mark))
    (kitchen.folder / ".git/hooks/post-index-change").symlink_to(mark)
    kitchen.write("images/ami/setup.sh", "echo set up!\n")
    return kitchen


def test_plain_git_runs_the_planted_programs(planted: Kitchen) -> None:
    done = subprocess.run(["git", "status"], cwd=planted.folder / "images", check=False, capture_output=True)
    assert ran(planted), done


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_git_runs_no_planted_program_for_a_command(planted: Kitchen, arguments: tuple[str, ...]) -> None:
    run = planted.run(*arguments, cwd=planted.folder / "images")
    assert (run.status, ran(planted)) == (0, ""), run.stderr


def test_git_runs_no_planted_program_for_a_bake_and_a_plan(planted: Kitchen) -> None:
    images = planted.folder / "images"
    assert planted.run("bake", cwd=images).status == 0
    planted.write("images/ami/setup.sh", "echo other\n")
    (plan,) = planted.run("plan", "--json", cwd=images).images
    assert "tree-was-dirty" in {reason["kind"] for reason in plan["reasons"]}, "git was asked for the old files"
    (caveat,) = (reason["detail"] for reason in plan["reasons"] if reason["kind"] == "filter-not-run")
    assert "ami/setup.sh" in caveat
    assert ran(planted) == ""


def test_git_runs_no_planted_program_for_completion(planted: Kitchen) -> None:
    assert "main" in complete(planted, "ami-bakery plan --changed-since ")
    assert ran(planted) == ""


def with_provisioner(kitchen: Kitchen, **provisioner: object) -> Kitchen:
    kitchen.write("bakery.toml", TOML)
    kitchen.write("ami/app.json", json_template() | {"provisioners": [provisioner]})
    return kitchen


def plugin_in_the_current_folder(kitchen: Kitchen) -> None:
    (kitchen.folder / "packer-plugin-x").symlink_to(marker(kitchen))


def plugin_in_the_workdir(kitchen: Kitchen) -> None:
    (kitchen.folder / "ami/packer-plugin-x").symlink_to(marker(kitchen))


def copy_in_the_workdir(kitchen: Kitchen) -> None:
    path = kitchen.folder / "ami/packer-plugin-x_v1.0.0_x5.0_linux_amd64"
    path.write_bytes(marker(kitchen).read_bytes())
    path.chmod(0o755)


def provisioner_in_the_workdir(kitchen: Kitchen) -> None:
    with_provisioner(kitchen, type="x")
    (kitchen.folder / "ami/packer-provisioner-x").symlink_to(marker(kitchen))


def builder_in_the_workdir(kitchen: Kitchen) -> None:
    (kitchen.folder / "ami/packer-builder-amazon-ebs").symlink_to(marker(kitchen))


def post_processor_in_the_workdir(kitchen: Kitchen) -> None:
    kitchen.write("ami/app.json", json_template() | {"post-processors": [{"type": "manifest"}]})
    (kitchen.folder / "ami/packer-post-processor-manifest").symlink_to(marker(kitchen))


def home_in_the_repository(kitchen: Kitchen) -> None:
    kitchen.environment["HOME"] = str(kitchen.folder)
    (kitchen.folder / ".packer.d/plugins").mkdir(parents=True)
    (kitchen.folder / ".packer.d/plugins/packer-plugin-x").symlink_to(marker(kitchen))


def plugin_path_in_the_repository(kitchen: Kitchen) -> None:
    kitchen.environment["PACKER_PLUGIN_PATH"] = f"/nowhere:{kitchen.folder}/plugins"
    (kitchen.folder / "plugins").mkdir()
    (kitchen.folder / "plugins/packer-plugin-x").symlink_to(marker(kitchen))


def relative_plugin_path(kitchen: Kitchen) -> None:
    kitchen.environment["PACKER_PLUGIN_PATH"] = "plugins"
    (kitchen.folder / "ami/plugins").mkdir()
    (kitchen.folder / "ami/plugins/packer-plugin-x").symlink_to(marker(kitchen))


def configuration_in_the_repository(kitchen: Kitchen) -> None:
    with_provisioner(kitchen, type="x")
    kitchen.environment["PACKER_CONFIG"] = str(kitchen.folder / "packerconfig")
    kitchen.write("ami/sub/packer-provisioner-x", marker(kitchen).read_bytes()).chmod(0o755)
    kitchen.write("packerconfig", {"Provisioners": {"x": "sub/packer-provisioner-x"}})


def wrapper_of_ansible(kitchen: Kitchen) -> None:
    (kitchen.folder / "ami/wrapper").symlink_to(marker(kitchen))
    kitchen.write("ami/play.yml", "- hosts: all\n")
    with_provisioner(kitchen, type="ansible", playbook_file="play.yml", command="./wrapper")


def program_in_the_current_folder(kitchen: Kitchen) -> None:
    (kitchen.folder / "ami/packer").symlink_to(marker(kitchen))
    (kitchen.folder / "packer").symlink_to(marker(kitchen))
    kitchen.environment["PATH"] = f".::{kitchen.environment['PATH']}"


def program_in_the_repository(kitchen: Kitchen) -> None:
    program_in_the_current_folder(kitchen)
    kitchen.environment["PATH"] = f"{kitchen.folder}:{kitchen.environment['PATH']}"


def ansible_in_the_current_folder(kitchen: Kitchen) -> None:
    (kitchen.folder / "ami/ansible-playbook").symlink_to(marker(kitchen))
    (kitchen.folder / "ansible-playbook").symlink_to(marker(kitchen))
    kitchen.write("ami/play.yml", "- hosts: all\n")
    with_provisioner(kitchen, type="ansible", playbook_file="play.yml")
    kitchen.environment["PATH"] = f"{kitchen.folder}:{kitchen.environment['PATH']}"


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
def test_packer_runs_no_program_of_the_definition(app: Kitchen, plant: Callable[[Kitchen], None]) -> None:
    plant(app)
    subprocess.run(
        ["packer", "validate", "app.json"],
        cwd=app.folder / ("." if plant is plugin_in_the_current_folder else "ami"),
        env=app.environment,
        check=False,
        capture_output=True,
    )
    assert ran(app), "plain Packer does not start it: the case shows nothing"
    (app.folder.parent / "ran").unlink()
    for command in ("digest", "plan", "check"):
        run = app.run(command)
        assert ran(app) == "", command
    assert ("packer validate was not run" in run.stdout) == (plant in NOT_VALIDATED), run.stdout + run.stderr


@pytest.mark.parametrize("command", ["digest", "plan", "inputs", "check"])
def test_syntax_error_check_runs_no_program_of_the_definition(app: Kitchen, command: str) -> None:
    plugin_in_the_workdir(app)
    app.write("ami/app.pkr.hcl", 'source "amazon-ebs" "x" {\n  region =\n}\n')
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    run = app.run(command)
    assert run.status == 1
    assert "Expected the start of an expression, but found an invalid expression token" in run.stdout + run.stderr
    assert ran(app) == ""


def test_plugins_in_the_repository_are_not_run_for_their_versions(modern: Kitchen, current_packer: Path) -> None:
    """Since 1.11, Packer loads plugins from one folder, which some CI systems can cache only inside the project."""
    folder = modern.folder / ".packer/github.com/hashicorp/amazon"
    folder.mkdir(parents=True)
    (real,) = (current_packer / "plugins/github.com/hashicorp/amazon").glob("*_linux_amd64")
    program = modern.program(real.name, marker(modern).read_text().replace("exit 1", f'exec {real} "$@"'), folder)
    program.with_name(f"{real.name}_SHA256SUM").write_text(hashlib.sha256(program.read_bytes()).hexdigest())
    modern.environment["PACKER_PLUGIN_PATH"] = str(modern.folder / ".packer")
    subprocess.run(["packer", "plugins", "installed"], env=modern.environment, check=True, capture_output=True)
    assert ran(modern), "plain Packer does not start it: the case shows nothing"
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
    assert ran(modern), "a bake starts what it is made with"


CREDENTIAL_PROCESS = """\
#!/bin/sh
echo run >> {folder}/asked
echo '{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "{secret}"}}'
"""


def test_credential_process_runs_only_from_the_users_configuration(app: Kitchen) -> None:
    """AWS SDKs read ~/.aws and files named by the environment, never the current folder."""
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
def test_credential_process_of_a_configuration_in_the_repository_is_not_run(app: Kitchen, variable: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        app.environment.pop(name, None)
    config = app.write(".aws/config", f"[default]\ncredential_process = {marker(app)}\n")
    environment = {variable: str(app.folder if variable == "HOME" else config)}
    run = app.run("plan", environment=environment)
    assert (run.status, ran(app)) == (1, "")
    assert f"{config} is in the repository: planning does not start its credential_process" in run.stderr
    assert app.run("bake", environment=environment).status == 1
    assert ran(app), "a bake starts what it is configured with"


def test_buildkite_agent_in_the_repository_is_not_run(app: Kitchen) -> None:
    (app.folder / "buildkite-agent").symlink_to(marker(app))
    path = f".:{app.folder}:{app.environment['PATH']}"
    run = app.run("check", environment={"BUILDKITE": "true", "PATH": path})
    assert (run.status, ran(app)) == (0, "")
