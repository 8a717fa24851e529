"""`bakery.toml`: parsing is strict, and reports every problem at once, with its line and key path."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ami_bakery.adapters.files.config_file import find_config, parse_config_file, read_config_file
from ami_bakery.core.config.keys import KEYS
from ami_bakery.core.config.model import (
    BaseFilter,
    BaseId,
    BaseImage,
    BaseParameter,
    Config,
    ImageTest,
    OnFailure,
    RetentionPolicy,
)
from ami_bakery.errors import ConfigError, UsageError

EXAMPLE = """\
version = 1

[defaults]
regions = ["us-east-1"]
keep = { last = 3 }
vars = { team = "web", size = "small" }
tags = { team = "web", tier = "1" }

[images.base]
template = "images/base/base.pkr.hcl"
inputs   = ["images/base", "common"]
workdir  = "images/base"
only     = ["amazon-ebs.base"]
ignore   = ["**/*.md"]
from     = { owners = ["099720109477"], filters = { name = "ubuntu/images/*22.04-amd64-server-*" } }
vars     = { size = "t3.small", count = 2, zones = ["a", "b"], on = true }
var_files = ["images/base/prod.pkrvars.hcl"]
env      = ["BUILD_CHANNEL"]

[images.app]
template = "images/app/app.json"
from     = "base"
regions  = ["us-east-1", "eu-west-1"]
share_with = ["123456789012"]
max_age  = "30d"
keep     = { within = "90d" }
salt     = "2"
tags     = { tier = "2", "cost:center" = "" }
"""


def config(text: str) -> Config:
    return parse_config_file(text.encode(), Path("/somewhere/bakery.toml"))


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(text)
    assert caught.value.exit_status == 1
    return [line.removeprefix("/somewhere/bakery.toml:") for line in caught.value.wrong.splitlines()]


def test_documentation_example_is_parsed() -> None:
    base, app = config(EXAMPLE).images
    assert base.name == "base"
    assert base.inputs == ("images/base", "common")
    assert base.base == BaseFilter(
        owners=("099720109477",), filters=(("name", ("ubuntu/images/*22.04-amd64-server-*",)),)
    )
    assert dict(base.variables) == {
        "team": "web",
        "size": "t3.small",
        "count": "2",
        "zones": '["a", "b"]',
        "on": "true",
    }
    assert app.base == BaseImage(image="base")
    assert app.regions == ("us-east-1", "eu-west-1")
    assert app.max_age == timedelta(days=30)
    assert base.keep == RetentionPolicy(last=3)
    assert app.keep == RetentionPolicy(within=timedelta(days=90)), "the image's own key replaces that of [defaults]"
    assert dict(app.variables) == {"team": "web", "size": "small"}
    assert dict(base.tags) == {"team": "web", "tier": "1"}
    assert dict(app.tags) == {"team": "web", "tier": "2", "cost:center": ""}
    assert base.line("inputs", 1) == 11
    assert base.line("keep", "last") == 5
    assert app.line("vars") == 6


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ('"ami-0abcdef1234567890"', BaseId(ami="ami-0abcdef1234567890")),
        ('"ami-0abcdef1"', BaseId(ami="ami-0abcdef1")),
        ('{ ssm = "/aws/service/x" }', BaseParameter(parameter="/aws/service/x")),
        (
            '{ owners = ["self"], filters = { name = ["b", "a"], architecture = "arm64" } }',
            BaseFilter(owners=("self",), filters=(("architecture", ("arm64",)), ("name", ("b", "a")))),
        ),
    ],
)
def test_from_accepts_id_parameter_and_filters(text: str, base: object) -> None:
    (image,) = config(f'version = 1\n[images.a]\ntemplate = "a.json"\nfrom = {text}\n').images
    assert image.base == base


def test_all_problems_are_reported_at_once_with_line_and_key_path() -> None:
    found = problems(
        """version = 1
