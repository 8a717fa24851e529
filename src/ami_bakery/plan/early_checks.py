"""Finds images that are certain to fail, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.config.selection import parent_of
from ami_bakery.core.plan.plan import Action
from ami_bakery.errors import BakeryError, SkippedError
from ami_bakery.plan.validation import validate_early

if TYPE_CHECKING:
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned


def fail_early(
    resolver: Resolver, names: Sequence[str], plans: Sequence[Planned], failures: Mapping[str, BakeryError]
) -> dict[str, BakeryError]:
    """Returns the errors of images that are certain to fail, by name.

    The errors in `failures` are not among them.

    Runs `packer validate` for images that wait for their parent, and for the tests of images that are to be built. A
    parent also fails if all its children in this run are certain to fail: its build would cost time and money, and
    nothing would use it. A parent that is selected alone is built.

    failures  the errors of images that could not be planned
    """
    bound = {**failures, **dict(validate_early(resolver, plans))}
    built = [planned.plan.image for planned in plans if planned.plan.action in (Action.BAKE, Action.PENDING)]
    known = {*names, *(planned.plan.image for planned in plans), *failures}
    for name in reversed(built):  # children before their parents
        children = [child for child in known if parent_of(resolver.config, child) == name]
        if name not in bound and children and all(child in bound for child in children):
            listed = ", ".join(sorted(children))
            bound[name] = SkippedError(
                f"baking image {name}",
                f"every image that depends on it would fail ({listed})",
                f"Fix that first, then run again; `ami-bakery bake {name}` builds {name} alone.",
            )
    return {name: error for name, error in bound.items() if name not in failures}
