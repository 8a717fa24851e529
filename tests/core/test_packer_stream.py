"""Packer's output is read in chunks of any size, in linear time and bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_bakery.core.packer.build_progress import ProgressReader, telling
from ami_bakery.core.packer.failure import failing_lines
from ami_bakery.core.packer.machine_output import Message, human_lines, parse_message
from ami_bakery.core.packer.stream import LONGEST, MachineReader
from ami_bakery.core.text.masking import Masker, Stream

NOTHING = Masker(())


def read(data: bytes, size: int, masker: Masker = NOTHING) -> tuple[list[str], list[Message], MachineReader]:
    reader = MachineReader(masker)
    lines: list[str] = []
    messages: list[Message] = []
    for at in range(0, len(data), size):
        block = reader.feed(data[at : at + size])
        lines += block.lines
        messages += block.messages
    block = reader.feed(b"", final=True)
    return [*lines, *block.lines], [*messages, *block.messages], reader


def one_by_one(data: bytes) -> tuple[list[str], list[Message]]:
    """The result of a simple reader."""
    lines: list[str] = []
    messages: list[Message] = []
    for raw in data.decode("utf-8", "replace").removesuffix("\n").split("\n") if data else ():
        message = parse_message(raw.rstrip("\r"))
        lines += [raw.rstrip("\r")] if message is None else human_lines(message)
        if message is not None and message.type != "ui":
            messages.append(message)
    return lines, messages


TEXTS = st.sampled_from(
    [
        "    amazon-ebs: words",
        "==> a: x%!(PACKER_COMMA) y\\nand more\\r\\n",
        "\x1b[1;32m==> b: green\x1b[0m",
        "ä€😀",
        "",
        "%",
        "\\",
        "1,2,3,4",
        "==> amazon-ebs: AMI: ami-1",
    ]
)
LINES = st.one_of(
    TEXTS,
    st.builds(
        "1700000000,{},ui,{},{}".format, st.sampled_from(["", "app"]), st.sampled_from(["say", "message"]), TEXTS
    ),
    st.builds("1700000000,app,artifact,0,{},{}".format, st.sampled_from(["id", "string"]), TEXTS),
    st.just("1700000000,,ui,say"),
    st.just("1700000000,,version,1.6.6"),
)


@given(st.lists(LINES, max_size=30), st.integers(1, 60), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_lines_and_messages_do_not_depend_on_the_chunks(lines: list[str], size: int, end: str, ended: bool) -> None:
    data = (end.join(lines) + (end if ended else "")).encode()
    said, messages, _ = read(data, size)
    assert (said, messages) == one_by_one(data)


@pytest.mark.parametrize(
    "header", ["1700000000,,ui,message,", "1700000000,app,ui,error,", ""], ids=["ui", "error", "plain"]
)
@pytest.mark.parametrize("text", ["x", "words and ", "ä€", "a%!(PACKER_COMMA)b"], ids=["x", "words", "utf-8", "commas"])
def test_long_line_is_returned_in_parts(header: str, text: str) -> None:
    whole = text * (3 * LONGEST // len(text))
    data = f"first\n{header}{whole}\nlast\n".encode()
    lines, _, reader = read(data, 1 << 16)
    assert (lines[0], lines[-1]) == ("first", "last")
    assert "".join(lines[1:-1]) == (whole.replace("%!(PACKER_COMMA)", ",") if header else whole)
    assert all(len(line) <= 2 * LONGEST + (1 << 17) for line in lines)
    assert reader.copied <= 2 * len(data), "each character is copied a fixed number of times"


@pytest.mark.parametrize("factor", [1, 4, 16])
def test_work_is_linear_in_the_output(factor: int) -> None:
    data = b"1700000000,,ui,message,    amazon-ebs: " + b"x" * (factor * LONGEST) + b"\n"
    _, _, reader = read(data, 1 << 12)
    assert reader.copied <= len(data) + LONGEST


def test_long_message_for_programs_is_dropped() -> None:
    data = b"1700000000,app,artifact,0,string," + b"x," * LONGEST + b"\n1700000000,,ui,say,after\n"
    assert read(data, 1 << 16)[:2] == (["after"], [])


def test_lines_within_a_long_message_stay_lines() -> None:
    said = [f"    amazon-ebs: line {number}" for number in range(100_000)]
    data = f"1700000000,,ui,message,{'%!(PACKER_COMMA)'.join(said[:1])}{chr(92)}n".encode()
    data += "\\n".join(said[1:]).encode() + b"\n"
    assert read(data, 1 << 16)[0] == said


@pytest.mark.parametrize("secret", ["hunter2-and-more", "two words", "a,b%c\\d"])
@pytest.mark.parametrize("offset", range(0, 1000, 97))
def test_no_secret_is_cut_in_two(secret: str, offset: int) -> None:
    """Tries secrets at all positions around the end of a part of a long line."""
    masker = Masker([secret])
    escaped = secret.replace(",", "%!(PACKER_COMMA)")
    head = "1700000000,,ui,message,"
    line = head + "".join(("." * (1000 + offset) + escaped) for _ in range(40))
    stream, shown = Stream(masker), []
    reader = MachineReader(masker, longest=10_000)
    for at in range(0, len(line), 1000):
        shown += stream.add_all(reader.feed(line[at : at + 1000].encode()).lines)
    shown += stream.add_all(reader.feed(b"\n", final=True).lines) + stream.end()
    assert len(shown) > 2
    assert "".join(shown).replace(".", "").replace("<sensitive>", "") == ""


# Masking and progress look only at lines that can matter


SECRETS = st.lists(st.text("ab cé\\%", min_size=1, max_size=12), max_size=3)


@settings(max_examples=300)
@given(SECRETS, st.lists(st.lists(st.text("ab cé\\%\"'+&", max_size=14), max_size=6), max_size=4), st.data())
def test_masking_many_lines_is_masking_each(secrets: list[str], chunks: list[list[str]], data: st.DataObject) -> None:
    parts = [part for secret in secrets for part in (secret, secret[: len(secret) // 2], secret[len(secret) // 2 :])]
    prefixes = st.sampled_from(["", "    a: ", "==> b: "])
    known = [
        [data.draw(prefixes) + line + (data.draw(st.sampled_from(parts)) if parts else "") for line in chunk]
        for chunk in chunks
    ]
    masker = Masker(secrets)
    fast, slow = Stream(masker), Stream(masker)
    all_at_once = [line for chunk in known for line in fast.add_all(chunk)] + fast.end()
    each = [shown for chunk in known for line in chunk for shown in slow.add(line)] + slow.end()
    assert all_at_once == each


SAID = st.sampled_from(
    [
        "==> {}: Creating temporary keypair: packer_1",
        "==> {}: Creating temporary security group for this instance: packer_2",
        "    {}: Instance ID: i-0123",
        "==> {}: Creating AMI app-1 from instance i-0123",
        "    {}: AMI: ami-0123",
        "==> {}: Prevalidating AMI Name: app-1",
        "==> {}: Registering the AMI...",
        "==> {}: Copying/Encrypting AMI (ami-0123) to other regions...",
        "==> {}: Error: AMI Name: 'app-1' is used by an existing AMI: ami-9",
        "==> {}: Provisioning with shell script: x.sh",
        "==> {}: Running local shell script: /tmp/x",
        "==> {}: Executing Ansible: ansible-playbook",
        "==> {}: Uploading a => b",
        "==> {}: Downloading a => b",
        '==> {}: Warning: Provisioner failed with "x", but continue_on_error is set; continuing the build.',
        "    {}: words",
        "anything",
    ]
)


@given(st.lists(st.builds(str.format, SAID, st.sampled_from(["app", "amazon-ebs"])), max_size=40))
def test_relevant_lines_are_found(lines: list[str]) -> None:
    every, some = ProgressReader(), ProgressReader()
    for line in lines:
        every.read(line)
    for line in telling(lines):
        some.read(line)
    assert (some.made, some.tolerated, some.taken_by) == (every.made, every.tolerated, every.taken_by)


# What a failure shows


CLEAN_UP = """\
==> amazon-ebs: Provisioning step had errors: Running the cleanup provisioner, if present...
==> amazon-ebs: Terminating the source AWS instance...
==> amazon-ebs: Cleaning up any extra volumes...
==> amazon-ebs: No volumes to clean up, skipping
==> amazon-ebs: Deleting temporary security group...
==> amazon-ebs: Deleting temporary keypair...
Build 'amazon-ebs' errored after 2 seconds: Script exited with non-zero exit status: 3
==> Wait completed after 2 seconds
==> Some builds didn't complete successfully and had errors:
--> amazon-ebs: Script exited with non-zero exit status: 3
==> Builds finished but no artifacts were created."""
ERROR = "Build 'amazon-ebs' errored after 2 seconds: Script exited with non-zero exit status: 3"
STEP = "==> amazon-ebs: Provisioning with shell script: setup.sh"


def output(count: int) -> list[str]:
    return [f"    amazon-ebs: line {number}" for number in range(count)]


def test_failure_shows_the_failed_step_without_the_cleanup() -> None:
    before = ["==> amazon-ebs: Provisioning with shell script: first.sh", *output(50)]
    shown = failing_lines([*before, STEP, *output(9), *CLEAN_UP.split("\n")], 20)
    assert shown == [STEP, *output(9), ERROR]


def test_long_step_shows_its_first_and_last_lines() -> None:
    shown = failing_lines([STEP, *output(90), *CLEAN_UP.split("\n")], 20)
    assert shown == [STEP, *output(90)[-18:], ERROR]


def test_lines_of_other_builders_do_not_hide_the_failure() -> None:
    others = ["    other: line" for _ in range(40)]
    mixed = [line for pair in zip(output(40), others, strict=True) for line in pair]
    shown = failing_lines([STEP, *output(5), *mixed, *CLEAN_UP.split("\n")], 100)
    assert shown == [STEP, *output(5), *output(40), ERROR]


def test_error_before_any_step_is_shown_completely() -> None:
    lines = ["Error: no plugin", "", "  on app.pkr.hcl line 3:", "==> Wait completed after 1 second"]
    assert failing_lines(lines, 20) == lines[:3]


@given(st.lists(st.one_of(st.sampled_from(CLEAN_UP.split("\n")), st.just(STEP), st.text(max_size=20)), max_size=60))
def test_number_of_lines_is_limited(lines: list[str]) -> None:
    assert len(failing_lines(lines, 20)) <= 20
