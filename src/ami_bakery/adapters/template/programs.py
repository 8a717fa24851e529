"""What common programs do with their arguments: which files they read, which they write, what they run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from ami_bakery.core.expression.values import CHECKOUT

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh", "busybox"})
_INTERPRETERS = frozenset(
    {
        *(
            "python",
            "python2",
            "python3",
            "ruby",
            "perl",
            "node",
            "php",
            "lua",
            "Rscript",
            "pwsh",
            "groovy",
            "uv",
            "tclsh",
        )
    }
)
_NO_FILES = frozenset(
    {
        *(
            "echo",
            "printf",
            "sleep",
            "true",
            "false",
            ":",
            "exit",
            "return",
            "break",
            "continue",
            "set",
            "wait",
            "kill",
        ),
        *("trap", "type", "which", "hash", "umask", "ulimit", "jobs", "alias", "unalias", "let", "expr", "seq", "date"),
        *(
            "hostname",
            "whoami",
            "id",
            "uname",
            "pwd",
            "nproc",
            "arch",
            "tput",
            "clear",
            "uuidgen",
            "mktemp",
            "basename",
        ),
        *("dirname", "realpath", "readlink", "logger", "chmod", "chown", "chgrp", "rmdir", "tr", "yes", "tty", "stty"),
        *("ls", "stat", "du", "df", "free", "ps", "pgrep", "pkill", "killall", "uptime", "lsblk", "mount", "umount"),
        *("systemctl", "service", "apt-get", "apt", "yum", "dnf", "apk", "brew", "sync", "nc", "ping", "dig", "host"),
        *(
            "shopt",
            "local",
            "times",
            "caller",
            "enable",
            "bind",
            "fg",
            "bg",
            "disown",
            "suspend",
            "nslookup",
            "printenv",
        ),
        *("udevadm", "partprobe", "losetup", "blkid", "mkfs", "mkswap", "parted", "sgdisk", "sfdisk", "wipefs"),
    }
)
"""Their words name nothing that they read here. What `ls` and `stat` show is not a file's content."""
_READERS = frozenset(
    {
        *("cat", "head", "tail", "wc", "grep", "egrep", "fgrep", "zgrep", "cut", "awk", "gawk", "diff", "cmp", "nl"),
        *("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "shasum", "cksum", "b2sum", "md5"),
        *("base64", "od", "xxd", "hexdump", "strings", "file", "jq", "yq", "xmllint", "envsubst", "column", "paste"),
        *("join", "comm", "rev", "fold", "fmt", "tac", "zcat", "bzcat", "xzcat", "less", "more", "test", "[", "uniq"),
        *("shellcheck", "xargs", "ssh", "sftp", "gpg2", "iconv", "dos2unix", "expand", "pr", "ssh-add"),
    }
)
"""They read the files that their words name, and nothing else here."""
_WHOLE_FOLDERS = frozenset({"tar", "gtar", "bsdtar", "zip", "cp", "rsync", "scp", "mv", "docker", "podman"})
"""Of these, `.` means all that lies in the folder."""
_OUTPUT_OPTION = re.compile(
    r"--?(?:o|out|outfile|output|output-file|out-file|output-path|outputfile)(?:=(?P<value>.*))?\Z"
)


class Effects:
    """What one command does, as far as its words say.

    reads     what is read if it is there
    writes    what is surely written; `likely`: what is written by the look of the option
    copies    sources, and what they are copied to: a folder or a file
    made, removed, touched  folders that are made, what is removed with all below, files of which only the times change
    scripts   (interpreter, path, arguments): a script that is run; the interpreter is empty where the file says it
    texts     shell texts that are run
    nested    commands that are run with words of their own
    opaque    whether it may open what no word names
    dots      whether `.` among what is read is the whole folder
    """

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.likely: list[str] = []
        self.copies: list[tuple[tuple[str, ...], str]] = []
        self.made: list[str] = []
        self.removed: list[str] = []
        self.touched: list[str] = []
        self.scripts: list[tuple[str, str, tuple[str, ...]]] = []
        self.texts: list[tuple[str, tuple[str, ...]]] = []
        self.nested: list[tuple[str, ...]] = []
        self.opaque = False
        self.dots = False


def effects_of(words: Sequence[str], *, shown: bool) -> Effects:
    """`shown`: what the command prints is only shown."""
    effects = Effects()
    name, arguments = posixpath.basename(words[0]), list(words[1:])
    if "/" in words[0] and (not words[0].startswith("/") or words[0].startswith(CHECKOUT)):
        effects.scripts.append(("", words[0], tuple(arguments)))
        effects.reads.extend(arguments)
        _likely(arguments, effects)
    elif name in _SHELLS:
        _shell(name, arguments, effects)
    elif re.sub(r"[\d.]+\Z", "", name) in _INTERPRETERS or name in _INTERPRETERS:
        _interpreter(name, arguments, effects)
    elif name in _NO_FILES:
        if not shown and name in ("echo", "printf", "ls"):
            effects.reads.extend(arguments)
    elif name in _READERS:
        effects.reads.extend(arguments)
        _READERS_THAT_DO_MORE.get(name, _nothing)(arguments, effects)
    elif name in _KNOWN:
        _KNOWN[name](arguments, effects)
        effects.dots = name in _WHOLE_FOLDERS
    else:
        effects.opaque = True
        effects.reads.extend(arguments)
        _likely(arguments, effects)
    return effects


def _nothing(_arguments: list[str], _effects: Effects) -> None:
    pass


def _likely(arguments: Sequence[str], effects: Effects) -> None:
    """`-o FILE` and `--output FILE` of a program that nobody knows."""
    for text, following in zip(arguments, [*arguments[1:], ""], strict=False):
        found = _OUTPUT_OPTION.match(text)
        if found:
            target = found["value"] if found["value"] is not None else following
            if target and not target.startswith("-"):
                effects.likely.append(target)


def options_of(arguments: Sequence[str], with_value: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Options with their values, and the other words. `with_value`: the options that take the next word."""
    taking, options, rest = frozenset(with_value.split()), list[tuple[str, str]](), list[str]()
    given = iter(arguments)
    for text in given:
        if text == "--":
            rest.extend(given)
        elif text.startswith("--"):
            name, equals, value = text.partition("=")
            options.append((name, value if equals or name not in taking else next(given, "")))
        elif text.startswith("-") and len(text) > 1:
            _short(text, taking, options, given)
        else:
            rest.append(text)
    return options, rest


def _short(text: str, taking: frozenset[str], options: list[tuple[str, str]], given: Iterator[str]) -> None:
    """`-xzf FILE`, `-oFILE`, and long options with one dash."""
    if text in taking:
        options.append((text, next(given, "")))
        return
    for position, letter in enumerate(text[1:], 1):
        if f"-{letter}" in taking:
            options.append((f"-{letter}", text[position + 1 :] or next(given, "")))
            return
        options.append((f"-{letter}", ""))


# --- programs that run others


def _shell(name: str, arguments: list[str], effects: Effects) -> None:
    if name == "busybox":
        effects.nested.append(tuple(arguments))
        return
    options, rest = options_of([text for text in arguments if not text.startswith("+")], "-o -O --rcfile --init-file")
    letters = {letter for letter, _ in options}
    effects.reads.extend(value for option, value in options if option.startswith("--") and value)
    if "-c" in letters and rest:
        effects.texts.append((rest[0], tuple(rest[1:])))
        effects.reads.extend(rest[1:])
    elif rest:
        effects.scripts.append(("sh", rest[0], tuple(rest[1:])))
        effects.reads.extend(rest[1:])


def _interpreter(name: str, arguments: list[str], effects: Effects) -> None:
    effects.opaque = True
    effects.reads.extend(arguments)
    _likely(arguments, effects)
    options, rest = options_of(arguments, "-c -e -m -W -X -I -r -File --eval -Command")
    if not any(option in ("-c", "-e", "-m", "--eval", "-Command") for option, _ in options) and rest:
        effects.scripts.append((name, rest[0], tuple(rest[1:])))
    for option, value in options:
        if option == "-File":
            effects.scripts.append((name, value, tuple(rest)))
        elif option in ("-c", "-e", "--eval") and value:
            effects.reads.extend(words_of_code(value))


def words_of_code(text: str) -> list[str]:
    """The words of a text in a language that is not looked into: what is in quotes, and what has no blank in it."""
    quoted = re.findall(r"""'([^'\n]{1,300})'|"([^"\n]{1,300})"|`([^`\n]{1,300})`""", text)
    bare = re.findall(r"[^\s'\"`()\[\]{},;|&<>=]{1,300}", text)
    return list(dict.fromkeys([part for parts in quoted for part in parts if part] + bare))


