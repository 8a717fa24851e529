"""`bakery.toml`: strict, every problem at once, each with its line and key path."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ami_bakery.adapters.files.config_file import find_config, parse_config_file, read_config_file
from ami_bakery.core.config.keys import KEYS
from ami_bakery.core.config.model import BaseFilter, BaseId, BaseImage, BaseParameter, Config
from ami_bakery.errors import ConfigError, UsageError

EXAMPLE = """\
version = 1

[defaults]
regions = ["us-east-1"]
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


def test_the_example_of_the_documentation_is_read() -> None:
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
    assert dict(app.variables) == {"team": "web", "size": "small"}
    assert dict(base.tags) == {"team": "web", "tier": "1"}
    assert dict(app.tags) == {"team": "web", "tier": "2", "cost:center": ""}
    assert base.line("inputs", 1) == 10
    assert app.line("vars") == 5


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
def test_from_reads_like_a_dockerfiles(text: str, base: object) -> None:
    (image,) = config(f'version = 1\n[images.a]\ntemplate = "a.json"\nfrom = {text}\n').images
    assert image.base == base


def test_every_problem_is_reported_at_once_with_line_and_key_path() -> None:
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
        "2: region: unknown key; did you mean 'regions'? It belongs into [defaults] or an image.",
        "4: defaults.regoins: unknown key; did you mean 'regions'?",
        "7: images.base.inptus: unknown key; did you mean 'inputs'?",
        '8: images.base.vars."not a name": not a name that a Packer variable can have',
        "9: images.app: template is missing",
        "10: images.app.from: app -> bse: there is no image 'bse' in this file; did you mean 'base'?",
        "11: images.app.regions[1]: a region such as us-east-1 is wanted, not 'eu'",
        "12: images.app.max_age: a string is wanted, not a number",
        "13: images.app.digest_exclude[0]: 'packer' is not one of packer-version, plugin-versions, environment, "
        "selection; did you mean 'packer-version'?",
        '14: images."a b": an image\'s name is made of letters, digits, dots, dashes and underscores',
        '15: images."a b".template: a string is wanted, not a number',
        "18: images.child.from: owners is missing: without it, a filter finds anybody's AMI, "
        "an attacker's of the same name too",
    ]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ('{ "aws:x" = "" }', '.tags."aws:x": names that begin with aws: are AWS\'s own'),
        ('{ "AWS:x" = "" }', '.tags."AWS:x": names that begin with aws: are AWS\'s own'),
        ('{ "ami-bakery:image" = "x" }', '.tags."ami-bakery:image": the bakery itself writes this tag'),
        ('{ ami_config_checksum = "x" }', ".tags.ami_config_checksum: the bakery itself writes this tag"),
        ("{ tier = 1 }", ".tags.tier: a string is wanted, not a number"),
        ('{ "" = "x" }', '.tags."": a tag\'s name has 1 to 127 characters'),
        (f'{{ {"n" * 128} = "x" }}', f".tags.{'n' * 128}: a tag's name has 1 to 127 characters"),
        (f'{{ x = "{"v" * 256}" }}', ".tags.x: a tag's value has at most 255 characters"),
        ("{ " + ", ".join(f't{n} = ""' for n in range(41)) + " }", ".tags: at most 40 tags are wanted, not 41"),
        ('"web"', ".tags: a table is wanted, not a string"),
    ],
)
def test_tags_that_ec2_or_the_bakery_cannot_take_are_refused(tags: str, said: str) -> None:
    assert problems(f'version = 1\n[images.a]\ntemplate = "a.json"\ntags = {tags}\n') == [f"4: images.a{said}"]


def test_tags_of_the_defaults_count_among_an_images_own() -> None:
    own, inherited = (", ".join(f'{prefix}{n} = ""' for n in range(21)) for prefix in "ab")
    text = f'version = 1\n[defaults]\ntags = {{ {own} }}\n[images.a]\ntemplate = "a.json"\ntags = {{ {inherited} }}\n'
    assert problems(text) == ["6: images.a.tags: with the defaults', at most 40 tags are wanted, not 42"]
    longest = f'version = 1\n[images.a]\ntemplate = "a.json"\ntags = {{ {"n" * 127} = "{"ä" * 255}" }}\n'
    assert dict(config(longest).images[0].tags) == {"n" * 127: "ä" * 255}


KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def test_a_key_is_for_every_copy_or_for_each_region() -> None:
    text = 'version = 1\n[defaults]\nregions = ["us-east-1", "eu-west-1"]\n[images.a]\ntemplate = "a.json"\n'
    (image,) = config(f'{text}kms_key = "alias/ami"\n').images
    assert [image.kms_keys.of(region) for region in image.regions] == ["alias/ami", "alias/ami"]
    (image,) = config(f'{text}kms_key = {{ eu-west-1 = "{KEY}" }}\n').images
    assert [image.kms_keys.of(region) for region in image.regions] == ["", KEY]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kms_key = 'alias'", "kms_key: the id, alias (alias/...) or ARN of a KMS key is wanted, not 'alias'"),
        ("kms_key = 3", "kms_key: a KMS key, or a table of one for each region, is wanted, not a number"),
        ("kms_key = { eu = 'alias/a' }", "kms_key.eu: a region such as us-east-1 is wanted"),
        ("kms_key = { us-east-1 = 'alias/a' }", "kms_key.us-east-1: a is baked there, and kms_key is for copies"),
        ("kms_key = { us-west-1 = 'alias/a' }", "kms_key.us-west-1: us-west-1 is not among `regions`"),
        (f"kms_key = {{ ap-south-1 = '{KEY}' }}", "kms_key.ap-south-1: this is a key of eu-west-1"),
        (f"kms_key = '{KEY}'", "kms_key: this is a key of eu-west-1, and copies are made in ap-south-1"),
        ("share_snapshots = true", "share_snapshots: share_with is missing"),
        ("share_snapshots = 'yes'", "share_snapshots: true or false is wanted, not a string"),
        (
            "share_with = ['arn:aws:organizations::123456789012:organization/o-123example']\nshare_snapshots = true",
            "share_snapshots: EC2 shares snapshots with accounts only",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_problems(line: str, said: str) -> None:
    regions = '["us-east-1", "eu-west-1", "ap-south-1"]'
    (problem,) = problems(f'version = 1\n[images.a]\ntemplate = "a.json"\nregions = {regions}\n{line}\n')
    assert problem.startswith(("5: images.a.", "6: images.a."))
    assert said in problem


def test_the_defaults_may_say_more_than_one_image_needs() -> None:
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
    assert (far.share_with, near.share_with) == ((), None), "nobody may, and nobody has said"
    assert problems(text.replace("eu-west-1 =", "eu-west-2 =")) == [
        "4: defaults.kms_key.eu-west-2: no image has eu-west-2 among its regions"
    ]
    assert problems(text.replace("eu-west-1 =", "us-east-1 ="))[0].startswith("4: defaults.kms_key.us-east-1: far is")


def test_an_unknown_base_names_the_nearest_image() -> None:
    text = 'version = 1\n[images.base]\ntemplate = "b.json"\n[images.app]\ntemplate = "a.json"\nfrom = "bsae"\n'
    assert problems(text) == [
        "6: images.app.from: app -> bsae: there is no image 'bsae' in this file; did you mean 'base'?"
    ]


def test_what_looks_like_an_ami_id_is_told_what_one_is() -> None:
    (problem,) = problems('version = 1\n[images.app]\ntemplate = "a.json"\nfrom = "ami-0123456789abcdef"\n')
    assert problem.endswith("it is no AMI's id, which has 8 or 17 hexadecimal digits behind `ami-`")


SWITCHED_OFF = """\
version = 1
[images.base]
template = "b.json"
enabled = false
[images.app]
template = "a.json"
from = "base"
"""


def test_an_image_made_from_one_that_is_switched_off_shows_the_path() -> None:
    (problem,) = problems(SWITCHED_OFF + '[images.leaf]\ntemplate = "l.json"\nfrom = "app"\n')
    assert problem.startswith("7: images.app.from: app -> base, which is switched off")


def test_an_image_that_is_switched_off_may_be_made_from_another_such() -> None:
    assert [image.enabled for image in config(SWITCHED_OFF + "enabled = false\n").images] == [False, False]


def test_a_circle_of_bases_shows_the_path() -> None:
    text = "version = 1\n" + "".join(
        f'[images.{name}]\ntemplate = "x.json"\nfrom = "{base}"\n'
        for name, base in (("a", "b"), ("b", "c"), ("c", "a"))
    )
    assert problems(text) == ["4: images.a.from: images are made from each other in a circle: a -> b -> c -> a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "version = 1"),
        ("version = 2\n[images.a]\ntemplate='x'", "1 is wanted, not 2"),
        ("version = true\n[images.a]\ntemplate='x'", "1 is wanted, not True"),
        ("[images.a]\ntemplate='x'", "it is missing: the file begins with version = 1"),
        ("version = 1", "no image"),
        ("version = 1\nimages = 3", "no image"),
        ("version = 1\n[images]\na = 3", "a table is wanted"),
        ("version = 1\n[[images]]\n", "no image"),
        ("version = 1\n[images.a]\ntemplate = ''", "a path is wanted"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nfrom = 3", "AMI id"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nfrom = {ssm = '/x', owners = ['self']}", "ssm stands alone"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nfrom = {ownres = ['self']}", "did you mean 'owners'"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nmax_age = '0d'", "30d"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nshare_with = ['12']", "12 digits"),
        ("version = 1\n[images.a]\ntemplate = 'x'\nvars = {a = 2020-01-01}", "a date"),
        ("version = 1\n[images.ami-12345678]\ntemplate = 'x'", "AMI id"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    assert any(said in problem for problem in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("from_var", "did you mean 'from_variable'?"),
        ("environment", "did you mean 'env'?"),
        ("base", "the nearest that is known is 'vars'"),
        ("zzz", "the nearest that is known is"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one_however_far(key: str, said: str) -> None:
    (problem,) = problems(f"version = 1\n[images.a]\ntemplate = 'x'\n{key} = 1\n")
    assert problem.startswith(f"4: images.a.{key}: unknown key; {said}")


def test_a_name_with_dots_that_was_written_without_quotes() -> None:
    """TOML makes tables in tables of it: what is missing is not the template, but the quotes."""
    text = "version = 1\n[images.ubuntu-22.04]\ntemplate = 'x'\n[images.ubuntu-22.10.1]\ntemplate = 'y'\n"
    assert problems(text) == [
        '2: images.ubuntu-22.04: unknown key; a name with dots is written in quotes: [images."ubuntu-22.04"]',
        '4: images.ubuntu-22.10: unknown key; a name with dots is written in quotes: [images."ubuntu-22.10.1"]',
    ]
    (problem,) = problems("version = 1\n[defaults.vers]\ntemplate = 'x'\n[images.a]\ntemplate = 'x'\n")
    assert "quotes" not in problem
    assert config("version = 1\n[images.'ubuntu-22.04']\ntemplate = 'x'\n").images[0].name == "ubuntu-22.04"


def test_a_table_that_is_not_written_itself_has_the_line_of_the_first_in_it() -> None:
    assert problems("version = 1\n\n[images.a.vars]\nx = '1'\n") == ["3: images.a: template is missing"]


def test_text_that_is_no_toml_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigError, match="line 2"):
        config("version = 1\nimages = = 3\n")
    with pytest.raises(ConfigError, match="line 2: not UTF-8"):
        parse_config_file(b"version = 1\n\xff", Path("bakery.toml"))
    with pytest.raises(ConfigError):
        config("version = 1\nx = " + "[" * 5000 + "]" * 5000)


def test_the_file_is_found_in_a_folder_above(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "bakery.toml").write_text(EXAMPLE)
    assert find_config(tmp_path / "a" / "b") == tmp_path / "bakery.toml"


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_config_file(tmp_path / "absent.toml")


def test_every_key_has_a_description() -> None:
    assert all(key.about.endswith(".") for key in KEYS)
    assert len({key.field for key in KEYS}) == len(KEYS)
