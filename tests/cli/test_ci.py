"""CI integration of the real program: annotations on stderr, summaries, and ids in the CI's files."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from tests.ci_logs import LogCommand, azure_commands, github_commands
from tests.harness import TOML, Harness, Run, json_template
from tests.seed import seed_images


@pytest.fixture
def summary(app: Harness) -> Path:
    """The summary file of a GitHub Actions step."""
    path = app.folder.parent / "step-summary.md"
    path.write_text("")
    app.environment |= {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(app.folder.parent),
        "GITHUB_STEP_SUMMARY": str(path),
    }
    return path


def annotated(run: Run) -> list[tuple[str, str, str]]:
    """Returns kind, file and line of each annotation that GitHub shows. Asserts that stdout has none."""
    assert github_commands(run.stdout) == []
    return [
        (command.name, command.properties.get("file", ""), command.properties.get("line", ""))
        for command in github_commands(run.stderr)
    ]


def secret_line(app: Harness) -> str:
    """Returns the line whose key names the folder with the secret."""
    app.write("ami/deploy.key", "x")
    return str(TOML.splitlines().index('inputs = ["ami"]') + 1)


def test_github_shows_findings_at_their_lines_and_in_a_table(app: Harness, summary: Path) -> None:
    line = secret_line(app)
    run = app.run("check")
    assert annotated(run) == [("warning", "repository/bakery.toml", line)]
    assert run.stdout.startswith(f"bakery.toml:{line}: warning: ")
    assert "### ami-bakery check: 1 warning" in summary.read_text()
    assert f"| warning | app | `bakery.toml:{line}` | ami/deploy.key looks like a secret" in summary.read_text()


def test_github_shows_plans_and_outcomes_as_tables(app: Harness, summary: Path) -> None:
    app.run("plan")
    assert "| **bake** | app | `" in summary.read_text()
    run = app.run("bake")
    assert annotated(run) == []
    assert f"| **baked** | app | `{app.run('digest').answer[:12]}` | `{run.answer}` us-east-1 |" in summary.read_text()
    app.run("bake")
    assert summary.read_text().count("\n### ami-bakery bake: ") == 2, "each summary is appended"
    assert app.packer_runs == 1


def test_github_shows_errors_at_their_lines(app: Harness, summary: Path) -> None:
    app.write("bakery.toml", TOML + "colour = 1\nregions_ = 2\n")
    assert annotated(app.run("plan")) == [("error", "repository/bakery.toml", line) for line in ("7", "8")]
    assert "### ami-bakery plan: failed" in summary.read_text()
    app.write("bakery.toml", TOML + "inputs = 3\n")
    assert annotated(app.run("plan")) == [("error", "repository/bakery.toml", "7")]
    app.write("bakery.toml", TOML.replace('inputs = ["ami"]', 'inputs = ["ami", "absent"]'))
    assert annotated(app.run("bake")) == [("error", "repository/bakery.toml", "5")]
    app.write("bakery.toml", TOML)
    app.write("ami/app.json", "{\n\n  oops\n}")
    run = app.run("bake")
    assert annotated(run) == [("error", "repository/ami/app.json", "3")]
    assert "### ami-bakery bake: 1 failed" in summary.read_text()
    (command,) = github_commands(run.stderr)
    assert command.properties["title"] == "image app"
    assert app.packer_runs == 0


def test_no_annotations_without_a_ci_or_with_ci_off(app: Harness, summary: Path) -> None:
    secret_line(app)
    for run in (app.run("check", "--ci", "off"), app.run("check", environment={"GITHUB_ACTIONS": None})):
        assert annotated(run) == []
    assert summary.read_text() == ""


def test_unwritable_ci_summary_is_a_warning(app: Harness, summary: Path) -> None:
    missing = {"GITHUB_STEP_SUMMARY": str(app.folder / "absent/summary.md")}
    run = app.run("bake", environment=missing)
    assert run.answer.startswith("ami-")
    assert "warning: cannot report to GitHub Actions" in run.stderr
    summary.write_text("x" * (1 << 20))
    assert "larger than 1 MiB" in app.run("bake").stderr
    assert summary.stat().st_size == 1 << 20


def test_packer_output_is_never_a_ci_command(app: Harness, summary: Path) -> None:
    template = json_template()
    evil = "echo '::error::made up'; echo 'x ##[set-env name=PATH]y'; echo '##vso[task.setvariable variable=PATH]z'"
    template["provisioners"] = [{"type": "shell-local", "inline": [evil, "exit 3"]}]
    app.write("ami/app.json", template)
    run = app.run("bake", "-v")
    assert "made up" in run.stderr
    (command,) = github_commands(run.stderr)
    assert command.properties["title"] == "image app"
    in_azure = {"GITHUB_ACTIONS": None, "TF_BUILD": "True"}
    (issue,) = azure_commands(app.run("bake", "-v", environment=in_azure).stderr)
    assert issue.name == "task.logissue"


FORGED = (
    "::error::forged",
    "  ::add-mask::forged",
    "\u2003::set-env name=PATH::forged",
    "x ##[error]forged",
    "##VSO[task.setvariable variable=PATH]forged",
    "##teamcity[buildStatus status='FAILURE']",
    "--- forged",
    "+++ forged",
    "~~~ forged",
    "^^^ +++",
    "\x1b[0Ksection_start:1:forged\r\x1b[0Kforged",
    "\u2028::error::forged",
    "\u202eforged",
)


def forges(log: str) -> list[str]:
    """Returns the lines that a CI would interpret: GitHub, Azure, TeamCity, Buildkite, GitLab."""
    lines = re.split(r"\r\n|[\n\r\u2028\u2029\x85]", log)
    marker = re.compile(
        r"\s*::|.*##(?:vso|teamcity)?\[|(?:---|\+\+\+|~~~|\^\^\^)\s|.*[\x1b\u202e]|.*section_start.*\r", re.IGNORECASE
    )
    return [line for line in lines if marker.match(line)]


@pytest.mark.parametrize("forged", FORGED)
def test_untrusted_text_is_never_a_ci_command(app: Harness, forged: str) -> None:
    """Untrusted text: names of files, options and images, tags, filter values, and Packer's output."""
    name = forged.replace("/", "")
    app.write(f"ami/{name}", "x\n")
    template = json_template(tags={"Name": forged, "ami_config_checksum": "{{user `config_checksum`}}"})
    template["provisioners"] = [{"type": "shell-local", "inline": [f"printf '%s\\n' {shlex.quote(forged)}", "exit 3"]}]
    app.write("ami/app.json", template)
    runs = [
        app.run("inputs"),
        app.run("inputs", "--json"),
        app.run("bake", "-v"),
        app.run("bake", forged),
        app.run("plan", f"--{forged}"),
        app.run("digest", "--region", forged),
        app.run(forged),
    ]
    template["builders"][0]["source_ami_filter"]["filters"]["name"] = forged
    app.write("ami/app.json", template)
    runs += [app.run("plan"), app.run("check"), app.run("check", "--json")]
    app.write("ami/app.json", json_template(source_ami_filter=None, source_ami=forged))
    app.write("bakery.toml", f"{TOML}{json.dumps(forged)} = 1\n")
    runs += [app.run("plan"), app.run("check", "--json")]
    assert [found for run in runs for found in forges(f"{run.stdout}\n{run.stderr}")] == []


