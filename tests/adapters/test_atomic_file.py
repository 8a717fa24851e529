"""Atomic writes to regular files, through links, and to devices and pipes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ami_bakery.adapters.files.atomic_file import create_file, replace_file
from ami_bakery.errors import OutputError


def write(path: Path | str, text: str = "new") -> None:
    replace_file(str(path), text, "Do something else.")


def chain(folder: Path, last: str | Path, length: int = 3) -> Path:
    """Creates a chain of relative symbolic links to `last`, each in its own folder; returns the first link."""
    target = str(last)
    for number in range(length):
        link = folder / f"folder-{number}" / "link.json"
        link.parent.mkdir()
        link.symlink_to(target if os.path.isabs(target) else f"../{target}")
        target = f"folder-{number}/link.json"
    return link


@pytest.mark.parametrize("there", [True, False], ids=["target exists", "dangling"])
@pytest.mark.parametrize("length", [1, 3])
def test_a_link_is_kept_and_its_target_is_written(tmp_path: Path, length: int, there: bool) -> None:
    target = tmp_path / "target.json"
    if there:
        target.write_text("old")
        target.chmod(0o640)
    link = chain(tmp_path, "target.json", length)
    write(link)
    assert link.is_symlink()
    assert not target.is_symlink()
    assert target.read_text() == "new"
    assert not there or target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["target.json"], "nothing else is left"


def test_a_process_that_reads_the_target_sees_the_complete_old_text(tmp_path: Path) -> None:
    (tmp_path / "target.json").write_text("old")
    link = chain(tmp_path, "target.json")
    with link.open() as reader:
        write(link)
        assert reader.read() == "old"


def test_a_target_with_the_same_text_is_not_written(tmp_path: Path) -> None:
    target = tmp_path / "target.json"
    target.write_text("new")
    before = target.stat()
    write(chain(tmp_path, "target.json"))
    assert target.stat().st_ino == before.st_ino
    assert target.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full"])
def test_a_device_is_neither_replaced_nor_read(tmp_path: Path, device: str) -> None:
    """/dev/zero is infinite: with 300 MB of memory, reading it would fail."""
    if not os.access(device, os.W_OK):
        pytest.skip(f"{device} cannot be written to here")
    link = chain(tmp_path, device)
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (300 << 20, resource.RLIM_INFINITY)); "
    code = "from ami_bakery.adapters.files.atomic_file import replace_file; replace_file(sys.argv[1], 'new', 'Retry.')"
    done = subprocess.run([sys.executable, "-c", limit + code, link], capture_output=True, text=True, check=False)
    assert done.returncode == (1 if device == "/dev/full" else 0), done.stderr
    assert ("No space left" in done.stderr) == (device == "/dev/full")
    assert link.is_symlink()
    assert Path(device).is_char_device()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("stdout", ["file", "pipe"])
def test_a_write_through_a_link_to_stdout_is_appended_to_the_output(tmp_path: Path, name: str, stdout: str) -> None:
    code = (
        "import sys; from ami_bakery.adapters.files.atomic_file import replace_file; "
        "print('printed', flush=True); replace_file(sys.argv[1], 'written', 'Retry.')"
    )
    command = [sys.executable, "-c", code, str(chain(tmp_path, name))]
    if stdout == "file":
        with (tmp_path / "out").open("wb") as out:
            subprocess.run(command, stdout=out, check=True)
        said = (tmp_path / "out").read_text()
    else:
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said == "printed\nwritten"


def test_the_file_that_is_stdout_is_not_replaced(tmp_path: Path) -> None:
    """`--output out.json > out.json`: a new file would replace the one that the shell opened."""
    out = tmp_path / "out.json"
    code = (
        "import sys; from ami_bakery.adapters.files.atomic_file import replace_file; "
        "replace_file(sys.argv[1], 'new', '')"
    )
    with out.open("wb") as stdout:
        subprocess.run([sys.executable, "-c", f"print('printed', flush=True); {code}", out], stdout=stdout, check=True)
        assert os.path.samestat(os.fstat(stdout.fileno()), out.stat())
    assert out.read_text() == "printed\nnew"


def test_text_is_written_to_a_named_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.append(pipe.read_text()))
    reader.start()
    text = "x" * 200_000
    while True:
        try:
            write(chain_once(tmp_path, pipe), text)
            break
        except OutputError as error:
            assert error.wrong == "no program reads from this pipe", "the reader has not opened it yet"
    reader.join()
    assert said == [text], "more than a pipe holds"
    assert pipe.is_fifo()


def chain_once(folder: Path, target: Path) -> Path:
    link = folder / "link.json"
    if not link.is_symlink():
        link.symlink_to(target)
    return link


def test_a_pipe_without_a_reader_is_an_error(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="no program reads"):
        write(chain(tmp_path, pipe))


def test_circular_links_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match="symbolic links"):
        write(tmp_path / "a")
    assert (tmp_path / "a").is_symlink()


def test_a_link_into_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    link = chain(tmp_path, "absent/target.json")
    with pytest.raises(OutputError, match="No such file"):
        write(link)
    assert link.is_symlink()


def test_an_existing_large_file_is_not_read(tmp_path: Path) -> None:
    target = tmp_path / "target.json"
    with target.open("wb") as file:
        file.truncate(1 << 40)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write(target)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert target.read_text() == "new"


# create_file


def test_a_file_is_created_once(tmp_path: Path) -> None:
    path = tmp_path / "new"
    create_file(str(path), "first\n", "Fix it.")
    for _ in range(2):
        with pytest.raises(OutputError, match="File exists"):
            create_file(str(path), "second\n", "Fix it.")
    assert path.read_text() == "first\n"
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


def test_of_many_threads_one_creates_the_whole_file(tmp_path: Path) -> None:
    path, created = tmp_path / "new", []
    texts = [f"{number}\n" * 1000 for number in range(8)]

    def create(text: str) -> None:
        try:
            create_file(str(path), text, "Fix it.")
        except OutputError:
            return
        created.append(text)

    threads = [threading.Thread(target=create, args=[text]) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_text()] == created
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("target", ["file", "missing", "missing/file", "."])
def test_a_link_counts_as_the_file(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("old\n")
    (tmp_path / "new").symlink_to(target)
    with pytest.raises(OutputError, match="File exists"):
        create_file(str(tmp_path / "new"), "text\n", "Fix it.")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "new"]
    assert (tmp_path / "file").read_text() == "old\n"


def test_a_file_in_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        create_file(str(tmp_path / "missing/new"), "text\n", "Fix it.")


def test_the_mode_of_a_new_file_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        create_file(str(tmp_path / "new"), "text\n", "Fix it.")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