def _xargs(arguments: list[str], effects: Effects) -> None:
    _, rest = options_of_prefix(arguments, "-a -d -E -I -L -n -P -s --arg-file --max-args --max-procs --replace")
    if rest:
        effects.nested.append(tuple(rest))


def _grep(arguments: list[str], effects: Effects) -> None:
    """The first word is what is looked for."""
    options, rest = options_of(arguments, "-e -f -m -A -B -C -d -D --include --exclude --exclude-dir --file --regexp")
    given = [value for option, value in options if option in ("-f", "--file")]
    asked = given or any(option in ("-e", "--regexp") for option, _ in options)
    effects.reads[:] = [*(rest if asked else rest[1:]), *given]


def _ssh(arguments: list[str], effects: Effects) -> None:
    """Its words are run on another machine."""
    options, _ = options_of_prefix(arguments, "-i -F -o -p -l -L -R -D -b -c -E -e -I -J -m -O -Q -S -W -w")
    effects.reads[:] = [value for option, value in options if option in ("-i", "-F")]


def options_of_prefix(arguments: Sequence[str], with_value: str) -> tuple[list[tuple[str, str]], list[str]]:
    """As `options_of`, up to the first word that is no option."""
    taking, position = frozenset(with_value.split()), 0
    while position < len(arguments) and arguments[position].startswith("-") and arguments[position] != "-":
        position += 2 if arguments[position] in taking else 1
    return options_of(arguments[:position], with_value)[0], list(arguments[position:])


