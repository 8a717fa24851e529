"""Checks that the pictures in docs/pictures are current: created again, only times and names differ.

Pictures of the report are pixels: for these, checks that the script still makes them, and their size.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tests.documents import ROOT

PICTURES = ROOT / "docs/pictures"
SVG = "{http://www.w3.org/2000/svg}"


def words_of(picture: Path) -> str:
    """Returns the text of a picture from top to bottom, without numbers, hashes and ages."""
    lines: dict[float, str] = {}
    for text in ElementTree.parse(picture).iter(f"{SVG}text"):
        row = float(text.attrib["y"])
        lines[row] = lines.get(row, "") + "".join(text.itertext())
    rows = [" ".join(lines[row].split()) for row in sorted(lines)]
    words = " ".join(row for row in rows if row and "waiting for EC2" not in row)  # a loaded machine
    aged = re.sub(r"just now|\d+ minutes? ago", "AGE", words)
    return re.sub(r"\b[0-9a-f]{12,17}\b|\d+", "N", aged)


def test_pictures_are_current(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/record", tmp_path], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    made = {path.name: words_of(path) for path in tmp_path.glob("*.svg")}
    assert made == {path.name: words_of(path) for path in PICTURES.glob("*.svg")}, "run scripts/record"
    pixels = sorted(path.name for path in tmp_path.glob("*.png"))
    assert pixels == sorted(path.name for path in PICTURES.glob("*.png")), "run scripts/record"


def test_pictures_of_the_report_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in PICTURES.glob("*.png")}
    assert len(sizes) == 4
    assert {name: size for name, size in sizes.items() if size > 150_000} == {}


def test_pictures_contain_no_machine_names_and_no_external_references() -> None:
    for path in PICTURES.glob("*.svg"):
        text = path.read_text()
        assert not re.search(r"url\((?!#)|@import|<script|<image", text)
        for word in (os.uname().nodename, str(Path.home()), "/tmp/", str(ROOT)):
            assert word not in text
