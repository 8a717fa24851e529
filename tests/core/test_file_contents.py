"""Secrets by name and content, Git LFS pointers and Windows line endings are recognized by a file's first bytes."""

from __future__ import annotations

import pytest

from ami_bakery.core.check.file_contents import has_windows_line_ends, has_windows_shebang, is_lfs_pointer, secret_in

TOKEN = b"ghp_" + b"a" * 36


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("ami/id_rsa", b""),
        ("ami/server.key", b""),
        (".env", b""),
        ("ami/.env.production", b""),
        ("terraform.tfstate", b"{}"),
        ("server.pem", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"),
        ("x", b"-----BEGIN RSA PRIVATE KEY-----"),
        ("x", b"-----BEGIN PGP PRIVATE KEY BLOCK-----"),
        ("x", b"id = AKIAIOSFODNN7EXAMPLE"),
        ("setup.sh", b"curl -H 'Authorization: token " + TOKEN + b"'"),
        ("credentials.yml", b"db:\n  db_password: s3cr3t-value\n"),
        ("ami/aws_credentials", b"[default]\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"),
        ("secrets.json", b'{\n  "api_key": "0123456789abcdef"\n}\n'),
        (".npmrc", b"//registry.npmjs.org/:_authToken=npm_" + b"a" * 36 + b"\n"),
        ("app.env", b"export DB_PASSWORD=hunter2\n"),
    ],
)
def test_secrets_are_recognized(path: str, content: bytes) -> None:
    assert secret_in(path, content) != ""


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("ami/environment", b""),
        ("ami/keys.sh", b"echo"),
        ("ca.pem", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
        ("ca.crt", b"-----BEGIN CERTIFICATE-----\n"),
        ("docker.key", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"),
        ("nodesource.key", b"\x99\x02\x0d\x04"),
        ("id_rsa.pub", b"ssh-rsa AAAA"),
        ("x", b"AKIASHORT"),
        ("credentials.yml", b"- hosts: all\n  tasks:\n    - name: install the credential helper\n      package: x\n"),
        ("credentials.yml", b'- hosts: all\n  vars:\n    db_password: "{{ vault_db_password }}"\n'),
        ("secrets.yml", b"db_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n"),
        (".npmrc", b"registry=https://registry.example.com/\n//registry.example.com/:_authToken=${NPM_TOKEN}\n"),
        (".env.example", b"DB_PASSWORD=\n"),
        ("reset-password.sh", b"#!/bin/sh\nchage -d 0 ubuntu\n"),
        ("password-policy.conf", b"minlen = 14\n"),
    ],
)
def test_harmless_files_are_not_secrets(path: str, content: bytes) -> None:
    assert secret_in(path, content) == ""


def test_git_lfs_pointer_is_recognized() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"
    assert is_lfs_pointer(pointer)
    assert not is_lfs_pointer(b"# " + pointer)
    assert not is_lfs_pointer(pointer + b"x" * 2000)


def test_windows_line_endings_are_recognized() -> None:
    assert has_windows_shebang(b"#!/bin/sh\r\necho\n")
    assert not has_windows_shebang(b"#!/bin/sh\necho\r\n")
    assert not has_windows_shebang(b"echo\r\n#!/bin/sh\r\n")
    assert has_windows_line_ends(b"a\r\nb\r\n")
    assert not has_windows_line_ends(b"a\r\nb\n")
    assert not has_windows_line_ends(b"no line end")
