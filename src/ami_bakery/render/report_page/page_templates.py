"""The Jinja environment of the report's templates: escaping and filters."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ami_bakery.render.report_page import humanized, labels, overview_rows, prune_rows
from ami_bakery.render.report_page.console_links import console_url
from ami_bakery.render.report_page.embedding import anchor, web_url
from ami_bakery.render.report_page.lineage_rows import images_of_source
from ami_bakery.render.report_page.usage_words import usage_lines, used_beyond_channels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TEMPLATES = Path(__file__).parent / "templates"
_LONGEST_REASON = 160
_COMMAND = re.compile(r"`([^`]+)`")


class PageEnvironment(Environment):
    """An environment in which `x.name` is always a member of a JSON object."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute) if isinstance(obj, dict) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)


def page_environment() -> PageEnvironment:
    """Creates the environment. Everything is escaped; a misspelt member is an error."""
    environment = PageEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "anchor": anchor,
        "by_part": by_part,
        "console_url": console_url,
        "counted": humanized.counted,
        "dollars": humanized.dollars,
        "duration": humanized.rounded_duration,
        "gibibytes": humanized.gibibytes,
        "host_and_path": lambda url: str(url).partition("://")[2],
        "images_of_source": images_of_source,
        "keep_words": keep_words,
        "moment": humanized.moment,
        "pairs": lambda tags: tuple(f"{key}={value}" for key, value in tags.items()),
        "prune_why": prune_rows.prune_why,
        "reasons": overview_rows.reason_clauses,
        "shortened": humanized.shortened,
        "state_label": labels.state_label,
        "tag_groups": tag_groups,
        "truncated": truncated,
        "usage_lines": usage_lines,
        "used_beyond_channels": used_beyond_channels,
        "web_url": web_url,
        "with_commands": with_commands,
        "with_image": with_image,
    }
    environment.globals |= {
        "actions": labels.ACTIONS,
        "input_types": labels.INPUT_TYPES,
        "levels": labels.LEVELS,
        "level_order": {level: order for order, level in enumerate(labels.LEVELS)},
        "prune_actions": labels.PRUNE_ACTIONS,
        "separator": overview_rows.SEPARATOR,
        "tests": labels.TESTS,
    }
    return environment


def by_part(changes: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Groups changes by the label of their part. Each is its subject, and the rest of the clause."""
    groups = {part: tuple(_clause(change) for change in changes if change["part"] == part) for part in labels.PARTS}
    return tuple((labels.PARTS[part], group) for part, group in groups.items() if group)


def _clause(change: Mapping[str, Any]) -> tuple[str, str]:
    subject, detail = change["subject"], change["detail"]
    return subject, detail.removeprefix(subject).strip()


def keep_words(keep: Mapping[str, Any]) -> str:
    """Describes how long prune keeps builds: `the newest 5 builds, and builds younger than 90 days`."""
    words = [] if keep["last"] is None else [f"the newest {humanized.counted(keep['last'], 'build')}"]
    if keep["within_seconds"] is not None:
        words.append(f"builds younger than {humanized.rounded_duration(keep['within_seconds'])}")
    return ", and ".join(words) or "nothing by number or age"


def tag_groups(build: Mapping[str, Any]) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Returns the tags of a build's AMIs as `key = value`, with the regions whose AMIs have exactly these."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for ami in build["amis"]:
        tags = tuple(f"{key} = {value}" for key, value in sorted(ami["tags"].items()))
        if tags:
            groups.setdefault(tags, []).append(ami["region"])
    return tuple((tuple(regions), tags) for tags, regions in groups.items())


def truncated(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def with_image(sentence: str, image: str) -> Markup:
    """Like `with_commands`, with an image's name for `{image}`, quoted for a shell where it must be."""
    return with_commands(sentence, image)


def with_commands(sentence: str, image: str = "") -> Markup:
    """Escapes a sentence, and marks text between backquotes as code. Markup is unchanged."""
    if isinstance(sentence, Markup):
        return sentence
    name = shlex.quote(image)
    parts = (part.replace("{image}", name) for part in _COMMAND.split(sentence))
    marked = (Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts))
    return Markup("").join(marked)
