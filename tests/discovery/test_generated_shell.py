"""Generated scripts: each file that a real shell reads unchanged is an input or a finding."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.template.reading import read
from tests.trees import write_tree

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what a shell opens")

FILES = [f"{folder}{name}" for folder in ("", "d/", "d/e/", "w x/") for name in ("a", "b", "c.txt")]
SCRIPTS = {
    "s.sh": "cat a; f() { cat d/$1; }; f b",
    "d/t.sh": 'cd "$(dirname "$0")" && cat a && . ./lib',
    "d/lib": "cat e/a; X=c.txt",
    "u.sh": 'for p in "$@"; do [ -f "$p" ] && cat "$p"; done; cat ${X:-b}',
}
_OPENED = re.compile(r'open(?:at)?\((?:[^,"]*, )?"[^"]*", ([A-Z_|0-9]+).*\) = \d+<([^>]*)>')


class _Writer:
    """Writes a random script."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def path(self) -> str:
        chosen = self.random.choice([*FILES, *SCRIPTS])
        return f"'{chosen}'" if " " in chosen else chosen

    def command(self, depth: int = 0) -> str:
        pick = self.random.choice
        one, two = self.path(), self.path()
        plain = [
            f"cat {one}",
            f"cat {one} {two} | sort > /dev/null",
            f"sh {pick(['s.sh', 'd/t.sh', 'u.sh'])} {one} {two} || true",
            f"cat < {one}",
            f'X={one}; cat "$X" || true',
            f"Y=$(cat {one})",
            f"cat d/*.txt {one}",
            "cd " + pick(["d", ".", "d/e", "'w x'"]),
            f"(cd d && cat {pick(['a', 'e/b', 'c.txt'])})",
            f"cp {one} out1 && cat out1",
            f"echo x > {pick(['out2', one])}; cat {two}",
            f"echo x >> {one}",
            f"tar cf out3.tar {one} {two}",
            f'for i in {one} {two}; do cat "$i"; done',
            f'while read -r l; do echo "$l"; done < {one}',
            f"sed -i s/1/2/ {one} || true",
            f"echo {one} | xargs cat",
            "bash -c 'cat a; cat d/b' || true",
            f"cat <<EOF | cat {one} -\n{two}\nEOF",
            "printf x | tee out4 > /dev/null",
            f"pushd d > /dev/null; cat {pick(['a', 'b'])}; popd > /dev/null",
            f'f() {{ cat "$1"; }}; f {one}',
            f". ./{pick(['d/lib', 's.sh'])} || true",
        ]
        if depth > 2 or self.random.random() < 0.6:
            return pick(plain)
        inner = "\n".join(self.command(depth + 1) for _ in range(self.random.randint(1, 2)))
        test = pick([f"[ -e {one} ]", '[ -n "$NOTHING" ]', f"grep -q 1 {one}", "true", "false"])
        return pick(
            [
                f"if {test}; then\n{inner}\nelse\n{self.command(depth + 1)}\nfi",
                f"{test} && {{\n{inner}\n}}",
                f"{test} || {{\n{inner}\n}}",
                f"(\n{inner}\n)",
                f"case a in a)\n{inner}\n;; *) cat b;; esac",
                f"g() {{\n{inner}\n}}\ng {two} || true",
                f"{test} && exit 0\n{inner}" if depth == 0 else f"({test} && exit 0\n{inner}\n)",
            ]
        )

    def text(self) -> str:
        return "\n".join(self.command() for _ in range(self.random.randint(2, 6)))


def _read_first(root: Path, text: str) -> set[str]:
    """Returns existing files that the script reads before it writes them."""
    log = root.parent / "strace"
    (root.parent / "script").write_text(text)
    subprocess.run(
        ["strace", "-f", "-y", "-qq", "-e", "trace=open,openat", "-o", log, "bash", root.parent / "script"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    first: dict[str, bool] = {}
    for line in log.read_text(errors="replace").splitlines():
        found = _OPENED.search(line)
        if found and found[2].startswith(f"{root}/") and "O_DIRECTORY" not in found[1]:
            is_read = "O_WRONLY" not in found[1] and "O_TRUNC" not in found[1]
            first.setdefault(os.path.relpath(found[2], root), is_read)
    return {path for path, is_read in first.items() if is_read}


@pytest.mark.parametrize("seed", range(12))
def test_a_file_that_a_shell_reads_unchanged_is_an_input_or_a_finding(seed: int, tmp_path: Path) -> None:
    for number in range(20):
        text = _Writer(seed * 1000 + number).text()
        root = tmp_path / f"{number}" / "root"
        steps = [{"type": "shell-local", "inline_shebang": "/bin/bash", "inline": [text]}]
        template = {"builders": [{"type": "null", "communicator": "none"}], "provisioners": steps}
        facts = read(root, {"a.json": json.dumps(template), **dict.fromkeys(FILES, "1\n"), **SCRIPTS}, "a.json")
        found = {reference.path for reference in facts.references}
        below = tuple(f"{path}/" for path in found)

        before = set(FILES) | set(SCRIPTS)
        missed = {path for path in _read_first(root, text) & before if path not in found and not path.startswith(below)}
        assert not missed or facts.local_commands, f"{missed}\n{text}\nfound {sorted(found)}"
        write_tree(root, {})
