"""What a CI is told, from plain values: lines that its runner reads back as they were meant; Markdown that holds."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.check.finding import Finding, Level
from ami_bakery.core.ci.annotations import Ci, Note, code_quality, detect, error_notes, finding_note, log_line
from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.ec2.ami import Ami, AmiState
from ami_bakery.core.plan.desired_state import Step, StepKind
from ami_bakery.core.plan.outcome import Outcome, Result
from ami_bakery.core.plan.plan import Action, ImagePlan, Reason
from ami_bakery.core.text.sanitize import one_line, printable
from ami_bakery.errors import Annotation, ConfigError, TemplateError
from ami_bakery.render.markdown import error_markdown, findings_markdown, outcomes_markdown, plans_markdown
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import replace
from tests.ci_logs import azure_commands, github_commands

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LINE_ENDS = re.compile(r"[\v\f\x1c-\x1e\x85\u2028\u2029]")
"""What Python's splitlines() takes for the end of a line, and the runners do not."""
FINDING = Finding(
    level=Level.ERROR,
    code="skip-create-ami",
    location=SourceLocation(file="ami/100%,a:b.json", line=7),
    message="it does not produce an AMI",
    todo="Remove it.",
)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"GITHUB_ACTIONS": "true"}, Ci.GITHUB),
        ({"TF_BUILD": "True"}, Ci.AZURE),
        ({"BUILDKITE": "true"}, Ci.BUILDKITE),
        ({"GITHUB_ACTIONS": "false"}, None),
        ({"GITLAB_CI": "true", "CI": "true"}, None),
        ({}, None),
    ],
)
def test_ci_is_detected_by_its_environment(environment: dict[str, str], found: Ci | None) -> None:
    assert detect(environment) == found


def test_github_annotation_has_file_and_line() -> None:
    line = log_line(Ci.GITHUB, finding_note(("app",), FINDING), root="/w/repo/images", workspace="/w/repo")
    assert line == (
        "::error file=images/ami/100%25%2Ca%3Ab.json,line=7,title=skip-create-ami (image app)"
        "::it does not produce an AMI%0ARemove it."
    )


def test_azure_annotation_has_an_absolute_path() -> None:
    line = log_line(Ci.AZURE, finding_note(("app",), FINDING), root="/w/repo/images", workspace="/w/repo")
    assert line == (
        "##vso[task.logissue type=error;sourcepath=/w/repo/images/ami/100%AZP25,a:b.json;linenumber=7;]"
        "skip-create-ami (image app): it does not produce an AMI%0ARemove it."
    )


def test_buildkite_has_no_annotations_in_the_log() -> None:
    assert log_line(Ci.BUILDKITE, finding_note(("app",), FINDING), root="/w", workspace="") == ""


def test_file_outside_the_workspace_keeps_its_absolute_path() -> None:
    note = Note(level=Level.WARNING, title="t", message="m", file="../common/x.sh", line=1)
    (command,) = github_commands(log_line(Ci.GITHUB, note, root="/w/repo", workspace="/w/repo"))
    assert command.properties["file"] == "/w/common/x.sh"
    (command,) = github_commands(log_line(Ci.GITHUB, note, root="/w/repo", workspace="/w/repo-2"))
    assert command.properties["file"] == "/w/common/x.sh"


@given(title=TEXTS, message=TEXTS, name=TEXTS.filter(lambda text: "/" not in text and text not in (".", "..", "")))
def test_ci_parsers_read_back_the_original_texts(title: str, message: str, name: str) -> None:
    title, message, name = (LINE_ENDS.sub("-", text) for text in (title.strip() or "t", message, name))
    note = Note(level=Level.WARNING, title=title, message=message, file=f"x/{name}", line=3)
    (command,) = github_commands(log_line(Ci.GITHUB, note, root="/w", workspace="/w"))
    assert (command.name, command.data) == ("warning", message)
    assert command.properties == {"file": f"x/{name}", "line": "3", "title": title}
    (command,) = azure_commands(log_line(Ci.AZURE, note, root="/w", workspace=""))
    assert (command.name, command.data) == ("task.logissue", f"{title}: {message}")
    assert command.properties == {"type": "warning", "sourcepath": f"/w/x/{name}", "linenumber": "3"}


PIECES = ("::", "##", "[", "vso[", "error", "set-env name=PATH", "]", " ", "\n", "\t", "x")


@given(text=st.lists(st.sampled_from(PIECES)))
def test_untrusted_text_contains_no_ci_command(text: list[str]) -> None:
    for shown in (printable("".join(text)), one_line("".join(text))):
        assert github_commands(shown) == []
        assert azure_commands(shown) == []


