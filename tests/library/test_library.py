"""The library: each test runs a script in its own process, against the embedded EC2."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.local import LocalAws
from tests.documents import blocks
from tests.harness import TOML, Harness, json_template, leftover_resources
from tests.release.pruning import Stock

DOCUMENT = "docs/guides/library.md"
BROKEN = """
[images.broken]
template = "ami/broken.json"
inputs = ["ami/broken.json"]
regions = ["us-east-1"]
"""


def run(harness: Harness, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=harness.folder,
        env=harness.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def said(harness: Harness, script: str) -> Any:
    """Runs a script and returns its output as JSON. Asserts that the library itself prints nothing."""
    done = run(harness, "import json\nfrom ami_bakery import *\n" + script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture
def broken(app: Harness) -> Harness:
    """Two images; Packer fails for the second one."""
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["echo no luck; exit 3"]}]
    app.write("ami/broken.json", template)
    app.write("bakery.toml", TOML.replace('inputs = ["ami"]', 'inputs = ["ami/setup.sh"]') + BROKEN)
    return app


RUN_EXAMPLES = """
import doctest, sys
text = sys.stdin.read()
test = doctest.DocTestParser().get_doctest(text, {}, "library.md", "library.md", 0)
runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
runner.run(test)
print(runner.tries)
sys.exit(runner.failures)
"""


def test_every_example_in_the_documentation_works(broken: Harness) -> None:
    both = (broken.folder / "bakery.toml").read_text()
    broken.write("bakery.toml", both.removesuffix(BROKEN))
    broken.write("broken.toml", both.partition("\n")[0] + BROKEN)
    examples = "\n".join(blocks(DOCUMENT, "pycon"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN_EXAMPLES],
        cwd=broken.folder,
        env=broken.environment,
        input=examples,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"{examples.count('>>> ')}\n"
    assert broken.packer_runs == 3, "one build, one failure, one forced rebuild"


def test_example_in_the_module_docstring_works(app: Harness) -> None:
    script = """
import doctest, sys, ami_bakery.api
results = doctest.testmod(ami_bakery.api, optionflags=doctest.ELLIPSIS)
print(results.attempted)
sys.exit(results.failed)
"""
    done = run(app, script)
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stdout + done.stderr


def test_examples_pass_mypy_strict(tmp_path: Path) -> None:
    """mypy --strict finds py.typed, and no Any."""
    examples = (line for block in blocks(DOCUMENT, "pycon") for line in block.splitlines())
    code = [line[4:] for line in examples if line.startswith((">>>", "..."))]
    claims = ("planned, PlannedImage", "again.ami_id, str", "bakery.bake(), tuple[BakedImage, ...]")
    code += ["from typing import assert_type", "from ami_bakery import BakedImage, PlannedImage"]
    (tmp_path / "example.py").write_text("\n".join([*code, *(f"assert_type({claim})" for claim in claims), ""]))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_does_not_import_boto3(app: Harness) -> None:
    heavy = ("boto3", "botocore", "rich", "moto", "tree_sitter", "yaml")
    script = f"""
import sys
Bakery, BakeryError, Action  # what __all__ names is there
print(json.dumps([name for name in {heavy} if name in sys.modules]))
"""
    assert said(app, script) == []


def test_public_names_are_exactly_those_in_all(app: Harness) -> None:
    script = """
import ami_bakery, typing
missing = [name for name in ami_bakery.__all__ if getattr(ami_bakery, name).__name__ != name]
assert set(ami_bakery.__all__) <= set(dir(ami_bakery))
for kind in (PlannedImage, BakedImage, Event):
    assert typing.get_type_hints(kind)
try:
    ami_bakery.Bakry
except AttributeError as error:
    print(json.dumps([missing, str(error)]))
"""
    assert said(app, script) == [[], "module 'ami_bakery' has no attribute 'Bakry'"]


def test_library_and_command_line_reuse_each_others_amis(app: Harness) -> None:
    bake = 'print(json.dumps([(image.ami_id, image.outcome) for image in Bakery.load("bakery.toml").bake()]))'
    ((ami, outcome),) = said(app, bake)
    assert outcome == "baked"
    assert app.run("bake", "app").answer == ami
    assert said(app, bake) == [[ami, "reused"]]
    assert app.packer_runs == 1


def test_default_is_the_bakery_toml_in_the_nearest_folder_above(app: Harness) -> None:
    (app.folder / "below").mkdir()
    assert said(app, 'import os; os.chdir("below"); print(json.dumps(Bakery.load().images))') == ["app"]
    script = """
import os; os.chdir("/")
try:
    Bakery.load()
except UsageError as error:
    print(json.dumps([error.doing, error.wrong, error.todo]))
"""
    assert said(app, script)[1:] == [
        "not found",
        'Create one with the lines: version = 1, [images.NAME], template = "PATH". Or pass its path.',
    ]


def test_packer_arguments_are_part_of_the_definition(app: Harness) -> None:
    script = """
