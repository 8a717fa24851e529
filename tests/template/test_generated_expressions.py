"""Random expressions and corner cases evaluate to Packer's value, or to unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.template.expression.alternatives import alternatives
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.evaluate import Scope, evaluate_node
from ami_bakery.template.expression.functions.json_and_csv import json_text
from ami_bakery.template.hcl.hcl_parser import parse_body, parse_expression
from ami_bakery.template.hcl.input_variables import declarations, default_of
from ami_bakery.template.location import SourceLocation
from tests.template.console import FAILED, answers
from tests.template.generated import CORNERS, VARIABLES, generated

HERE = SourceLocation(file="a.pkr.hcl", line=1)
SEED = 20
UNKNOWN = "unknown"


def scope() -> Scope:
    declared = declarations([parse_body(VARIABLES.encode(), "a.pkr.hcl")])
    return Scope(names={"var": {name: default_of(each) for name, each in declared.items()}})


def ours(text: str, here: Scope) -> tuple[object, tuple[str, ...]]:
    """Returns our value and its alternatives as JSON."""
    try:
        value: Cty = evaluate_node(parse_expression(text, HERE), here)
        if not value.is_whole:
            return UNKNOWN, ()
        return json_text(value), tuple(json_text(other) for other in alternatives(value) if other.is_whole)
    except EvaluationError:
        return FAILED, ()
    except Unsure:
        return UNKNOWN, ()


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_generated_expressions_are_evaluated_as_by_current_packer(
    seed: int, current_packer: Path, tmp_path: Path
) -> None:
    questions = generated(1000, seed)
    environment = {"PACKER_PLUGIN_PATH": str(current_packer / "plugins")}
    theirs = answers(current_packer / "packer", tmp_path, VARIABLES, questions, environment)

    here = scope()
    made = {text: ours(text, here)[0] for text in questions}
    wrong = {
        text: (made[text], answer)
        for text, answer in zip(questions, theirs, strict=True)
        if made[text] not in (UNKNOWN, answer)
    }
    assert wrong == {}
    assert sum(answer == UNKNOWN for answer in made.values()) <= len(questions) // 20


@pytest.mark.parametrize("text", CORNERS)
def test_a_corner_case_is_evaluated(text: str) -> None:
    assert ours(text, scope())[0] not in (UNKNOWN, FAILED)


def test_corner_cases_are_evaluated_as_by_current_packer(current_packer: Path, tmp_path: Path) -> None:
    environment = {"PACKER_PLUGIN_PATH": str(current_packer / "plugins")}
    theirs = answers(current_packer / "packer", tmp_path, VARIABLES, CORNERS, environment)

    here = scope()
    assert {text: ours(text, here)[0] for text in CORNERS} == dict(zip(CORNERS, theirs, strict=True))