region = "us-east-1"
[defaults]
regoins = ["us-east-1"]
[images.base]
template = "x.json"
inptus = ["a"]
vars = { ok = 1, "not a name" = 2 }
[images.app]
from = "bse"
regions = ["us-east-1", "eu"]
max_age = 3
digest_exclude = ["packer"]
[images."a b"]
template = 1
[images.child]
template = "c.json"
from = { filters = { name = "x" } }
"""
    )
    assert found == [
        "2: region: unknown key; did you mean 'regions'? It belongs in [defaults] or in an image.",
        "4: defaults.regoins: unknown key; did you mean 'regions'?",
        "7: images.base.inptus: unknown key; did you mean 'inputs'?",
        '8: images.base.vars."not a name": not a valid name of a Packer variable',
        "9: images.app: missing template",
        "10: images.app.from: app -> bse: there is no image 'bse' in this file; did you mean 'base'?",
        "11: images.app.regions[1]: expected a region such as us-east-1, got 'eu'",
        "12: images.app.max_age: expected a string, got a number",
        "13: images.app.digest_exclude[0]: 'packer' is not one of packer-version, plugin-versions, environment, "
        "selection; did you mean 'packer-version'?",
        '14: images."a b": an image\'s name can only contain letters, digits, dots, dashes and underscores',
        '15: images."a b".template: expected a string, got a number',
        "18: images.child.from: missing owners: without owners, anyone's AMI can match the filters",
    ]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ('{ "aws:x" = "" }', '.tags."aws:x": names that begin with aws: are reserved for AWS'),
        ('{ "AWS:x" = "" }', '.tags."AWS:x": names that begin with aws: are reserved for AWS'),
        ('{ "ami-bakery:image" = "x" }', '.tags."ami-bakery:image": reserved: ami-bakery writes this tag itself'),
        ('{ ami_config_checksum = "x" }', ".tags.ami_config_checksum: reserved: ami-bakery writes this tag itself"),
        ("{ tier = 1 }", ".tags.tier: expected a string, got a number"),
        ('{ "" = "x" }', '.tags."": a tag\'s name has 1 to 127 characters'),
        (f'{{ {"n" * 128} = "x" }}', f".tags.{'n' * 128}: a tag's name has 1 to 127 characters"),
        (f'{{ x = "{"v" * 256}" }}', ".tags.x: a tag's value has at most 255 characters"),
        ("{ " + ", ".join(f't{n} = ""' for n in range(41)) + " }", ".tags: expected at most 40 tags, got 41"),
        ('"web"', ".tags: expected a table, got a string"),
    ],
)
def test_reserved_and_invalid_tags_are_refused(tags: str, message: str) -> None:
    assert problems(f'version = 1\n[images.a]\ntemplate = "a.json"\ntags = {tags}\n') == [f"4: images.a{message}"]


def test_limit_of_tags_includes_those_of_the_defaults() -> None:
    own, inherited = (", ".join(f'{prefix}{n} = ""' for n in range(21)) for prefix in "ab")
    text = f'version = 1\n[defaults]\ntags = {{ {own} }}\n[images.a]\ntemplate = "a.json"\ntags = {{ {inherited} }}\n'
    assert problems(text) == ["6: images.a.tags: expected at most 40 tags, got 42, including those of [defaults]"]
    longest = f'version = 1\n[images.a]\ntemplate = "a.json"\ntags = {{ {"n" * 127} = "{"ä" * 255}" }}\n'
    assert dict(config(longest).images[0].tags) == {"n" * 127: "ä" * 255}


KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def test_kms_key_is_one_for_all_copies_or_one_for_each_region() -> None:
    text = 'version = 1\n[defaults]\nregions = ["us-east-1", "eu-west-1"]\n[images.a]\ntemplate = "a.json"\n'
    (image,) = config(f'{text}kms_key = "alias/ami"\n').images
    assert [image.kms_keys.of(region) for region in image.regions] == ["alias/ami", "alias/ami"]
    (image,) = config(f'{text}kms_key = {{ eu-west-1 = "{KEY}" }}\n').images
    assert [image.kms_keys.of(region) for region in image.regions] == ["", KEY]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kms_key = 'alias'", "kms_key: expected the id, alias (alias/...) or ARN of a KMS key, got 'alias'"),
        ("kms_key = 3", "kms_key: expected a KMS key, or a table with a key for each region, got a number"),
        ("kms_key = { eu = 'alias/a' }", "kms_key.eu: expected a region such as us-east-1"),
        ("kms_key = { us-east-1 = 'alias/a' }", "kms_key.us-east-1: a is built there, and kms_key is only for copies"),
        ("kms_key = { us-west-1 = 'alias/a' }", "kms_key.us-west-1: us-west-1 is not in `regions`"),
        (f"kms_key = {{ ap-south-1 = '{KEY}' }}", "kms_key.ap-south-1: this key belongs to eu-west-1"),
        (f"kms_key = '{KEY}'", "kms_key: this key belongs to eu-west-1, and there are copies in ap-south-1"),
        ("share_snapshots = true", "share_snapshots: missing share_with"),
        ("share_snapshots = 'yes'", "share_snapshots: expected true or false, got a string"),
        (
            "share_with = ['arn:aws:organizations::123456789012:organization/o-123example']\nshare_snapshots = true",
            "share_snapshots: EC2 shares snapshots with accounts only",
        ),
    ],
)
def test_contradicting_keys_are_problems(line: str, message: str) -> None:
    regions = '["us-east-1", "eu-west-1", "ap-south-1"]'
    (problem,) = problems(f'version = 1\n[images.a]\ntemplate = "a.json"\nregions = {regions}\n{line}\n')
    assert problem.startswith(("5: images.a.", "6: images.a."))
    assert message in problem


def test_defaults_may_have_keys_that_an_image_does_not_need() -> None:
    text = """version = 1
