"""The replay of a trace: working directories, processes, and files that the build itself changes."""

from __future__ import annotations

import posixpath

from hypothesis import given, settings
from hypothesis import strategies as st

from ami_bakery.core.audit.comparison import AuditKind, AuditReport, Coverage, compare_with_digest
from ami_bakery.core.audit.file_changes import FileChanges
from ami_bakery.core.audit.left_out import RULES, Exclusions
from ami_bakery.core.audit.link_resolver import LinkResolver
from ami_bakery.core.audit.replay import existed_in, replay
from ami_bakery.core.audit.strace_lines import parse_lines
from ami_bakery.core.audit.trace import AccessKind, Trace

ROOT = "/repo"
RUN = '1 execve("/usr/bin/packer", [...], 0x1 /* 1 var */) = 0'
END = "1 +++ exited with 0 +++"


def replayed(*lines: str, existing: tuple[str, ...] = (), links: dict[str, str] | None = None) -> Trace:
    return replay(
        parse_lines([RUN, *lines, END]),
        workdir=ROOT,
        repositories=(ROOT,),
        read_link=(links or {}).get,
        existed=existed_in(frozenset(existing), (ROOT,)),
    )


def found(trace: Trace) -> dict[str, str]:
    return {each.path: each.kind.value for each in trace.found if each.path.startswith(ROOT)}


def opened(path: str, pid: int = 1, flags: str = "O_RDONLY") -> str:
    full = posixpath.join(ROOT, path)
    return f'{pid} openat(AT_FDCWD, "{path}", {flags}) = 3<{full}>'


def test_calls_of_a_child_count_before_clone_returns_in_the_parent() -> None:
    trace = replayed(
        '1 chdir("sub") = 0',
        "1 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>",
        '2 stat("x", {st_mode=S_IFREG|0644, st_size=1, ...}) = 0',
        '2 chdir("/") = 0',
        "1 <... clone resumed>) = 2",
        '1 stat("y", {st_mode=S_IFREG|0644, st_size=1, ...}) = 0',
    )
    assert found(trace) == {"/repo/sub/x": "looked for", "/repo/sub/y": "looked for"}


def test_vfork_does_not_share_the_folder_and_threads_do() -> None:
    trace = replayed(
        "1 vfork( <unfinished ...>",
        '2 chdir("child") = 0',
        '2 execve("./tool", [...], 0x1) = 0',
        "1 <... vfork resumed>) = 2",
        '1 access("parent", F_OK) = 0',
        "1 clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD}, 88) = 3",
        '3 chdir("thread") = 0',
        '1 access("after", F_OK) = 0',
    )
    assert set(found(trace)) == {"/repo/child/tool", "/repo/parent", "/repo/thread/after"}


def test_process_id_that_is_used_again() -> None:
    trace = replayed(
        "1 clone(flags=SIGCHLD) = 2",
        '2 chdir("/tmp") = 0',
        "2 +++ exited with 0 +++",
        "1 clone(flags=SIGCHLD) = 2",
        '2 access("x", F_OK) = 0',
    )
    assert set(found(trace)) == {"/repo/x"}


def test_thread_that_executes_takes_over() -> None:
    trace = replayed(
        "1 clone(flags=SIGCHLD) = 2",
        "2 clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD}, 88) = 3",
        '3 execve("./tool", [...], 0x1 <pid changed to 2 ...>',
        "2 +++ superseded by execve in pid 3 +++",
        "2 <... execve resumed>) = 0",
        opened("x", pid=2),
    )
    assert [each.process for each in trace.found if each.path == "/repo/x"] == ["/repo/./tool"]


def test_links_on_the_way_are_kept() -> None:
    links = {"/repo/current": "v1", "/repo/v1/up": "../other"}
    trace = replayed('1 openat(AT_FDCWD, "current/up/f", O_RDONLY) = 3</repo/other/f>', links=links)
    (access,) = (each for each in trace.found if each.path == "/repo/other/f")
    assert set(access.links) == {"/repo/current", "/repo/v1/up"}