def _find(arguments: list[str], effects: Effects) -> None:
    start = next((number for number, text in enumerate(arguments) if text[:1] in ("-", "(", "!")), len(arguments))
    effects.reads.extend(arguments[:start])
    rest = arguments[start:]
    for number, text in enumerate(rest):
        if text in ("-exec", "-execdir", "-ok"):
            end = next((at for at in range(number, len(rest)) if rest[at] in (";", "+")), len(rest))
            effects.nested.append(tuple(rest[number + 1 : end]))
        elif text in ("-fprint", "-fls", "-fprintf") and number + 1 < len(rest):
            effects.writes.append(rest[number + 1])


def _make(arguments: list[str], effects: Effects) -> None:
    effects.opaque = True
    options, rest = options_of(arguments, "-C -f -I -j -l -o -W --directory --file --makefile --include-dir")
    folders = [value for option, value in options if option in ("-C", "--directory")]
    folder = posixpath.join(*folders) if folders else ""
    effects.reads.extend(folders)
    named = [value for option, value in options if option in ("-f", "--file", "--makefile", "-I", "--include-dir")]
    effects.reads.extend(posixpath.join(folder, name) for name in (*named, *rest))
    if not named and not folder:
        effects.reads.extend(("GNUmakefile", "makefile", "Makefile"))


# --- programs that copy and pack