[defaults]
share_snapshots = true
kms_key = { eu-west-1 = "alias/ami" }
[images.far]
template = "a.json"
regions = ["us-east-1", "eu-west-1"]
share_with = []
[images.near]
template = "a.json"
regions = ["us-east-1"]
"""
    far, near = config(text).images
    assert (far.share_with, near.share_with) == ((), None), "an empty list is not the same as no list"
    assert problems(text.replace("eu-west-1 =", "eu-west-2 =")) == [
        "4: defaults.kms_key.eu-west-2: no image has eu-west-2 in its regions"
    ]
    assert problems(text.replace("eu-west-1 =", "us-east-1 ="))[0].startswith("4: defaults.kms_key.us-east-1: far is")


def test_unknown_base_suggests_the_nearest_image() -> None:
    text = 'version = 1\n[images.base]\ntemplate = "b.json"\n[images.app]\ntemplate = "a.json"\nfrom = "bsae"\n'
    assert problems(text) == [
        "6: images.app.from: app -> bsae: there is no image 'bsae' in this file; did you mean 'base'?"
    ]


def test_malformed_ami_id_explains_the_format() -> None:
    (problem,) = problems('version = 1\n[images.app]\ntemplate = "a.json"\nfrom = "ami-0123456789abcdef"\n')
    assert problem.endswith("an AMI id has 8 or 17 hexadecimal digits after `ami-`")


DISABLED = """\
version = 1
[images.base]
template = "b.json"
enabled = false
[images.app]
template = "a.json"
from = "base"
"""


def test_enabled_image_cannot_start_from_disabled_image() -> None:
    (problem,) = problems(DISABLED + '[images.leaf]\ntemplate = "l.json"\nfrom = "app"\n')
    assert problem.startswith("7: images.app.from: app -> base: base is disabled")


def test_disabled_image_may_start_from_disabled_image() -> None:
    assert [image.enabled for image in config(DISABLED + "enabled = false\n").images] == [False, False]


def test_circular_from_shows_the_path() -> None:
    text = "version = 1\n" + "".join(
        f'[images.{name}]\ntemplate = "x.json"\nfrom = "{base}"\n'
        for name, base in (("a", "b"), ("b", "c"), ("c", "a"))
    )
    assert problems(text) == ["4: images.a.from: circular `from`: a -> b -> c -> a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "version = 1"),
        ("version = 2\n[images.a]\ntemplate='x'", "expected 1, got 2"),
        ("version = true\n[images.a]\ntemplate='x'", "expected 1, got True"),
        ("[images.a]\ntemplate='x'", "missing `version = 1`"),
        ("version = 1", "no image"),
        ("version = 1\nimages = 3", "no image"),
        ("version = 1\n[images]\na = 3", "expected a table"),
        ("version = 1\n[[images]]\n", "no image"),
        ("version = 1\n[images.a]\ntemplate = ''", "expected a path"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nfrom = 3", "AMI id"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nfrom = {ssm = '/x', owners = ['self']}", "ssm cannot be combined"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nfrom = {ownres = ['self']}", "did you mean 'owners'"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nmax_age = '0d'", "30d"),
        (
            "version = 1\n[images.a]\ntemplate = 'x'\nkeep = {lats = 3}",
            "4: images.a.keep.lats: unknown key; did you mean 'last'",
        ),
        (
            "version = 1\n[images.a]\ntemplate = 'x'\nkeep = {last = 2.5}",
            "keep.last: expected a number without decimals, got 2.5",
        ),
        ("version = 1\n[images.a]\ntemplate = 'x'\nkeep = {last = -1}", "keep.last: expected 0 or more, got -1"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nkeep = {within = '90'}", "keep.within: expected a duration"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nkeep = {}", "expected `last`, `within` or both"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nshare_with = ['12']", "12 digits"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nvars = {a = 2020-01-01}", "a date"),
        ("version = 1\n[images.ami-12345678]\ntemplate = 'x'", "AMI id"),
    ],
)
def test_invalid_values_are_explained(text: str, message: str) -> None:
    assert any(message in problem for problem in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("from_var", "did you mean 'from_variable'?"),
        ("environment", "did you mean 'env'?"),
        ("base", "the nearest known word is 'vars'"),
        ("zzz", "the nearest known word is"),
    ],
)
def test_unknown_key_suggests_a_known_key_however_far(key: str, hint: str) -> None:
    (problem,) = problems(f"version = 1\n[images.a]\ntemplate = 'x'\n{key} = 1\n")
    assert problem.startswith(f"4: images.a.{key}: unknown key; {hint}")


def test_unquoted_name_with_dots_is_explained() -> None:
    """TOML parses it as nested tables: the quotes are missing, not the template."""
    text = "version = 1\n[images.ubuntu-22.04]\ntemplate = 'x'\n[images.ubuntu-22.10.1]\ntemplate = 'y'\n"
    assert problems(text) == [
        '2: images.ubuntu-22.04: unknown key; quote a name with dots: [images."ubuntu-22.04"]',
        '4: images.ubuntu-22.10: unknown key; quote a name with dots: [images."ubuntu-22.10.1"]',
    ]
    (problem,) = problems("version = 1\n[defaults.vers]\ntemplate = 'x'\n[images.a]\ntemplate = 'x'\n")
    assert "quote" not in problem
    assert config("version = 1\n[images.'ubuntu-22.04']\ntemplate = 'x'\n").images[0].name == "ubuntu-22.04"


def test_implicit_table_has_the_line_of_its_first_key() -> None:
    assert problems("version = 1\n\n[images.a.vars]\nx = '1'\n") == ["3: images.a: missing template"]


def test_invalid_toml_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigError, match="line 2"):
        config("version = 1\nimages = = 3\n")
    with pytest.raises(ConfigError, match="line 2: not UTF-8"):
        parse_config_file(b"version = 1\n\xff", Path("bakery.toml"))
    with pytest.raises(ConfigError):
        config("version = 1\nx = " + "[" * 5000 + "]" * 5000)


def test_bakery_toml_is_found_in_a_parent_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "bakery.toml").write_text(EXAMPLE)
    assert find_config(tmp_path / "a" / "b") == tmp_path / "bakery.toml"


def test_missing_config_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_config_file(tmp_path / "absent.toml")


TESTED = 'version = 1\n[images.a]\ntemplate = "a.json"\n'


def test_test_is_a_path_or_a_table() -> None:
    (short,) = config(f'{TESTED}test = "test.pkr.hcl"\n').images
    assert short.test == ImageTest(template="test.pkr.hcl")
    assert short.test.timeout == timedelta(minutes=60)
    assert short.test.on_failure is OnFailure.KEEP
    (long,) = config(
        f"""{TESTED}
