"""What changed between the builds of images, read from real git repositories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ami_bakery.core.ec2.ami import COMMIT_TAG, COMPONENTS_TAG, Ami
from ami_bakery.core.ec2.lineage import key_of
from ami_bakery.core.report.build_history import BuildChanges
from ami_bakery.report.build_changes import READ_BUILDS, changes_of_builds
from ami_bakery.report.repository_facts import with_changes
from ami_bakery.values import replace
from tests.report.past_builds import BuiltRepository, newest_first, reported_image


@pytest.fixture
def repository(tmp_path: Path) -> BuiltRepository:
    repository = BuiltRepository(tmp_path / "repository")
    repository.images("app")
    repository.commit()
    return repository


def changes(
    repository: BuiltRepository, *amis: Ami, image: str = "app", environment: Mapping[str, str] | None = None
) -> list[BuildChanges]:
    """Returns the changes of each build of one image but the oldest. `amis`: oldest first."""
    repository.git.opened.clear()
    with repository.resolver(environment) as resolver:
        found = changes_of_builds(resolver, {image: newest_first(amis)})
    assert list(found) == [key_of(ami) for ami in amis[1:]]
    assert [each.since for each in found.values()] == [ami.id for ami in amis[:-1]]
    return list(found.values())


def details(found: BuildChanges) -> list[str]:
    return [item.detail for item in found.items]


def test_files_variables_and_settings_are_compared_between_commits(repository: BuiltRepository) -> None:
    first = repository.build("app")
    repository.write("app/setup.sh", "other\n")
    repository.write("app/new.sh", "new\n")
    repository.images("app", keys='vars = { size = "t3.large" }\nsalt = "2"\n')
    repository.write("app/setup.sh", "other\n")
    repository.commit()
    second = repository.build("app")
    repository.write("app/setup.sh", "in the work tree only\n")
    (found,) = changes(repository, first, second)
    assert details(found) == [
        "app/new.sh was added",
        "app/setup.sh changed",
        "variable size was added",
        "salt changed from not set to 2",
    ]
    assert found.notes == ()
    assert "t3.large" not in repr(found)


def test_each_commit_is_opened_once_for_all_images(tmp_path: Path) -> None:
    repository = BuiltRepository(tmp_path / "repository")
    names = ("one", "two", "three")
    repository.images(*names)
    builds: dict[str, list[Ami]] = {name: [] for name in names}
    for number in range(4):
        for name in names:
            repository.write(f"{name}/setup.sh", f"{number}\n")
        repository.commit()
        for name in names:
            builds[name].append(repository.build(name))
    with repository.resolver() as resolver:
        found = changes_of_builds(resolver, {name: newest_first(amis) for name, amis in builds.items()})
    assert len(found) == 9
    assert all(details(each) for each in found.values())
    assert len(repository.git.opened) == len(set(repository.git.opened)) == 4
    assert repository.reporter.steps[-2:] == ["history: reading commit 4 of 4 from git", "history: done"]


def test_builds_with_the_same_files_variables_and_settings_need_no_git(repository: BuiltRepository) -> None:
    amis = [repository.build("app", tools=tools) for tools in "123"]
    first, second = changes(repository, *amis)
    assert details(first) == details(second) == ["Packer or a plugin changed"]
    assert repository.git.opened == []


def test_one_commit_of_several_with_the_same_definition_is_read(repository: BuiltRepository) -> None:
    amis = []
    for number in range(6):
        repository.write("app/setup.sh", f"{number // 3}\n")
        repository.commit()
        amis.append(repository.build("app", tools=str(number)))
    found = changes(repository, *amis)
    assert [len(each.items) for each in found] == [1, 1, 2, 1, 1]
    assert len(repository.git.opened) == 2


def test_commit_that_this_clone_does_not_have_is_named(repository: BuiltRepository) -> None:
    first = repository.build("app", commit="a" * 40)
    repository.write("app/setup.sh", "other\n")
    repository.commit()
    (found,) = changes(repository, first, repository.build("app"))
    assert details(found) == ["files changed: the details are unknown"]
    why = f"commit {'a' * 12} is not in this clone; changes are listed as if they were those of ami-00000002"
    assert found.notes == (f"the files of {first.id} are unknown: {why}",)


@pytest.mark.parametrize("tag", ["", "HEAD", "--output=x", "main", "a" * 41, "A" * 40, "\0"])
def test_commit_tag_that_is_no_commit_is_not_given_to_git(repository: BuiltRepository, tag: str) -> None:
    first = repository.build("app", commit=tag)
    repository.write("app/setup.sh", "other\n")
    second = repository.build("app", commit="")
    (found,) = changes(repository, first, second)
    assert details(found) == ["files changed: the details are unknown"]
    assert repository.git.opened == []
    assert len(found.notes) == 2


def test_uncommitted_changes_are_said_to_be_missing(repository: BuiltRepository) -> None:
    first = repository.build("app")
    repository.write("app/setup.sh", "committed\n")
    head = repository.commit()
    repository.write("app/more.sh", "not committed\n")
    second = repository.build("app", commit=f"{head}+dirty")
    (found,) = changes(repository, first, second)
    assert details(found) == ["files changed: the list may be incomplete", "app/setup.sh changed"]
    assert found.notes == (f"the files of {second.id} are not exactly known: it was built with uncommitted changes",)


def test_clean_build_is_preferred_to_one_with_uncommitted_changes(repository: BuiltRepository) -> None:
    first = repository.build("app")
    head = repository.run("rev-parse", "HEAD")
    repository.write("app/setup.sh", "other\n")
    dirty = repository.build("app", commit=f"{head}+dirty")
    repository.commit()
    clean = repository.build("app", tools="2")
    found = changes(repository, first, dirty, clean)
    assert [details(each) for each in found] == [["app/setup.sh changed"], ["Packer or a plugin changed"]]
    assert [each.notes for each in found] == [(), ()]


def test_files_that_git_does_not_hold_are_named(repository: BuiltRepository) -> None:
    repository.write(".gitignore", "built.bin\n")
    repository.write("app/built.bin", "1\n")
    repository.commit()
    first = repository.build("app")
    repository.write("app/built.bin", "2\n")
    repository.write("app/setup.sh", "other\n")
    repository.commit()
    second = repository.build("app")
    (found,) = changes(repository, first, second)
    assert details(found) == ["files changed: the list may be incomplete", "app/setup.sh changed"]
    assert len(found.notes) == 1
    assert found.notes[0].startswith(f"the files of {first.id} are not exactly known: commit ")
    assert found.notes[0].endswith(" does not have all of them: some are not in git (app/built.bin)")


def test_git_filters_are_not_run_and_files_that_a_checkout_converts_are_equal(repository: BuiltRepository) -> None:
    mark = repository.folder.parent / "ran"
    repository.run("config", "filter.x.clean", f"touch {mark}; cat")
    repository.run("config", "filter.x.smudge", f"touch {mark}; cat")
    repository.write(".gitattributes", "*.txt text eol=crlf\n*.x filter=x\n")
    repository.write("app/lines.txt", "a\n")
    repository.commit()
    (repository.folder / "app/lines.txt").unlink()
    repository.run("checkout", "--", "app/lines.txt")
    assert (repository.folder / "app/lines.txt").read_bytes() == b"a\r\n"
    first = repository.build("app")
    repository.write("app/filtered.x", "1\n")
    repository.commit()
    mark.unlink()
    second = repository.build("app")
    (found,) = changes(repository, first, second)
    assert details(found) == ["app/filtered.x was added"]
    assert not mark.exists()


def test_filtered_file_whose_content_git_does_not_have_is_named(repository: BuiltRepository) -> None:
    repository.write(".gitattributes", "*.x filter=x\n")
    repository.write("app/filtered.x", "stored\n")
    repository.commit()
    repository.write("app/filtered.x", "smudged\n")
    first = repository.build("app")
    repository.write("app/filtered.x", "other\n")
    second = repository.build("app")
    (found,) = changes(repository, first, second)
    assert found.items[0].detail == "files changed: the details are unknown"
    assert found.notes[0].endswith("a git filter applies to app/filtered.x, and filters are not run")


def test_environment_of_another_machine_is_unknown(repository: BuiltRepository) -> None:
    repository.images("app", keys='env = ["CHANNEL"]\n')
    repository.commit()
    first = repository.build("app", environment={"CHANNEL": "beta"})
    second = repository.build("app", environment={"CHANNEL": "stable"})
    (found,) = changes(repository, first, second, environment={"CHANNEL": "stable"})
    assert details(found) == ["variables, var-files or environment variables changed: the details are unknown"]
    why = "its environment and options are unknown"
    assert found.notes == (f"the variables of {first.id} are not exactly known: {why}",)


def test_unreadable_definition_is_a_note(repository: BuiltRepository) -> None:
    repository.write("app/app.pkr.hcl", "{")
    broken = repository.commit()
    repository.images("app")
    first = repository.build("app", commit=broken)
    repository.write("app/setup.sh", "other\n")
    repository.commit()
    (found,) = changes(repository, first, repository.build("app"))
    assert details(found) == ["files changed: the details are unknown"]
    assert "the definition in commit" in found.notes[0]
    assert "app/app.pkr.hcl" in found.notes[0]


def test_image_that_a_commit_does_not_have_is_a_note(repository: BuiltRepository) -> None:
    old = repository.run("rev-parse", "HEAD")
    repository.images("app", "new")
    repository.commit()
    first = repository.build("new", commit=old)
    repository.write("new/setup.sh", "other\n")
    repository.commit()
    (found,) = changes(repository, first, repository.build("new"), image="new")
    assert "does not have this image" in found.notes[0]


def test_image_that_the_configuration_no_longer_has_is_compared(repository: BuiltRepository) -> None:
    first = repository.build("app")
    repository.write("app/setup.sh", "other\n")
    repository.commit()
    second = repository.build("app")
    repository.images("other")
    (found,) = changes(repository, first, second)
    assert (details(found), found.notes) == (["app/setup.sh changed"], ())


def test_only_the_newest_builds_are_read_from_git(repository: BuiltRepository) -> None:
    amis = []
    for number in range(READ_BUILDS + 2):
        repository.write("app/setup.sh", f"{number}\n")
        repository.commit()
        amis.append(repository.build("app"))
    found = changes(repository, *amis)
    assert len(repository.git.opened) == READ_BUILDS
    assert details(found[0]) == ["files changed: the details are unknown"]
    assert f"only the newest {READ_BUILDS} builds are read from git" in found[0].notes[0]
    assert [details(each) for each in found[2:]] == [["app/setup.sh changed"]] * (READ_BUILDS - 1)


def test_builds_outside_of_git_show_the_changed_parts(tmp_path: Path) -> None:
    repository = BuiltRepository(tmp_path / "repository")
    repository.images("app")
    first = repository.build("app", commit="")
    repository.write("app/setup.sh", "other\n")
    second = repository.build("app", commit="")
    (found,) = changes(repository, first, second)
    assert details(found) == ["files changed: the details are unknown"]
    assert found.notes == tuple(f"the files of {ami.id} are unknown: it has no commit tag" for ami in (first, second))


def test_drop_in_image_compares_its_files(tmp_path: Path) -> None:
    repository = BuiltRepository(
        tmp_path / "repository", {"PACKER_JSON_PATH": "app/app.pkr.hcl", "AMI_DEFINITION_DIRS": "app"}
    )
    repository.images("app")
    first = repository.build("default", commit="")
    repository.commit()
    repository.write("app/setup.sh", "other\n")
    head = repository.commit()
    untagged = repository.build("default", commit="")
    repository.write("app/setup.sh", "third\n")
    last = repository.commit()
    third = repository.build("default", commit=last)
    second = replace(untagged, tags={**untagged.tags, COMMIT_TAG: head})
    found = changes(repository, first, second, third, image="default")
    assert details(found[0]) == ["files changed: the details are unknown"]
    assert "it has no commit tag" in found[0].notes[0]
    assert (details(found[1]), found[1].notes) == (["app/setup.sh changed"], ())


def test_forged_components_do_not_hide_a_changed_digest(repository: BuiltRepository) -> None:
    first = repository.build("app")
    repository.write("app/setup.sh", "other\n")
    repository.commit()
    second = repository.build("app")
    forged = replace(second, tags={name: tag for name, tag in second.tags.items() if name != COMPONENTS_TAG})
    (found,) = changes(repository, first, forged)
    assert found.items[0].detail == "unknown whether files changed"
    assert found.notes


def test_no_builds_need_no_git(repository: BuiltRepository) -> None:
    with repository.resolver() as resolver:
        assert changes_of_builds(resolver, {"app": ()}) == {}
        assert changes_of_builds(resolver, {}) == {}
    assert repository.git.opened == []


def test_a_build_of_which_only_copies_exist_is_part_of_the_history(repository: BuiltRepository) -> None:
    """Copies have the tags of their build. Without it, a comparison with it would be one with another build."""
    amis = []
    for text in ("one", "two", "three"):
        repository.write("app/setup.sh", f"echo {text}\n")
        repository.commit()
        amis.append(repository.build("app"))
    home = [key_of(ami) for ami in amis]
    amis[1] = replace(amis[1], id="ami-copy", region="eu-west-1")
    images = [reported_image("app", [*zip(home, amis, strict=True)][::-1])]
    with repository.resolver() as resolver:
        (found,) = with_changes(resolver, images)
    newest, middle, oldest = (build.changes for build in found.builds)
    assert oldest is None
    assert middle is not None
    assert newest is not None
    assert (newest.since, middle.since) == (home[1].id, home[0].id)
    assert [item.subject for item in newest.items] == [item.subject for item in middle.items] == ["app/setup.sh"]
    assert not newest.notes + middle.notes
