"""Compares the files that the reader finds in a template with those that the real Packer opens.

    python -m tests.discovery.compare PROJECT TEMPLATE [--workdir DIR] [--var K=V] [--var-file F] [--only X] ...

The project is copied first. Its local commands are not run; a loopback SSH host replaces its builders.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ami_bakery.adapters.files.source_tree import DiskTree
from ami_bakery.template.facts import TemplateFacts, TemplateRequest
from ami_bakery.template.template_reader import PackerTemplateReader
from tests.discovery.fake_remote import fake_remote
from tests.discovery.swap import make_plugins, swap
from tests.discovery.traced import trace


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`missed` must be empty. It excludes credentials, which are deliberately not in the digest."""

    status: int
    output: str
    opened: frozenset[str]
    found: frozenset[str]
    facts: TemplateFacts = field(repr=False)

    @property
    def missed(self) -> frozenset[str]:
        return self.opened - self.found - {reference.path for reference in self.facts.credentials}

    @property
    def extra(self) -> frozenset[str]:
        return self.found - self.opened


@dataclass(frozen=True, kw_only=True)
class Options:
    template: str
    workdir: str = "."
    variables: Mapping[str, str] = field(default_factory=dict)
    var_files: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    run_local: bool = False
    transfer: str = "scp"
    drop: tuple[str, ...] = ()
    path: tuple[str, ...] = ()


def compare(project: Path, options: Options) -> Comparison:
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name).resolve()
        root = scratch / "project"
        shutil.copytree(project, root, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        (scratch / "uploads").mkdir()
        (scratch / "tmp").mkdir()
        with fake_remote(scratch / "uploads") as port:
            return _compare(scratch, root, port, options)


def _compare(scratch: Path, root: Path, port: int, options: Options) -> Comparison:
    packer = shutil.which("packer") or "packer"
    types = swap(
        root / options.template, port, transfer=options.transfer, run_local=options.run_local, drop=options.drop
    )
    home = scratch / "home"
    make_plugins(home / ".packer.d" / "plugins", types, packer)
    environment = {
        "PATH": os.pathsep.join([*options.path, "/usr/local/bin:/usr/bin:/bin"]),
        "HOME": str(home),
        "TMPDIR": str(scratch / "tmp"),
        "CHECKPOINT_DISABLE": "1",
        "PACKER_CACHE_DIR": str(scratch / "cache"),
        "PACKER_NO_COLOR": "1",
        **options.environment,
    }
    request = TemplateRequest(
        template=options.template,
        workdir=options.workdir,
        variables=options.variables,
        var_files=options.var_files,
        only=options.only,
        except_=options.except_,
        environment=environment,
    )
    facts = PackerTemplateReader().read(DiskTree(str(root)), request)
    workdir = root / options.workdir
    traced = trace(
        [packer, "build", *_arguments(root, workdir, options)], root=root, workdir=workdir, environment=environment
    )
    return Comparison(
        status=traced.status,
        output=traced.output.replace(str(root), "<project>"),
        opened=traced.read,
        found=frozenset(files_of(facts, root)),
        facts=facts,
    )


def _arguments(root: Path, workdir: Path, options: Options) -> list[str]:
    made = [f"-var={name}={value}" for name, value in options.variables.items()]
    made += [f"-var-file={os.path.relpath(root / path, workdir)}" for path in options.var_files]
    made += [f"-only={','.join(options.only)}"] if options.only else []
    made += [f"-except={','.join(options.except_)}"] if options.except_ else []
    return [*made, os.path.relpath(root / options.template, workdir)]


def files_of(facts: TemplateFacts, root: Path) -> set[str]:
    """Returns all files of the references, folders expanded and links followed, relative to the root."""
    found: set[str] = set()
    for path in (*facts.files, *(reference.path for reference in facts.references)):
        start = root / path
        if start.is_file():
            found.add(os.path.relpath(os.path.realpath(start), root))
        for folder, _, names in os.walk(start, followlinks=True):
            found |= {os.path.relpath(os.path.realpath(Path(folder) / name), root) for name in names}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("template")
    parser.add_argument("--workdir", default=".")
    parser.add_argument("--var", action="append", default=[])
    parser.add_argument("--var-file", action="append", default=[])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--except", dest="except_", action="append", default=[])
    parser.add_argument("--drop", action="append", default=[], help="skip provisioners of this type")
    parser.add_argument("--transfer", default="scp", help="sftp, where uploads go to C:\\")
    parser.add_argument("--path", action="append", default=[], help="search for programs here first")
    parser.add_argument("-v", "--verbose", action="store_true", help="show Packer's output and every file")
    given = parser.parse_args(arguments)
    result = compare(
        given.project,
        Options(
            template=given.template,
            workdir=given.workdir,
            variables=dict(each.split("=", 1) for each in given.var),
            var_files=tuple(given.var_file),
            only=tuple(given.only),
            except_=tuple(given.except_),
            drop=tuple(given.drop),
            transfer=given.transfer,
            path=tuple(given.path),
        ),
    )
    if given.verbose:
        print(result.output)
        for name, files in (("opened", result.opened), ("extra", result.extra)):
            print(f"{name}:", *sorted(files), sep="\n  ")
    for each in result.facts.unresolved:
        print(f"unresolved: {each.location}: {each.expression}: {each.why}")
    for path in sorted(result.missed):
        print(f"missed: {path}")
    counts = ", ".join(f"{name} {len(getattr(result, name))}" for name in ("opened", "found", "missed", "extra"))
    print(f"{given.project.name} {given.template}: Packer's status {result.status}, {counts}")
    return 1 if result.missed else 0


if __name__ == "__main__":
    sys.exit(main())