def test_file_that_the_build_wrote_before_reading_is_no_input() -> None:
    trace = replayed(
        opened("new", flags="O_WRONLY|O_CREAT|O_APPEND, 0666"),
        opened("new"),
        opened("old", flags="O_WRONLY|O_CREAT|O_APPEND, 0666"),
        opened("old"),
        opened("cut", flags="O_WRONLY|O_TRUNC"),
        opened("cut"),
        opened("both", flags="O_RDWR"),
        '1 mkdir("made", 0777) = 0',
        opened("made/deep/f"),
        '1 rename("old", "made/moved") = 0',
        opened("made/moved"),
        '1 rename("new", "renamed") = 0',
        opened("renamed"),
        existing=("/repo/old", "/repo/cut", "/repo/both"),
    )
    assert found(trace) == {"/repo/old": "opened", "/repo/both": "opened"}


def test_exchanged_files_keep_their_origin() -> None:
    trace = replayed(
        opened("new", flags="O_WRONLY|O_CREAT|O_TRUNC, 0666"),
        '1 renameat2(AT_FDCWD, "new", AT_FDCWD, "old", RENAME_EXCHANGE) = 0',
        opened("old"),
        opened("new"),
        existing=("/repo/old",),
    )
    assert found(trace) == {"/repo/old": "opened"}


def test_absent_paths_that_appear_later_are_dropped() -> None:
    missing = "-1 ENOENT (No such file or directory)"
    trace = replayed(
        f'1 stat("never", 0x1) = {missing}',
        f'1 openat(AT_FDCWD, "later", O_RDONLY) = {missing}',
        opened("later", flags="O_WRONLY|O_CREAT, 0666"),
        '1 unlink("removed") = 0',
        f'1 access("removed", F_OK) = {missing}',
        existing=("/repo/removed",),
    )
    assert [each.path for each in trace.absent] == ["/repo/never"]


def test_trace_without_the_end_of_packer_is_incomplete() -> None:
    lines = parse_lines([RUN, opened("x")])
    trace = replay(lines, workdir=ROOT, repositories=(ROOT,), read_link=lambda _: None, existed=lambda _: True)
    assert not trace.complete
    assert replayed(opened("x")).complete


def test_processes_that_outlive_packer_are_named_without_its_plugins() -> None:
    trace = replayed(
        "1 clone(flags=SIGCHLD) = 2",
        '2 execve("/usr/sbin/daemon", [...], 0x1) = 0',
        "1 clone(flags=SIGCHLD) = 3",
        '3 execve("/x/packer-plugin-amazon_v1.2.3_x5.0_linux_amd64", [...], 0x1) = 0',
        "2 io_uring_setup(4, {flags=0}) = 3<anon_inode:[io_uring]>",
    )
    assert trace.running == ("/usr/sbin/daemon",)
    assert trace.blind == (("/usr/sbin/daemon", "io_uring"),)


CURL = ("1 clone(flags=SIGCHLD) = 2", '2 execve("/usr/bin/curl", [...], 0x1) = 0')


def test_connections() -> None:
    to = '{{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr("{host}")}}, 16'
    v6 = (
        'connect(4<socket:[8]>, {sa_family=AF_INET6, sin6_port=htons(443), inet_pton(AF_INET6, "2001:db8::1", &a)}, 28)'
    )
    lines = [
        *CURL,
        "2 socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 3<socket:[7]>",
        f"2 connect(3<socket:[7]>, {to.format(host='192.0.2.9', port=443)}) = 0",
        f"2 connect(4<socket:[8]>, {to.format(host='192.0.2.1', port=443)}) = -1 EINPROGRESS (In progress)",
        f"2 connect(4<socket:[8]>, {to.format(host='127.0.0.1', port=443)}) = 0",
        f"2 connect(4<socket:[8]>, {to.format(host='10.0.0.2', port=53)}) = 0",
        f"2 connect(4<socket:[8]>, {to.format(host='169.254.169.254', port=80)}) = 0",
        f"2 connect(4<socket:[8]>, {to.format(host='10.1.1.1', port=22)}) = 0",
        f"1 connect(4<socket:[9]>, {to.format(host='10.1.1.1', port=22)}) = 0",
        f"2 {v6} = 0",
    ]
    report = compared(replayed(*lines))
    assert [each.host for each in report.of(AuditKind.HOST_CONTACTED)] == ["192.0.2.1:443", "[2001:db8::1]:443"]