[images.a.test]
template = "t/test.pkr.hcl"
workdir = "t"
vars = {{ size = "small", count = 2 }}
var_files = ["t/a.pkrvars.hcl"]
only = ["amazon-ebs.x"]
except = ["y"]
timeout = "90s"
on_failure = "remove"
"""
    ).images
    assert long.test == ImageTest(
        template="t/test.pkr.hcl",
        workdir="t",
        variables=(("count", "2"), ("size", "small")),
        structured=frozenset({"count"}),
        var_files=("t/a.pkrvars.hcl",),
        only=("amazon-ebs.x",),
        except_=("y",),
        timeout=timedelta(seconds=90),
        on_failure=OnFailure.REMOVE,
    )
    assert long.line("test", "workdir") == 7


def test_test_of_the_defaults_is_for_all_images_without_their_own() -> None:
    text = """version = 1
[defaults]
test = { template = "smoke.pkr.hcl", timeout = "5m" }
[images.a]
template = "a.json"
[images.b]
template = "b.json"
test = "b.pkr.hcl"
"""
    a, b = config(text).images
    assert a.test == ImageTest(template="smoke.pkr.hcl", timeout=timedelta(minutes=5))
    assert b.test == ImageTest(template="b.pkr.hcl")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("3", "images.a.test: expected the path of a template, or a table, got a number"),
        ('""', "images.a.test: expected a path, got an empty string"),
        ("{}", "images.a.test: missing template"),
        ("{ template = 1 }", "images.a.test.template: expected a string, got a number"),
        ('{ template = "t", timout = "1h" }', "images.a.test.timout: unknown key; did you mean 'timeout'?"),
        ('{ template = "t", on_fail = "keep" }', "images.a.test.on_fail: unknown key; did you mean 'on_failure'?"),
        ('{ template = "t", on_failure = "keeep" }', "'keeep' is not one of keep, remove; did you mean 'keep'?"),
        ('{ template = "t", on_failure = true }', "images.a.test.on_failure: expected keep or remove, got a boolean"),
        ('{ template = "t", timeout = "0m" }', "expected a duration such as 90s, 10m or 2h, got '0m'"),
        ('{ template = "t", timeout = 60 }', "images.a.test.timeout: expected a string, got a number"),
        ('{ template = "t", vars = { config_checksum = "x" } }', "images.a.test.vars.config_checksum: reserved"),
        ('{ template = "t", vars = [] }', "images.a.test.vars: expected a table, got a list"),
        ('{ template = "t", only = "x" }', "images.a.test.only: expected a list, got a string"),
    ],
)
def test_wrong_test_is_explained(value: str, message: str) -> None:
    (problem,) = problems(f"{TESTED}test = {value}\n")
    assert message in problem
    assert problem.startswith("4: ")


def test_every_key_has_a_description() -> None:
    assert all(key.about.endswith(".") for key in KEYS)
    assert len({key.field for key in KEYS}) == len(KEYS)
