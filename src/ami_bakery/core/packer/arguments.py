"""Parses the arguments for `packer build` after `--`. So the digest can cover them."""

from __future__ import annotations

from collections.abc import Sequence

from ami_bakery.values import Frozen

_VALUED = ("var", "var-file", "only", "except", "on-error", "parallel-builds")
_NEUTRAL = frozenset(
    {
        "debug",
        "on-error",
        "parallel-builds",
        "parallel",
        "color",
        "timestamp-ui",
        "machine-readable",
        "force",
        "warn-on-undeclared-var",
        "ignore-prerelease-plugins",
        "use-sequential-evaluation",
    }
)
"""Options that do not change the AMI (packer build, command-line options of 1.6.6 to 1.16)."""


class PackerArguments(Frozen):
    """Parsed arguments. `variables`, `var_files`, `only`, `except_` and `other` are in the digest.

    var_files   relative to Packer's working directory
    other       unknown arguments, hashed as written
    definition  the arguments of variables and var-files, passed unchanged, also to `packer validate`
    passed      all other arguments, passed unchanged
    """

    variables: tuple[tuple[str, str], ...] = ()
    var_files: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    definition: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    debug: bool = False
    on_error: str = "cleanup"


def parse_packer_arguments(arguments: Sequence[str]) -> PackerArguments:
    """Parses arguments for `packer build`.

    `-var x=y`, `-var=x=y` and `--var=x=y` are the same to Packer (Go's flag package), and here.
    """
    values: dict[str, list[str]] = {name: [] for name in _VALUED}
    other: list[str] = []
    definition: list[str] = []
    passed: list[str] = []
    debug = False
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or name not in {*_VALUED, *_NEUTRAL}:
            other.append(argument)
            passed.append(argument)
            continue
        words = [argument]
        if name in _VALUED and not equals and rest:
            value = rest.pop(0)
            words.append(value)
        if name in values:
            values[name].append(value)
        debug = debug or (name == "debug" and value.lower() not in ("0", "f", "false"))
        if name in ("var", "var-file"):
            definition += words
        elif name not in ("only", "except", "machine-readable"):
            passed += words
    pairs = (text.partition("=") for text in values["var"])
    return PackerArguments(
        variables=tuple((name, value) for name, _, value in pairs),
        var_files=tuple(values["var-file"]),
        only=_names(values["only"]),
        except_=_names(values["except"]),
        other=tuple(other),
        definition=tuple(definition),
        passed=tuple(passed),
        debug=debug,
        on_error=(values["on-error"] or ["cleanup"])[-1],
    )


def _names(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())
