"""The most common runs stay within their budgets, which are counts in budgets.toml."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.budgets.counting import Counts, count, counted, why_not
from tests.harness import PROGRAMS, Harness, json_template

BUDGETS = tomllib.loads((Path(__file__).parent / "budgets.toml").read_text())
NOT_HERE = "AMI_BAKERY_NO_STRACE"

pytestmark = pytest.mark.skipif(bool(os.environ.get(NOT_HERE)), reason=f"{NOT_HERE} is set")

TOML = """\
version = 1
[defaults]
regions = ["us-east-1"]
"""


@pytest.fixture(autouse=True, scope="module")
def _strace() -> None:
    if (why := why_not()) and not os.environ.get(NOT_HERE):
        pytest.fail(f"{why}: make test installs strace. To skip these tests, set {NOT_HERE}=1")


def exceeded(counts: Counts, budget: dict[str, int]) -> list[str]:
    """Returns the counts that exceed the budget."""
    values = asdict(counts)
    assert set(budget) == set(values), "a budget has a limit for every count"
    return [f"{name}: {values[name]:,}, at most {most:,}" for name, most in budget.items() if values[name] > most]


Counting = Callable[..., Counts]


@pytest.fixture
def counting(harness: Harness) -> Iterator[Counting]:
    """Counts the second of two runs: the first one writes Python's bytecode, which an installation has."""

    def run(*arguments: str, stdout: str = "") -> Counts:
        harness.run(*arguments)
        harness.control.clear_report()
        assert stdout in harness.run(*arguments).answer
        api_calls = sum(harness.calls().values())
        command = [str(PROGRAMS / "ami-bakery"), *arguments]
        return count(
            command, folder=harness.folder, environment=harness.environment, api_calls=api_calls, stdout=stdout
        )

    yield run


def files(harness: Harness) -> int:
    """Writes 50 files of 0 to 49 kB in five folders, always the same; returns their total size."""
    size = 0
    for number in range(50):
        content = bytes([number]) * (number * 1000)
        harness.write(f"ami/part-{number % 5}/file-{number:02}", content)
        size += len(content)
    return size


def as_drop_in(harness: Harness) -> None:
    harness.write("template/app.json", json_template())
    harness.environment |= {
        "PACKER_JSON_PATH": f"{harness.folder}/template/app.json",
        "AMI_DEFINITION_DIRS": f"{harness.folder}/ami/",
    }


def as_configured(harness: Harness) -> None:
    harness.write("template/app.json", json_template())
    harness.write("bakery.toml", f'{TOML}[images.app]\ntemplate = "template/app.json"\ninputs = ["ami"]\n')


def within(case: str, counts: Counts) -> None:
    problems = exceeded(counts, BUDGETS[case])
    assert not problems, f"more than tests/budgets/budgets.toml allows for {case}: " + "; ".join(problems)


def test_help_stays_within_its_budget(counting: Counting) -> None:
    within("help", counting("--help", stdout="exit status"))


def test_digest_in_drop_in_mode_stays_within_its_budget(harness: Harness, counting: Counting) -> None:
    size = files(harness)
    as_drop_in(harness)
    counts = counting("digest")
    within("digest-drop-in", counts)
    assert (counts.inputs_opened, counts.input_bytes) == (50, size), "each file is read once and completely"


def test_digest_with_a_configuration_stays_within_its_budget(harness: Harness, counting: Counting) -> None:
    size = files(harness)
    as_configured(harness)
    counts = counting("digest")
    within("digest-configured", counts)
    configuration, template = ((harness.folder / name).stat().st_size for name in ("bakery.toml", "template/app.json"))
    # The template is read twice: to parse it, and to hash it.
    assert counts.input_bytes == size + configuration + 2 * template


def test_an_unchanged_image_in_drop_in_mode_stays_within_its_budget(harness: Harness, counting: Counting) -> None:
    size = files(harness)
    as_drop_in(harness)
    counts = counting("bake", stdout="ami-")
    within("unchanged-drop-in", counts)
    assert counts.input_bytes < size + 1000, "the template, which only Packer needs, is not read"
    assert harness.packer_runs == 1


def test_an_unchanged_image_with_a_configuration_stays_within_its_budget(harness: Harness, counting: Counting) -> None:
    files(harness)
    as_configured(harness)
    within("unchanged-configured", counting("bake", stdout="ami-"))
    assert harness.packer_runs == 1


def test_a_plan_of_200_images_stays_within_its_budget(harness: Harness, counting: Counting) -> None:
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
    within("plan-200", counting("plan", "--json", stdout='"reuse"'))


def test_only_exceeded_counts_are_reported() -> None:
    counts = Counts(
        modules=10, files_opened=20, bytes_read=3000, inputs_opened=5, input_bytes=50, system_calls=7, processes=1,
        api_calls=2,
    )  # fmt: skip
    budget = asdict(counts)
    assert exceeded(counts, budget) == []
    tight = {**budget, "bytes_read": 2999, "processes": 0}
    assert exceeded(counts, tight) == ["bytes_read: 3,000, at most 2,999", "processes: 1, at most 0"]
    with pytest.raises(AssertionError):
        exceeded(counts, {"modules": 10})


def test_one_additional_file_exceeds_exact_budgets(harness: Harness, counting: Counting) -> None:
    """Checks the counting itself: the same run with one more file of 1000 bytes."""
    files(harness)
    as_drop_in(harness)
    before = counting("digest")
    harness.write("ami/one-more", b"x" * 1000)
    after = counting("digest")
    assert after.inputs_opened == before.inputs_opened + 1
    assert after.input_bytes == before.input_bytes + 1000
    assert after.system_calls > before.system_calls
    assert exceeded(after, asdict(before))


def test_calls_of_threads_are_counted_and_those_of_children_are_not(tmp_path: Path) -> None:
    """The lines have strace's format, including calls in two parts."""
    (tmp_path / "a").touch()
    traced = f"""\
1 execve("/bin/x", ["x"], 0x7ff) = 0
1 openat(AT_FDCWD</>, "a", O_RDONLY) = 3<{tmp_path}/a>
1 read(3<{tmp_path}/a>, ""..., 9) = 4
1 clone3({{flags=CLONE_VM|CLONE_THREAD}}, 88 <unfinished ...>
2 read(3<{tmp_path}/a>,  <unfinished ...>
1 <... clone3 resumed>) = 2
2 <... read resumed>""..., 9) = 5
1 vfork( <unfinished ...>
3 execve("/bin/y", ["y"], 0x7ff <unfinished ...>
1 <... vfork resumed>) = 3
3 <... execve resumed>) = 0
3 clone(child_stack=NULL, flags=CLONE_VM|CLONE_THREAD) = 4
4 read(3<{tmp_path}/a>, ""..., 9) = 9
2 futex(0x7f, FUTEX_WAIT, 2, NULL) = 0
"""
    counts = counted(traced.splitlines(), folder=tmp_path, modules=0, api_calls=0)
    assert (counts.inputs_opened, counts.input_bytes, counts.processes) == (1, 9, 1)
    assert counts.system_calls == 6
