"""Collects findings about a template: references, outputs, environment, secrets, unresolved paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ami_bakery.template.expression.known_values import (
    HOLE,
    Flag,
    Unknown,
    Value,
    first_unknown,
    is_mapping,
    is_sequence,
    is_tainted,
)
from ami_bakery.template.facts import Certainty, LocalCommand, Output, Reference, Unresolved
from ami_bakery.template.outputs import display_form, more_certain, pattern_of
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ami_bakery.template.location import SourceLocation


_LONGEST_SHOWN = 300
"""Characters of an unresolved expression that a finding shows."""


class Collector:
    """Collects findings.

    Each keeps the first location that names it; a reference is `required` if any location requires it.
    """

    def __init__(self) -> None:
        self._references: dict[str, Reference] = {}
        self._outputs: dict[tuple[str, bool], Output] = {}
        self._early: set[str] = set()
        self._touched: dict[tuple[str, SourceLocation, str], None] = {}
        self.on_condition = False
        """Whether the component that writes now may be skipped in a successful build."""
        self._generated: dict[str, Reference] = {}
        self._commands: dict[LocalCommand, None] = {}
        self._unhashed: dict[str, tuple[str, SourceLocation, str]] = {}
        self._credentials: dict[str, Reference] = {}
        self._unresolved: dict[Unresolved, None] = {}
        self._unseen: dict[tuple[str, SourceLocation], None] = {}
        self._environment: dict[str, SourceLocation] = {}
        self._secrets: set[str] = set()
        self._withheld: set[str] = set()

    def reference(
        self, path: str, location: SourceLocation, *, required: bool = True, guessed: bool = False, written: str = ""
    ) -> None:
        """Adds a file that the build reads. `written`: see `Reference`."""
        _keep(self._references, path, location, required, guessed, written)

    def output(
        self,
        path: str,
        location: SourceLocation,
        *,
        certainty: Certainty = Certainty.SURE,
        is_folder: bool = False,
        written: str = "",
        is_removed: bool = False,
    ) -> None:
        """Adds a file that the build writes.

        If any file could match the path, it adds an unresolved path.

        path     may contain `HOLE`, and may end with `/**`
        written  see `Reference`
        """
        certainty = Certainty.PERHAPS if self.on_condition else certainty
        pattern = pattern_of(path) if HOLE in path or path.endswith("/**") else ""
        if pattern is None:
            why = "it could match any file; list the files that it writes in `ignore`"
            self.unresolved(location, written or display_form(path), why)
            return
        self._keep_output(
            Output(
                path=display_form(path),
                location=location,
                certainty=certainty,
                pattern=pattern,
                is_folder=is_folder,
                written=written,
                is_removed=is_removed,
            )
        )

    def _keep_output(self, output: Output) -> None:
        key = (output.pattern or output.path, output.is_folder)
        before = self._outputs.get(key)
        kept = output if before is None else more_certain(before, output)
        self._outputs[key] = replace(kept, is_removed=output.is_removed and (before is None or before.is_removed))

    def read_now(self, path: str, *, exact: bool = False) -> None:
        """Notes that the bake certainly reads a file at this point.

        If no earlier command writes it, it is read as it was before the bake.

        exact  whether the template has the file's exact name: a written name with unknown parts is a different file
        """
        written = [output for output in self._outputs.values() if output.certainty is not Certainty.PERHAPS]
        if exact:
            written = [each for each in written if not each.pattern or each.path.endswith("/**")]
        if not any(
            re.fullmatch(each.pattern, path, re.DOTALL) if each.pattern else each.path == path for each in written
        ):
            self._early.add(path)

    def touch(self, path: str, location: SourceLocation, does: str) -> None:
        """Notes that a command changes a path's mode, times or name. `does`: a verb."""
        self._touched[(path, location, does)] = None

    def is_read_early(self, path: str) -> bool:
        return path in self._early

    def generated(self, path: str, location: SourceLocation, *, written: str = "") -> None:
        """Adds a source that the template declares as created while Packer runs."""
        _keep(self._generated, path, location, False, False, written)

    def local_command(self, command: LocalCommand) -> None:
        self._commands[command] = None

    def unseen(self, reader: str, location: SourceLocation) -> None:
        """Adds code that may read any file. `reader`: the type of a component, or the path of a plugin."""
        self._unseen[(reader, location)] = None

    def unhashed(self, name: str, location: SourceLocation, why: str) -> None:
        """Adds an environment variable that the digest does not cover. A local command reads it."""
        self._unhashed.setdefault(name, (name, location, why))

    def credential(self, path: str, location: SourceLocation) -> None:
        _keep(self._credentials, path, location, False, False)

    def unresolved(self, location: SourceLocation, expression: str, why: str) -> None:
        shown = "a hidden value" if is_tainted(expression) else _clipped(expression)
        self._unresolved[Unresolved(location=location, expression=shown, why=why)] = None

    def not_known(self, location: SourceLocation, expression: str, unknown: Unknown) -> None:
        self.unresolved(location, expression, unknown.why)

    def environment(self, name: str, location: SourceLocation) -> None:
        self._environment.setdefault(name, location)

    def secret(self, value: Value) -> None:
        """Adds every string and number inside a sensitive value as a secret."""
        self._secrets |= {str(leaf) for leaf in _leaves(value)}

    def withhold(self, value: Value) -> None:
        """Adds every tainted string and number in `value` as hidden. Of unknown ones, it adds the known parts."""
        self._withheld |= {str(leaf) for leaf in _leaves(value) if is_tainted(leaf)}
        unknown = first_unknown(value)
        if unknown is not None and unknown.tainted:
            self._withheld |= {part for part in unknown.known.split(HOLE) if part}

    def merge(self, other: Collector) -> None:
        for reference in other.references:
            _keep(
                self._references,
                reference.path,
                reference.location,
                reference.required,
                reference.guessed,
                reference.written,
            )
        for output in other.outputs:
            self._keep_output(output)
        for source in other.all_generated:
            self.generated(source.path, source.location, written=source.written)
        self._commands |= other._commands
        self._unseen |= other._unseen
        self._early |= other._early
        self._touched |= other._touched
        self._unhashed = other._unhashed | self._unhashed
        for credential in other.credentials:
            self.credential(credential.path, credential.location)
        for unresolved in other.all_unresolved:
            self._unresolved[unresolved] = None
        for name, location in other.all_environment:
            self.environment(name, location)
        self._secrets |= other.secrets
        self._withheld |= other.withheld

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(self._references[path] for path in sorted(self._references))

    @property
    def touched(self) -> tuple[tuple[str, SourceLocation, str], ...]:
        return tuple(sorted(self._touched))

    @property
    def outputs(self) -> tuple[Output, ...]:
        return tuple(sorted(self._outputs.values(), key=lambda each: (each.path, each.pattern, each.is_folder)))

    @property
    def all_generated(self) -> tuple[Reference, ...]:
        return tuple(self._generated[path] for path in sorted(self._generated))

    @property
    def local_commands(self) -> tuple[LocalCommand, ...]:
        return tuple(sorted(self._commands, key=lambda each: (each.location, each.component, each.programs)))

    @property
    def all_unseen(self) -> tuple[tuple[str, SourceLocation], ...]:
        return tuple(sorted(self._unseen, key=lambda each: (each[1], each[0])))

    @property
    def unhashed_environment(self) -> tuple[tuple[str, SourceLocation, str], ...]:
        return tuple(self._unhashed[name] for name in sorted(self._unhashed))

    @property
    def credentials(self) -> tuple[Reference, ...]:
        return tuple(self._credentials[path] for path in sorted(self._credentials))

    @property
    def all_unresolved(self) -> tuple[Unresolved, ...]:
        return tuple(sorted(self._unresolved, key=lambda each: (each.location, each.expression, each.why)))

    @property
    def all_environment(self) -> tuple[tuple[str, SourceLocation], ...]:
        return tuple(sorted(self._environment.items()))

    @property
    def secrets(self) -> frozenset[str]:
        return frozenset(self._secrets)

    @property
    def withheld(self) -> frozenset[str]:
        return frozenset(self._withheld)


def _clipped(expression: str) -> str:
    return expression if len(expression) <= _LONGEST_SHOWN else f"{expression[:_LONGEST_SHOWN]}..."


def _keep(
    known: dict[str, Reference], path: str, location: SourceLocation, required: bool, guessed: bool, written: str = ""
) -> None:
    before = known.get(path)
    if before is None:
        known[path] = Reference(path=path, location=location, required=required, guessed=guessed, written=written)
        return
    if before.guessed and not guessed:
        before = replace(before, location=location)
    known[path] = replace(
        before,
        required=before.required or required,
        guessed=before.guessed and guessed,
        # A path that is also a literal somewhere is not secret.
        written=written and before.written,
    )


def _leaves(value: Value) -> Iterator[str | int | float]:
    if is_mapping(value):
        for name, child in value.items():
            yield from _leaves(name)
            yield from _leaves(child)
    elif is_sequence(value):
        for child in value:
            yield from _leaves(child)
    elif isinstance(value, str | int | float) and not isinstance(value, bool | Flag) and str(value):
        yield value
