"""Programs that write files that their arguments name."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import urlsplit

from ami_bakery.template.shell.programs.program_effects import Effects, Program, likely_writes, options_of


def curl(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(
        arguments,
        "-o -O2 -d -F -H -X -u -A -b -c -D -e -E -K -m -T -U -w -x -y -Y -z -C --output --data --data-binary --data-raw"
        " --data-urlencode --form --header --request --user --user-agent --cookie --cookie-jar --dump-header --cert"
        " --cacert --key --config --max-time --upload-file --retry --retry-delay --connect-timeout --output-dir --url"
        " --trace --trace-ascii --stderr --write-out --proxy --netrc-file --resolve --referer --json --retry-max-time",
    )
    folder = next((value for option, value in options if option == "--output-dir"), "")
    effects.opaque = any(option in ("-K", "--config") for option, _ in options)
    effects.keeps = any(
        option in ("-z", "--time-cond", "-C", "--no-clobber", "--skip-existing") for option, _ in options
    )
    for option, value in options:
        if option in ("-o", "--output"):
            effects.writes.append(posixpath.join(folder, value))
        elif option in ("-c", "--cookie-jar", "-D", "--dump-header", "--trace", "--trace-ascii", "--stderr"):
            effects.writes.append(value)
        elif option not in ("-H", "--header", "-X", "--request", "-w", "--write-out", "-u", "--user"):
            effects.reads.append(value)
    if any(option in ("-O", "--remote-name", "--remote-name-all") for option, _ in options):
        effects.writes.extend(posixpath.join(folder, name) for text in rest if (name := _of_url(text)))
    effects.reads.extend(text.removeprefix("file://") for text in rest if text.startswith("file:"))


def _of_url(text: str) -> str:
    try:
        return posixpath.basename(urlsplit(text).path)
    except ValueError:
        return ""


def wget(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(
        arguments,
        "-O -o -a -P -i -t -T -U -e -w -Q --output-document --output-file --append-output --directory-prefix"
        " --input-file --tries --timeout --user-agent --header --post-data --post-file --user --password --config",
    )
    effects.opaque = any(option == "--config" for option, _ in options)
    named = [value for option, value in options if option in ("-O", "--output-document") and value != "-"]
    folder = next((value for option, value in options if option in ("-P", "--directory-prefix")), "")
    effects.keeps = any(
        option in ("-n", "-N", "-c", "--no-clobber", "--timestamping", "--continue", "--spider")
        for option, _ in options
    )
    effects.reads.extend(
        value for option, value in options if option in ("-i", "--input-file", "--post-file", "--config")
    )
    logs = [value for option, value in options if option in ("-o", "-a", "--output-file", "--append-output")]
    effects.writes.extend((*named, *logs))
    if not any(option in ("-O", "--output-document") for option, _ in options):
        effects.keeps = True  # wget keeps an existing file, and writes to `file.1`
        effects.writes.extend(posixpath.join(folder, name) for text in rest if (name := _of_url(text)))


def tee(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(arguments, "")
    appends = any(option in ("-a", "--append") for option, _ in options)
    (effects.appends if appends else effects.writes).extend(rest)


def dd(arguments: list[str], effects: Effects) -> None:
    effects.reads.extend(text[3:] for text in arguments if text.startswith("if="))
    keeps = any(text.startswith("seek=") or "notrunc" in text for text in arguments)
    (effects.appends if keeps else effects.writes).extend(text[3:] for text in arguments if text.startswith("of="))


def sed(arguments: list[str], effects: Effects) -> None:
    in_place = any(re.match(r"-[nErsuz]*i|--in-place", text) for text in arguments)
    options, rest = options_of(
        [text for text in arguments if not re.match(r"-i|--in-place", text)], "-e -f -l --expression --file"
    )
    scripts = any(option in ("-e", "-f", "--expression", "--file") for option, _ in options)
    files = rest if scripts else rest[1:]
    effects.reads.extend((*files, *(value for option, value in options if option in ("-f", "--file"))))
    effects.writes.extend(files if in_place else ())


def with_output(with_value: str, *, opaque: bool = False) -> Program:
    """Returns a reader for programs whose `-o` or `-out` names their output."""

    def output(arguments: list[str], effects: Effects) -> None:
        options, rest = options_of(arguments, with_value)
        written = {"-o", "-out", "--output", "--output-file", "--out", "-keyout"}
        effects.writes.extend(value for option, value in options if option in written and value not in ("", "-"))
        effects.reads.extend((*rest, *(value for option, value in options if option not in written)))
        effects.opaque = opaque

    return output


def by_subcommand(**known: Program) -> Program:
    """Returns a reader for programs with subcommands. An example is `go build -o X`."""

    def run(arguments: list[str], effects: Effects) -> None:
        effects.opaque = True
        command = next((text for text in arguments if not text.startswith("-")), "")
        rest = arguments[arguments.index(command) + 1 :] if command else arguments
        if command in known:
            known[command](rest, effects)
        else:
            effects.reads.extend(rest)
            likely_writes(rest, effects)

    return run


def keygen(arguments: list[str], effects: Effects) -> None:
    options, _ = options_of(arguments, "-f -t -b -C -N -P -m -a -I -n -V -z -s -O -D")
    names = {option for option, _ in options}
    for option, value in options:
        if option == "-f" and names & {"-y", "-l", "-e", "-i", "-B"}:
            effects.reads.append(value)
        elif option == "-f":
            effects.writes.extend((value, f"{value}.pub"))
        elif option == "-s":
            effects.reads.append(value)


def aws(arguments: list[str], effects: Effects) -> None:
    files = [re.sub(r"\Afileb?://", "", text) for text in arguments]
    words = [text for text in arguments if not text.startswith("-")]
    if words[:1] == ["s3"] and words[1:2] in (["cp"], ["mv"], ["sync"]) and len(words) > 3:
        source, target = words[2], words[3]
        effects.reads.extend([] if source.startswith("s3:") else [source])
        if not target.startswith("s3:"):
            effects.copies.append(((posixpath.basename(source.rstrip("/")) or source,), target))
        return
    if words[1:2] in (["get-object"], ["invoke"]) and len(words) > 2:
        effects.likely.append(words[-1])
        files = files[:-1]
    effects.reads.extend(files)


def make_folders(arguments: list[str], effects: Effects) -> None:
    effects.made.extend(options_of(arguments, "-m --mode -Z")[1])


def remove_files(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(arguments, "")
    effects.keeps = any(option in ("-i", "-I", "--interactive") for option, _ in options)
    effects.removed.extend(rest)


def touch(arguments: list[str], effects: Effects) -> None:
    rest = options_of(arguments, "-d -t -r --date --reference")[1]
    effects.touched.extend(rest)
    effects.changed.extend(("sets the times of", text) for text in rest)


def change_mode(arguments: list[str], effects: Effects) -> None:
    """Reads `chmod`, `chown` and `chgrp`. A word that looks like an option may be a mode: `chmod -x FILE`."""
    words = [text for text in arguments if not text.startswith("-") or re.fullmatch(r"-[rwxXst]+", text)]
    has_reference = any(text.startswith("--reference") for text in arguments)
    effects.changed.extend(("changes the mode or the owner of", text) for text in words[0 if has_reference else 1 :])


def truncate(arguments: list[str], effects: Effects) -> None:
    """Reads `truncate`. A file keeps its beginning unless it is truncated to 0 bytes."""
    options, rest = options_of(arguments, "-s -r --size --reference")
    empties = any(option in ("-s", "--size") and value == "0" for option, value in options)
    (effects.writes if empties else effects.appends).extend(rest)
