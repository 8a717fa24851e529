"""Finds the local commands in the fields of components."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.template import component_fields as known
from ami_bakery.template.component import Component, ComponentKind
from ami_bakery.template.expression.known_values import HOLE, Unknown, as_text, is_mapping, is_sequence, is_tainted
from ami_bakery.template.facts import Certainty, LocalCommand
from ami_bakery.template.shell.local_commands import LocalRun, interpreter_of
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.expression.known_values import Value
    from ami_bakery.template.location import SourceLocation

_WORD = re.compile(r"(?:\$\{[^}]*\}|\{\{.*?\}\}|%\{[^}]*\}|[^\s;|&<>()\"'])+")

_WRITTEN_TO = re.compile(rf">[>|]?\s*[\"']?({_WORD.pattern})")
"""The target of a redirection, which is an output."""


class _Given(Frozen):
    """A field's text, with `HOLE` for parts that only Packer knows; `unknown` is set if it has any."""

    text: str
    location: SourceLocation
    written: str
    unknown: Unknown | None = None
    tainted: bool = False


def find_local_commands(reading: Reading, component: Component) -> None:
    """Records the inputs and outputs of a component's commands on this machine."""
    run = LocalRun(reading, _environment_of(component))
    if component.type == "shell-local":
        _shell_local(run, component)
    elif component.type.startswith("amazon-chroot") and component.kind is ComponentKind.BUILDER:
        _chroot(run, component)
    elif component.type == "inspec":
        _inspec(run, component)
    elif component.type.startswith("external") and component.kind is ComponentKind.DATA:
        _external(run, component)
    else:
        _of_unknown(run, component)
        return
    if run.opaque or run.unknown:
        programs = tuple(sorted(name for name in run.opaque if name))
        unknown = tuple(sorted(run.unknown))
        reading.collector.local_command(
            LocalCommand(location=component.location, component=component.type, programs=programs, unknown=unknown)
        )


def _given(component: Component, name: str, *, alone: bool = False) -> Iterator[_Given]:
    """Yields all texts that a field may have; with `alone`, only those of its first value."""
    for one in (component, *(() if alone else component.alternatives(name))):
        for text, location, written in one.texts(name):
            if isinstance(text, Unknown):
                yield _Given(
                    text=text.known or HOLE, location=location, written=written, unknown=text, tainted=is_tainted(text)
                )
            else:
                yield _Given(text=text, location=location, written=written, tainted=is_tainted(text))


def _environment_of(component: Component) -> dict[str, tuple[str, ...]]:
    """Returns the environment variables that a component sets for its commands."""
    variables: dict[str, tuple[str, ...]] = {}
    for name in ("environment_vars", "inspec_env_vars"):
        for given in _given(component, name):
            key, _, value = given.text.partition("=")
            variables[key] = (*variables.get(key, ()), value)
    mapping = component.value("env")
    for item in mapping if is_sequence(mapping) else (mapping,):
        for key, given_value in item.items() if is_mapping(item) else ():
            variables[key] = (_text_of(given_value),)
    return variables


def _text_of(value: Value) -> str:
    text = as_text(value)
    return text if isinstance(text, str) else text.known or HOLE


def _shell_local(run: LocalRun, component: Component) -> None:
    folder = run.reading.paths.workdir
    for values in (value for texts in run.variables.values() for value in texts):
        run.read(values, folder, component.location, folders="/" in values)
    fails_build = _fails_build(component)
    settings = () if fails_build else ("+e",)
    for name in ("inline", "command"):
        for one in (component, *component.alternatives(name)):
            _script_of(run, component, list(_given(one, name, alone=True)), folder)
    for name in ("script", "scripts"):
        for one in (component, *component.alternatives(name)):
            for text, _, _ in one.list_texts(name) if name == "scripts" else one.texts(name):
                path = run.here(text, folder) if isinstance(text, str) else None
                if path is not None:
                    run.script(path, "", (), None, folder=folder, settings=settings, fails_build=fails_build)
    _argv(run, component, "execute_command", folder)


def _script_of(run: LocalRun, component: Component, lines: list[_Given], folder: str) -> None:
    """Follows the lines of `inline` as one script."""
    if not lines:
        return
    reported = _report_unknown(run, lines)
    locations = [given.location for given in lines for _ in given.text.split("\n")]
    text = "\n".join(given.text for given in lines)
    shebang, fails_build = next(iter(_shebangs(component))), _fails_build(component)
    if text.startswith("#!"):
        shebang = text.partition("\n")[0][2:].strip()
    program = shebang.split()[0] if shebang.split() else "/bin/sh"
    name = interpreter_of(f"#!{shebang}")[0] or "sh"
    tainted = any(given.tainted for given in lines)
    if re.search(r"(?:\A|/)(?:ba|da|a|k|z)?sh\Z", name):
        settings = [*_options_of_all(_shebangs(component)), *(() if fails_build else ("+e",))]
        run.text(text, locations, folder=folder, tainted=tainted, settings=settings, fails_build=fails_build)
        for location in reported:
            run.unknown.pop(location, None)
        return
    run.opaque["" if tainted else name.rpartition("/")[2]] = None
    run.read(program, folder, lines[0].location, folders=False)
    for given in lines:
        run.loose(given.text, given.location, folder=folder)


