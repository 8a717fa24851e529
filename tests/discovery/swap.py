"""Makes a template safe to run: replaces builders by the loopback host, and local commands by reads.

A builder keeps its type and name, so that `only`, `except` and `source.name` mean what they meant: for each type there
is a plugin that is Packer's own `null` builder under that name.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tree_sitter_hcl
from tree_sitter import Language, Node, Parser

READS_ONLY = ["/bin/cat", "{{.Script}}"]
_WAITS = ("pause_before", "pause_after")
_UNSAFE = {"ansible": ("command", "galaxy_command", "sftp_command"), "inspec": ("command",)}
_UNKNOWN_TO_PACKER_1_6 = ("required_plugins", "data", "hcp_packer_registry")


def host(port: int, transfer: str) -> dict[str, Any]:
    return {
        "communicator": "ssh",
        "ssh_file_transfer_method": transfer,
        "ssh_host": "127.0.0.1",
        "ssh_port": port,
        "ssh_username": "root",
        "ssh_password": "any",
    }


def make_plugins(folder: Path, types: set[str], packer: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind in types - {"null"}:
        script = folder / f"packer-builder-{kind}"
        script.write_text(f"#!/bin/sh\nexec {packer} plugin packer-builder-null\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)


def swap(
    template: Path, port: int, *, transfer: str = "scp", run_local: bool = False, drop: tuple[str, ...] = ()
) -> set[str]:
    """Rewrites a template in place; returns the types of its builders. `drop`: provisioners to remove."""
    files = sorted(template.glob("*.pkr.*")) + sorted(template.glob(".*.pkr.*")) if template.is_dir() else [template]
    types: set[str] = set()
    for file in dict.fromkeys(files):
        if file.name.endswith(".pkr.hcl"):
            types |= _swap_hcl(file, host(port, transfer), run_local, drop)
        elif file.name.endswith(".pkr.json"):
            types |= _swap_hcl_json(file, host(port, transfer))
        elif not template.is_dir():
            types |= _swap_legacy(file, host(port, transfer), run_local, drop)
    return types


def _swap_legacy(file: Path, loopback: dict[str, Any], run_local: bool, drop: tuple[str, ...]) -> set[str]:
    document = json.loads(file.read_text())
    builders = next(name for name in document if name.lower() == "builders")
    names = [(each["type"], each.get("name")) for each in document[builders]]
    document[builders] = [{"type": kind, **({"name": name} if name else {}), **loopback} for kind, name in names]
    kept = [each for each in document.get("provisioners", []) if _type(each) not in drop]
    document["provisioners"] = kept
    for each in kept:
        for name in (*_WAITS, *(_UNSAFE.get(_type(each), ()) if not run_local else ())):
            each.pop(name, None)
        if _type(each) == "shell-local" and not run_local:
            each["execute_command"] = READS_ONLY
    document["post-processors"] = [
        made for each in document.get("post-processors", []) if (made := _kept(each, run_local)) is not None
    ]
    document.pop("min_packer_version", None)
    if not document["provisioners"]:
        document.pop("provisioners")
    file.write_text(json.dumps(document, indent=1))
    return {kind for kind, _ in names}


def _type(component: dict[str, Any]) -> str:
    return str(next(value for name, value in component.items() if name.lower() == "type"))


def _kept(step: Any, run_local: bool) -> Any:
    """Keeps post-processors that do not need an artifact of a real builder."""
    if isinstance(step, list):
        return [made for each in step if (made := _kept(each, run_local)) is not None] or None
    kind = step if isinstance(step, str) else step["type"]
    if kind == "shell-local" and not run_local:
        step["execute_command"] = READS_ONLY
    return step if kind in ("manifest", "shell-local") else None


def _swap_hcl_json(file: Path, loopback: dict[str, Any]) -> set[str]:
    document = json.loads(file.read_text())
    types = set()
    for kind, named in document.get("source", {}).items():
        types.add(kind)
        for name in named:
            named[name] = loopback
    file.write_text(json.dumps(document, indent=1))
    return types


# --- HCL: edits of the text, which keep lines and locations


def _swap_hcl(file: Path, loopback: dict[str, Any], run_local: bool, drop: tuple[str, ...]) -> set[str]:
    source = file.read_bytes()
    root = Parser(Language(tree_sitter_hcl.language())).parse(source).root_node
    types: set[str] = set()
    edits: list[tuple[int, int, bytes]] = []
    settings = "\n".join(f"  {name} = {json.dumps(value)}" for name, value in loopback.items())
    for block in _blocks(root):
        labels = (part for part in block.named_children if part.type in ("identifier", "string_lit"))
        words = [part.text.decode().strip('"') for part in labels if part.text]
        within = _around(block)
        if words[0] == "source" and not within:
            types.add(words[1])
            edits.append((*_inside(block), f"\n{settings}\n".encode()))
        elif words[0] == "source" and within == "build":
            edits.extend(_without_settings(block, ("name",)))
        elif words[0] == "local" and not within:
            edits.extend(_as_locals(block, words[1]))
        elif words[0] in _UNKNOWN_TO_PACKER_1_6 or _is_dropped(words, drop):
            edits.append((block.start_byte, block.end_byte, b""))
        elif words[0] in ("provisioner", "post-processor"):
            edits.extend(_made_safe(block, words[1], run_local))
    edits = _outermost([*edits, *_versions(root), *_data_values(root)])
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text + source[end:]
    file.write_bytes(source)
    return types


def _is_dropped(words: list[str], drop: tuple[str, ...]) -> bool:
    if words[0] == "post-processor":
        return words[1] not in ("manifest", "shell-local")
    return words[0] == "provisioner" and words[1] in drop


def _blocks(node: Node) -> Iterator[Node]:
    for child in node.named_children:
        if child.type == "block":
            yield child
        if child.type in ("block", "body", "config_file"):
            yield from _blocks(child)


def _around(block: Node) -> str:
    parent = block.parent.parent if block.parent else None
    first = parent.named_children[0] if parent and parent.type == "block" else None
    return first.text.decode() if first and first.text else ""


def _inside(block: Node) -> tuple[int, int]:
    start = next(child for child in block.children if child.type == "block_start")
    end = next(child for child in block.children if child.type == "block_end")
    return start.end_byte, end.start_byte


def _settings(block: Node) -> Iterator[tuple[str, Node]]:
    body = next((child for child in block.children if child.type == "body"), None)
    for child in body.named_children if body else ():
        name = child.named_children[0].text if child.type == "attribute" else None
        if name:
            yield name.decode(), child


def _without_settings(block: Node, keep: tuple[str, ...]) -> list[tuple[int, int, bytes]]:
    return [(node.start_byte, node.end_byte, b"") for name, node in _settings(block) if name not in keep]


def _made_safe(block: Node, kind: str, run_local: bool) -> list[tuple[int, int, bytes]]:
    local = kind == "shell-local" and not run_local
    unwanted = {*_WAITS, *(() if run_local else _UNSAFE.get(kind, ())), *(("execute_command",) if local else ())}
    edits = [(node.start_byte, node.end_byte, b"") for name, node in _settings(block) if name in unwanted]
    if local:
        start, _ = _inside(block)
        edits.append((start, start, f"\n  execute_command = {json.dumps(READS_ONLY)}\n".encode()))
    return edits


def _as_locals(block: Node, name: str) -> list[tuple[int, int, bytes]]:
    """Rewrites `local "x" {}`, which Packer 1.6 does not know."""
    expression = next(node.named_children[-1] for setting, node in _settings(block) if setting == "expression")
    start = (block.start_byte, expression.start_byte, f"locals {{\n  {name} = ".encode())
    return [start, (expression.end_byte, block.end_byte, b"\n}")]


def _data_values(node: Node) -> list[tuple[int, int, bytes]]:
    """Replaces data sources, which Packer 1.6 does not have, by strings."""
    first = node.children[0] if node.children else None
    asks = first is not None and (
        (first.type == "variable_expr" and first.text == b"data")
        or (first.type == "function_call" and (first.text or b"").startswith(b"jsondecode(data."))
    )
    if node.type == "expression" and asks:
        return [(node.start_byte, node.end_byte, b'"data"')]
    return [edit for child in node.named_children for edit in _data_values(child)]


def _outermost(edits: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Removes edits that are inside other edits."""
    return [
        edit
        for edit in edits
        if not any(
            other is not edit and other[0] <= edit[0] and edit[1] <= other[1] and other[1] > other[0] for other in edits
        )
    ]


def _versions(root: Node) -> list[tuple[int, int, bytes]]:
    edits = []
    for block in _blocks(root):
        for name, node in _settings(block):
            if name == "required_version" and re.match("packer", _around(node) or "packer"):
                edits.append((node.start_byte, node.end_byte, b""))
    return edits
