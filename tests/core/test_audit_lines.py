"""Lines of strace: formats of several versions, interrupted calls, and names with any bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.audit.strace_lines import (
    ProcessEnd,
    ProcessTakeover,
    SystemCall,
    descriptor_path,
    parse_lines,
    quoted_text,
)

NAMES = st.binary(min_size=1, max_size=20).map(lambda raw: raw.replace(b"\0", b"x"))
CONTROL = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r"}


def escaped(raw: bytes, also: str = "") -> str:
    """Escapes as strace does: C escapes, and octal numbers of three digits only if a digit follows."""
    made = []
    for index, byte in enumerate(raw):
        following = raw[index + 1 : index + 2]
        if chr(byte) in '"\\':
            made.append(f"\\{chr(byte)}")
        elif byte in CONTROL and byte not in (7, 8):
            made.append(f"\\{CONTROL[byte]}")
        elif 32 <= byte < 127 and chr(byte) not in also:
            made.append(chr(byte))
        else:
            made.append(f"\\{byte:03o}" if following.isdigit() else f"\\{byte:o}")
    return "".join(made)


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def only(line: str) -> SystemCall:
    (call,) = parse_lines([line])
    assert isinstance(call, SystemCall)
    return call


@given(NAMES)
def test_names_with_any_bytes_are_read_back(raw: bytes) -> None:
    shown = escaped(raw)
    opened = escaped(b"/tmp/" + raw, also="<>")
    call = only(f'7     openat(AT_FDCWD</tmp>, "{shown}", O_RDONLY|O_CLOEXEC) = 3<{opened}>\n')
    assert quoted_text(call.arguments[1]) == text(raw)
    assert call.opened == text(b"/tmp/" + raw)
    assert call.result == 3
    assert descriptor_path(call.arguments[0]) == "/tmp"


@given(NAMES, st.integers(0, 60))
def test_interrupted_calls_are_joined_wherever_strace_cuts(raw: bytes, other: int) -> None:
    name = escaped(raw)
    lines = [
        f'7 openat(AT_FDCWD, "{name}", O_RDONLY <unfinished ...>',
        *(f'{8 + number} access("x", F_OK) = 0' for number in range(other % 3)),
        '9 stat("y",  <unfinished ...>',
        "7 <... openat resumed>)             = 4</tmp/z>",
        "9 <... stat resumed>{st_mode=S_IFREG|0644, st_size=1, ...}) = 0",
    ]
    calls = [each for each in parse_lines(lines) if isinstance(each, SystemCall)]
    joined = next(each for each in calls if each.name == "openat")
    assert (quoted_text(joined.arguments[1]), joined.result, joined.start) == (text(raw), 4, 0)
    assert next(each for each in calls if each.name == "stat").arguments[0] == '"y"'


@given(st.lists(st.text(max_size=60), max_size=10))
def test_no_text_breaks_the_parser(lines: list[str]) -> None:
    assert all(each.pid >= 0 for each in parse_lines(lines))
    assert all(each.pid >= 0 for each in parse_lines([f"12 {line}" for line in lines], with_system=False))


@given(NAMES, st.sampled_from(["execve", "open", "stat", "rename"]), st.integers(1, 40))
def test_line_that_was_cut_off_is_not_a_call(raw: bytes, name: str, length: int) -> None:
    line = f'5 {name}("{escaped(raw)}", 0x7ffd) = 0'
    for call in parse_lines([line[: -min(length, len(line) - 3)]]):
        assert isinstance(call, SystemCall)
        assert call.result in (None, 0)


def test_formats_of_several_versions() -> None:
    assert only('1 execve("./a.sh", [...], 0x7ffc /* 21 vars */) = 0').arguments[0] == '"./a.sh"'
    assert (
        only('1 openat2(3</d>, "f", {flags=O_RDONLY, mode=0, resolve=RESOLVE_IN_ROOT}, 24) = 5</d/f>').opened == "/d/f"
    )
    assert only("1 vfork( <unfinished ...>").result is None
    failed = only('1 readlink("/x/y", 0x55, 64) = -1 EINVAL (Invalid argument)')
    assert (failed.result, failed.error) == (-1, "EINVAL")
    restarted = only('1 openat(AT_FDCWD, "fifo", O_RDONLY) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)')
    assert restarted.result is None
    deleted = only('1 openat(AT_FDCWD, "/proc/self/fd/3", O_RDONLY) = 4</tmp/x>(deleted)')
    assert deleted.opened == "/tmp/x"
    cloned = only("1 clone3({flags=CLONE_VM|CLONE_FS, exit_signal=0} => {parent_tid=[0]}, 88) = 17")
    assert cloned.result == 17


def test_a_name_that_looks_like_an_interrupted_call() -> None:
    call = only('1 openat(AT_FDCWD, "u <unfinished ...", O_RDONLY) = 3</tmp/u \\74unfinished ...>')
    assert call.opened == "/tmp/u <unfinished ..."


def test_end_of_a_process_and_execve_of_a_thread() -> None:
    lines = [
        "1 +++ exited with 0 +++",
        "2 +++ killed by SIGKILL (core dumped) +++",
        '5 execve("/bin/true", [...], 0x1 <pid changed to 3 ...>',
        "3 +++ superseded by execve in pid 5 +++",
        "3 <... execve resumed>) = 0",
    ]
    assert [(type(each), each.pid) for each in parse_lines(lines)] == [
        (ProcessEnd, 1),
        (ProcessEnd, 2),
        (ProcessTakeover, 3),
        (SystemCall, 3),
    ]


def test_reads_of_system_folders_can_be_skipped() -> None:
    skipped = [
        '1 openat(AT_FDCWD, "/usr/lib/x.so", O_RDONLY|O_CLOEXEC) = 3</usr/lib/x.so>',
        '1 openat(AT_FDCWD</repo>, "/etc/none", O_RDONLY) = -1 ENOENT (No such file or directory)',
        '1 newfstatat(AT_FDCWD</repo>, "/usr/lib64", {st_mode=S_IFDIR|0755, st_size=1, ...}, 0) = 0',
    ]
    kept = [
        '1 openat(AT_FDCWD, "/usr/../repo/x", O_RDONLY) = 3</repo/x>',
        '1 openat(AT_FDCWD, "/usr/lib/link", O_RDONLY) = 3</repo/x>',
        '1 execve("/usr/bin/cat", [...], 0x1 /* 1 var */) = 0',
        '1 openat(AT_FDCWD, "/repo/x", O_RDONLY) = 3</repo/x>',
    ]
    assert len(list(parse_lines([*skipped, *kept], with_system=False))) == len(kept)
    assert len(list(parse_lines([*skipped, *kept]))) == len(skipped) + len(kept)
