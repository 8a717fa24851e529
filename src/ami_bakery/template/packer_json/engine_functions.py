"""The functions of `{{...}}` that can be evaluated without Packer; all others are unknown."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from ami_bakery.errors import TooLargeError
from ami_bakery.template.env_inputs import why_not_used
from ami_bakery.template.expression.budget import TooCostly, spend
from ami_bakery.template.expression.go_template import GoFunctions, has_actions, render
from ami_bakery.template.expression.known_values import (
    Text,
    Unknown,
    Value,
    is_mapping,
    is_sequence,
    names_checkout,
    taint,
)
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.location import SourceLocation

_DEPTH = 100  # Packer evaluates variables in as many rounds


class _Shared:
    def __init__(self) -> None:
        self.rendered: dict[str, Value] = {}
        self.busy: list[str] = []


class LegacyContext:
    """Renders the strings of a JSON template.

    raw        the unrendered value of each variable, with its location
    sensitive  the names of sensitive variables
    """

    def __init__(
        self,
        reading: Reading,
        raw: Mapping[str, tuple[str, SourceLocation]],
        *,
        sensitive: Collection[str] = (),
        build: Mapping[str, str] | None = None,
        shared: _Shared | None = None,
    ) -> None:
        self.reading = reading
        self._raw = raw
        self._build = build or {}
        self._sensitive = sensitive
        self._shared = shared or _Shared()
        if shared is None:
            for name in raw:  # Packer evaluates every variable, used or not
                self.variable(name)

    def in_build(self, name: str, kind: str) -> LegacyContext:
        build = {"build_name": name, "build_type": kind}
        return LegacyContext(self.reading, self._raw, sensitive=self._sensitive, build=build, shared=self._shared)

    def render(self, text: str) -> str | Unknown:
        """Renders a string of a builder, provisioner or post-processor."""
        return render(text, self._functions()) if has_actions(text) else text

    def variable(self, name: str) -> Value:
        shared = self._shared
        if name in shared.rendered:
            return shared.rendered[name]
        if name not in self._raw:
            return Unknown(why=f"the variable `{name}` is not declared")
        if name in shared.busy or len(shared.busy) > _DEPTH:
            return Unknown(why=f"the variable `{name}` refers to itself")
        text, location = self._raw[name]
        shared.busy.append(name)
        value = self._variable_text(name, text, location)
        shared.rendered[name] = taint(value, location) if name in self._sensitive else value
        shared.busy.pop()
        return shared.rendered[name]

    def _variable_text(self, name: str, text: str, location: SourceLocation) -> Value:
        try:
            return render(text, self._functions(location), fields_as_written=True)
        except TooCostly as error:
            raise TooLargeError(
                f"evaluating the variable `{name}` ({location})",
                str(error),
                "Make its value shorter.",
                marks=(location.mark(str(error)),),
            ) from None

    def _functions(self, in_variable_at: SourceLocation | None = None) -> GoFunctions:
        """`in_variable_at`: set while a variable is evaluated: `env` is allowed, `user` must be declared."""
        functions: dict[str, Callable[..., Value]] = {**_PLAIN}
        functions["template_dir"] = lambda: self.reading.paths.absolute(self.reading.paths.from_packer())
        functions["pwd"] = lambda: self.reading.paths.absolute(".")
        for name, value in self._build.items():
            functions[name] = lambda value=value: value
        if in_variable_at is None:
            functions["user"] = lambda name: self.variable(name) if name in self._raw else ""
        else:
            functions["user"] = self.variable
            functions["env"] = lambda name: self._environment(name, in_variable_at)
        return functions

    def _environment(self, name: str, location: SourceLocation) -> Value:
        self.reading.collector.environment(name, location)
        text = self.reading.request.environment.get(name, "")
        if text and (why := why_not_used(name)) is not None:
            self.reading.collector.secret(text)
            return Unknown(why=why, tainted=True)
        value = Text(text, location, tainted=True)
        self.reading.collector.withhold(value)
        return value


def render_in_hcl2(value: Value, build: Mapping[str, str]) -> Value:
    """Renders `{{...}}` in an HCL2 component.

    Variables and the template's folder are not available there.

    build  the known values, by function name
    """
    functions: dict[str, Callable[..., Value]] = {
        **_PLAIN,
        **{name: lambda text=text: text for name, text in build.items()},
    }
    if isinstance(value, Unknown) and has_actions(value.known):
        rendered = render(value.known, functions)
        return replace(value, known=rendered.known if isinstance(rendered, Unknown) else rendered)
    if isinstance(value, str) and has_actions(value):
        rendered = render(value, functions)
        if not isinstance(value, Text):
            return rendered
        if isinstance(rendered, Unknown) and value.tainted:
            why = "its value contains `{{...}}`, which only Packer renders"
            return Unknown(why=why, tainted=True, known=rendered.known)
        if isinstance(rendered, Unknown):
            return rendered
        return Text(rendered, value.location, tainted=value.tainted)
    if is_sequence(value):
        return tuple(render_in_hcl2(item, build) for item in value)
    if is_mapping(value):
        return {name: render_in_hcl2(item, build) for name, item in value.items()}
    return value


def _replace(old: str, new: str, count: int, text: str) -> Value:
    spend(text=len(text) + text.count(old) * len(new))
    return _text_only(text, text.replace(old, new, count if count >= 0 else -1))


def _replace_all(old: str, new: str, text: str) -> Value:
    spend(text=len(text) + text.count(old) * len(new))
    return _text_only(text, text.replace(old, new))


def _split(text: str, separator: str, number: int) -> Value:
    parts = text.split(separator) if separator else list(text)
    if not 0 <= number < len(parts):
        raise ValueError("the string has no such part")
    return _text_only(text, parts[number])


def _clean_resource_name(text: str) -> Value:
    return _text_only(text, re.sub(r"[^A-Za-z0-9()\[\] ./\-'@_]", "-", text))


def _text_only(before: str, after: str) -> Value:
    return Unknown(why="it depends on the path of the checkout") if names_checkout(before) else after


_PLAIN: Mapping[str, Callable[..., Value]] = {
    "upper": lambda text: _text_only(text, text.upper()),
    "lower": lambda text: _text_only(text, text.lower()),
    "replace": _replace,
    "replace_all": _replace_all,
    "split": _split,
    "clean_resource_name": _clean_resource_name,
    "clean_ami_name": _clean_resource_name,
}
