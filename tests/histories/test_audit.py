"""Audited bakes: a build that reads a file that is not in the digest."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import DIGEST_TAG
from tests.harness import TOML, Harness, json_template

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def local_command(app: Harness, *lines: str) -> None:
    """Lets a local command run these lines in the repository. The template does not name the files of the command."""
    script = app.program("hidden-reads", "\n".join(["#!/bin/bash -e", f"cd {app.folder}", *lines, ""]))
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": [str(script)]}]
    app.write("ami/app.json", template)


@pytest.fixture
def secret_reader(app: Harness) -> Harness:
    app.write("shared/motd", "hello\n")
    local_command(app, "cat shared/motd")
    return app


def digests(ec2: EC2Client) -> int:
    return len(ec2.describe_images(Filters=[{"Name": "tag-key", "Values": [DIGEST_TAG]}])["Images"])


def findings(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each for each in document["audit"]["findings"] if each["kind"] == kind]


def test_undeclared_file_is_named_and_the_ami_counts(secret_reader: Harness, ec2: EC2Client) -> None:
    done = secret_reader.run("bake", "--audit", "--json")
    assert done.status == 0, done.stderr
    (found,) = findings(done.images[0], "not-in-digest")
    assert (found["path"], found["process"], found["how"]) == ("shared/motd", "cat", "opened")
    assert done.images[0]["audit"]["inputs"] == ["ami", "shared/motd"]
    assert "shared/motd is not in the digest: cat opened it" in done.stderr
    assert 'inputs = ["ami", "shared/motd"]' in done.stderr
    assert digests(ec2) == 1
    assert secret_reader.run("bake").status == 0
    assert secret_reader.packer_runs == 1


def test_strict_audit_refuses_the_digest_until_the_file_is_declared(secret_reader: Harness, ec2: EC2Client) -> None:
    done = secret_reader.run("bake", "--audit=strict")
    assert done.status == 1, done.stderr
    for words in ("shared/motd", "cat", 'inputs = ["ami", "shared/motd"]', "remains, without the digest", '"]. ami-'):
        assert words in done.stderr, done.stderr
    assert digests(ec2) == 0
    assert done.stdout == ""

    secret_reader.write("bakery.toml", TOML.replace('["ami"]', '["ami", "shared/motd"]') + 'audit = "strict"\n')
    again = secret_reader.run("bake", "--json")
    assert again.status == 0, again.stderr
    assert findings(again.images[0], "not-in-digest") == []
    assert again.images[0]["outcome"] == "baked"
    assert "not in the digest" not in again.stderr
    assert digests(ec2) == 1
    assert secret_reader.packer_runs == 2


def test_refused_ami_is_not_found_by_the_next_bake(secret_reader: Harness) -> None:
    assert secret_reader.run("bake", "--audit=strict").status == 1
    assert secret_reader.run("bake").status == 0
    assert secret_reader.packer_runs == 2


def test_audit_does_not_change_the_digest(app: Harness) -> None:
    before = app.run("digest").answer
    app.write("bakery.toml", TOML + 'audit = "warn"\n')
    assert app.run("digest").answer == before


def test_reused_image_is_not_audited(app: Harness) -> None:
    assert app.run("bake").status == 0
    done = app.run("bake", "--audit", "--json")
    assert "audit" not in done.images[0]
    assert "not built, so not audited" in done.stderr


def test_absent_files_unread_inputs_and_hosts(app: Harness) -> None:
    app.write("ami/unread", "")
    local_command(
        app,
        "test -e shared/optional || true",
        "test -e ami/covered || true",
        "(exec 3<>/dev/tcp/192.0.2.1/81) & sleep 0.3; kill $! || true",
    )
    done = app.run("bake", "--audit", "--json")
    image = done.images[0]
    assert [each["path"] for each in findings(image, "absent")] == ["shared/optional"]
    assert "ami/unread" in [each["path"] for each in findings(image, "never-read")]
    assert "ami/app.json" not in [each["path"] for each in findings(image, "never-read")]
    assert [each["host"] for each in findings(image, "host-contacted")] == ["192.0.2.1:81"]


OWN_FILES = {
    "written first": "echo a > made; cat made",
    "appended first": "echo a >> made; cat made",
    "renamed": "echo a > made.tmp; mv made.tmp made; cat made",
    "in a folder": "mkdir -p made/sub; cp ami/setup.sh made/sub/x; cat made/sub/x; mv made moved; cat moved/sub/x",
    "linked": "echo a > made; ln made other; ln -s made link; cat other link",
    "removed": "echo a > made; exec 3< made; rm made; cat <&3; cat /proc/self/fd/3",
    "lock file": "exec 9<>made; flock 9; cat made",
    "temporary file": "f=$(mktemp); cat $f; rm $f",
    "another process": "(sleep 0.2; echo a > made) & wait; sh -c 'cat made'",
}


@pytest.mark.parametrize("lines", OWN_FILES.values(), ids=OWN_FILES.keys())
def test_files_that_the_build_itself_wrote_are_not_findings(app: Harness, lines: str) -> None:
    local_command(app, lines)
    done = app.run("bake", "--audit=strict", "--json")
    assert done.status == 0, done.stderr
    assert findings(done.images[0], "not-in-digest") == []


HIDDEN_READS = {
    "relative to another folder": ("cd shared/deep; cat < ../motd", "shared/motd"),
    "in a child after chdir": ("(cd shared; exec bash -c 'cd deep; read -r line < ../motd')", "shared/motd"),
    "through a link": ("cat link", "shared/motd"),
    "through a linked folder": ("cat linked/motd", "shared/motd"),
    "moved first": ("mv shared/motd moved; cat moved; mv moved shared/motd", "shared/motd"),
    "folder moved first": ("mv shared moved; cat moved/motd; mv moved shared", "shared/motd"),
    "hard link": ("ln shared/motd hard; cat hard; rm hard", "shared/motd"),
    "through proc": ("exec 5< shared/motd; cat /proc/self/fd/5", "shared/motd"),
    "executed": ("shared/run", "shared/run"),
    "by a thread": (
        "python3 -c \"import threading as t; t.Thread(target=lambda: open('shared/motd')).start()\"",
        "shared/motd",
    ),
    "after a thread changed the folder": (
        "python3 -c \"import os, threading as t; a=t.Thread(target=lambda: os.chdir('shared')); a.start(); a.join();"
        " open('motd')\"",
        "shared/motd",
    ),
    "by a folder descriptor": (
        "python3 -c \"import os; d=os.open('shared', os.O_RDONLY); os.open('motd', os.O_RDONLY, dir_fd=d)\"",
        "shared/motd",
    ),
    "mapped": (
        "python3 -c \"import mmap; f=open('shared/motd'); mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)\"",
        "shared/motd",
    ),
    "by a detached process": ("setsid -f cat shared/motd; sleep 0.5", "shared/motd"),
    "and removed": ("cp shared/motd ../saved; cat shared/motd; rm shared/motd", "shared/motd"),
    "a name that is not UTF-8": ("cat shared/$'caf\\xe9 \"<>'", 'shared/caf\udce9 "<>'),
    "only looked for": ("test -f shared/motd", "shared/motd"),
}


@pytest.mark.parametrize("case", HIDDEN_READS.values(), ids=HIDDEN_READS.keys())
def test_reads_are_found_however_they_are_done(app: Harness, case: tuple[str, str]) -> None:
    lines, path = case
    app.write("shared/motd", "hello\n")
    app.write("shared/deep/x", "")
    app.write("shared/run", "#!/bin/sh\n").chmod(0o755)
    Path(os.fsdecode(os.fsencode(app.folder) + b'/shared/caf\xe9 "<>')).write_text("")
    (app.folder / "link").symlink_to("shared/motd")
    (app.folder / "linked").symlink_to("shared")
    local_command(app, lines)
    done = app.run("bake", "--audit", "--json")
    assert done.status == 0, done.stderr
    paths = {each["path"] for each in findings(done.images[0], "not-in-digest")}
    assert path in paths
    if "link" in lines and "ln" not in lines:
        assert paths & {"link", "linked"}, "the link is not in the digest either"
    else:
        assert paths == {path}


def test_repository_in_a_temporary_folder_without_git(app: Harness) -> None:
    """The folders beside it are not temporary files: a CI may copy a repository to /tmp, without .git."""
    shared = app.folder.parent / "common"
    shared.mkdir()
    (shared / "motd").write_text("hello\n")
    local_command(app, "cat ../common/motd")
    done = app.run("bake", "--audit", "--json", environment={"TMPDIR": "/tmp"})
    assert [each["path"] for each in findings(done.images[0], "not-in-digest")] == [str(shared / "motd")]


def test_own_files_in_tmpdir(app: Harness) -> None:
    """In the repository, too: the var-file for sensitive variables. Short names, for the sockets of plugins."""
    temporary = app.make_folder(app.folder / "t")
    app.write("t/older", "")
    local_command(app, "cat t/older")
    template = json.loads((app.folder / "ami/app.json").read_text())
    template["variables"]["password"] = ""
    template["sensitive-variables"] = ["password"]
    app.write("ami/app.json", template)
    app.write("bakery.toml", TOML + 'vars = { password = "correct-horse" }\n')
    done = app.run("bake", "--audit", "--json", environment={"TMPDIR": str(temporary)})
    assert done.status == 0, done.stderr
    assert [each["path"] for each in findings(done.images[0], "not-in-digest")] == ["t/older"]
    assert [path.name for path in temporary.iterdir()] == ["older"]


def test_build_that_removes_all_temporary_files(secret_reader: Harness) -> None:
    """The trace and the var-file for sensitive variables are among them."""
    template = json.loads((secret_reader.folder / "ami/app.json").read_text())
    template["variables"]["password"] = ""
    template["sensitive-variables"] = ["password"]
    template["provisioners"][0]["inline"].insert(0, "rm -rf $TMPDIR/*")
    secret_reader.write("ami/app.json", template)
    secret_reader.write("bakery.toml", TOML + 'vars = { password = "correct-horse" }\n')
    done = secret_reader.run("bake", "--audit", "--json")
    assert done.status == 0, done.stderr
    assert [each["path"] for each in findings(done.images[0], "not-in-digest")] == ["shared/motd"]


def test_audit_without_strace(secret_reader: Harness, tmp_path: Path) -> None:
    """`warn` bakes without an audit; `strict` does not start Packer."""
    folder = tmp_path / "without"
    folder.mkdir()
    for name in ("bash", "sh", "cat", "env", "git", "ssh", "dirname", "packer", "sleep"):
        real = shutil.which(name, path=secret_reader.environment["PATH"])
        if real is not None:
            (folder / name).symlink_to(real)
    without = {"PATH": str(folder)}
    refused = secret_reader.run("bake", "--audit=strict", environment=without)
    assert refused.status == 1
    assert "no program 'strace' on PATH" in refused.stderr
    assert "Install strace" in refused.stderr
    assert secret_reader.packer_runs == 0
    done = secret_reader.run("bake", "--audit", environment=without)
    assert done.status == 0, done.stderr
    assert "Install strace" in done.stderr


def test_audit_where_tracing_is_not_allowed(secret_reader: Harness) -> None:
    """A traced process cannot trace its children, as in containers without ptrace."""
    traced = ("strace", "-f", "-o", "/dev/null", "-e", "trace=none")
    refused = secret_reader.run("bake", "--audit=strict", prefix=traced)
    assert refused.status == 1
    assert "Operation not permitted" in refused.stderr
    assert "SYS_PTRACE" in refused.stderr
    assert secret_reader.packer_runs == 0


def test_trace_has_no_arguments_and_is_removed(app: Harness) -> None:
    local_command(app, "/bin/echo hunter2 > /dev/null", "cp $TMPDIR/ami-bakery-*.strace ../trace")
    assert app.run("bake", "--audit").status == 0
    trace = (app.folder.parent / "trace").read_text()
    assert "execve(" in trace
    assert "hunter2" not in trace
    assert list((app.folder.parent / "tmp").glob("*.strace")) == []


def test_drop_in_mode_is_audited(drop_in: Harness) -> None:
    drop_in.write("outside/motd", "")
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": [f"cat {drop_in.folder}/outside/motd"]}]
    drop_in.write("ami/packer/ami.json", template)
    done = drop_in.run("bake", "--audit", "--json")
    assert done.status == 0, done.stderr
    assert [each["path"] for each in findings(done.images[0], "not-in-digest")] == ["outside/motd"]
    assert "AMI_DEFINITION_DIRS" in done.stderr
    assert [each["path"] for each in findings(done.images[0], "never-read")] == ["ami/setup.sh"]
    assert "move them out of AMI_DEFINITION_DIRS" in done.stderr
    assert "`ignore`" not in done.stderr
