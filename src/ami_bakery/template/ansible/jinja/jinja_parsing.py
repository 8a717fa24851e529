"""Parses Jinja texts as Ansible does."""

from __future__ import annotations

from functools import lru_cache

from jinja2 import Environment, TemplateError, nodes

_EXTENSIONS = ("jinja2.ext.do", "jinja2.ext.loopcontrols")


@lru_cache(maxsize=16384)
def parsed_jinja(text: str) -> nodes.Template | None:
    """Parses a text; None if Jinja cannot parse it."""
    try:
        return _environment(text).parse(text)
    except (TemplateError, RecursionError, ValueError):
        return None


def _environment(text: str) -> Environment:
    """Returns the Jinja environment for a text.

    The text's first line may change the delimiters: `#jinja2: variable_start_string:'[%', ...`.
    """
    options = {}
    first, _, _ = text.partition("\n")
    for pair in first.removeprefix("#jinja2:").split(",") if first.startswith("#jinja2:") else ():
        name, _, value = pair.partition(":")
        if name.strip().endswith("_string"):
            options[name.strip()] = value.strip().strip("'\"")
    try:
        return Environment(autoescape=False, extensions=_EXTENSIONS, **options)  # type: ignore[arg-type]  # noqa: S701
    except (AssertionError, TypeError):
        return Environment(autoescape=False, extensions=_EXTENSIONS)  # noqa: S701