def test_error_has_an_annotation_for_each_of_its_lines() -> None:
    marks = (Annotation("/w/bakery.toml", 3, "unknown key"), Annotation("/w/bakery.toml", 9, "no such region"))
    notes = error_notes(ConfigError("reading bakery.toml", "...", "Correct it.", marks=marks))
    assert [(note.line, note.message) for note in notes] == [
        (3, "unknown key\nCorrect it."),
        (9, "no such region\nCorrect it."),
    ]
    (note,) = error_notes(TemplateError("reading x", "there is no such file", "Write it."), "app")
    assert (note.file, note.title, note.message) == ("", "image app", "reading x\nthere is no such file\nWrite it.")
    assert log_line(Ci.GITHUB, note, root="/w", workspace="/w").startswith("::error title=image app::reading x%0A")


def test_gitlab_fingerprint_does_not_depend_on_the_line() -> None:
    moved = replace(FINDING, location=SourceLocation(file=FINDING.location.file, line=70))
    notes = [finding_note(("app",), FINDING), finding_note(("app",), moved)]
    twice, (alone,) = (
        json.loads(code_quality(some, root="/w/repo/images", workspace="/w/repo")) for some in (notes, notes[1:])
    )
    assert alone["location"] == {"path": "images/ami/100%,a:b.json", "lines": {"begin": 70}}
    assert (alone["severity"], alone["check_name"]) == ("critical", "skip-create-ami (image app)")
    assert alone["fingerprint"] == twice[0]["fingerprint"] != twice[1]["fingerprint"]


# Markdown


def plan(image: str = "app", *details: str, action: Action = Action.BAKE) -> ImagePlan:
    return ImagePlan(
        image=image,
        action=action,
        digest=Digest(Scheme.SHA256, "ab" * 32),
        reasons=tuple(Reason("file-changed", "x", detail) for detail in details),
        regions=("us-east-1",),
        amis={},
    )


def ami() -> Ami:
    created = datetime(2025, 1, 1, tzinfo=UTC)
    return Ami(id="ami-1", region="us-east-1", name="n", owner="1", state=AmiState.AVAILABLE, created=created, tags={})


def cells(markdown: str) -> list[list[str]]:
    """The table's rows as GitHub's Markdown cuts them: at each pipe without a backslash before it."""
    rows = [line for line in markdown.split("\n") if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]


def test_plan_is_a_table_with_reasons() -> None:
    head, _, *rows = cells(plans_markdown([plan("app", "a.sh changed", "b.sh changed"), plan(action=Action.REUSE)]))
    assert [cell.strip() for cell in head] == ["action", "image", "digest", "AMIs", "why"]
    assert [cell.strip() for cell in rows[0]] == [
        "**bake**",
        "app",
        "`abababababab`",
        "",
        "a.sh changed<br>b.sh changed",
    ]
    assert plans_markdown([plan(), plan(action=Action.REUSE)]).startswith("### ami-bakery plan: 1 reuse, 1 bake\n")


def test_plan_shows_steps_below_its_reasons() -> None:
    step = Step(kind=StepKind.GRANT, region="us-east-1", ami="ami-1", targets=("123456789012",))
    _, _, row = cells(plans_markdown([replace(plan("app", "a.sh changed"), steps=(step,))]))
    assert row[-1].strip() == "a.sh changed<br>&gt; share ami-1 \\(us-east-1\\) with 123456789012"


def test_failure_is_shown_completely_below_the_table() -> None:
    error = TemplateError("reading x", "a ``` in\ntwo lines", "Fix it.")
    text = outcomes_markdown(
        [
            Outcome(plan=plan("app"), result=Result.BAKED, amis={"us-east-1": ami()}, seconds=61.6),
            Outcome(plan=plan("db"), result=Result.FAILED, error=error),
        ]
    )
    assert "| **baked** | app | `abababababab` | `ami-1` us-east-1 | 62 s |  |" in text
    assert text.endswith("#### db\n\n````text\nreading x\na ``` in\ntwo lines\nFix it.\n````\n")


def test_summary_without_findings() -> None:
    assert findings_markdown({"app": ()}) == "### ami-bakery check: no problems\n"


def test_long_error_is_cut() -> None:
    text = error_markdown("bake", TemplateError("reading x", "y" * 100_000, "Fix it."))
    assert len(text) < 10_000
    assert "the log has the rest" in text


@given(TEXTS, TEXTS)
def test_names_and_messages_cannot_break_the_table_or_add_markup(image: str, detail: str) -> None:
    head, _, row = cells(plans_markdown([plan(image, detail)]))
    assert len(row) == len(head)
    assert not re.search(r"<(?!br>)|(?<!\\)[`\[]", "|".join((row[1], row[4])))
