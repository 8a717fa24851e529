"""Replays the system calls of a build, to find its paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from ami_bakery.core.audit.file_changes import FileChanges
from ami_bakery.core.audit.link_resolver import LinkResolver, Resolved
from ami_bakery.core.audit.strace_lines import (
    Event,
    ProcessEnd,
    ProcessTakeover,
    SystemCall,
    descriptor_path,
    quoted_text,
)
from ami_bakery.core.audit.trace import Access, AccessKind, Contact, Trace, is_of_packer

_BIRTHS = frozenset({"clone", "clone3", "fork", "vfork"})
_FIRST, _AT_FIRST = ((None, 0),), ((0, 1),)
_PATHS: Mapping[str, tuple[tuple[int | None, int], ...]] = {
    **dict.fromkeys(("open", "creat", "stat", "lstat", "stat64", "lstat64", "access", "readlink", "execve"), _FIRST),
    **dict.fromkeys(("chdir", "unlink", "rmdir", "mkdir", "mknod", "truncate"), _FIRST),
    **dict.fromkeys(("openat", "openat2", "newfstatat", "fstatat64", "statx", "faccessat", "faccessat2"), _AT_FIRST),
    **dict.fromkeys(("readlinkat", "execveat", "unlinkat", "mkdirat", "mknodat"), _AT_FIRST),
    **dict.fromkeys(("rename", "link"), ((None, 0), (None, 1))),
    **dict.fromkeys(("renameat", "renameat2", "linkat"), ((0, 1), (2, 3))),
    "symlink": ((None, 1),),
    "symlinkat": ((1, 2),),
}
"""The arguments of each call that are paths: the index of the folder that a path is relative to, and of the path."""
_OPENS: Mapping[str, int | None] = {"open": 1, "openat": 2, "openat2": 2, "creat": None, "open_by_handle_at": 2}
"""Calls that open a file, and the index of their flags."""
_LOOKS = frozenset(
    {"stat", "lstat", "stat64", "lstat64", "newfstatat", "fstatat64", "statx"}
    | {"access", "faccessat", "faccessat2", "readlink", "readlinkat"}
)
_RUNS = frozenset({"execve", "execveat"})
_REMOVES = frozenset({"unlink", "unlinkat", "rmdir"})
_OF_LINK_ITSELF = frozenset({"lstat", "lstat64", "readlink", "readlinkat"})
_RENAMES = frozenset({"rename", "renameat", "renameat2"})
_MISSING = frozenset({"ENOENT", "ENOTDIR"})
_NOT_CONTACTED = frozenset({"ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EINVAL", "EACCES", "EPERM"})
_IPV4 = re.compile(r'sa_family=AF_INET,.*sin_port=htons\((\d+)\).*inet_addr\("([^"]+)"\)')
_IPV6 = re.compile(r'sa_family=AF_INET6,.*sin6_port=htons\((\d+)\).*inet_pton\(AF_INET6, "([^"]+)"')
_UNSEEN = {
    "io_uring_setup": "io_uring",
    "chroot": "chroot",
    "pivot_root": "pivot_root",
}
"""Calls after which strace does not see all reads, or shows other paths."""
TRACED_CALLS = (
    *sorted(_BIRTHS),
    *_OPENS,
    *sorted(_LOOKS - {"stat64", "lstat64", "fstatat64"}),
    *sorted(_RUNS | _REMOVES | _RENAMES),
    *("link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "mknod", "mknodat", "truncate"),
    *("chdir", "fchdir", "socket", "connect"),
    *_UNSEEN,
)
"""The system calls that a trace must contain, for `strace -e trace=`."""


class _Folder:
    """A working directory, which the threads of a process share."""

    def __init__(self, path: str) -> None:
        self.path = path


class _Process:
    def __init__(self, folder: _Folder, program: str) -> None:
        self.folder = folder
        self.program = program


def replay(
    events: Iterable[Event],
    *,
    workdir: str,
    repositories: tuple[str, ...],
    read_link: Callable[[str], str | None],
    existed: Callable[[str], bool],
) -> Trace:
    """Returns what the processes did.

    workdir    the absolute folder that the first process starts in
    read_link  see `LinkResolver`
    existed    whether a path existed before the build; True if that is unknown
    """
    replayed = _Replay(workdir, LinkResolver(read_link), FileChanges(existed))
    for event in sorted(events, key=_when):
        replayed.apply(event)
    return replayed.trace(repositories)


def _when(event: Event) -> int:
    """A process exists from the start of the call that creates it. All other calls take effect when they return."""
    return event.start if isinstance(event, SystemCall) and event.name in _BIRTHS else event.end


class _Replay:
    def __init__(self, workdir: str, links: LinkResolver, changes: FileChanges) -> None:
        self.workdir = workdir
        self.links = links
        self.changes = changes
        self.processes: dict[int, _Process] = {}
        self.first: int | None = None
        self.first_ended = False
        self.found: dict[str, Access] = {}
        self.absent: dict[str, Access] = {}
        self.contacts: dict[Contact, None] = {}
        self.datagrams: set[str] = set()
        self.blind: dict[tuple[str, str], None] = {}

    def trace(self, repositories: tuple[str, ...]) -> Trace:
        absent = [access for path, access in self.absent.items() if path not in self.changes.created]
        running = (each.program for each in self.processes.values() if not is_of_packer(each.program))
        return Trace(
            repositories=repositories,
            found=tuple(self.found.values()),
            absent=tuple(absent),
            contacts=tuple(self.contacts),
            running=tuple(sorted(set(running))) if self.first_ended else (),
            blind=tuple(self.blind),
            complete=self.first_ended,
        )

    def apply(self, event: Event) -> None:
        if self.first is None:
            self.first = event.pid
        match event:
            case ProcessEnd():
                self.processes.pop(event.pid, None)
                self.first_ended = self.first_ended or event.pid == self.first
            case ProcessTakeover():
                self.processes[event.pid] = self.processes.pop(event.thread, self._process(event.pid))
            case SystemCall():
                self._call(event, self._process(event.pid))

    def _process(self, pid: int) -> _Process:
        return self.processes.setdefault(pid, _Process(_Folder(self.workdir), ""))

    def _call(self, call: SystemCall, process: _Process) -> None:
        if call.result is None:
            return
        succeeded = call.result >= 0
        if call.name in _BIRTHS:
            if call.result > 0:
                self._start_child(call, process)
        elif call.name in _OPENS:
            self._open(call, process, succeeded=succeeded)
        elif call.name in _LOOKS:
            self._look(call, process, succeeded=succeeded)
        elif call.name in _RUNS:
            self._run(call, process, succeeded=succeeded)
        elif call.name == "connect":
            self._connect(call, process)
        elif call.name in ("chdir", "fchdir"):
            self._change_folder(call, process, succeeded=succeeded)
        elif succeeded:
            self._change(call, process)

    def _start_child(self, call: SystemCall, parent: _Process) -> None:
        """Starts a process, which shares its working directory with CLONE_FS."""
        flags = " ".join(call.arguments)
        folder = parent.folder if "CLONE_FS" in flags else _Folder(parent.folder.path)
        assert call.result is not None
        self.processes[call.result] = _Process(folder, parent.program)

    def _path(self, call: SystemCall, process: _Process, number: int = 0) -> str | None:
        """Returns a path in the arguments, made absolute, with links; None if strace does not show it.

        number  which path, for a call that has two
        """
        folder_index, index = _PATHS[call.name][number]
        folder = "" if folder_index is None else descriptor_path(_argument(call, folder_index))
        text = quoted_text(_argument(call, index))
        if text is None or folder is None or (not text and not folder):
            return None
        if text.startswith("/"):
            return text
        folder = folder or process.folder.path
        return f"{folder.rstrip('/')}/{text}" if text else folder

    def _open(self, call: SystemCall, process: _Process, *, succeeded: bool) -> None:
        named = None if call.name == "open_by_handle_at" else self._path(call, process)
        flag_index = _OPENS[call.name]
        flags = "O_WRONLY|O_CREAT|O_TRUNC" if flag_index is None else _argument(call, flag_index)
        if not succeeded:
            if named is not None and call.error in _MISSING and "O_CREAT" not in flags:
                self._miss(named, process)
            return
        if "O_DIRECTORY" in flags and "O_TMPFILE" not in flags:
            return
        resolved = self.links.resolve(named) if named else Resolved("", ())
        path = _kernel_path(call.opened, named) or resolved.path
        if not path.startswith("/"):
            return
        reads, writes = "O_WRONLY" not in flags, "O_WRONLY" in flags or "O_RDWR" in flags
        existed = self.changes.exists(path)
        creates = "O_CREAT" in flags and ("O_EXCL" in flags or not existed)
        if writes and (creates or "O_TRUNC" in flags or "O_TMPFILE" in flags):
            self.changes.write(path)
        elif reads and not self.changes.was_temporary(path):
            kind = AccessKind.LOOKED_FOR if "O_PATH" in flags else AccessKind.OPENED
            self._find(Resolved(path, resolved.links), named or path, kind, process)

    def _look(self, call: SystemCall, process: _Process, *, succeeded: bool) -> None:
        if _argument(call, _PATHS[call.name][0][1]) == '""':
            return  # about an open file
        named = self._path(call, process)
        if named is None:
            return
        if call.error in _MISSING:
            self._miss(named, process)
        elif (succeeded or call.error == "EINVAL") and not any("S_IFDIR" in each for each in call.arguments):
            of_link = call.name in _OF_LINK_ITSELF or any("SYMLINK_NOFOLLOW" in each for each in call.arguments)
            resolved = self.links.entry(named) if of_link else self.links.resolve(named)
            self._find(resolved, named, AccessKind.LOOKED_FOR, process)

    def _run(self, call: SystemCall, process: _Process, *, succeeded: bool) -> None:
        named = self._path(call, process)
        if named is None:
            return
        if succeeded:
            process.program = named
            self._find(self.links.resolve(named), named, AccessKind.RAN, process)
        elif call.error in _MISSING:
            self._miss(named, process)

    def _change_folder(self, call: SystemCall, process: _Process, *, succeeded: bool) -> None:
        named = descriptor_path(_argument(call, 0)) if call.name == "fchdir" else self._path(call, process)
        if not named:
            return
        if succeeded:
            process.folder.path = self.links.resolve(named).path
        elif call.error in _MISSING:
            self._miss(named, process)

    def _find(self, resolved: Resolved, named: str, kind: AccessKind, process: _Process) -> None:
        if self.changes.is_written(resolved.path):
            return
        path = self.changes.origin(resolved.path)
        links = tuple(link for link in resolved.links if not self.changes.is_written(link))
        known = self.found.get(path)
        if known is None or (known.kind is AccessKind.LOOKED_FOR and kind is not AccessKind.LOOKED_FOR):
            links = (*links, *(link for link in (known.links if known else ()) if link not in links))
            self.found[path] = Access(path=path, kind=kind, process=process.program, named=named, links=links)
        elif new := [link for link in links if link not in known.links]:
            self.found[path] = Access(
                path=path, kind=known.kind, process=known.process, named=known.named, links=(*known.links, *new)
            )

    def _miss(self, named: str, process: _Process) -> None:
        resolved = self.links.resolve(named)
        path = self.changes.origin(resolved.path)
        if path not in self.absent and not self.changes.is_gone(path):
            self.absent[path] = Access(path=path, kind=AccessKind.LOOKED_FOR, process=process.program, named=named)

    def _change(self, call: SystemCall, process: _Process) -> None:
        """Follows a successful call that changes files."""
        if call.name in _RENAMES or call.name in ("link", "linkat"):
            old, new = (self._entry(call, process, number) for number in (0, 1))
            if old is not None and new is not None:
                self._change_two(call, old, new)
        elif call.name in _PATHS:
            path = self._entry(call, process)
            if path is not None:
                self._change_one(call, path)
        elif call.name == "socket" and "SOCK_DGRAM" in _argument(call, 1):
            self.datagrams.add(call.opened)
        elif call.name in _UNSEEN:
            self.blind[process.program, _UNSEEN[call.name]] = None

    def _entry(self, call: SystemCall, process: _Process, number: int = 0) -> str | None:
        named = self._path(call, process, number)
        return None if named is None else self.links.entry(named).path

    def _change_two(self, call: SystemCall, old: str, new: str) -> None:
        if call.name not in _RENAMES:
            self.changes.link(old, new)
        elif "RENAME_EXCHANGE" in call.arguments[-1]:
            self.changes.exchange(old, new)
        else:
            self.changes.move(old, new)

    def _change_one(self, call: SystemCall, path: str) -> None:
        if call.name in _REMOVES:
            self.changes.remove(path)
        elif call.name in ("mkdir", "mkdirat"):
            self.changes.make_folder(path)
        elif call.name != "truncate" or _argument(call, 1) == "0":
            self.changes.write(path)

    def _connect(self, call: SystemCall, process: _Process) -> None:
        match = _IPV4.search(_argument(call, 1)) or _IPV6.search(_argument(call, 1))
        socket = call.arguments[0].partition("<")[2].rstrip(">") if call.arguments else ""
        if match and call.error not in _NOT_CONTACTED and socket not in self.datagrams:
            by_packer = is_of_packer(process.program)
            self.contacts[Contact(host=match[2], port=int(match[1]), process=process.program, by_packer=by_packer)] = (
                None
            )


def _argument(call: SystemCall, index: int) -> str:
    return call.arguments[index] if index < len(call.arguments) else ""


def _kernel_path(opened: str, named: str | None) -> str:
    """Returns the path of an open file. Old strace versions show ``(deleted)`` as a part of it."""
    suffix = " (deleted)"
    if opened.endswith(suffix) and not (named or "").endswith(suffix):
        return opened[: -len(suffix)]
    return opened if opened.startswith("/") else ""


def existed_in(files: frozenset[str], repositories: tuple[str, ...]) -> Callable[[str], bool]:
    """Returns whether a path existed; True for paths outside the repositories."""

    def existed(path: str) -> bool:
        return path in files or not any(path.startswith(f"{root.rstrip('/')}/") for root in repositories)

    return existed
