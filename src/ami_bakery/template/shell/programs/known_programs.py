"""Finds what a command reads, writes and runs, from its words."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from ami_bakery.template.expression.known_values import CHECKOUT, HOLE
from ami_bakery.template.shell.embedded_code import files_of_code, runs_more, words_of_code
from ami_bakery.template.shell.programs import copying_programs as copies
from ami_bakery.template.shell.programs import program_names as names
from ami_bakery.template.shell.programs import running_programs as running
from ami_bakery.template.shell.programs import writing_programs as writes
from ami_bakery.template.shell.programs.program_effects import (
    Effects,
    Program,
    likely_writes,
)


def effects_of(words: Sequence[str], *, shown: bool, piped_from: str = "") -> Effects:
    """Returns what a command does.

    shown   whether nothing reads the command's output
    piped_from  name of the program before it in a pipeline
    """
    effects = _effects_of(words, shown=shown)
    name, arguments = posixpath.basename(words[0]), words[1:]
    if name in names.OF_FILES:
        values = {value for option, value in pairwise(arguments) if option in names.VALUE_OPTIONS}
        effects.files.extend(text for text in effects.reads if text not in values)
    if name in names.CODE:
        code = [text for text in arguments if re.search(r"[\s\"(;]", text) and HOLE not in text]
        effects.reads.extend(word for text in code for word in words_of_code(text))
        effects.opaque = effects.opaque or any(runs_more(name, text) for text in code)
        effects.code.extend(files_of_code(name, arguments))
    if any(text.startswith(("--files0-from", "-files0-from")) for text in arguments):
        effects.opaque = True
    if name == "xargs":
        effects.opaque = effects.opaque or piped_from not in ("echo", "printf") or _has(arguments, "-a", "--arg-file")
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
    elif name in names.SHELLS:
        running.shell(name, arguments, effects)
    elif re.sub(r"[\d.]+\Z", "", name) in names.INTERPRETERS or name in names.INTERPRETERS:
        running.interpreter(name, arguments, effects)
    elif name in names.NO_FILES:
        if name == "mktemp":
            effects.writes.extend(re.sub("X{3,}", HOLE, text) for text in arguments if "/" in text)
        if not shown and name in ("echo", "printf", "ls"):
            effects.reads.extend(arguments)
        elif name in names.PERHAPS_FILES:
            effects.reads.extend(text for text in arguments if "/" in text or re.search(r"\.\w{1,5}\Z", text))
    elif name in names.READERS:
        effects.reads.extend(arguments)
        _READERS_THAT_DO_MORE.get(name, _nothing)(arguments, effects)
    elif name in _KNOWN:
        _KNOWN[name](arguments, effects)
        effects.dots = name in names.WHOLE_FOLDERS
    else:
        effects.opaque = True
        tasks = name in names.OF_TASKS
        effects.reads.extend(_without_tasks(arguments) if tasks else arguments)
        made = names.CACHES.get(name)
        if made is not None and not made[0].isdisjoint(arguments):
            effects.likely.append(f"{made[1]}/**")
        likely_writes(arguments, effects)
    return effects


def _without_tasks(arguments: Sequence[str]) -> list[str]:
    """Returns the words that look like paths, or that follow an option."""
    return [
        text
        for before, text in zip(["", *arguments], arguments, strict=False)
        if before.startswith("-") or re.search(r"[/.=]", text)
    ]


def _nothing(_arguments: list[str], _effects: Effects) -> None:
    pass


_READERS_THAT_DO_MORE: Mapping[str, Program] = {
    "xargs": running.xargs,
    "ssh": running.ssh,
    "grep": running.grep,
    "egrep": running.grep,
    "fgrep": running.grep,
    "zgrep": running.grep,
}
_COMPILER = writes.with_output("-o -I -L -l -D -U -include -isystem -x -T -Xlinker", opaque=True)
_PLAIN_OUTPUT = writes.with_output(
    "-o -out --output -keyout -in -inkey -passin -passout -key -CA -CAkey -config -days -subj -t -k -S -R -V"
)
_KNOWN: Mapping[str, Program] = {
    "find": running.find,
    "make": running.make,
    "gmake": running.make,
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
    "gzip": copies.compressing(".gz"),
    "gunzip": copies.compressing(".gz"),
    "pigz": copies.compressing(".gz"),
    "bzip2": copies.compressing(".bz2"),
    "bunzip2": copies.compressing(".bz2"),
    "xz": copies.compressing(".xz"),
    "unxz": copies.compressing(".xz"),
    "zstd": copies.compressing(".zst"),
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
    "mkdir": writes.make_folders,
    "rm": writes.remove_files,
    "unlink": writes.remove_files,
    "touch": writes.touch,
    "chmod": writes.change_mode,
    "chown": writes.change_mode,
    "chgrp": writes.change_mode,
    "truncate": writes.truncate,
}
