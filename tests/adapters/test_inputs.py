"""Inputs on disk become manifest entries: which files are included, excluded, or an error."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ami_bakery.adapters.files.file_hashes import check_unchanged
from ami_bakery.adapters.files.source_tree import DiskTree
from ami_bakery.core.config.model import ImageConfig
from ami_bakery.core.definition.manifest import EntryKind
from ami_bakery.define.inputs import Inventory, collect, would_be_input
from ami_bakery.errors import SourceError
from ami_bakery.template.facts import Output, Reference, TemplateFacts, TemplateFormat
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import replace

FACTS = TemplateFacts(format=TemplateFormat.JSON, files=("ami/app.json",), variables=(), builders=())
IMAGE = ImageConfig(name="app", template="ami/app.json", inputs=("ami",))


def collected(root: Path, image: ImageConfig = IMAGE, facts: TemplateFacts = FACTS) -> Inventory:
    return collect(DiskTree(str(root)), image, "bakery.toml", facts)


def paths(inventory: Inventory) -> list[str]:
    return [entry.path for entry in inventory.entries]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "ami").mkdir(parents=True)
    (root / "ami/app.json").write_text("{}")
    (root / "ami/setup.sh").write_text("echo\n")
    return root


def test_an_entry_has_the_files_hash_and_the_owners_executable_bit(root: Path) -> None:
    (root / "ami/setup.sh").chmod(0o744)
    entry = next(entry for entry in collected(root).entries if entry.path == "ami/setup.sh")
    assert (entry.kind, entry.executable) == (EntryKind.FILE, True)
    assert entry.sha256 is not None
    assert entry.sha256.startswith("86b0c5a1e2b73b08")


Change = Callable[[Path], object]


def _swap(root: Path) -> None:
    first, second = root / "ami/setup.sh", root / "ami/app.json"
    one, two = first.read_text(), second.read_text()
    first.write_text(two)
    second.write_text(one)


MOVES: dict[str, Change] = {
    "content": lambda root: (root / "ami/setup.sh").write_text("other"),
    "rename": lambda root: (root / "ami/setup.sh").rename(root / "ami/set-up.sh"),
    "swap": _swap,
    "new empty file": lambda root: (root / "ami/empty").touch(),
    "new empty folder": lambda root: (root / "ami/folder").mkdir(),
    "deletion": lambda root: (root / "ami/setup.sh").unlink(),
    "owner's executable bit": lambda root: (root / "ami/setup.sh").chmod(0o744),
    "hidden file": lambda root: (root / "ami/.hidden").touch(),
    "file to link": lambda root: (
        (root / "ami/setup.sh").rename(root / "elsewhere.sh"),
        (root / "ami/setup.sh").symlink_to("../elsewhere.sh"),
    ),
}
STAYS: dict[str, Change] = {
    "touch": lambda root: os.utime(root / "ami/setup.sh", (0, 0)),
    "bits of group and others": lambda root: (root / "ami/setup.sh").chmod(0o677),
    "version control": lambda root: (
        (root / "ami/.git").mkdir(),
        (root / "ami/.git/HEAD").write_text("ref: x"),
    ),
    "our output": lambda root: (root / "ami/.ami_id.json").write_text("{}"),
    "packer's cache": lambda root: (root / "ami/packer_cache").mkdir(),
    "a file next to the inputs": lambda root: (root / "README").write_text("x"),
}


@pytest.mark.parametrize("change", MOVES)
def test_a_change_of_an_input_changes_the_entries(root: Path, change: str) -> None:
    before = collected(root).entries
    MOVES[change](root)
    assert collected(root).entries != before


@pytest.mark.parametrize("change", STAYS)
def test_a_change_out_of_scope_keeps_the_entries(root: Path, change: str) -> None:
    before = collected(root).entries
    STAYS[change](root)
    assert collected(root).entries == before


def test_a_checkout_at_another_path_has_the_same_entries(root: Path, tmp_path: Path) -> None:
    before = collected(root).entries
    os.rename(root, tmp_path / "moved")
    assert collected(tmp_path / "moved").entries == before


def test_order_and_overlap_of_inputs_do_not_matter(root: Path) -> None:
    (root / "common").mkdir()
    (root / "common/x").touch()
    expected = collected(root, replace(IMAGE, inputs=("ami", "common"))).entries
    for inputs in (("common", "ami"), ("./common/", "ami/../ami", "ami/setup.sh"), ("*",), ("ami", "**/x"), (".",)):
        assert collected(root, replace(IMAGE, inputs=inputs)).entries == expected, inputs


def test_an_absolute_path_inside_the_root_equals_the_relative_one(root: Path) -> None:
    assert collected(root, replace(IMAGE, inputs=(f"{root}/ami",))).entries == collected(root).entries


def test_without_inputs_the_templates_folder_is_the_input(root: Path) -> None:
    assert paths(collected(root, replace(IMAGE, inputs=None))) == ["ami/app.json", "ami/setup.sh"]


def test_files_that_the_template_names_are_included_even_if_ignored_or_outside(root: Path) -> None:
    (root.parent / "shared.sh").write_text("x")
    (root / "ami/notes.md").write_text("x")
    location = SourceLocation(file="ami/app.json", line=7)
    references = tuple(Reference(path=path, location=location) for path in ("../shared.sh", "ami/notes.md"))
    image = replace(IMAGE, ignore=("*.md",))
    assert "ami/notes.md" not in paths(collected(root, image))
    inventory = collected(root, image, replace(FACTS, references=references))
    assert {"../shared.sh", "ami/notes.md"} <= set(paths(inventory))
    assert inventory.named_by["../shared.sh"] == (location,)


def test_an_optional_reference_is_included_once_it_exists(root: Path) -> None:
    location = SourceLocation(file="ami/app.json", line=1)
    facts = replace(FACTS, references=(Reference(path="maybe.sh", location=location, required=False),))
    before = collected(root, facts=facts).entries
    (root / "maybe.sh").touch()
    assert collected(root, facts=facts).entries != before


def test_files_that_packer_writes_are_excluded(root: Path) -> None:
    (root / "ami/.manifest.json").write_text("{}")
    location = SourceLocation(file="ami/app.json", line=1)
    facts = replace(FACTS, outputs=(Output(path="ami/.manifest.json", location=location),))
    assert "ami/.manifest.json" not in paths(collected(root, facts=facts))


# Links


def test_a_link_is_recorded_with_its_target_and_the_targets_content(root: Path) -> None:
    outside = root.parent / "outside.sh"
    outside.write_text("one")
    (root / "ami/link").symlink_to("../../outside.sh")
    before = collected(root).entries
    link = next(entry for entry in before if entry.path == "ami/link")
    assert (link.kind, link.target) == (EntryKind.LINK, "../../outside.sh")
    outside.write_text("two")
    after = collected(root).entries
    assert after != before
    outside.chmod(0o755)
    assert collected(root).entries != after


def test_another_link_target_with_the_same_content_changes_the_entries(root: Path) -> None:
    for name in ("a", "b"):
        (root / name).write_text("same")
    (root / "ami/link").symlink_to("../a")
    before = collected(root).entries
    (root / "ami/link").unlink()
    (root / "ami/link").symlink_to("../b")
    assert collected(root).entries != before


def test_files_behind_a_link_to_a_folder_are_included(root: Path) -> None:
    (root.parent / "roles/web").mkdir(parents=True)
    (root.parent / "roles/web/main.yml").write_text("one")
    (root / "ami/roles").symlink_to("../../roles")
    before = collected(root)
    assert "ami/roles/web/main.yml" in paths(before)
    (root.parent / "roles/web/main.yml").write_text("two")
    assert collected(root).entries != before.entries


def test_an_absolute_link_inside_the_root_is_the_same_in_every_checkout(root: Path, tmp_path: Path) -> None:
    (root / "ami/link").symlink_to(root / "ami/setup.sh")
    before = collected(root).entries
    moved = tmp_path / "moved"
    os.rename(root, moved)
    (moved / "ami/link").unlink()
    (moved / "ami/link").symlink_to(moved / "ami/setup.sh")
    assert collected(moved).entries == before


# Errors


def stopped(root: Path, *words: str, image: ImageConfig = IMAGE) -> None:
    with pytest.raises(SourceError) as caught:
        collected(root, image)
    said = f"{caught.value.doing} {caught.value.wrong} {caught.value.todo}"
    assert "bakery.toml:" in said, "the location that names it"
    for word in words:
        assert word in said


def test_a_broken_link_is_an_error(root: Path) -> None:
    (root / "ami/link").symlink_to("nowhere")
    stopped(root, "ami/link", "nowhere")


def test_circular_links_are_an_error(root: Path) -> None:
    (root / "ami/a").symlink_to("b")
    (root / "ami/b").symlink_to("a")
    stopped(root, "ami/a")
    (root / "ami/a").unlink()
    (root / "ami/b").unlink()
    (root / "ami/up").symlink_to("..")
    stopped(root, "circle")


def test_a_pipe_is_an_error_and_does_not_block(root: Path) -> None:
    os.mkfifo(root / "ami/pipe")
    stopped(root, "ami/pipe", "pipe")
    (root / "ami/pipe").unlink()
    os.mkfifo(root / "pipe")
    (root / "ami/link").symlink_to("../pipe")
    stopped(root, "ami/link")


def test_a_missing_input_is_an_error(root: Path) -> None:
    stopped(root, "absent", image=replace(IMAGE, inputs=("ami", "absent")))
    stopped(root, "absent/*", image=replace(IMAGE, inputs=("absent/*",)))
    stopped(root, "x.json", image=replace(IMAGE, var_files=("x.json",)))


def test_inputs_without_any_file_are_an_error(root: Path) -> None:
    (root / "empty").mkdir()
    stopped(root, "there are no files", image=replace(IMAGE, inputs=("empty",)))


def test_names_with_invalid_utf8_and_newlines_are_supported(root: Path) -> None:
    (Path(os.fsdecode(os.fsencode(root / "ami") + b"/\xff\n"))).write_text("x")
    assert "ami/\udcff\n" in paths(collected(root))


def test_an_existing_name_with_glob_characters_is_not_a_glob(root: Path) -> None:
    (root / "[ab]").write_text("x")
    (root / "a").write_text("x")
    assert paths(collected(root, replace(IMAGE, inputs=("[ab]",)))) == ["[ab]", "ami/app.json"]
    (root / "[ab]").unlink()
    assert paths(collected(root, replace(IMAGE, inputs=("[ab]",)))) == ["a", "ami/app.json"]


def test_an_ignored_folder_is_not_read(root: Path) -> None:
    (root / "ami/vendor").mkdir()
    os.mkfifo(root / "ami/vendor/pipe")
    assert paths(collected(root, replace(IMAGE, ignore=("vendor/",)))) == ["ami/app.json", "ami/setup.sh"]


def test_a_file_that_changes_while_it_is_read_is_an_error(root: Path) -> None:
    with (root / "ami/large").open("wb") as large:
        large.truncate(1 << 30)

    def change(files: int, size: int) -> None:
        # Progress is reported after each 64 files: then the large file is being hashed.
        if files == 64:
            with (root / "ami/large").open("r+b") as large:
                large.write(b"other")

    names = ("ami/large", *("ami/setup.sh",) * 64)
    with pytest.raises(SourceError, match="reading ami/large: it changed while it was read"):
        list(DiskTree(str(root)).hashes(names, progress=change))


@pytest.mark.parametrize("change", ["longer", "same size", "shorter"])
def test_a_change_of_a_small_file_is_detected_by_its_status(root: Path, change: str) -> None:
    path = root / "ami/setup.sh"
    os.utime(path, (0, 0))
    before = path.stat()
    check_unchanged("ami/setup.sh", before, path.stat(), 5)
    path.write_text({"longer": "echo x\n", "same size": "ohce\n", "shorter": "\n"}[change])
    with pytest.raises(SourceError, match="it changed while it was read"):
        check_unchanged("ami/setup.sh", before, path.stat(), 5)


def test_hashes_come_in_the_requested_order_for_all_sizes(root: Path) -> None:
    """Large files are hashed ahead in threads."""
    sizes = [0, 1 << 22, 5, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 3 << 20, 1] * 20
    names = [f"ami/{number}" for number in range(len(sizes))]
    for name, size in zip(names, sizes, strict=True):
        (root / name).write_bytes(name.encode() + bytes(size))
        (root / name).chmod(0o700 if size % 2 else 0o600)
    for algorithm in ("sha256", "sha1"):
        assert list(DiskTree(str(root)).hashes(names, algorithm)) == [
            (hashlib.new(algorithm, name.encode() + bytes(size)).hexdigest(), bool(size % 2))
            for name, size in zip(names, sizes, strict=True)
        ]


def test_the_first_failure_in_the_order_of_the_paths_is_raised(root: Path) -> None:
    (root / "ami/large").write_bytes(bytes(1 << 22))
    hashes = DiskTree(str(root)).hashes(["ami/large", "ami/absent", "ami", "ami/setup.sh"])
    assert next(hashes)[0] == hashlib.sha256(bytes(1 << 22)).hexdigest()
    with pytest.raises(SourceError, match="reading ami/absent"):
        next(hashes)


def test_dots_after_a_link_mean_the_parent_of_its_target(root: Path) -> None:
    (root / "deep/er").mkdir(parents=True)
    (root / "deep/x").touch()
    (root / "link").symlink_to("deep/er")
    assert DiskTree(str(root)).relative("link/../x") == "deep/x"
    assert DiskTree(str(root)).relative("./ami//../ami/.") == "ami"
    assert DiskTree(str(root)).relative("..") == ".."


# Included and excluded files


def referring(*names: str) -> TemplateFacts:
    location = SourceLocation(file="ami/app.json", line=7)
    return replace(FACTS, references=tuple(Reference(path=name, location=location) for name in names))


def test_a_folder_that_the_template_uploads_is_complete_despite_ignore(root: Path) -> None:
    (root / "ami/build/out").mkdir(parents=True)
    (root / "ami/build/out/app.bin").write_text("1")
    (root / "ami/build/out/README.md").write_text("1")
    image = replace(IMAGE, ignore=("*.md", "build/"))
    found = paths(collected(root, image, referring("ami/build/out")))
    assert {"ami/build/out/app.bin", "ami/build/out/README.md"} <= set(found)


def test_a_folder_in_inputs_is_included_despite_a_matching_ignore_pattern(root: Path) -> None:
    (root / "build/out").mkdir(parents=True)
    (root / "build/out/app.bin").write_text("1")
    (root / "build/out/x.md").write_text("1")
    image = replace(IMAGE, inputs=("ami", "build/out"), ignore=("build/", "*.md"))
    found = paths(collected(root, image))
    assert "build/out/app.bin" in found
    assert "build/out/x.md" not in found


def test_packers_outputs_are_excluded_only_in_packers_working_folder(root: Path) -> None:
    (root / "ami/upload").mkdir()
    for name in ("crash.log", "packer-manifest.json"):
        (root / "ami" / name).write_text("x")
        (root / "ami/upload" / name).write_text("x")
    assert [path for path in paths(collected(root)) if path.endswith(("crash.log", "manifest.json"))] == [
        "ami/upload/crash.log",
        "ami/upload/packer-manifest.json",
    ]


def test_the_configuration_file_is_an_input_only_if_the_template_uploads_it(root: Path) -> None:
    (root / "bakery.toml").write_text("version = 1")
    image = replace(IMAGE, inputs=(".",))
    assert "bakery.toml" not in paths(collected(root, image))
    assert "bakery.toml" in paths(collected(root, image, referring(".")))


def test_globs_follow_links_to_folders(root: Path) -> None:
    (root / "real").mkdir()
    (root / "real/x.sh").write_text("1")
    (root / "mods").mkdir()
    (root / "mods/m").symlink_to("../real")
    (root / "mods/up").symlink_to("..")
    assert "mods/m/x.sh" in paths(collected(root, replace(IMAGE, inputs=("ami", "mods/*/x.sh"))))
    assert "mods/m/x.sh" in paths(collected(root, replace(IMAGE, inputs=("ami", "mods/**/*.sh"))))


def test_a_folder_with_only_excluded_files_is_not_recorded(root: Path) -> None:
    before = collected(root, replace(IMAGE, ignore=("ami/target/*",))).entries
    (root / "ami/target").mkdir()
    (root / "ami/target/x").write_text("1")
    assert collected(root, replace(IMAGE, ignore=("ami/target/*",))).entries == before


def test_a_folder_that_is_a_download_target_keeps_its_inputs(root: Path) -> None:
    (root / "ami/conf").mkdir()
    (root / "ami/conf/a").write_text("1")
    location = SourceLocation(file="ami/app.json", line=1)
    facts = replace(FACTS, outputs=(Output(path="ami/conf", location=location),))
    assert "ami/conf/a" in paths(collected(root, facts=facts))


@pytest.mark.parametrize(
    ("path", "is_input"),
    [
        ("ami/ids.json", True),
        ("ids.json", False),
        ("up/ids.json", True),
        ("ami/x.md", False),
        ("globbed/a.env", True),
        ("elsewhere/ids.json", True),
    ],
)
def test_a_file_that_would_be_an_input_is_known_before_it_is_written(root: Path, path: str, is_input: bool) -> None:
    (root / "up").mkdir()
    (root / "globbed").mkdir()
    (root / "globbed/b.env").touch()
    (root / "ami/linked").symlink_to("../elsewhere")
    (root / "elsewhere").mkdir()
    image = replace(IMAGE, inputs=("ami", "globbed/*.env"), ignore=("*.md",))
    assert would_be_input(DiskTree(str(root)), image, "bakery.toml", referring("up"), path) is is_input


def test_a_version_control_folder_is_included_only_if_the_template_names_it(root: Path) -> None:
    (root / "ami/.git").mkdir()
    (root / "ami/.git/x").write_text("1")
    assert "ami/.git/x" not in paths(collected(root))
    assert "ami/.git/x" in paths(collected(root, facts=referring("ami/.git")))


def test_an_output_is_excluded_through_every_path(root: Path) -> None:
    (root / "data").mkdir()
    (root / "data/kept").write_text("1")
    (root / "data/m.json").write_text("1")
    (root / "ami/dl").symlink_to("../data")
    location = SourceLocation(file="ami/app.json", line=1)
    facts = replace(FACTS, outputs=(Output(path="data/m.json", location=location),))
    found = paths(collected(root, facts=facts))
    assert "ami/dl/kept" in found
    assert "ami/dl/m.json" not in found
