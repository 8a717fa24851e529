"""Masked output contains no secret in any common encoding, and everything else is unchanged."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import subprocess
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.text.masking import MASK, Masker, Stream

SECRETS = [
    "hunter2-and-more",
    'it\'s "quoted" & <tagged>',
    "päss wörd+50%/x?y=z",
    "tab\tback\\slash $HOME `id` !",
    "emoji \U0001f600 inside",
    "{{user `x`}} ${var.y} %{z}",
]


def go_json(text: str) -> str:
    escaped = json.dumps(text, ensure_ascii=False)
    return escaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def ansi_c(text: str) -> str:
    """Quotes as bash's `$'...'`, with octal escapes for non-ASCII characters."""
    characters = ("".join(f"\\{byte:o}" for byte in character.encode()) for character in text)
    plain = {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return "".join(plain.get(one, one) if one.isascii() else octal for one, octal in zip(text, characters, strict=True))


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def hcl(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("${", "$${").replace("%{", "%%{")


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON with raw UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "Go's JSON": go_json,
    "JSON within JSON": lambda text: json.dumps(json.dumps(text))[2:-2],
    "a shell's single quotes": lambda text: "'" + text.replace("'", "'\\''") + "'",
    "Python's shlex": shlex.quote,
    "a shell's double quotes": lambda text: re.sub(r'([\\"$`])', r"\\\1", text),
    "backslashes": lambda text: re.sub(r"([^A-Za-z0-9_])", r"\\\1", text),
    "ANSI C": ansi_c,
    "hexadecimal escapes": hexed,
    "YAML's single quotes": lambda text: text.replace("'", "''"),
    "HCL": hcl,
    "a URL": lambda text: urllib.parse.quote(text, safe=""),
    "a URL in lower case": lambda text: re.sub(r"%..", lambda m: m[0].lower(), urllib.parse.quote(text, safe="")),
    "a URL's path": urllib.parse.quote,
    "a form": urllib.parse.quote_plus,
    "HTML": html.escape,
    "HTML's numbers": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "HTML's hexadecimal numbers": lambda text: "".join(f"&#x{ord(one):X};" for one in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 of a line": lambda text: base64.b64encode(f"{text}\n".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encoded_secret_is_masked(encoding: str, secret: str) -> None:
    shown = ENCODINGS[encoding](secret)
    masked = Masker([secret]).mask(f"before {shown} after")
    assert re.fullmatch(r"before \S{0,4}<sensitive>\S{0,4} after", masked), masked


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
@pytest.mark.parametrize("after", ["", ":", "xy", "@example.com"])
def test_base64_of_a_longer_text_shows_at_most_a_character_of_the_secret(before: str, after: str) -> None:
    secret = "hunter2-and-more"
    masked = Masker([secret]).mask(base64.b64encode(f"{before}{secret}{after}".encode()).decode())
    shown = "".join(masked.split(MASK))
    assert MASK in masked
    assert len(shown) <= (len(before) + len(after)) * 4 / 3 + 8


@pytest.mark.parametrize("at", range(1, 16))
@pytest.mark.parametrize("prefix", ["", "    amazon-ebs.app: ", "==> amazon-ebs.app: "])
def test_secret_that_is_split_by_a_line_break_is_masked(at: int, prefix: str) -> None:
    secret = "hunter2-and-more"
    masked = Masker([secret]).mask(f"{prefix}it is {secret[:at]}\n{prefix}{secret[at:]} indeed\n{prefix}end")
    assert f"{secret[at:]} indeed" not in masked
    assert at < 4 or secret[:at] not in masked
    assert masked.count("\n") == 2
    assert masked.endswith(f" indeed\n{prefix}end")


def test_secret_that_is_wrapped_over_many_lines_is_masked() -> None:
    secret = "a long secret, such as a token or the better part of a private key, " * 3
    encoded = base64.encodebytes(secret.encode()).decode().splitlines()
    assert len(encoded) > 2
    shown = Masker([secret]).mask("\n".join(["begin", *encoded, "end"]))
    assert not [line for line in encoded[:-1] if line in shown]
    assert len(encoded[-1].replace("=", "")) - len(shown.splitlines()[-2].replace(MASK, "").replace("=", "")) >= 0
    assert shown.startswith("begin\n")
    assert shown.endswith("\nend")


def test_each_long_line_of_a_secret_is_masked_by_itself() -> None:
    masker = Masker(["ab\ncd\nline of it\n"])
    assert masker.mask("x line of it y") == f"x {MASK} y"
    assert masker.mask("ab") == "ab"
    assert "cd" not in masker.mask("ab\ncd\nline of it")
    assert masker.mask(json.dumps("ab\ncd\nline of it")) == f'"{MASK}"'


def test_overlapping_secrets_are_masked_completely() -> None:
    masker = Masker(["hunter2", "hunter2-more", "more-to-come", "", " "])
    assert masker.mask("a hunter2-more b hunter2 c") == f"a {MASK} b {MASK} c"
    assert masker.mask("a hunter2-more-to-come b") == f"a {MASK} b"


def test_line_is_held_back_only_if_a_secret_may_continue() -> None:
    stream = Stream(Masker(["hunter2-and-more"]))
    assert stream.add("nothing") == ["nothing"]
    assert stream.add("it is hunter2") == []
    assert stream.add("or not") == ["it is hunter2", "or not"]
    assert stream.add("it is hunter2") == []
    assert stream.add("-and-more") == [f"it is {MASK}", MASK]
    assert stream.add("hunter") == []
    assert stream.end() == ["hunter"]
    assert stream.end() == []


def test_lines_of_concurrent_builders_keep_their_order() -> None:
    stream = Stream(Masker(["hunter2-and-more"]))
    assert stream.add("==> one: hunter2") == []
    assert stream.add("==> two: -and-more") == ["==> one: hunter2", "==> two: -and-more"]


def test_text_is_unchanged_without_secrets() -> None:
    masker = Masker(["", "\n"])
    assert masker.mask("a\n\nb \\n %20 &amp;") == "a\n\nb \\n %20 &amp;"
    assert not masker.may_go_on("a")


@given(st.text(min_size=1).filter(str.strip), st.text(), st.text())
def test_masked_text_contains_no_secret(secret: str, before: str, after: str) -> None:
    lines = secret.splitlines()
    masked = Masker([secret]).mask(before + secret + after).replace(MASK, "")
    long = [line.strip() for line in lines if len(line.strip()) > 3]
    assert all(line not in masked for line in long)
    assert len(lines) > 1 or secret.strip("\r\n") not in masked


@given(st.text(), st.lists(st.text(min_size=3, max_size=9), max_size=4))
def test_number_of_lines_does_not_change(text: str, secrets: list[str]) -> None:
    assert Masker(secrets).mask(text).count("\n") == text.count("\n")


@given(st.text(alphabet="ab\\n%2+&';x1", max_size=40))
def test_text_without_a_secret_is_unchanged(text: str) -> None:
    assert Masker(["zzzz-not-in-it"]).mask(text) == text


def test_work_is_linear_in_the_text_and_independent_of_the_number_of_secrets() -> None:
    """The number of steps is the same for one and a thousand secrets, and doubles with the text."""

    def steps(secrets: list[str], text: str) -> int:
        masker = Masker(secrets)
        machine, counted = masker._secrets, 0
        step = machine.step

        def counting(state: int, character: str) -> int:
            nonlocal counted
            counted += 1
            return step(state, character)

        machine.step = counting  # type: ignore[method-assign]
        masker.mask(text)
        return counted

    text = "a" * 5_000 + "\n" + "b\\u0061%61" * 500
    many = [f"{'a' * number}-{number:04}" for number in range(1, 300)]
    assert steps(many, text) == steps(many[:1], text)
    assert steps(many, f"{text}\n{text}") == 2 * steps(many, text)


def test_quoting_of_a_real_shell_is_decoded() -> None:
    secret = "it's a\tsecret \\ päss"
    done = subprocess.run(
        ["bash", "-c", 'printf "%q\\n" "$1"; x=("$1"); declare -p x; set -x; : "$1"', "bash", secret],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in (done.stdout + done.stderr).splitlines():
        assert MASK in Masker([secret]).mask(line), line