large = Bakery.load(packer_arguments=["-var", "size=t3.large"])
print(json.dumps([Bakery.load().plan()[0].digest, large.plan()[0].digest]))
"""
    assert said(app, script) == [app.run("digest").answer, app.run("digest", "--", "-var", "size=t3.large").answer]


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ('Bakery.load("absent.toml")', "no such file"),
        ('Bakery.load(packer_arguments=["-debug"])', "-debug prompts on a terminal, which a library does not have"),
        ('Bakery.load(regions=["Virginia"])', "Virginia"),
        ('Bakery.load().plan("ap")', "bakery.toml has no image of this name; did you mean 'app'?"),
        ("Bakery.load().bake(jobs=0)", "jobs must be at least 1"),
        ('Bakery.load().revoke(reason="x")', "no AMI and no image is given"),
        ('Bakery.load().revoke("app", reason=" ")', "the reason is empty"),
    ],
)
def test_invalid_arguments_are_refused(app: Harness, call: str, wrong: str) -> None:
    refused = said(app, f"try:\n    {call}\nexcept UsageError as error:\n    print(json.dumps(error.wrong))")
    assert wrong in refused
    assert app.calls() == {}


def test_bake_failed_contains_the_result_of_each_image(broken: Harness) -> None:
    script = """
try:
    Bakery.load().bake()
except BakeFailed as failed:
    app, broken = failed.images
    assert failed.__cause__ is broken.error and app.error is None
    try:
        broken.ami_id
    except PackerError as error:
        print(json.dumps([app.outcome, app.ami_id, broken.outcome, error.wrong == failed.wrong, failed.wrong]))
"""
    outcome, ami, failed, same, wrong = said(broken, script)
    assert (outcome, failed, same) == ("baked", "failed", True)
    assert "no luck" in wrong
    assert broken.run("bake", "app").answer == ami


def test_skipped_child_is_not_reported_as_the_first_failure(broken: Harness) -> None:
    template = json_template(source_ami="{{user `source_ami`}}")
    del template["builders"][0]["source_ami_filter"]
    template["variables"]["source_ami"] = ""
    broken.write("ami/child.json", template)
    child = '[images.a-child]\ntemplate = "ami/child.json"\ninputs = ["ami/child.json"]\nfrom = "broken"\n'
    broken.write("bakery.toml", (broken.folder / "bakery.toml").read_text() + child + 'regions = ["us-east-1"]\n')
    script = """
try:
    Bakery.load().bake("a-child")
except BakeFailed as failed:
    results = [(image.name, type(image.error).__name__) for image in failed.images]
    print(json.dumps([results, type(failed.__cause__).__name__]))
"""
    assert said(broken, script) == [[["broken", "PackerError"], ["a-child", "SkippedError"]], "PackerError"]


def test_exception_of_the_watch_function_is_raised_after_the_bake(app: Harness) -> None:
    script = """
events = []
def watch(event):
    events.append(event.kind)
    if event.kind is EventKind.LINE:
        raise ValueError("the user's own")
try:
    Bakery.load(watch=watch).bake()
except ValueError as error:
    print(json.dumps([str(error), events.count(EventKind.LINE)]))
"""
    assert said(app, script) == ["the user's own", 1]
    assert app.run("plan", "--json").images[0]["action"] == "reuse", "the bake was not stopped"


def test_interruption_reaches_packer_and_the_bakery_is_reusable(app: Harness, ec2: EC2Client) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["test -e ../go || sleep 100"]}]
    app.write("ami/app.json", template)
    script = """
import pathlib, signal
from ami_bakery import Bakery, Event
def watch(event: Event) -> None:
    if "Running local shell script" in event.text:
        print("baking", flush=True)
before = signal.getsignal(signal.SIGTERM)
bakery = Bakery.load(watch=watch)
try:
    bakery.bake()
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert signal.getsignal(signal.SIGTERM) is before
pathlib.Path("go").touch()
print(bakery.bake()[0].outcome)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=app.folder, env=app.environment, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "baking\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert leftover_resources(ec2) == []
        time.sleep(1.1)
        assert process.stdout.read().endswith("baked\n")


def test_library_example_in_the_guide_works(app: Harness) -> None:
    (example,) = blocks(DOCUMENT, "python")
    done = run(app, example)
    assert (done.returncode, done.stdout.startswith("app bake (Reason(")) == (0, True), done.stdout + done.stderr
    assert app.run("plan", "--json").images[0]["action"] == "reuse"


INSTALLING_PACKER = """\
#!/bin/sh
case "$*" in
  version) echo Packer v1.11.0 ;;
  "plugins installed") cat {state} 2>/dev/null || true ;;
  init*) echo {plugin} > {state} ;;
esac
"""


