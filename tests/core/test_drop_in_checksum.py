"""Compares the drop-in mode's checksum with a second implementation of the original algorithm."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_bakery.adapters.files.source_tree import DiskTree
from ami_bakery.core.config.model import ImageConfig
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.definition.drop_in_checksum import parse_folders
from ami_bakery.define.drop_in import drop_in_checksum
from ami_bakery.errors import SourceError


def original(folders: list[str]) -> str:
    """The original algorithm, with the standard library alone."""
    paths = [
        os.path.join(at, name)
        for folder in folders
        for at, _, names in os.walk(folder)
        for name in names
        if name[0] != "."
    ]
    hashes = [hashlib.sha1(Path(path).read_bytes()).hexdigest() for path in sorted(paths)]
    return hashlib.sha1("".join(hashes).encode()).hexdigest()


def ours(folders: list[str] | tuple[str, ...], root: str = "/") -> str:
    image = ImageConfig(name="default", template="x.json", inputs=tuple(folders), scheme=Scheme.SHA1)
    return drop_in_checksum(DiskTree(root), image).hex


NAMES = st.one_of(
    st.sampled_from(["a", "b", ".hidden", "a-b", "a.b", "z\n", "é", "\U0001f600", "Ａ", " ", "a b"]),
    st.sampled_from([b"\xff", b"\xc3", b"n\x80me", b"\xed\xa0\x80"]).map(os.fsdecode),
)
TREES = st.recursive(
    st.binary(max_size=20),
    lambda children: st.dictionaries(NAMES, children, max_size=4),
    max_leaves=12,
).filter(lambda tree: isinstance(tree, dict))


def plant(folder: Path, tree: dict[str, object]) -> None:
    for name, content in tree.items():
        path = folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.mkdir()
            assert isinstance(content, dict)
            plant(path, content)


@given(tree=TREES, suffix=st.sampled_from(["", "/", "//", "/."]), twice=st.booleans())
@settings(max_examples=300, deadline=None)
def test_checksum_equals_the_original_on_any_tree(tree: dict[str, object], suffix: str, twice: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "t").mkdir()
        plant(root / "t", tree)
        (root / "t" / "always.sh").write_text("x")
        folders = [f"{name}/t{suffix}"] + ([f"{name}/t"] if twice else [])
        assert ours(folders) == original(folders)


def test_overlapping_folders_count_their_files_twice(tmp_path: Path) -> None:
    plant(tmp_path, {"ami": {"x.sh": b"1", "sub": {"y.sh": b"2"}}})
    folders = [f"{tmp_path}/ami", f"{tmp_path}/ami/sub/"]
    assert ours(folders) == original(folders) != original(folders[:1])


def test_hidden_files_are_excluded_but_files_in_hidden_folders_are_not(tmp_path: Path) -> None:
    plant(tmp_path, {"ami": {".hidden": b"1", ".folder": {"seen": b"2"}, "plain": b"3"}})
    folders = [f"{tmp_path}/ami"]
    before = ours(folders)
    assert before == original(folders)
    (tmp_path / "ami" / ".hidden").write_text("changed")
    assert ours(folders) == before
    (tmp_path / "ami" / ".folder" / "seen").write_text("changed")
    assert ours(folders) == original(folders) != before


def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    plant(tmp_path, {"ami": {"a": b"1"}, "elsewhere": {"b": b"2"}})
    (tmp_path / "ami" / "file-link").symlink_to("../elsewhere/b")
    (tmp_path / "ami" / "folder-link").symlink_to("../elsewhere")
    folders = [f"{tmp_path}/ami"]
    before = ours(folders)
    assert before == original(folders)
    (tmp_path / "elsewhere" / "b").write_text("changed")
    assert ours(folders) == original(folders) != before
    (tmp_path / "elsewhere" / "c").write_text("new")
    assert ours(folders) == original(folders)


def test_given_folder_may_be_a_link(tmp_path: Path) -> None:
    plant(tmp_path, {"real": {"a": b"1"}})
    (tmp_path / "link").symlink_to("real")
    assert ours([f"{tmp_path}/link"]) == original([f"{tmp_path}/link"])


def test_relative_folder_starts_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, {"ami": {"b": b"1", "a": {"c": b"2"}}})
    monkeypatch.chdir(tmp_path)
    for folders in (["ami"], ["./ami"], ["."], ["ami/"], ["ami/../ami"]):
        assert ours(folders, root=str(tmp_path)) == original(folders)


def test_checksum_of_a_known_tree() -> None:
    """Golden: `printf one > ami/a; printf two > ami/b`, computed with sha1sum."""
    with tempfile.TemporaryDirectory() as name:
        plant(Path(name), {"a": b"one", "b": b"two"})
        assert ours([name]) == "8ad02199a97eb9c37d08f8481f9be8118e8ad5eb"


@pytest.mark.parametrize(
    ("text", "folders", "empty"),
    [
        ("/a", ("/a",), 0),
        (" /a ", ("/a",), 0),
        ("/a, /b ,/c", ("/a", "/b", "/c"), 0),
        ("/a,", ("/a",), 1),
        ("", (), 1),
        ("./a,b", ("./a", "b"), 0),
    ],
)
def test_folders_are_parsed_as_the_original_parsed_them(text: str, folders: tuple[str, ...], empty: int) -> None:
    assert parse_folders(text) == (folders, empty)


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        ours([f"{tmp_path}/absent"])


def test_folders_without_files_are_an_error(tmp_path: Path) -> None:
    (tmp_path / ".only-hidden").write_text("x")
    with pytest.raises(SourceError, match="no file"):
        ours([str(tmp_path)])


def test_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="pipe"):
        ours([str(tmp_path)])


def test_broken_link_is_refused_with_its_target(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(SourceError, match="nowhere"):
        ours([str(tmp_path)])
