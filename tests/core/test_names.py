"""Checks that a name means one thing in the whole code base."""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import ami_bakery

SOURCE = Path(ami_bakery.__file__).parent

SHARED_MODULE_NAMES = {
    "client": "adapters of programs: git and Packer",
    "digest": "the command, and the digest that it prints",
    "audit": "the command, and the text of its answer",
    "errors": "the program's errors, and AWS's errors translated into them",
    "images": "the command, and the text of its answer",
    "inputs": "the command, and the inputs that it lists",
    "plan": "the command, and the plan that it prints",
    "source_tree": "the interface, and the adapter that reads the disk",
}
"""Modules that describe the same thing on two layers, and what that is."""


def _modules() -> Iterator[Path]:
    yield from sorted(SOURCE.rglob("*.py"))


def _duplicates(names_in: Callable[[Path], Iterator[str]]) -> Mapping[str, list[str]]:
    owners = defaultdict(list)
    for path in _modules():
        for name in names_in(path):
            owners[name].append(str(path.relative_to(SOURCE)))
    return {name: paths for name, paths in owners.items() if len(paths) > 1}


def _classes(path: Path) -> Iterator[str]:
    return (node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))


def _public_functions(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not _is_entry_point(path, node.name):
            yield node.name


def _is_entry_point(path: Path, function: str) -> bool:
    if SOURCE / "cli/commands" in path.parents:
        return function in ("run", "add_arguments")
    return function == "main"


def _module_name(path: Path) -> Iterator[str]:
    if path.name not in ("__init__.py", "__main__.py"):
        yield path.stem


def test_class_names_are_unique() -> None:
    assert _duplicates(_classes) == {}


def test_public_function_names_are_unique() -> None:
    assert _duplicates(_public_functions) == {}


def test_module_names_are_unique_or_name_the_same_thing_on_two_layers() -> None:
    assert _duplicates(_module_name).keys() == SHARED_MODULE_NAMES.keys()


def test_no_folder_has_more_than_twenty_entries() -> None:
    """`ls` of a folder fits on a screen."""
    folders = {path.parent for path in _modules()}
    modules = {str(folder.relative_to(SOURCE)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in modules.items() if count > 20} == {}
    # py.typed is an empty file for type checkers.
    entries = [path for path in SOURCE.iterdir() if path.name not in ("__pycache__", "py.typed")]
    assert len(entries) <= 20