def test_printed_json_keeps_values_that_look_like_ci_commands(app: Harness) -> None:
    app.write("ami/##vso[task.complete]###[x]", "x\n")
    run = app.run("inputs", "--json")
    assert "##" not in run.stdout
    assert "ami/##vso[task.complete]###[x]" in [item["path"] for item in run.images[0]["inputs"]]


def test_terraform_external_prints_no_ci_commands(app: Harness, summary: Path) -> None:
    run = app.run("terraform-external", stdin='{"image": "app"}')
    assert run.status == 1
    assert annotated(run) == []
    assert summary.read_text() == ""


def test_azure_shows_findings_and_uploads_a_summary(app: Harness) -> None:
    line = secret_line(app)
    folder = app.make_folder(app.folder.parent / "agent-temp")
    run = app.run("check", environment={"TF_BUILD": "True", "AGENT_TEMPDIRECTORY": str(folder)})
    issue, upload = azure_commands(run.stderr)
    assert azure_commands(run.stdout) == []
    assert issue.properties == {
        "type": "warning",
        "sourcepath": str(app.folder / "bakery.toml"),
        "linenumber": line,
    }
    (path,) = folder.iterdir()
    assert upload == LogCommand(name="task.uploadsummary", properties={}, data=str(path))
    assert "### ami-bakery check: 1 warning" in path.read_text()


