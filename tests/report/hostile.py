"""Replaces the texts of a document that users and strangers choose with hostile ones."""

from __future__ import annotations

from typing import Any

PAYLOADS = (
    "{}</script><script>window.hacked=1</script>",
    '{}<img src=x onerror="window.hacked=1">',
    '{}"><svg onload=window.hacked=1>',
    "{}' onmouseover='window.hacked=1' autofocus onfocus='window.hacked=1",
    "{}`${{window.hacked=1}}`\\u0027;window.hacked=1;//",
    "\u202egpj.{}\u202dexe",
    "{}\u2028window.hacked=1;\u2029",
    "\U0001f9d1\u200d\U0001f373\U0001f525{}\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "{}" + "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "{}" + "W" * 230,
    "{}\x01\x07\x1b[31m\x7f\x9b\r\n\ttab",
    "{}<!--<script>",
    "{}]]></style><style>*{{display:none!important}}</style>",
    "{}{{{{ 7*7 }}}}{{% raw %}}{{# x #}}",
    "{}/../?a=b&amp;c=%E0%A4%A#/image/app",
    "javascript:window.hacked=1//{}",
    "{}" + "z\u0335\u0321\u0322\u031b" * 20,
    '<a href="javascript:window.hacked=1" id="{}">x</a>',
)
URLS = (
    "javascript:window.hacked=1//{}",
    " \x01javascript:window.hacked=1//{}",
    "data:text/html,<script>window.hacked=1</script>{}",
    'https://example.org/" onclick="window.hacked=1" {}',
    "//example.org/{}",
    "file:///etc/passwd#{}",
    "vbscript:window.hacked=1//{}",
)
RESERVED = {"bastion": "__proto__", "vault": "constructor", "legacy-api": "toString", "team": "__proto__"} | {
    "windows": "windows" + "W" * 230
}
"""Names that every object of JavaScript has, and a long one."""

_URL_KEYS = frozenset({"url", "commit_url", "job"})
_ENUMS = frozenset({"action", "state", "part", "level", "tested", "type"})
_TIMES = frozenset(
    {"generated", "created", "committed", "modified", "launched", "last_launched", "quarantined", "deprecated", "began"}
    | {"expires", "since"}
)
_CHOSEN_BY_AWS = frozenset(
    {"account", "ami", "build", "copy_of", "region", "regions", "source_amis", "amis", "aliases"}
)
_KEPT = _ENUMS | _TIMES | _CHOSEN_BY_AWS | {"sha256"}
_IDS_OF_EC2 = ("ami-", "i-", "lt-", "sg-", "key-", "vol-")


class _Hostility:
    """Replaces equal texts with equal ones, so that references in the document stay valid."""

    def __init__(self) -> None:
        self._replaced: dict[str, str] = {}

    def text(self, text: str) -> str:
        if text not in self._replaced:
            payload = PAYLOADS[len(self._replaced) % len(PAYLOADS)]
            self._replaced[text] = RESERVED.get(text) or payload.format(text)
        return self._replaced[text]

    def url(self, url: str) -> str:
        if url not in self._replaced:
            self._replaced[url] = URLS[len(self._replaced) % len(URLS)].format(url)
        return self._replaced[url]


def with_hostile_text(document: dict[str, Any]) -> dict[str, Any]:
    """Replaces every text but enumerations, times, and what AWS chooses; equal texts stay equal."""
    hostility = _Hostility()
    hostile: dict[str, Any] = _replaced(document, hostility, "")
    return hostile | {"version": document["version"]}


def _replaced(value: Any, hostility: _Hostility, key: str) -> Any:
    match value:
        case dict() if key in ("tags", "commits"):
            return {hostility.text(name): _replaced(content, hostility, name) for name, content in value.items()}
        case dict():
            return {name: _replaced(content, hostility, name) for name, content in value.items()}
        case list():
            return [_replaced(content, hostility, key) for content in value]
        case str() if _is_kept(key, value):
            return value
        case str():
            return hostility.url(value) if key in _URL_KEYS else hostility.text(value)
        case _:
            return value


def _is_kept(key: str, text: str) -> bool:
    if key == "kind":
        return text in ("source", "image", "copy", "built-from", "copied")
    return key in _KEPT or (key == "id" and text.startswith(_IDS_OF_EC2))