def _shebangs(component: Component) -> list[str]:
    """Returns every value that `inline_shebang` may have."""
    return list(dict.fromkeys(given.text for given in _given(component, "inline_shebang"))) or ["/bin/sh -e"]


def _options_of_all(shebangs: list[str]) -> list[str]:
    """Returns the shell's options; `-e` only if every value has it."""
    options = [interpreter_of(f"#!{shebang}")[1] for shebang in shebangs]
    exits = all(any(re.fullmatch(r"-[A-Za-z]*e[A-Za-z]*|errexit", text) for text in each) for each in options)
    return [*(text for each in options for text in each), *(() if exits else ("+e",))]


_RUNS_SCRIPT = re.compile(r"(?:\A|.*(?:;|&&))\s*(?:\{\{\s*\.Vars\s*\}\}\s*)?\{\{\s*\.Script\s*\}\}\s*\Z", re.DOTALL)
"""A text that runs the script by its shebang, and has the script's exit status."""


def _fails_build(component: Component) -> bool:
    """Whether Packer fails the build when the script fails. It must also run the script as its shebang says."""
    if any(given.text.strip() not in ("", "0") for given in _given(component, "valid_exit_codes")):
        return False
    for one in (component, *component.alternatives("execute_command")):
        words = [
            given.unknown.pattern if given.unknown else given.text
            for given in _given(one, "execute_command", alone=True)
        ]
        if words and not (_RUNS_SCRIPT.match(words[-1]) and (len(words) == 1 or re.match(r"-\w*c\Z", words[-2]))):
            return False
    return True


def _report_unknown(run: LocalRun, lines: list[_Given]) -> set[SourceLocation]:
    """Reports words of the template that are paths with an unknown part; returns their locations."""
    reported = set()
    for given in lines:
        if given.unknown is None:
            continue
        as_known = _WORD.findall(given.text)
        written_to = _WRITTEN_TO.findall(given.text)
        as_written = _WORD.findall(given.unknown.pattern)
        for number, word in enumerate(as_known):
            if HOLE in word and word not in written_to and _is_path_with_hole(word):
                shown = as_written[number] if len(as_written) == len(as_known) else given.written
                alone = given.text.count(HOLE) == 1
                why = given.unknown.why if alone else "a part of it is only known when Packer runs"
                run.reading.collector.unresolved(given.location, shown, why)
                reported.add(given.location)
    return reported


def _is_path_with_hole(word: str) -> bool:
    if word.startswith("@") and not re.search(r"\.\w+\Z", word):
        return False  # the name of a machine, a group or a package
    return re.match(r"[^/:\s" + HOLE + r"][^:\s]*/[^:]*\Z|\.{1,2}/", word) is not None and "://" not in word


def _argv(run: LocalRun, component: Component, name: str, folder: str) -> None:
    """Follows a command that is a list of words."""
    for one in (component, *component.alternatives(name)):
        given = list(_given(one, name, alone=True))
        if given:
            words = [each.text for each in given]
            words = words[0].split(",") if len(words) == 1 and "," in words[0] else words
            run.words(words, given[0].location, folder=folder, tainted=any(each.tainted for each in given))


def _chroot(run: LocalRun, component: Component) -> None:
    folder = run.reading.paths.workdir
    for name in ("command_wrapper", "pre_mount_commands", "post_mount_commands"):
        for given in _given(component, name):
            _report_unknown(run, [given])
            wraps = name == "command_wrapper"
            run.text(given.text, [given.location], folder=folder, tainted=given.tainted, wraps=wraps)
    for given in _given(component, "copy_files"):
        run.read(given.text, folder, given.location)


def _inspec(run: LocalRun, component: Component) -> None:
    """Reads InSpec's arguments: files that it reads, and files that its reporters write."""
    folder = run.reading.paths.workdir
    for given in _given(component, "command"):
        run.words([given.text], given.location, folder=folder, tainted=given.tainted)
    for values in (value for texts in run.variables.values() for value in texts):
        run.read(values, folder, component.location, folders="/" in values)
    reporter = False
    for given in _given(component, "extra_arguments"):
        reporter = given.text.startswith("--reporter") or (reporter and not given.text.startswith("-"))
        written = re.match(r"(?:--reporter[= ])?[a-z0-9-]+:(.+)", given.text)
        if reporter and written:
            run.write(written[1], folder, given.location, Certainty.SURE)
        else:
            run.read(given.text, folder, given.location)


def _external(run: LocalRun, component: Component) -> None:
    """Follows the program of the data source `external`."""
    folder = run.reading.paths.workdir
    for text, _, _ in component.texts("working_dir"):
        path = run.reading.paths.from_workdir(text) if isinstance(text, str) else text
        folder = path if isinstance(path, str) else HOLE
    _argv(run, component, "program", folder)


def _of_unknown(run: LocalRun, component: Component) -> None:
    """Reads an unknown component's commands, which may run on this machine."""
    for name in component.fields:
        if known.COMMANDS.search(name) and name not in known.ELSEWHERE:
            for given in _given(component, name):
                run.loose(given.text, given.location, folder=run.reading.paths.workdir)
