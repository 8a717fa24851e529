"""What `plan` prints is short: an image that was never built takes one line."""

from __future__ import annotations

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.plan.desired_state import Step, StepKind
from ami_bakery.core.plan.plan import Action, ImagePlan, Reason
from ami_bakery.render.text import plan_text
from ami_bakery.values import replace

DIGEST = Digest(scheme=Scheme.SHA256, hex="ab" * 32)
NEVER = Reason("never-baked", "app", "no AMI found for this image")
NO_AMI = Reason("no-ami", DIGEST.hex, "no AMI with digest abababababab")


def plan(name: str, *reasons: Reason, action: Action = Action.BAKE) -> ImagePlan:
    digest = None if action is Action.PENDING else DIGEST
    return ImagePlan(image=name, action=action, digest=digest, reasons=reasons, regions=("us-east-1",), amis={})


def test_each_image_that_was_never_built_takes_one_line() -> None:
    text = plan_text([plan(f"image-{number:02}", NEVER, NO_AMI) for number in range(30)])
    assert len(text.splitlines()) == 32
    assert text.splitlines()[0] == "+ bake    image-00  abababababab  no AMI found for this image"
    assert text.endswith("30 to bake.")


def test_missing_ami_is_shown_if_it_is_the_only_reason() -> None:
    assert "no AMI with digest abababababab" in plan_text([plan("app", NO_AMI)])


def test_several_reasons_are_shown_below_their_image() -> None:
    changed = Reason("definition-changed", "ami-1", "the definition changed since ami-1")
    file = Reason("files-changed", "a.sh", "a.sh changed")
    lines = plan_text([plan("app", changed, file, NO_AMI)]).splitlines()
    assert lines[:3] == [
        "+ bake    app  abababababab",
        "            the definition changed since ami-1",
        "            a.sh changed",
    ]


def test_test_is_a_step_of_a_build_and_the_action_of_an_untested_ami() -> None:
    step = Step(kind=StepKind.TEST, region="us-east-1")
    build = replace(plan("app", NEVER), steps=(Step(kind=StepKind.BAKE, region="us-east-1"), step))
    assert plan_text([build]).splitlines()[1] == "          > test it"
    untested = Reason("untested", "ami-1", "ami-1 was never tested")
    test = replace(plan("app", untested, action=Action.TEST), steps=(replace(step, ami="ami-1"),))
    assert plan_text([test]).splitlines() == ["* test    app  abababababab  ami-1 was never tested", "", "1 to test."]


def test_columns_are_aligned_if_a_digest_is_unknown() -> None:
    pending = Reason("base-to-be-baked", "base", "waiting for parent image 'base'")
    lines = plan_text([plan("base", NEVER), plan("app", pending, action=Action.PENDING)]).splitlines()
    assert lines[0].index("no AMI found") == lines[1].index("waiting for parent")