def _copy(with_value: str) -> Callable[[list[str], Effects], None]:
    def copy(arguments: list[str], effects: Effects) -> None:
        options, rest = options_of(arguments, with_value)
        into = next((value for option, value in options if option in ("-t", "--target-directory")), None)
        effects.reads.extend(value for option, value in options if option.endswith(("-from", "-i", "-F")) and value)
        sources, target = (rest, into + "/") if into is not None else (rest[:-1], rest[-1] if len(rest) > 1 else "")
        here = [source for source in sources if not _is_remote(source)]
        effects.reads.extend(here)
        if target and not _is_remote(target):
            effects.copies.append((tuple(source.rpartition(":")[2] for source in sources), target))

    return copy


def _is_remote(text: str) -> bool:
    return re.match(r"[^/]*:", text) is not None


def _link(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(arguments, "-t -S --target-directory --suffix")
    symbolic = any(option in ("-s", "--symbolic") for option, _ in options)
    if len(rest) > 1:
        folder = posixpath.dirname(rest[-1]) if symbolic else ""
        effects.reads.extend(posixpath.join(folder, source) for source in rest[:-1])
        effects.copies.append((tuple(rest[:-1]), rest[-1]))


def _install(arguments: list[str], effects: Effects) -> None:
    if any(text == "-d" or text == "--directory" for text in arguments):
        effects.made.extend(options_of(arguments, "-m -o -g --mode --owner --group")[1])
        return
    _copy("-m -o -g -t -S --mode --owner --group --target-directory --suffix")(arguments, effects)


def _tar(arguments: list[str], effects: Effects) -> None:
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
            mode = mode or {"--create": "c", "--extract": "x", "--get": "x", "--list": "t", "--append": "r"}.get(
                name, ""
            )
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
    """Whether the last letter of a group of options takes the next word."""
    before = next((number for number, letter in enumerate(text[1:], 1) if letter in taking.split()), None)
    return before == len(text) - 1


def _old_tar(arguments: Sequence[str]) -> list[str]:
    """`tar czf FILE ...` as `tar -c -z -f FILE ...`: the values follow in the order of their letters."""
    made, values = list[str](), list(arguments[1:])
    for letter in arguments[0]:
        made.append(f"-{letter}")
        if letter in "fCTXbgKLNVIHF" and values:
            made.append(values.pop(0))
    return [*made, *values]


def _pack(mode: str, archive: str, names: Sequence[str], effects: Effects) -> None:
    if mode in ("c", "r", "u", "A"):
        effects.reads.extend(names)
        effects.writes.extend([archive] if archive not in ("", "-") else [])
    else:
        effects.reads.append(archive)
        effects.opaque = mode != "t"


def _zip(arguments: list[str], effects: Effects) -> None:
    _, rest = options_of(arguments, "-b -t -tt -n -P -i -x")
    if rest:
        archive = rest[0] if "." in posixpath.basename(rest[0]) else f"{rest[0]}.zip"
        effects.writes.append(archive)
        effects.reads.extend(rest[1:])


def _unzip(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(arguments, "-d -x -P")
    effects.reads.extend(rest[:1])
    effects.opaque = not any(option in ("-l", "-p", "-t", "-Z", "-v") for option, _ in options)


def _squeeze(suffix: str) -> Callable[[list[str], Effects], None]:
    def squeeze(arguments: list[str], effects: Effects) -> None:
        options, rest = options_of(arguments, "-S -T -o --output")
        effects.reads.extend(rest)
        named = [value for option, value in options if option in ("-o", "--output")]
        names = {option for option, _ in options}
        if named or not names & {"-c", "--stdout", "-l", "-t"}:
            unpacking = names & {"-d", "--decompress", "--uncompress"}
            made = [name.removesuffix(suffix) if unpacking or name.endswith(suffix) else name + suffix for name in rest]
            effects.writes.extend(named or made)

    return squeeze


# --- programs that write files of their own


def _curl(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(
        arguments,
        "-o -O2 -d -F -H -X -u -A -b -c -D -e -E -K -m -T -U -w -x -y -Y -z -C --output --data --data-binary --data-raw"
        " --data-urlencode --form --header --request --user --user-agent --cookie --cookie-jar --dump-header --cert"
        " --cacert --key --config --max-time --upload-file --retry --retry-delay --connect-timeout --output-dir --url"
        " --trace --trace-ascii --stderr --write-out --proxy --netrc-file --resolve --referer --json --retry-max-time",
    )
    folder = next((value for option, value in options if option == "--output-dir"), "")
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


def _wget(arguments: list[str], effects: Effects) -> None:
    options, rest = options_of(
        arguments,
        "-O -o -a -P -i -t -T -U -e -w -Q --output-document --output-file --append-output --directory-prefix"
        " --input-file --tries --timeout --user-agent --header --post-data --post-file --user --password",
    )
    named = [value for option, value in options if option in ("-O", "--output-document") and value != "-"]
    folder = next((value for option, value in options if option in ("-P", "--directory-prefix")), "")
    effects.reads.extend(value for option, value in options if option in ("-i", "--input-file", "--post-file"))
    logs = [value for option, value in options if option in ("-o", "-a", "--output-file", "--append-output")]
    effects.writes.extend((*named, *logs))
    if not any(option in ("-O", "--output-document") for option, _ in options):
        effects.writes.extend(posixpath.join(folder, name) for text in rest if (name := _of_url(text)))


def _tee(arguments: list[str], effects: Effects) -> None:
    effects.writes.extend(options_of(arguments, "")[1])


def _dd(arguments: list[str], effects: Effects) -> None:
    effects.reads.extend(text[3:] for text in arguments if text.startswith("if="))
    effects.writes.extend(text[3:] for text in arguments if text.startswith("of="))


def _sed(arguments: list[str], effects: Effects) -> None:
    in_place = any(re.match(r"-[nErsuz]*i|--in-place", text) for text in arguments)
    options, rest = options_of([text for text in arguments if not re.match(r"-i|--in-place", text)], "-e -f -l")
    scripts = any(option in ("-e", "-f") for option, _ in options)
    files = rest if scripts else rest[1:]
    effects.reads.extend((*files, *(value for option, value in options if option == "-f")))
    effects.writes.extend(files if in_place else ())


def _output(with_value: str, *, opaque: bool = False) -> Callable[[list[str], Effects], None]:
    """Programs whose `-o` or `-out` names what they write."""

    def output(arguments: list[str], effects: Effects) -> None:
        options, rest = options_of(arguments, with_value)
        written = {"-o", "-out", "--output", "--output-file", "--out"}
        effects.writes.extend(value for option, value in options if option in written and value not in ("", "-"))
        effects.reads.extend((*rest, *(value for option, value in options if option not in written)))
        effects.opaque = opaque

    return output


def _by_subcommand(**known: Callable[[list[str], Effects], None]) -> Callable[[list[str], Effects], None]:
    """`go build -o X`: what the program does depends on its first word."""

    def run(arguments: list[str], effects: Effects) -> None:
        effects.opaque = True
        command = next((text for text in arguments if not text.startswith("-")), "")
        rest = arguments[arguments.index(command) + 1 :] if command else arguments
        if command in known:
            known[command](rest, effects)
        else:
            effects.reads.extend(rest)
            _likely(rest, effects)

    return run


def _keygen(arguments: list[str], effects: Effects) -> None:
    options, _ = options_of(arguments, "-f -t -b -C -N -P -m -a -I -n -V -z -s -O -D")
    names = {option for option, _ in options}
    for option, value in options:
        if option == "-f" and names & {"-y", "-l", "-e", "-i", "-B"}:
            effects.reads.append(value)
        elif option == "-f":
            effects.writes.extend((value, f"{value}.pub"))
        elif option == "-s":
            effects.reads.append(value)


def _aws(arguments: list[str], effects: Effects) -> None:
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


def _made(arguments: list[str], effects: Effects) -> None:
    effects.made.extend(options_of(arguments, "-m --mode -Z")[1])


def _removed(arguments: list[str], effects: Effects) -> None:
    effects.removed.extend(options_of(arguments, "")[1])


def _touched(arguments: list[str], effects: Effects) -> None:
    effects.touched.extend(options_of(arguments, "-d -t -r --date --reference")[1])


def _truncated(arguments: list[str], effects: Effects) -> None:
    effects.writes.extend(options_of(arguments, "-s -r --size --reference")[1])


_READERS_THAT_DO_MORE: Mapping[str, Callable[[list[str], Effects], None]] = {
    "xargs": _xargs,
    "ssh": _ssh,
    "grep": _grep,
    "egrep": _grep,
    "fgrep": _grep,
    "zgrep": _grep,
}
_COMPILER = _output("-o -I -L -l -D -U -include -isystem -x -T -Xlinker", opaque=True)
_PLAIN_OUTPUT = _output(
    "-o -out --output -in -inkey -passin -passout -key -CA -CAkey -config -days -subj -t -k -S -R -V"
)
_KNOWN: Mapping[str, Callable[[list[str], Effects], None]] = {
    "find": _find,
    "make": _make,
    "gmake": _make,
    "cp": _copy("-S -t --suffix --target-directory"),
    "mv": _copy("-S -t --suffix --target-directory"),
    "scp": _copy("-i -F -P -o -c -l -S -J"),
    "rsync": _copy(
        "-e -f -B -M -T --rsh --exclude --include --exclude-from --include-from --files-from --filter --chmod --chown"
        " --rsync-path --out-format --log-file --timeout --port --bwlimit --max-size --min-size --link-dest"
    ),
    "install": _install,
    "ln": _link,
    "tar": _tar,
    "gtar": _tar,
    "bsdtar": _tar,
    "zip": _zip,
    "unzip": _unzip,
    "gzip": _squeeze(".gz"),
    "gunzip": _squeeze(".gz"),
    "pigz": _squeeze(".gz"),
    "bzip2": _squeeze(".bz2"),
    "bunzip2": _squeeze(".bz2"),
    "xz": _squeeze(".xz"),
    "unxz": _squeeze(".xz"),
    "zstd": _squeeze(".zst"),
    "curl": _curl,
    "wget": _wget,
    "tee": _tee,
    "dd": _dd,
    "sed": _sed,
    "gsed": _sed,
    "sort": _output("-o -k -t -S -T --output --key --field-separator"),
    "shuf": _output("-o -n -i --output --head-count"),
    "openssl": _PLAIN_OUTPUT,
    "gpg": _output("-o --output -r -u --recipient --local-user --homedir --passphrase-file --passphrase"),
    "genisoimage": _PLAIN_OUTPUT,
    "mkisofs": _PLAIN_OUTPUT,
    "gcc": _COMPILER,
    "g++": _COMPILER,
    "cc": _COMPILER,
    "c++": _COMPILER,
    "clang": _COMPILER,
    "clang++": _COMPILER,
    "ld": _COMPILER,
    "rustc": _COMPILER,
    "go": _by_subcommand(build=_output("-o -ldflags -tags -gcflags -mod -p -C", opaque=True)),
    "docker": _by_subcommand(
        save=_output("-o --output"), build=_output("-f -t --file --tag --build-arg --target --platform", opaque=True)
    ),
    "podman": _by_subcommand(
        save=_output("-o --output"), build=_output("-f -t --file --tag --build-arg --target --platform", opaque=True)
    ),
    "git": _by_subcommand(archive=_output("-o --output --format --prefix --remote", opaque=True)),
    "ssh-keygen": _keygen,
    "aws": _aws,
    "mkdir": _made,
    "rm": _removed,
    "unlink": _removed,
    "touch": _touched,
    "truncate": _truncated,
}