def compared(
    trace: Trace, *covered: str, environment: dict[str, str] | None = None, absent_inputs: str = ""
) -> AuditReport:
    coverage = Coverage(
        root=ROOT,
        files={f"{ROOT}/{path}": path for path in covered},
        links=frozenset(),
        excused=frozenset(),
        inputs=("ami",),
        is_output=lambda path: path.endswith(".out"),
        is_folder=lambda path: path.endswith("/folder"),
        exists=lambda path: False,
        would_cover=lambda paths: frozenset(path for path in paths if absent_inputs and absent_inputs in path),
    )
    values = {"HOME": "/home/u", "PATH": "/usr/bin:/home/u/tools/bin", **(environment or {})}
    return compare_with_digest(trace, coverage, Exclusions(values, (ROOT,), "/opt/p/packer"))


def test_findings_of_a_comparison() -> None:
    missing = "-1 ENOENT (No such file or directory)"
    report = compared(
        replayed(
            opened("ami/a"),
            opened("shared/b"),
            opened("made.out"),
            opened("some/folder"),
            opened("/home/u/secret"),
            opened("/home/u/.aws/config"),
            opened("/home/u/tools/lib/x.py"),
            opened("lib/__pycache__/m.cpython-311.pyc"),
            opened(".git/HEAD"),
            "1 clone(flags=SIGCHLD) = 2",
            '2 execve("/usr/bin/git", [...], 0x1) = 0',
            opened(".git/config", pid=2),
            f'1 stat("ami/later", 0x1) = {missing}',
            f'1 stat("other/later", 0x1) = {missing}',
        ),
        "ami/a",
        "ami/unread",
        absent_inputs="/ami/",
    )
    missed = [each.path for each in report.of(AuditKind.NOT_IN_DIGEST)]
    assert missed == ["shared/b", "/home/u/secret", "lib/m.py", ".git/HEAD"]
    assert [each.path for each in report.of(AuditKind.ABSENT)] == ["other/later"]
    assert [each.path for each in report.of(AuditKind.NEVER_READ)] == ["ami/unread"]
    assert report.inputs == ("ami", *missed)
    assert (report.opened, report.covered) == (5, 1)


def test_rules_exclude_nothing_below_the_repository() -> None:
    """Even if every rule names a folder that contains the repository, or that is in it."""
    for rule in RULES:
        environment = dict.fromkeys(rule.variables, f"{ROOT}/x") | {"HOME": "/", "PATH": f"{ROOT}/bin:/repo"}
        report = compared(replayed(opened("x/f"), opened("bin/f")), environment=environment)
        assert {each.path for each in report.of(AuditKind.NOT_IN_DIGEST)} == {"x/f", "bin/f"}


def test_repository_in_a_folder_of_a_rule() -> None:
    """The rest of the folder is still excluded: /tmp/clone reads /tmp/packer123."""
    values = {"HOME": "/home/u", "TMPDIR": "/scratch"}
    exclusions = Exclusions(values, ("/usr/src/clone", "/scratch/clone"), "/opt/p/packer")
    assert exclusions.holds("/usr/lib/x")
    assert exclusions.holds("/scratch/ami-bakery-1.json")
    assert not exclusions.holds("/data/x")


