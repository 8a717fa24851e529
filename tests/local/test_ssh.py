"""SSH to instances with the OpenSSH client: login, uploads, recorded commands."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

from ami_bakery.local import Control

from .conftest import key_file, launch, until

_OPTIONS = (
    *("-o", "StrictHostKeyChecking=no"),
    *("-o", "UserKnownHostsFile=/dev/null"),
    *("-o", "LogLevel=ERROR"),
    *("-o", "BatchMode=yes"),
    *("-o", "IdentitiesOnly=yes"),
    *("-o", "ConnectTimeout=120"),
)


def ssh(program: str, *arguments: str, key: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    identity = ("-i", str(key)) if key else ()
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    return subprocess.run(
        [program, *_OPTIONS, *identity, *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=300,
        check=False,
        env=environment,
    )


def test_ssh_command_is_recorded_and_not_executed(ec2: Any, control: Control, tmp_path: Path) -> None:
    key = key_file(ec2, tmp_path, "mine")
    instance = launch(ec2, KeyName="mine")
    done = ssh("ssh", f"ubuntu@{instance['PublicIpAddress']}", f"touch {tmp_path}/made", key=key)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"[embedded EC2] recorded, not executed: touch {tmp_path}/made\n"
    assert not (tmp_path / "made").exists()
    (command,) = control.report().commands
    assert (command.instance, command.user) == (instance["InstanceId"], "ubuntu")
    assert command.command == f"touch {tmp_path}/made"


def test_only_the_instances_key_is_accepted(ec2: Any, tmp_path: Path) -> None:
    key_file(ec2, tmp_path, "right")
    wrong = key_file(ec2, tmp_path, "wrong")
    address = launch(ec2, KeyName="right")["PublicIpAddress"]
    done = ssh("ssh", f"ubuntu@{address}", "true", key=wrong)
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


def test_instance_without_a_key_pair_accepts_any_client(ec2: Any) -> None:
    assert ssh("ssh", f"admin@{launch(ec2)['PublicDnsName']}", "true").returncode == 0


def test_ssh_answers_while_the_instance_runs(ec2: Any) -> None:
    instance = launch(ec2)
    one, where = [instance["InstanceId"]], f"admin@{instance['PublicIpAddress']}"
    ec2.stop_instances(InstanceIds=one)
    assert "Connection refused" in ssh("ssh", where, "true").stderr
    ec2.start_instances(InstanceIds=one)
    assert ssh("ssh", where, "true").returncode == 0
    ec2.terminate_instances(InstanceIds=one)
    assert "Connection refused" in ssh("ssh", where, "true").stderr


def test_scp_and_sftp_uploads_are_recorded_with_digest_and_mode(ec2: Any, control: Control, tmp_path: Path) -> None:
    key = key_file(ec2, tmp_path, "mine")
    where = f"ubuntu@{launch(ec2, KeyName='mine')['PublicIpAddress']}"
    content = os.urandom(300_000)
    file = tmp_path / "app.bin"
    file.write_bytes(content)
    file.chmod(0o750)
    done = ssh("scp", "-O", str(file), f"{where}:/opt/new/folder/app.bin", key=key)
    assert (done.returncode, done.stderr) == (0, "")
    done = ssh("sftp", "-b", "-", where, key=key, stdin=f"put {file} by-sftp\nget by-sftp {tmp_path}/back\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "back").read_bytes() == content
    done = ssh("scp", "-O", f"{where}:/opt/new/folder/app.bin", f"{tmp_path}/again", key=key)
    assert (tmp_path / "again").read_bytes() == content
    digest = hashlib.sha256(content).hexdigest()
    uploads = [(upload.path, upload.size, upload.sha256, upload.mode) for upload in control.report().uploads]
    assert uploads == [
        ("/opt/new/folder/app.bin", len(content), digest, "0750"),
        ("/home/ubuntu/by-sftp", len(content), digest, "0750"),
    ]


def test_uploads_cannot_leave_the_instances_folder(ec2: Any, control: Control, tmp_path: Path) -> None:
    where = f"admin@{launch(ec2)['PublicIpAddress']}"
    file, target = tmp_path / "file", tmp_path / "escaped"
    file.write_text("x")
    up = "../" * 12
    ssh("scp", "-O", str(file), f"{where}:{up}{target}")
    ssh("scp", "-O", str(file), f"{where}:{target}")
    ssh("sftp", "-b", "-", where, stdin=f"put {file} {up}{target}\n")
    linked = ssh("sftp", "-b", "-", where, stdin=f"symlink {tmp_path} /link\n")
    read = ssh("sftp", "-b", "-", where, stdin=f"get {up}etc/passwd {tmp_path}/passwd\n")
    assert not target.exists()
    assert not (tmp_path / "passwd").exists()
    assert linked.returncode != 0
    assert read.returncode != 0
    assert {upload.path for upload in control.report().uploads} == {str(target)}


def test_reset_closes_ssh_connections(ec2: Any, control: Control) -> None:
    where = f"admin@{launch(ec2)['PublicIpAddress']}"
    with subprocess.Popen(
        ["ssh", *_OPTIONS, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as shell:
        assert shell.stdout is not None
        assert b"recorded and not executed" in shell.stdout.readline()
        control.reset()
        until(lambda: shell.poll() is not None)
