"""What common programs do with their arguments: which files they read, which they write, what they run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from ami_bakery.template.expression.known_values import CHECKOUT, HOLE
from ami_bakery.template.shell import copying_programs as copies
from ami_bakery.template.shell import writing_programs as writes
from ami_bakery.template.shell.program_effects import (
    Effects,
    Program,
    likely_writes,
    options_of,
    options_of_prefix,
)

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
        *("dirname", "realpath", "readlink", "logger", "rmdir", "tr", "yes", "tty", "stty"),
        *("ls", "stat", "du", "df", "free", "ps", "pgrep", "pkill", "killall", "uptime", "lsblk", "mount", "umount"),
        *("systemctl", "service", "apt-get", "apt", "yum", "dnf", "apk", "brew", "sync", "nc", "ping", "dig", "host"),
        *(
            "shopt",
            "local",
            "times",
            "caller",
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
_PERHAPS_FILES = frozenset(
    {*("apt-get", "apt", "yum", "dnf", "apk", "brew", "mount", "losetup", "parted", "sgdisk", "sfdisk", "date", "mkfs")}
)
"""`apt-get install ./x.deb`, `mount -o loop x.img`: they read what looks like a file."""
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
_OF_TASKS = frozenset(
    {
        *("npm", "npx", "yarn", "pnpm", "bun", "cargo", "gradle", "mvn", "rake", "just", "task", "invoke", "bundle"),
        *("terraform", "tofu", "packer", "composer", "poetry", "pip", "pip3", "gem", "helm", "kubectl", "vault"),
    }
)
"""Their words are tasks, `build` or `dist`: a folder of such a name is what they make, if anything."""
_INSTALL = frozenset({"install", "ci", "add", "i"})
_CACHES: Mapping[str, tuple[frozenset[str], str]] = {
    **dict.fromkeys(("npm", "yarn", "pnpm", "bun"), (_INSTALL, "node_modules")),
    **dict.fromkeys(("terraform", "tofu"), (frozenset({"init"}), ".terraform")),
    "cargo": (frozenset({"build", "test", "run"}), "target"),
    "mvn": (frozenset({"package", "install", "verify", "compile"}), "target"),
}
"""The folder that a program fills, with the words that make it do so."""
_WHOLE_FOLDERS = frozenset(
    {
        "tar",
        "gtar",
        "bsdtar",
        "zip",
        "cp",
        "rsync",
        "scp",
        "mv",
        "docker",
        "podman",
        "aws",
        "genisoimage",
        "mkisofs",
    }
)
"""Of these, `.` means all that lies in the folder."""


_OF_FILES = frozenset(
    {
        *("cat", "head", "tail", "wc", "nl", "md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum"),
        *(
            "shasum",
            "cksum",
            "b2sum",
            "md5",
            "base64",
            "od",
            "xxd",
            "hexdump",
            "strings",
            "paste",
            "tac",
            "zcat",
            "bzcat",
        ),
        *(
            "xzcat",
            "less",
            "more",
            "sort",
            "cmp",
            "diff",
            "comm",
            "join",
            "uniq",
            "rev",
            "fold",
            "column",
            "grep",
            "egrep",
        ),
        *(
            "fgrep",
            "zgrep",
            "tar",
            "gtar",
            "bsdtar",
            "zip",
            "unzip",
            "cp",
            "mv",
            "install",
            "ln",
            "rsync",
            "scp",
            "gzip",
        ),
        *("gunzip", "pigz", "bzip2", "xz", "zstd", "sed", "dd"),
    }
)
"""Every word of theirs that is no option and no option's value is a file's name."""
_VALUE_OPTIONS = frozenset({"-n", "-c", "-d", "-f", "-w", "-b", "-A", "-B", "-C", "-m", "-k", "-t", "-s", "-a", "-j"})
_CODE = frozenset({"awk", "gawk", "sed", "gsed", "jq", "yq"})


def effects_of(words: Sequence[str], *, shown: bool, fed_by: str = "") -> Effects:
    """`shown`: what the command prints is only shown. `fed_by`: the program before it in a pipeline."""
    effects = _effects_of(words, shown=shown)
    name, arguments = posixpath.basename(words[0]), words[1:]
    if name in _OF_FILES:
        values = {value for option, value in pairwise(arguments) if option in _VALUE_OPTIONS}
        effects.files.extend(text for text in effects.reads if text not in values)
    if name in _CODE:
        code = [text for text in arguments if re.search(r"[\s\"(;]", text) and HOLE not in text]
        effects.reads.extend(word for text in code for word in words_of_code(text))
        effects.opaque = effects.opaque or any(runs_more(name, text) for text in code)
        effects.code.extend(_files_of_code(name, arguments))
    if any(text.startswith(("--files0-from", "-files0-from")) for text in arguments):
        effects.opaque = True
    if name == "xargs":
        effects.opaque = effects.opaque or fed_by not in ("echo", "printf") or _has(arguments, "-a", "--arg-file")
    elif name in ("zip", "tar", "gtar", "bsdtar", "rsync", "sha256sum", "sha512sum", "sha1sum", "md5sum", "openssl"):
        effects.opaque = effects.opaque or _has(
            arguments, "-@", "-T", "--files-from", "-c" if name.endswith("sum") else "-@", "--check", "-config"
        )
    if _has(arguments, "-r", "-R", "--recursive", "-rl", "-rn", "-rh", "-rq", "-rlE", "-ru") or name == "find":
        effects.dots = effects.dots or name in ("grep", "egrep", "fgrep", "diff", "zgrep")
        lists = name == "find" and (not shown or any(text.startswith("-exec") for text in arguments))
        effects.opaque = effects.opaque or (
            lists and any(text.removeprefix(CHECKOUT).strip("./") == "" for text in effects.reads or ["."])
        )
    return effects


_RUNS_MORE: Mapping[str, re.Pattern[str]] = {
    "awk": re.compile(
        r"\bsystem\s*\(|\bgetline\b(?:\s+\w+)?\s*<\s*[^\s\"]|(?<!\|)\|\s*[\"(&]|\|&?\s*getline|\|\s*[A-Za-z_]\w*\s*[;}\n]|@include|@load"
    ),
    "sed": re.compile(
        r"(?:\A|[;{\n$/\d])\s*[eF]?e(?:\s|\Z)|(?:\A|[;{\n\s/\d])s(?P<by>[^\w\s]).*?(?P=by).*?(?P=by)[gpiImM\d]*e",
        re.DOTALL,
    ),
    "jq": re.compile(r"\b(?:import|include)\b"),
    "yq": re.compile(r"\b(?:load|import|include)\w*\b"),
}
"""Code that runs programs, or reads files that it does not name as such."""


def runs_more(name: str, code: str) -> bool:
    """Whether code of awk, sed, jq or yq may open what no word of it names."""
    known = _RUNS_MORE.get(name.removeprefix("g").removeprefix("m"))
    return known is not None and known.search(code) is not None


def _files_of_code(name: str, arguments: Sequence[str]) -> list[str]:
    """The files that have such code."""
    options, _ = options_of(arguments, "-f --file --from-file -e -v -F -i -E")
    long = [value for option, value in options if option in ("-f", "--file", "--from-file", "-E") and value]
    grouped = [value for option, value in pairwise(arguments) if re.fullmatch(r"-[A-Za-z]+f", option)]
    return [*dict.fromkeys(long + grouped)] if name != "yq" else []


def _has(arguments: Sequence[str], *options: str) -> bool:
    of_sums = "-c" in options and any(re.fullmatch(r"-[A-Za-z]*c[A-Za-z]*", text) for text in arguments)
    return of_sums or any(text in options or text.startswith("--files-from=") for text in arguments)


def _effects_of(words: Sequence[str], *, shown: bool) -> Effects:
    effects = Effects()
    name, arguments = posixpath.basename(words[0]), list(words[1:])
    if "/" in words[0] and (not words[0].startswith("/") or words[0].startswith(CHECKOUT)):
        effects.scripts.append(("", words[0], tuple(arguments)))
        effects.reads.extend(arguments)
        likely_writes(arguments, effects)
    elif name in _SHELLS:
        _shell(name, arguments, effects)
    elif re.sub(r"[\d.]+\Z", "", name) in _INTERPRETERS or name in _INTERPRETERS:
        _interpreter(name, arguments, effects)
    elif name in _NO_FILES:
        if name == "mktemp":
            effects.writes.extend(re.sub("X{3,}", HOLE, text) for text in arguments if "/" in text)
        if not shown and name in ("echo", "printf", "ls"):
            effects.reads.extend(arguments)
        elif name in _PERHAPS_FILES:
            effects.reads.extend(text for text in arguments if "/" in text or re.search(r"\.\w{1,5}\Z", text))
    elif name in _READERS:
        effects.reads.extend(arguments)
        _READERS_THAT_DO_MORE.get(name, _nothing)(arguments, effects)
    elif name in _KNOWN:
        _KNOWN[name](arguments, effects)
        effects.dots = name in _WHOLE_FOLDERS
    else:
        effects.opaque = True
        tasks = name in _OF_TASKS
        effects.reads.extend(_without_tasks(arguments) if tasks else arguments)
        made = _CACHES.get(name)
        if made is not None and not made[0].isdisjoint(arguments):
            effects.likely.append(f"{made[1]}/**")
        likely_writes(arguments, effects)
    return effects


def _without_tasks(arguments: Sequence[str]) -> list[str]:
    """Words that are paths by their look, or that an option takes."""
    return [
        text
        for before, text in zip(["", *arguments], arguments, strict=False)
        if before.startswith("-") or re.search(r"[/.=]", text)
    ]


def _nothing(_arguments: list[str], _effects: Effects) -> None:
    pass


# --- programs that run others


def _shell(name: str, arguments: list[str], effects: Effects) -> None:
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
        effects.reads.extend(rest)  # it only looks for mistakes
        return
    if "-c" in letters and rest:
        effects.texts.append((rest[0], tuple(rest[1:])))
        effects.reads.extend(rest[1:])
    elif rest:
        effects.scripts.append(("sh", rest[0], tuple(rest[1:])))
        effects.reads.extend(rest[1:])


def _interpreter(name: str, arguments: list[str], effects: Effects) -> None:
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
    recursive = any(option in ("-r", "-R", "--recursive", "--dereference-recursive") for option, _ in options)
    if recursive and not effects.reads[: -len(given) or None]:
        effects.reads.append(".")
        effects.dots = True


def _ssh(arguments: list[str], effects: Effects) -> None:
    """Its words are run on another machine."""
    options, _ = options_of_prefix(arguments, "-i -F -o -p -l -L -R -D -b -c -E -e -I -J -m -O -Q -S -W -w")
    effects.reads[:] = [value for option, value in options if option in ("-i", "-F")]


def _find(arguments: list[str], effects: Effects) -> None:
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


def _make(arguments: list[str], effects: Effects) -> None:
    effects.opaque = True
    options, rest = options_of(arguments, "-C -f -I -j -l -o -W --directory --file --makefile --include-dir")
    folders = [value for option, value in options if option in ("-C", "--directory")]
    folder = posixpath.join(*folders) if folders else ""
    effects.reads.extend(folders)
    named = [value for option, value in options if option in ("-f", "--file", "--makefile", "-I", "--include-dir")]
    effects.reads.extend(posixpath.join(folder, name) for name in named)
    # A target that is a file is made; one that is a folder most likely, too.
    effects.likely.extend(posixpath.join(folder, name) for name in rest if "=" not in name)
    effects.reads.extend(name for name in rest if "=" in name)
    if not named and not folder:
        effects.reads.extend(("GNUmakefile", "makefile", "Makefile"))


_READERS_THAT_DO_MORE: Mapping[str, Program] = {
    "xargs": _xargs,
    "ssh": _ssh,
    "grep": _grep,
    "egrep": _grep,
    "fgrep": _grep,
    "zgrep": _grep,
}
_COMPILER = writes.with_output("-o -I -L -l -D -U -include -isystem -x -T -Xlinker", opaque=True)
_PLAIN_OUTPUT = writes.with_output(
    "-o -out --output -keyout -in -inkey -passin -passout -key -CA -CAkey -config -days -subj -t -k -S -R -V"
)
_KNOWN: Mapping[str, Program] = {
    "find": _find,
    "make": _make,
    "gmake": _make,
    "cp": copies.copying("-S -t --suffix --target-directory"),
    "mv": copies.move,
    "scp": copies.copying("-i -F -P -o -c -l -S -J"),
    "rsync": copies.copying(
        "-e -f -B -M -T --rsh --exclude --include --exclude-from --include-from --files-from --filter --chmod --chown"
        " --rsync-path --out-format --log-file --timeout --port --bwlimit --max-size --min-size --link-dest"
    ),
    "install": copies.install,
    "ln": copies.link,
    "tar": copies.tar,
    "gtar": copies.tar,
    "bsdtar": copies.tar,
    "zip": copies.zip_,
    "unzip": copies.unzip,
    "gzip": copies.squeezing(".gz"),
    "gunzip": copies.squeezing(".gz"),
    "pigz": copies.squeezing(".gz"),
    "bzip2": copies.squeezing(".bz2"),
    "bunzip2": copies.squeezing(".bz2"),
    "xz": copies.squeezing(".xz"),
    "unxz": copies.squeezing(".xz"),
    "zstd": copies.squeezing(".zst"),
    "curl": writes.curl,
    "wget": writes.wget,
    "tee": writes.tee,
    "dd": writes.dd,
    "sed": writes.sed,
    "gsed": writes.sed,
    "sort": writes.with_output("-o -k -t -S -T --output --key --field-separator"),
    "shuf": writes.with_output("-o -n -i --output --head-count"),
    "openssl": _PLAIN_OUTPUT,
    "gpg": writes.with_output("-o --output -r -u --recipient --local-user --homedir --passphrase-file --passphrase"),
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
    "go": writes.by_subcommand(build=writes.with_output("-o -ldflags -tags -gcflags -mod -p -C", opaque=True)),
    "docker": writes.by_subcommand(
        save=writes.with_output("-o --output"),
        build=writes.with_output("-f -t --file --tag --build-arg --target --platform", opaque=True),
    ),
    "podman": writes.by_subcommand(
        save=writes.with_output("-o --output"),
        build=writes.with_output("-f -t --file --tag --build-arg --target --platform", opaque=True),
    ),
    "git": writes.by_subcommand(archive=writes.with_output("-o --output --format --prefix --remote", opaque=True)),
    "ssh-keygen": writes.keygen,
    "aws": writes.aws,
    "mkdir": writes.made,
    "rm": writes.removed,
    "unlink": writes.removed,
    "touch": writes.touched,
    "chmod": writes.changes_mode,
    "chown": writes.changes_mode,
    "chgrp": writes.changes_mode,
    "truncate": writes.truncated,
}