def test_folders_beside_a_repository_in_a_temporary_folder_are_not_temporary() -> None:
    exclusions = Exclusions({"HOME": "/tmp/ci", "TMPDIR": "/tmp/ci/tmp"}, ("/tmp/ci/1/clone",), "/opt/p/packer")
    assert exclusions.holds("/tmp/packer123")
    assert exclusions.holds("/tmp/ci/tmp/packer123")
    assert exclusions.holds("/tmp/ci/.aws/config")
    assert not exclusions.holds("/tmp/ci/1/common/motd")


def test_packer_that_a_script_on_path_runs_is_left_out() -> None:
    lines = (opened("/data/x"), '1 execve("/data/packer", [...], 0x1) = 0', '1 execve("x/packer", [...], 0x1) = 0')
    missed = compared(replayed(*lines)).of(AuditKind.NOT_IN_DIGEST)
    assert [each.path for each in missed] == ["/data/x", "x/packer"]


def test_rules_hold_for_the_targets_of_links() -> None:
    exclusions = Exclusions({"HOME": "/home/u"}, (ROOT,), "/p/packer", lambda path: path.replace("/home", "/data/home"))
    assert exclusions.holds("/data/home/u/.aws/config")
    assert exclusions.holds("/home/u/.aws/config")
    assert not exclusions.holds("/data/home/u/secret")


def test_home_folder_on_path_does_not_exclude_the_home_folder() -> None:
    report = compared(replayed(opened("/home/u/f")), environment={"PATH": "/home/u/bin:/home/u:/"})
    assert [each.path for each in report.of(AuditKind.NOT_IN_DIGEST)] == ["/home/u/f"]


PATHS = st.sampled_from([f"{ROOT}/{name}" for name in ("a", "b", "a/x", "b/x", "a/x/y")])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["write", "make_folder", "remove"]), PATHS),
        st.tuples(st.sampled_from(["move", "link", "exchange"]), PATHS, PATHS),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(STEPS)
def test_any_order_of_changes_keeps_what_is_known(steps: list[tuple[str, ...]]) -> None:
    """No path is both written by the build and older than it; a moved file is found."""
    changes = FileChanges(lambda path: True)
    for name, *paths in steps:
        if len(set(paths)) == len(paths):
            getattr(changes, name)(*paths)
    changes.move(f"{ROOT}/original", f"{ROOT}/moved")
    assert changes.origin(f"{ROOT}/moved") == f"{ROOT}/original"
    changes.write(f"{ROOT}/moved")
    assert changes.is_written(f"{ROOT}/moved")
    assert changes.origin(f"{ROOT}/moved") == f"{ROOT}/moved"


@given(st.dictionaries(PATHS, st.sampled_from(["a", "../b", "/repo/a", "x/..", "."])), PATHS)
def test_links_in_a_circle_end(links: dict[str, str], path: str) -> None:
    resolver = LinkResolver(links.get)
    assert resolver.resolve(path).path.startswith("/")
    assert resolver.resolve(path) == resolver.resolve(path)


def test_kinds_of_access() -> None:
    trace = replayed(
        '1 stat("x", {st_mode=S_IFREG|0644, st_size=1, ...}) = 0',
        opened("x"),
        '1 stat("d", {st_mode=S_IFDIR|0755, st_size=1, ...}) = 0',
        '1 openat(AT_FDCWD, "p", O_RDONLY|O_PATH) = 3</repo/p>',
        '1 newfstatat(3</repo/p>, "", {st_mode=S_IFREG|0644}, AT_EMPTY_PATH) = 0',
        '1 execveat(3</repo/p>, "", [...], 0x1, AT_EMPTY_PATH) = 0',
        '1 readlink("l", ""..., 64) = 3',
    )
    assert found(trace) == {
        "/repo/x": AccessKind.OPENED,
        "/repo/p": AccessKind.RAN,
        "/repo/l": AccessKind.LOOKED_FOR,
    }
