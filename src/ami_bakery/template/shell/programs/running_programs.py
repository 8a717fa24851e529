"""Programs that run other programs, scripts or code."""

from __future__ import annotations

import posixpath
import re

from ami_bakery.template.shell.embedded_code import words_of_code
from ami_bakery.template.shell.programs.program_effects import Effects, likely_writes, options_of, options_of_prefix


def shell(name: str, arguments: list[str], effects: Effects) -> None:
    if name == "busybox":
        effects.nested.append(tuple(arguments))
        return
    options, rest = options_of([text for text in arguments if not text.startswith("+")], "-o -O --rcfile --init-file")
    letters = {letter for letter, _ in options}
    effects.reads.extend(value for option, value in options if option.startswith("--") and value)
    effects.scripts.extend(("sh", value, ()) for option, value in options if option in ("--rcfile", "--init-file"))
    effects.opaque = bool(effects.scripts)
    effects.settings = tuple(value or option for option, value in options)
    if "-n" in letters or "noexec" in effects.settings:
        effects.reads.extend(rest)  # it only checks the syntax
        return
    if "-c" in letters and rest:
        effects.texts.append((rest[0], tuple(rest[1:])))
        effects.reads.extend(rest[1:])
    elif rest:
        effects.scripts.append(("sh", rest[0], tuple(rest[1:])))
        effects.reads.extend(rest[1:])


def interpreter(name: str, arguments: list[str], effects: Effects) -> None:
    effects.opaque = True
    effects.reads.extend(arguments)
    likely_writes(arguments, effects)
    options, rest = options_of(arguments, "-c -e -m -W -X -I -r -File --eval -Command")
    if not any(option in ("-c", "-e", "-m", "--eval", "-Command") for option, _ in options) and rest:
        effects.scripts.append((name, rest[0], tuple(rest[1:])))
    for option, value in options:
        if option == "-File":
            effects.scripts.append((name, value, tuple(rest)))
        elif option in ("-c", "-e", "--eval") and value:
            effects.reads.extend(words_of_code(value))


def xargs(arguments: list[str], effects: Effects) -> None:
    _, rest = options_of_prefix(arguments, "-a -d -E -I -L -n -P -s --arg-file --max-args --max-procs --replace")
    if rest:
        effects.nested.append(tuple(rest))


def grep(arguments: list[str], effects: Effects) -> None:
    """Adds the files; the first word is the pattern."""
    options, rest = options_of(arguments, "-e -f -m -A -B -C -d -D --include --exclude --exclude-dir --file --regexp")
    given = [value for option, value in options if option in ("-f", "--file")]
    asked = given or any(option in ("-e", "--regexp") for option, _ in options)
    effects.reads[:] = [*(rest if asked else rest[1:]), *given]
    recursive = any(option in ("-r", "-R", "--recursive", "--dereference-recursive") for option, _ in options)
    if recursive and not effects.reads[: -len(given) or None]:
        effects.reads.append(".")
        effects.dots = True


def ssh(arguments: list[str], effects: Effects) -> None:
    """Adds the files of ssh's options; the command runs on another machine."""
    options, _ = options_of_prefix(arguments, "-i -F -o -p -l -L -R -D -b -c -E -e -I -J -m -O -Q -S -W -w")
    effects.reads[:] = [value for option, value in options if option in ("-i", "-F")]


def find(arguments: list[str], effects: Effects) -> None:
    start = next((number for number, text in enumerate(arguments) if text[:1] in ("-", "(", "!")), len(arguments))
    effects.reads.extend(arguments[:start])
    rest = arguments[start:]
    for number, text in enumerate(rest):
        if text in ("-exec", "-execdir", "-ok"):
            end = next((at for at in range(number, len(rest)) if rest[at] in (";", "+")), len(rest))
            effects.nested.append(tuple(rest[number + 1 : end]))
        elif re.fullmatch(r"-(?:[ac]?newer|newer[aBcm][aBcmt]|samefile|files0-from)", text) and number + 1 < len(rest):
            effects.reads.append(rest[number + 1])
        elif text in ("-fprint", "-fls", "-fprintf") and number + 1 < len(rest):
            effects.writes.append(rest[number + 1])


def make(arguments: list[str], effects: Effects) -> None:
    effects.opaque = True
    options, rest = options_of(arguments, "-C -f -I -j -l -o -W --directory --file --makefile --include-dir")
    folders = [value for option, value in options if option in ("-C", "--directory")]
    folder = posixpath.join(*folders) if folders else ""
    effects.reads.extend(folders)
    named = [value for option, value in options if option in ("-f", "--file", "--makefile", "-I", "--include-dir")]
    effects.reads.extend(posixpath.join(folder, name) for name in named)
    # A target that is a file is created by make; so, most likely, is a folder.
    effects.likely.extend(posixpath.join(folder, name) for name in rest if "=" not in name)
    effects.reads.extend(name for name in rest if "=" in name)
    if not named and not folder:
        effects.reads.extend(("GNUmakefile", "makefile", "Makefile"))
