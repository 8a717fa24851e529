"""Any change of an input changes the entries, and no other change does."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ami_bakery.adapters.files.source_tree import DiskTree
from ami_bakery.core.config.model import ImageConfig
from ami_bakery.core.definition.manifest import Entry
from ami_bakery.define.inputs import collect
from ami_bakery.template.facts import TemplateFacts, TemplateFormat

NAMES = st.one_of(
    st.sampled_from(["a", "b", ".hidden", "a-b", "a.b", "new\nline", "é", "x.sh", "crash.log"]),
    st.sampled_from([b"\xff", b"n\x80"]).map(os.fsdecode),
)
TREES = st.recursive(
    st.one_of(st.binary(max_size=8), st.tuples(st.binary(max_size=8))),
    lambda children: st.dictionaries(NAMES, children, max_size=4),
    max_leaves=10,
).filter(lambda tree: isinstance(tree, dict))
"""A dictionary is a folder, bytes are a file, bytes in a tuple an executable file."""
FACTS = TemplateFacts(format=TemplateFormat.JSON, files=("t.json",), variables=(), builders=())
IMAGE = ImageConfig(name="app", template="t.json", inputs=("in",))


def plant(folder: Path, tree: object) -> None:
    if isinstance(tree, dict):
        folder.mkdir()
        for name, child in tree.items():
            plant(folder / name, child)
        return
    content, executable = (tree[0], True) if isinstance(tree, tuple) else (tree, False)
    assert isinstance(content, bytes)
    folder.write_bytes(content)
    folder.chmod(0o755 if executable else 0o644)


def entries(root: Path) -> tuple[Entry, ...]:
    return collect(DiskTree(str(root)), IMAGE, "bakery.toml", FACTS).entries


def below(root: Path) -> list[Path]:
    return sorted(path for path in (root / "in").rglob("*"))


def change(root: Path, how: str, choice: random.Random) -> bool:
    """Makes one change; returns False if the tree has nothing of that kind to change."""
    files = [path for path in below(root) if path.is_file()]
    folders = [root / "in", *(path for path in below(root) if path.is_dir())]
    if how in ("add", "add folder"):
        path = choice.choice(folders) / "added"
        path.write_bytes(b"") if how == "add" else path.mkdir()
        return True
    if not files:
        return False
    path = choice.choice(files)
    match how:
        case "content":
            path.write_bytes(path.read_bytes() + b"x")
        case "mode":
            path.chmod(path.stat().st_mode ^ 0o100)
        case "rename":
            path.rename(path.with_name("renamed"))
        case "delete":
            path.unlink()
        case "link":
            path.rename(root / "elsewhere")
            path.symlink_to(os.path.relpath(root / "elsewhere", path.parent))
    return True


@given(
    tree=TREES,
    how=st.sampled_from(["content", "mode", "rename", "delete", "link", "add", "add folder"]),
    seed=st.integers(0, 1 << 16),
)
@settings(max_examples=300, deadline=None)
def test_any_single_change_of_an_input_changes_the_entries(tree: dict[str, object], how: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "t.json").write_text("{}")
        plant(root / "in", tree)
        for always in ("in/always", "in/as well"):
            (root / always).write_text("x")
        before = entries(root)
        if change(root, how, random.Random(seed)):
            assert entries(root) != before


@given(tree=TREES, seed=st.integers(0, 1 << 16))
@settings(max_examples=150, deadline=None)
def test_times_umask_order_location_and_version_control_change_no_entry(tree: dict[str, object], seed: int) -> None:
    choice = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        root, copy = Path(name) / "one", Path(name) / "another place"
        for place in (root, copy):
            place.mkdir()
            (place / "t.json").write_text("{}")
        plant(root / "in", tree)
        for always in ("in/always", "in/as well"):
            (root / always).write_text("x")
        paths = below(root)
        choice.shuffle(paths)
        (copy / "in").mkdir()
        for path in paths:
            target = copy / path.relative_to(root)
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                target.chmod(path.stat().st_mode & 0o700 | choice.randrange(0o100))
                os.utime(target, (1, choice.randrange(1 << 30)))
        (copy / "in/.git").mkdir(exist_ok=True)
        (copy / "in/.git/HEAD").write_text("x")
        assert entries(copy) == entries(root)


def test_a_folder_with_many_files_is_collected_completely(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    (tmp_path / "in").mkdir()
    for number in range(2_000):
        (tmp_path / "in" / f"{number:05}").touch()
    assert len(entries(tmp_path)) == 2_001
