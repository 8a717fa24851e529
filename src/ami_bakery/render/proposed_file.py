"""Renders the proposal of `init`: the text of `bakery.toml`, and the report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ami_bakery.core.init.toml_text import toml_key, toml_list, toml_string
from ami_bakery.core.text.sanitize import one_line, safe_json
from ami_bakery.core.text.table import Style, plain
from ami_bakery.render.text import FORMAT

if TYPE_CHECKING:
    from ami_bakery.core.init.proposal import Proposal, ProposedImage, Todo

_WIDTH = 100
_MOST_UNUSED = 20


def proposal_toml(proposal: Proposal, schema: str) -> str:
    """Returns the file. `schema`: the path of the JSON Schema for editors, relative to the file."""
    lines = [f"#:schema {schema}"]
    lines += ["# Proposed by `ami-bakery init`. `ami-bakery check` finds what is missing or wrong.", ""]
    lines += ["version = 1", *_defaults(proposal)]
    for image in proposal.images:
        lines += ["", *_image(image)]
    broken = [item for item in proposal.unused if item.is_broken]
    if broken:
        lines += ["", "# TODO: Fix these files, and add their images."]
    for item in broken:
        lines += _comment(f"{item.path}: {item.why}", indent="    ")
    return "\n".join(lines) + "\n"


def _defaults(proposal: Proposal) -> Iterator[str]:
    if not proposal.regions and not proposal.todos:
        return
    yield from ("", "[defaults]")
    if proposal.regions:
        yield f"regions = {toml_list(proposal.regions)} # the AMI is copied to each further region"
    for todo in proposal.todos:
        yield from _todo(todo)


def _image(image: ProposedImage) -> Iterator[str]:
    for note in image.notes:
        yield from _comment(f"{note[:1].upper()}{note[1:]}.")
    yield f"[images.{toml_key(image.name)}]"
    yield f"template = {toml_string(image.template)}"
    if image.workdir:
        yield f"workdir = {toml_string(image.workdir)}"
    if image.reads_only:
        yield "inputs = []"
    if image.only:
        yield f"only = {toml_list([image.only])}"
    if image.var_files:
        yield f"var_files = {toml_list(image.var_files)}"
    if image.parent:
        yield f"from = {toml_string(image.parent)}"
    if image.from_variable:
        yield f"from_variable = {toml_string(image.from_variable)}"
    if image.region:
        yield f"regions = {toml_list([image.region])}"
    for todo in image.todos:
        yield from _todo(todo)


def _todo(todo: Todo) -> Iterator[str]:
    yield from _comment(f"TODO: {todo.text}")
    yield from (f"# {one_line(line)}" for line in todo.lines)


def _comment(text: str, indent: str = "") -> Iterator[str]:
    """Yields lines of a comment. Names cannot add a line of their own."""
    yield from textwrap.wrap(
        one_line(text),
        _WIDTH,
        initial_indent=f"# {indent}",
        subsequent_indent=f"# {indent}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def proposal_report(proposal: Proposal, style: Style = plain) -> str:
    """Renders what was found, decided, and not used."""
    lines = []
    for image in proposal.images:
        origin = f" {style('from', 'dim')} {image.parent}" if image.parent else ""
        lines.append(f"{style(one_line(image.name), 'bold')}: {one_line(image.template)}{origin}")
        lines += [f"  {one_line(note)}" for note in image.notes]
        lines += [f"  {style('TODO', 'yellow')}: {one_line(todo.text)}" for todo in image.todos]
    lines += [f"{style('TODO', 'yellow')} for all images: {one_line(todo.text)}" for todo in proposal.todos]
    if proposal.unused:
        lines.append("not used:")
    lines += [f"  {one_line(item.path)}: {one_line(item.why)}" for item in proposal.unused[:_MOST_UNUSED]]
    more = len(proposal.unused) - _MOST_UNUSED
    lines += [f"  and {more} more (--json lists all)"] if more > 0 else []
    if proposal.is_cut:
        lines.append("The search ended early: the folder has too many files. Name a smaller folder, or use --template.")
    return "\n".join(lines)


def proposal_json(proposal: Proposal, file: str, *, written: bool) -> str:
    return safe_json(
        {
            "format": FORMAT,
            "file": file,
            "written": written,
            "images": [_image_json(image) for image in proposal.images],
            "todos": [_todo_json(todo) for todo in proposal.todos],
            "unused": [{"path": item.path, "why": item.why, "broken": item.is_broken} for item in proposal.unused],
        },
        indent=2,
    )


def _image_json(image: ProposedImage) -> dict[str, Any]:
    return {
        "image": image.name,
        "template": image.template,
        "workdir": image.workdir or None,
        "only": image.only or None,
        "var_files": list(image.var_files),
        "from": image.parent or None,
        "region": image.region or None,
        "notes": list(image.notes),
        "todos": [_todo_json(todo) for todo in image.todos],
    }


def _todo_json(todo: Todo) -> dict[str, Any]:
    return {"text": todo.text, "lines": list(todo.lines)}