def test_plan_installs_plugins_only_with_init(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    required = 'required_plugins {\n x = {\n source = "github.com/x/x"\n version = "1.0.0"\n}\n}'
    app.write("ami/app.pkr.hcl", f"packer {{\n{required}\n}}\n")
    outside = app.folder.parent
    plugin = outside / "github.com/x/x/packer-plugin-x_v1.0.0_x5.0_linux_amd64"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("x")
    state = outside / "installed"
    packer = app.program("installing-packer", INSTALLING_PACKER.format(state=state, plugin=plugin))
    load = f"bakery = Bakery.load(packer={str(packer)!r})\n"
    script = "try:\n    bakery.plan()\nexcept PackerError as error:\n    print(json.dumps([error.wrong, error.todo]))"
    wrong, todo = said(app, load + script)
    assert wrong.startswith("not installed: github.com/x/x 1.0.0")
    assert "--init" in todo
    assert not state.exists()
    assert said(app, load + "print(json.dumps(bakery.plan(init=True)[0].action))") == "bake"
    assert state.exists()


def test_amis_are_tested_and_a_failed_test_is_an_error(app: Harness) -> None:
    template = json_template(source_ami="{{user `source_ami`}}", ami_name="made-by-test-{{uuid}}", tags={})
    template["variables"]["source_ami"] = ""
    del template["builders"][0]["source_ami_filter"]
    app.write("tests/app.json", template | {"provisioners": [{"type": "shell-local", "inline": ["true"]}]})
    app.write("bakery.toml", f'{TOML}test = "tests/app.json"\n')
    app.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "24"
    script = """
import pathlib
bakery = Bakery.load()
def failure():
    try:
        bakery.test()
    except BakeFailed as failed:
        return [failed.images[0].outcome, type(failed.__cause__).__name__]
results = [failure()]
(baked,) = bakery.bake()
results += [(image.outcome, image.amis == baked.amis) for image in (*bakery.test(), *bakery.test("app", force=True))]
test = pathlib.Path("tests/app.json")
test.write_text(test.read_text().replace('"true"', '"exit 1"'))
results += [bakery.plan()[0].action, failure(), bakery.plan()[0].reasons[0].kind]
print(json.dumps(results))
"""
    assert said(app, script) == [
        ["failed", "NotBuiltError"],
        ["reused", True],
        ["tested", True],
        "test",
        ["failed", "PackerError"],
        "test-failed",
    ]
    assert app.packer_runs == 4, "a build, and three tests"


def test_promote_roll_back_and_list_channels(app: Harness) -> None:
    script = """
import pathlib
bakery = Bakery.load()
(first,) = bakery.bake()
(promoted,) = bakery.promote(to="stable")
pathlib.Path("ami/setup.sh").write_text("echo changed\\n")
try:
    bakery.promote("app", to="stable")
except ChannelFailed as failed:
    refused = (failed.images[0].outcome, failed.wrong[:24])
(second,) = bakery.bake()
(again,) = bakery.promote("app", to="stable")
back = bakery.rollback("app", channel="stable")
(entry,) = bakery.channels()
print(json.dumps([
    promoted.outcome, promoted.amis == first.amis, refused, again.amis == second.amis,
    back.outcome, back.amis == first.amis, entry.ami == first.ami_id, entry.version, entry.behind, entry.problem,
]))
"""
    assert said(app, script) == [
        "promoted",
        True,
        ["failed", "no finished AMI of the c"],
        True,
        "rolled-back",
        True,
        True,
        3,
        1,
        "",
    ]


def test_revoke_and_unrevoke(app: Harness) -> None:
    script = """
bakery = Bakery.load()
(made,) = bakery.bake()
bakery.promote(to="stable")
revoked = bakery.revoke("app", reason="CVE-2026-1234")
(plan,) = bakery.plan()
again = bakery.revoke(made.ami_id, reason="CVE-2026-1234")
try:
    bakery.revoke("app", reason="CVE-2026-1234", rollback_channels=True)
except RevocationFailed as failed:
    refused = ([ami.outcome for ami in failed.result.amis], [channel.outcome for channel in failed.result.channels])
(back,) = bakery.unrevoke("app")
print(json.dumps([
    [(ami.name, ami.region, ami.ami == made.ami_id, ami.outcome) for ami in revoked.amis],
    [(entry.channel, entry.revoked) for entry in revoked.in_use],
    plan.action, plan.reasons[0].kind, again.amis[0].outcome, refused,
    back.outcome, bakery.plan()[0].action,
]))
"""
    assert said(app, script) == [
        [["app", "us-east-1", True, "revoked"]],
        [["stable", "CVE-2026-1234"]],
        "bake",
        "revoked",
        "unchanged",
        [["unchanged"], ["failed"]],
        "unrevoked",
        "reuse",
    ]


def test_prune(app: Harness, local: LocalAws) -> None:
    app.write("bakery.toml", TOML + "keep = { last = 0 }\n")
    ami = Stock(app, local).build(50)["us-east-1"]
    script = """
bakery = Bakery.load()
(shown,) = bakery.prune(limit_percent=100)
(done,) = bakery.prune("app", apply=True)
(again,) = bakery.prune(apply=True)
try:
    bakery.prune(limit=-1)
except UsageError as error:
    refused = error.wrong
print(json.dumps([
    [shown.ami, shown.name, shown.region, shown.action, shown.reason, shown.outcome, shown.gibibytes],
    done.outcome, again.action, again.reason, again.outcome, refused[-12:],
]))
"""
    assert said(app, script) == [
        [ami, "app", "us-east-1", "disable", "expired", "planned", 8.0],
        "done",
        "wait",
        "quarantine",
        "kept",
        "out of range",
    ]
