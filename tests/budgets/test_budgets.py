"""The most common runs stay within their budgets, which are counts in budgets.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Harness, json_template

HERE = Path(__file__).parent
BUDGETS = tomllib.loads((HERE / "budgets.toml").read_text())
TOML = """\
version = 1
[defaults]
regions = ["us-east-1"]
"""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What one run did. `modules` and `inputs` have an entry for each import, and for each time a file was opened."""

    modules: list[str]
    inputs: list[str]
    processes: int
    api_calls: int


def count(harness: Harness, *arguments: str, stdout: str) -> Counts:
    """Runs the program. `stdout`: text that it must print."""
    log = harness.folder.parent / "audit.log"
    log.unlink(missing_ok=True)
    harness.control.clear_report()
    run = harness.run(*arguments, environment={"PYTHONPATH": str(HERE), "AMI_BAKERY_AUDIT_LOG": str(log)})
    assert run.status == 0, run.stderr
    assert stdout in run.stdout
    lines = log.read_text("utf-8", "surrogateescape").splitlines()
    opened = [Path(harness.folder, line.removeprefix("open ")) for line in lines if line.startswith("open ")]
    return Counts(
        modules=[line.removeprefix("import ") for line in lines if line.startswith("import ")],
        inputs=[str(path.relative_to(harness.folder)) for path in opened if path.is_relative_to(harness.folder)],
        processes=lines.count("process"),
        api_calls=sum(harness.calls().values()),
    )


def within(case: str, counts: Counts) -> None:
    budget = BUDGETS[case]
    assert len(set(counts.modules)) <= budget["modules"]
    assert (counts.processes, counts.api_calls) == (budget["processes"], budget["api_calls"])
    assert [name for name in budget["never_imported"] if name in counts.modules] == []


def files(harness: Harness) -> list[str]:
    """Writes 50 files of 0 to 49 kB in five folders."""
    names = [f"ami/part-{number % 5}/file-{number:02}" for number in range(50)]
    for number, name in enumerate(names):
        harness.write(name, bytes([number]) * (number * 1000))
    return sorted(names)


def as_drop_in(harness: Harness) -> None:
    harness.write("template/app.json", json_template())
    harness.environment |= {
        "PACKER_JSON_PATH": f"{harness.folder}/template/app.json",
        "AMI_DEFINITION_DIRS": f"{harness.folder}/ami/",
    }


def as_configured(harness: Harness) -> None:
    harness.write("template/app.json", json_template())
    harness.write("bakery.toml", f'{TOML}[images.app]\ntemplate = "template/app.json"\ninputs = ["ami"]\n')


READ_BY_A_CONFIGURATION = ["bakery.toml", "template/app.json", "template/app.json"]
"""The template is read twice: to parse it, and to hash it."""


def test_help_imports_only_the_parser(harness: Harness) -> None:
    within("help", count(harness, "--help", stdout="exit status"))


def test_digest_in_drop_in_mode_opens_each_input_once(harness: Harness) -> None:
    names = files(harness)
    as_drop_in(harness)
    counts = count(harness, "digest", stdout="")
    within("digest-drop-in", counts)
    assert sorted(counts.inputs) == names


def test_digest_with_a_configuration_opens_each_input_once(harness: Harness) -> None:
    names = files(harness)
    as_configured(harness)
    counts = count(harness, "digest", stdout="")
    within("digest-configured", counts)
    assert sorted(counts.inputs) == sorted([*names, *READ_BY_A_CONFIGURATION])


def test_an_unchanged_image_in_drop_in_mode_reads_no_template(harness: Harness) -> None:
    names = files(harness)
    as_drop_in(harness)
    baked = count(harness, "bake", stdout="ami-").modules
    assert {"ami_bakery.core.lock.protocol_steps", "ami_bakery.bake.locked_bake"} <= set(baked), "a bake needs them"
    counts = count(harness, "bake", stdout="ami-")
    within("unchanged-drop-in", counts)
    assert {name for name in counts.inputs if name.startswith(("ami/", "template/app"))} == set(names)
    assert harness.packer_runs == 1


def test_an_unchanged_image_with_a_configuration_opens_each_input_once(harness: Harness) -> None:
    names = files(harness)
    as_configured(harness)
    harness.run("bake")
    counts = count(harness, "bake", stdout="ami-")
    within("unchanged-configured", counts)
    assert sorted(counts.inputs) == sorted([*names, *READ_BY_A_CONFIGURATION])
    assert harness.packer_runs == 1


def test_a_plan_of_200_images_asks_ec2_twice(harness: Harness) -> None:
    names = [f"image-{number:03}" for number in range(200)]
    text = TOML
    for name in names:
        harness.write(f"{name}/app.json", json_template())
        harness.write(f"{name}/setup.sh", f"echo {name}\n")
        text += f'[images.{name}]\ntemplate = "{name}/app.json"\n'
    harness.write("bakery.toml", text)
    digests = {image["image"]: image["digest"] for image in harness.run("digest", "--json").images}
    harness.control.seed(
        "us-east-1",
        {
            name: {"ami_config_checksum": digest, "ami-bakery:image": name, "ami-bakery:format": "1"}
            for name, digest in digests.items()
        },
    )
    counts = count(harness, "plan", "--json", stdout='"reuse"')
    within("plan-200", counts)
    assert len(counts.inputs) == 1 + 3 * len(names)
