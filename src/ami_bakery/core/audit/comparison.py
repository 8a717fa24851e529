"""Compares what a build opened with the digest."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.audit.trace import Access, AccessKind, Trace
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.audit.left_out import Exclusions
    from ami_bakery.core.audit.trace import Contact

_BYTECODE = re.compile(r"(.*)/__pycache__/([^/]+?)\.[^/.]+(?:\.opt-\d)?\.pyc", re.DOTALL)
_DNS_PORT = 53
_AWS_TOOLS = frozenset({"aws", "aws_completer", "session-manager-plugin"})
_METADATA = frozenset({"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"})


class AuditKind(StrEnum):
    NOT_IN_DIGEST = "not-in-digest"
    """The build opened, ran or looked for a file that the digest does not cover."""
    ABSENT = "absent"
    """The build looked for a file below the repository that does not exist."""
    NEVER_READ = "never-read"
    """The digest covers a file that the build did not open."""
    HOST_CONTACTED = "host-contacted"
    """A local command connected to a host that is neither AWS nor the instance."""


class AuditFinding(Frozen):
    """One finding of an audit.

    path      relative to the root if it is below the repository, else absolute; empty for a host
    process   the program: relative to the root if it is below the repository, else its name
    how       what the program did, as a past participle
    host      an address and a port; empty for a file
    """

    kind: AuditKind
    path: str = ""
    process: str = ""
    how: str = ""
    host: str = ""


class AuditReport(Frozen):
    """The result of an audit.

    opened    how many files the build opened or ran, without excluded ones
    covered   how many of them are in the digest
    inputs    the whole list for the key `inputs` that adds the missing paths; empty if nothing is missing
    unseen    why the audit may have missed something, as sentences
    """

    findings: tuple[AuditFinding, ...] = ()
    opened: int = 0
    covered: int = 0
    inputs: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    def of(self, kind: AuditKind) -> tuple[AuditFinding, ...]:
        return tuple(finding for finding in self.findings if finding.kind is kind)

    @property
    def is_incomplete(self) -> bool:
        """Whether a file is not in the digest."""
        return bool(self.of(AuditKind.NOT_IN_DIGEST))


class Coverage(Frozen):
    """What the digest of an image covers.

    root       the absolute folder of bakery.toml, links resolved
    files      the absolute real path of each input that has content, and its path in the digest
    links      absolute paths of links that are inputs, or that lead to one
    excused    absolute real paths that the digest excludes on purpose, or covers by checksum
    inputs     the paths in `inputs`
    is_output, is_folder, exists   about an absolute real path
    would_cover  returns which of these absolute paths would be inputs if they existed
    """

    root: str
    files: Mapping[str, str]
    links: frozenset[str]
    excused: frozenset[str]
    inputs: tuple[str, ...]
    is_output: Callable[[str], bool]
    is_folder: Callable[[str], bool]
    exists: Callable[[str], bool]
    would_cover: Callable[[Collection[str]], frozenset[str]]


def compare_with_digest(trace: Trace, coverage: Coverage, exclusions: Exclusions) -> AuditReport:
    exclusions.add_programs(trace.found)
    return _Comparison(trace, coverage, exclusions).report()


class _Comparison:
    def __init__(self, trace: Trace, coverage: Coverage, exclusions: Exclusions) -> None:
        self.trace = trace
        self.coverage = coverage
        self.exclusions = exclusions

    def report(self) -> AuditReport:
        read: set[str] = set()
        missed: dict[str, AuditFinding] = {}
        for access in self.trace.found:
            path = _source(access.path)
            if path in self.coverage.files:
                if access.kind is not AccessKind.LOOKED_FOR:
                    read.add(path)
            elif self._counts(path, access):
                missed.setdefault(path, self._finding(AuditKind.NOT_IN_DIGEST, path, access, access.kind))
            for link in access.links:
                if link not in self.coverage.links and self._is_in_repository(link) and self._counts(link, access):
                    missed.setdefault(link, self._finding(AuditKind.NOT_IN_DIGEST, link, access, "followed"))
        unread = [self._named(path, shown) for path, shown in self.coverage.files.items() if path not in read]
        findings = [*missed.values()]
        new = tuple(finding.path for finding in findings)
        opened = sum(finding.how in (AccessKind.OPENED, AccessKind.RAN) for finding in findings)
        findings += [self._finding(AuditKind.ABSENT, each.path, each, AccessKind.LOOKED_FOR) for each in self._absent()]
        findings += [AuditFinding(kind=AuditKind.NEVER_READ, path=path) for path in unread]
        findings += self._contacted()
        return AuditReport(
            findings=tuple(findings),
            opened=len(read) + opened,
            covered=len(read),
            inputs=tuple(dict.fromkeys((*self.coverage.inputs, *new))) if new else (),
            unseen=tuple(self._unseen()),
        )

    def _counts(self, path: str, access: Access) -> bool:
        """Whether a path that is not in the digest is a finding."""
        if path in self.coverage.excused:
            return False
        if not self._is_in_repository(path):
            return not self.exclusions.holds(path) and not self.coverage.is_folder(path)
        if _is_of_git(path, access) or self.coverage.is_output(path):
            return False
        return path in access.links or not self.coverage.is_folder(path)

    def _absent(self) -> list[Access]:
        missing = [
            access
            for access in self.trace.absent
            if self._is_in_repository(access.path)
            and "/__pycache__/" not in f"{access.path}/"
            and not _is_of_git(access.path, access)
            and not self.coverage.is_output(access.path)
            and not self.coverage.exists(access.path)
        ]
        covered = self.coverage.would_cover([access.path for access in missing])
        return [access for access in missing if access.path not in covered]

    def _contacted(self) -> Iterator[AuditFinding]:
        of_packer = {contact.host for contact in self.trace.contacts if contact.by_packer}
        for contact in self.trace.contacts:
            if not contact.by_packer and contact.host not in of_packer and _is_other_host(contact):
                host = f"[{contact.host}]" if ":" in contact.host else contact.host
                process = self._process(contact.process)
                yield AuditFinding(kind=AuditKind.HOST_CONTACTED, process=process, host=f"{host}:{contact.port}")

    def _unseen(self) -> Iterator[str]:
        if not self.trace.complete:
            yield "The trace ends before Packer: it does not show everything."
        for program in self.trace.running:
            yield f"{self._process(program)} still ran when the audit ended: what it reads later is not seen."
        for program, how in self.trace.blind:
            yield f"{self._process(program)} used {how}: strace does not see all files that it opened."

    def _finding(self, kind: AuditKind, path: str, access: Access, how: str) -> AuditFinding:
        return AuditFinding(kind=kind, path=self._shown(path), process=self._process(access.process), how=str(how))

    def _shown(self, path: str) -> str:
        return posixpath.relpath(path, self.coverage.root) if self._is_in_repository(path) else path

    def _named(self, path: str, in_digest: str) -> str:
        """Returns the path in the digest. In drop-in mode it can be absolute; then it is shown as the others."""
        return self._shown(path) if in_digest.startswith("/") else in_digest

    def _process(self, program: str) -> str:
        return self._shown(program) if self._is_in_repository(program) else program.rpartition("/")[2]

    def _is_in_repository(self, path: str) -> bool:
        return any(path.startswith(f"{folder.rstrip('/')}/") for folder in self.trace.repositories)


def _source(path: str) -> str:
    """Returns the Python module of a compiled file."""
    match = _BYTECODE.fullmatch(path)
    return f"{match[1]}/{match[2]}.py" if match else path


def _is_of_git(path: str, access: Access) -> bool:
    program = access.process.rpartition("/")[2]
    return "/.git/" in f"{path}/" and (program == "git" or program.startswith("git-"))


def _is_other_host(contact: Contact) -> bool:
    """Whether a host is another machine, except servers of AWS or DNS."""
    if contact.port == _DNS_PORT or contact.process.rpartition("/")[2] in _AWS_TOOLS or contact.host in _METADATA:
        return False
    try:
        address = ipaddress.ip_address(contact.host.partition("%")[0])
    except ValueError:
        return True
    mapped = getattr(address, "ipv4_mapped", None) or address
    return not (mapped.is_loopback or mapped.is_unspecified or str(mapped) in _METADATA)


def listed_inputs(paths: Sequence[str]) -> str:
    """Formats the line for bakery.toml."""
    import json

    return f"inputs = [{', '.join(json.dumps(path, ensure_ascii=False) for path in paths)}]"
