"""Differences between two stamps that count as a replaced input."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ami_bakery.core.definition.stamp import Folder, Stamp, Stamps, replaced

SECOND = 1_000_000_000
FILE = Stamp(is_folder=False, size=3, modified=5, changed=7, device=1, inode=9)
FOLDER = FILE._replace(is_folder=True, size=0)


def paths(before: Stamps, after: Stamps) -> list[str]:
    return [path for path, _ in replaced(before, after)]


def of(
    files: Mapping[str, Stamp] | None = None,
    folders: Mapping[str, Folder] | None = None,
    passed: Mapping[str, Stamp] | None = None,
) -> Stamps:
    return Stamps(files=files or {}, folders=folders or {}, passed=passed or {})


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, False),
        ({"size": 4}, True),
        ({"modified": 6}, True),
        ({"changed": 8}, True),
        ({"is_folder": 1}, True),
        ({"inode": 10, "device": 2}, False),
    ],
)
def test_file_is_replaced_if_size_or_times_differ(change: dict[str, int], counts: bool) -> None:
    assert bool(paths(of({"/f": FILE}), of({"/f": Stamp(**{**FILE._asdict(), **change})}))) is counts


def test_inode_decides_if_times_are_whole_seconds() -> None:
    coarse = FILE._replace(changed=7 * SECOND)
    assert paths(of({"/f": coarse}), of({"/f": coarse._replace(inode=10)})) == ["/f"]


def test_added_and_removed_paths_are_not_replaced() -> None:
    assert paths(of({"/a": FILE}), of({"/b": FILE})) == []


def test_parent_folder_may_get_entries_but_may_not_be_renamed() -> None:
    before = of(passed={"/d": FOLDER})
    assert paths(before, of(passed={"/d": FOLDER._replace(modified=8, changed=8)})) == []
    assert paths(before, of(passed={"/d": FOLDER._replace(changed=8)})) == ["/d"]


def test_output_explains_a_modified_folder_but_git_does_not() -> None:
    def folder(modified: int, **left_out: Stamp) -> Stamps:
        return of(folders={"/d": Folder(FOLDER._replace(modified=modified), tuple(left_out.items()))})

    assert paths(folder(5), folder(6)) == ["/d"]
    assert paths(folder(5), folder(6, log=FILE)) == []
    assert paths(folder(5, log=FILE), folder(6, log=FILE._replace(changed=8))) == []
    assert paths(folder(5, git=FOLDER), folder(6, git=FOLDER._replace(modified=8, changed=8))) == ["/d"]
