"""Selection of images by name, glob and tag, with their parents and children."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.adapters.files.config_file import parse_config_file
from ami_bakery.core.config.selection import has_tags, named, parent_of, with_downstream, with_parents
from ami_bakery.errors import UsageError

CONFIG = parse_config_file(
    b"""\
version = 1
[defaults]
template = "app.json"
[images.web]
from = "base"
tags = { team = "web" }
[images.base]
[images.web-blue]
from = "web"
[images.old]
enabled = false
""",
    Path("bakery.toml"),
)
NAMES = ("web", "base", "web-blue")


def test_names_and_globs_select_images_in_the_order_of_the_file() -> None:
    assert named(CONFIG, ()) == NAMES
    assert named(CONFIG, ("web*", "base")) == NAMES
    assert named(CONFIG, ("web-blue", "web", "web")) == ("web", "web-blue")
    with pytest.raises(UsageError, match="did you mean 'base'"):
        named(CONFIG, ("bsae",))
    with pytest.raises(UsageError, match="it is disabled"):
        named(CONFIG, ("old",))


def test_file_with_only_disabled_images_is_an_error() -> None:
    text = b"version = 1\n[images.a]\ntemplate = 'x'\nenabled = false\n"
    with pytest.raises(UsageError, match="all images are disabled"):
        named(parse_config_file(text, Path("bakery.toml")), ())


def test_tag_matches_with_its_value_or_with_any_value() -> None:
    web = CONFIG.image("web")
    assert has_tags(web, ("team", "team=web"))
    assert not has_tags(web, ("team=db",))
    assert not has_tags(CONFIG.image("base"), ("team",))


def test_parents_and_downstream_images_are_added() -> None:
    assert [parent_of(CONFIG, name) for name in NAMES] == ["base", None, "web"]
    assert with_parents(CONFIG, ("web-blue",)) == ("base", "web", "web-blue")
    assert with_parents(CONFIG, NAMES) == ("base", "web", "web-blue")
    assert with_downstream(CONFIG, ("web",)) == ("web", "web-blue")
    assert with_downstream(CONFIG, ("base",)) == NAMES