AGENT = """#!/bin/sh
echo "$@" >> {folder}/calls
cat >> {folder}/body
exit {status}
"""


def test_buildkite_agent_receives_an_annotation(app: Harness) -> None:
    in_buildkite = {"BUILDKITE": "true"}
    assert "cannot report" not in app.run("plan", environment=in_buildkite).stderr, "no agent, no annotation"
    app.program("buildkite-agent", AGENT.format(folder=app.folder.parent, status=0))
    app.run("plan", environment=in_buildkite)
    assert (app.folder.parent / "calls").read_text() == "annotate --append --style info --context ami-bakery-plan\n"
    assert "| **bake** | app |" in (app.folder.parent / "body").read_text()
    app.program("buildkite-agent", AGENT.format(folder=app.folder.parent, status=1))
    run = app.run("plan", environment=in_buildkite)
    assert run.status == 0
    assert "warning: cannot report to Buildkite" in run.stderr


# Files


def outputs(path: Path) -> dict[str, str]:
    """Parses `name=value` lines as GitHub's runner does."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_each_command_writes_github_outputs(app: Harness) -> None:
    path = app.folder.parent / "output"
    named = {"GITHUB_OUTPUT": str(path)}

    def written(*arguments: str) -> dict[str, str]:
        path.write_text("")
        app.run(*arguments, "--output", str(path), environment=named)
        return outputs(path)

    assert written("plan") == {"amis": '{"app": {}}', "outcome": "bake"}
    baked = written("bake")
    assert baked == {
        "ami-id": baked["ami-id"],
        "amis": json.dumps({"app": {"us-east-1": baked["ami-id"]}}),
        "outcome": "baked",
    }
    assert written("plan") == {**baked, "outcome": "reuse"}
    assert written("bake") == {**baked, "outcome": "reused"}
    assert written("check") == {"outcome": "passed"}
    secret_line(app)
    assert written("check") == {"outcome": "warning"}
    app.write("ami/app.json", "{")
    assert written("bake") == {"amis": '{"app": {}}', "outcome": "failed"}
    assert written("check") == {"outcome": "error"}


def test_circleci_bash_env_is_valid_shell(app: Harness) -> None:
    path = app.write("bash_env", "export EARLIER=1\n")
    ami = app.run("bake", "--output", str(path), environment={"BASH_ENV": str(path)}).answer
    script = 'echo "$EARLIER $AMI_ID $AMI_ID_APP $AMI_ID_APP_US_EAST_1"'
    done = subprocess.run(["bash", "-c", script], env={"BASH_ENV": str(path)}, capture_output=True, text=True)
    assert done.stdout == f"1 {ami} {ami} {ami}\n"


def test_properties_files_have_the_same_names_as_env_files(app: Harness) -> None:
    ami = app.run("bake", "--output", "amis.properties").answer
    app.run("bake", "--output", "amis.env")
    text = (app.folder / "amis.properties").read_text()
    assert (
        text == f"AMI_ID={ami}\nAMI_ID_APP={ami}\nAMI_ID_APP_US_EAST_1={ami}\n" == (app.folder / "amis.env").read_text()
    )


def test_gitlab_dotenv_report_stays_within_its_limits(app: Harness, ec2: EC2Client) -> None:
    head, table = TOML.split("[images.app]")
    names = [f"i{number:02}" for number in range(40)]
    app.write("bakery.toml", head + "".join(f"[images.{name}]{table}" for name in names))
    seed_images(app, [ec2])
    gitlab = {"GITLAB_CI": "true"}
    run = app.run("bake", "--output", "amis.env", environment=gitlab)
    assert run.status == 0, run.stderr
    lines = (app.folder / "amis.env").read_text().splitlines()
    assert len(lines) == 50
    assert {f"AMI_ID_{name.upper()}" for name in names} < {line.partition("=")[0] for line in lines}
    assert "30 variables were omitted, starting with AMI_ID_I10_US_EAST_1" in run.stderr
    run = app.run("bake", "--output", "amis.env", environment={**gitlab, "AMI_BAKERY_DOTENV_LIMIT": "100"})
    assert len((app.folder / "amis.env").read_text().splitlines()) == 80
    assert "were omitted" not in run.stderr


@pytest.mark.parametrize(("one", "other"), [("web-app", "web_app"), ("web", "web-us-east-1")])
def test_images_with_the_same_variable_name_are_refused(app: Harness, one: str, other: str) -> None:
    table = TOML.partition("[images.app]")[2]
    app.write("bakery.toml", f"version = 1\n[images.{one}]{table}[images.{other}]{table}")
    run = app.run("bake", "--output", "amis.env")
    assert run.status == 2
    assert f"images {one} and {other} have the same variable name AMI_ID_" in run.stderr
    assert app.packer_runs == 0
    assert app.run("bake", one, "--output", "amis.env").status == 0


def test_check_writes_gitlabs_code_quality_report(app: Harness) -> None:
    line = secret_line(app)
    in_project = {"CI_PROJECT_DIR": str(app.folder.parent)}
    app.run("check", "--output", "gl-code-quality-report.json", environment=in_project)
    (entry,) = json.loads((app.folder / "gl-code-quality-report.json").read_text())
    assert entry["location"] == {"path": "repository/bakery.toml", "lines": {"begin": int(line)}}
    assert (entry["severity"], entry["check_name"]) == ("minor", "secret-in-inputs (image app)")
    run = app.run("bake", "--output", "gl-code-quality-report.json")
    assert run.status == 2
    assert "this command does not write" in run.stderr


def test_plan_and_check_write_json_files(app: Harness) -> None:
    plan = app.run("plan", "--json", "--output", "plan.json")
    assert (app.folder / "plan.json").read_text() == plan.stdout
    findings = app.run("check", "--json", "--output", "findings.json")
    assert (app.folder / "findings.json").read_text() == findings.stdout


def test_plan_reports_every_image_that_fails(app: Harness, summary: Path) -> None:
    """All errors are reported, so that one run shows everything to fix. There is no partial plan."""
    for name in ("one", "two"):
        app.write(f"{name}/app.json", '{\n  "builders": [\n')
        toml = (app.folder / "bakery.toml").read_text()
        app.write("bakery.toml", f'{toml}\n[images.{name}]\ntemplate = "{name}/app.json"\n')
    run = app.run("plan", "--detailed-exitcode")
    assert (run.status, run.stdout) == (1, "")
    assert run.stderr.count("error: ") == 2
    places = [(kind, Path(file).parent.name, line) for kind, file, line in annotated(run)]
    assert [place[:2] for place in places] == [("error", "one"), ("error", "two")]
    assert summary.read_text().count("### ami-bakery plan: failed") == 2
    assert app.run("plan", "app").status == 0, "this image can be planned"
