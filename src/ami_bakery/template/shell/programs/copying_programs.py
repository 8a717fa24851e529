"""Programs that copy, move, link, pack and compress files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from ami_bakery.template.shell.programs.program_effects import Effects, Program, options_of


def copying(with_value: str) -> Program:
    def copy(arguments: list[str], effects: Effects) -> None:
        options, rest = options_of(arguments, with_value)
        # In `scp` and `rsync`, `-i` has another meaning.
        asks = "--target-directory" in with_value and ("-i", "") in options
        partial = "--rsh" in with_value and any(_PARTIAL.match(option) for option, _ in options)
        effects.keeps = asks or partial or not _KEEPING.isdisjoint(option for option, _ in options)
        into = next((value for option, value in options if option in ("-t", "--target-directory")), None)
        effects.reads.extend(value for option, value in options if option.endswith(("-from", "-i", "-F")) and value)
        sources, target = (rest, into + "/") if into is not None else (rest[:-1], rest[-1] if len(rest) > 1 else "")
        here = [source for source in sources if not _is_remote(source)]
        effects.reads.extend(here)
        if target and not _is_remote(target):
            effects.copies.append((tuple(source.rpartition(":")[2] for source in sources), target))

    return copy


def move(arguments: list[str], effects: Effects) -> None:
    copying("-S -t --suffix --target-directory")(arguments, effects)
    effects.changed.extend(("moves", text) for sources, _ in effects.copies for text in sources)


_KEEPING = frozenset(
    {
        *("-n", "-u", "--no-clobber", "--update", "--interactive", "--ignore-existing", "--existing", "--dry-run"),
        *("--list-only", "--only-write-batch", "--attributes-only", "--exchange"),
    }
)
"""Options with which an existing file may stay unchanged."""
_PARTIAL = re.compile(r"-[fFCn]\Z|--(?:exclude|include|filter|files|max-size|min-size|size-only|cvs|dry)")
"""Options with which rsync does not copy everything."""


def _is_remote(text: str) -> bool:
    return re.match(r"[^/]*:", text) is not None


def link(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(arguments, "-t -S --target-directory --suffix")
    names = {option for option, _ in options}
    effects.keeps = names.isdisjoint(("-f", "--force")) or not names.isdisjoint(("-i", "--interactive"))
    symbolic = any(option in ("-s", "--symbolic") for option, _ in options)
    if len(rest) > 1:
        folder = posixpath.dirname(rest[-1]) if symbolic else ""
        effects.reads.extend(posixpath.join(folder, source) for source in rest[:-1])
        effects.copies.append((tuple(rest[:-1]), rest[-1]))


def install(arguments: list[str], effects: Effects) -> None:
    if any(text == "-d" or text == "--directory" for text in arguments):
        effects.made.extend(options_of(arguments, "-m -o -g --mode --owner --group")[1])
        return
    copying("-m -o -g -t -S --mode --owner --group --target-directory --suffix")(arguments, effects)


def tar(arguments: list[str], effects: Effects) -> None:
    if arguments and not arguments[0].startswith("-"):
        arguments = [*_old_tar(arguments)]
    mode, archive, folder = "", "", ""
    options, rest, given = "cxtruA", [], iter(arguments)
    taking = "f C T X b g K L N V I H F"
    for text in given:
        if text.startswith("--"):
            name, equals, value = text.partition("=")
            if not equals and name in ("--file", "--directory", "--files-from", "--exclude", "--exclude-from"):
                value = next(given, "")
            letter = {"--file": "f", "--directory": "C", "--files-from": "T", "--exclude-from": "X"}.get(name, "")
            mode = mode or {
                "--create": "c",
                "--extract": "x",
                "--get": "x",
                "--list": "t",
                "--append": "r",
                "--update": "u",
            }.get(name, "")
            letters = [(letter, value)]
        elif text.startswith("-") and len(text) > 1:
            pairs, _ = options_of([text, next(given, "")] if _takes(text, taking) else [text], _dashed(taking))
            letters = [(option[1:], value) for option, value in pairs]
        else:
            rest.append(posixpath.join(folder, text))
            continue
        for letter, value in letters:
            mode = mode or (letter if letter and letter in options else "")
            archive = value if letter == "f" else archive
            folder = posixpath.join(folder, value) if letter == "C" else folder
            effects.reads.extend([value] if letter in ("T", "X") else [])
    _pack(mode, archive, rest, effects)


def _dashed(letters: str) -> str:
    return " ".join(f"-{letter}" for letter in letters.split())


def _takes(text: str, taking: str) -> bool:
    """Whether the last letter of a group of options requires a value."""
    before = next((number for number, letter in enumerate(text[1:], 1) if letter in taking.split()), None)
    return before == len(text) - 1


def _old_tar(arguments: Sequence[str]) -> list[str]:
    """Rewrites `tar czf FILE ...` as `tar -c -z -f FILE ...`: the values follow in the order of their letters."""
    made, values = list[str](), list(arguments[1:])
    for letter in arguments[0]:
        made.append(f"-{letter}")
        if letter in "fCTXbgKLNVIHF" and values:
            made.append(values.pop(0))
    return [*made, *values]


def _pack(mode: str, archive: str, names: Sequence[str], effects: Effects) -> None:
    if mode in ("c", "r", "u", "A"):
        effects.reads.extend(names)
        (effects.writes if mode == "c" else effects.appends).extend([archive] if archive not in ("", "-") else [])
    else:
        effects.reads.append(archive)
        effects.opaque = mode != "t"


def zip_(arguments: list[str], effects: Effects) -> None:
    _, rest = options_of(arguments, "-b -t -tt -n -P -i -x")
    if rest:
        archive = rest[0] if "." in posixpath.basename(rest[0]) else f"{rest[0]}.zip"
        effects.writes.append(archive)
        effects.reads.extend(rest[1:])


def unzip(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(arguments, "-d -x -P")
    effects.reads.extend(rest[:1])
    effects.opaque = not any(option in ("-l", "-p", "-t", "-Z", "-v") for option, _ in options)


def compressing(suffix: str) -> Program:
    def compress(arguments: list[str], effects: Effects) -> None:
        options, rest = options_of(arguments, "-S -T -o --output")
        effects.reads.extend(rest)
        named = [value for option, value in options if option in ("-o", "--output")]
        names = {option for option, _ in options}
        if named or not names & {"-c", "--stdout", "-l", "-t"}:
            unpacking = names & {"-d", "--decompress", "--uncompress"}
            made = [name.removesuffix(suffix) if unpacking or name.endswith(suffix) else name + suffix for name in rest]
            effects.writes.extend(named or made)

    return compress
