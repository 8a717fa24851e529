"""The scripts that post `plan.md` as a comment: they create it once, and then update it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.harness import Harness

SCRIPTS = ROOT / "examples/ci"


class Notes(BaseHTTPRequestHandler):
    """GitLab's notes of one merge request, in memory. A wrong token gets status 401."""

    notes: dict[int, str]

    def respond(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body_field(self) -> str:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        form = message_from_bytes(f"Content-Type: {self.headers['Content-Type']}\n\n".encode() + content)
        part = form.get_payload()[0]  # type: ignore[index]
        assert part.get_param("name", header="Content-Disposition") == "body"  # type: ignore[union-attr]
        text = part.get_payload(decode=True)  # type: ignore[union-attr]
        return text.decode()  # type: ignore[union-attr]

    def handle_request(self) -> None:
        if self.headers["PRIVATE-TOKEN"] != "secret":
            return self.respond(401, {})
        prefix = "/api/v4/projects/7/merge_requests/3/notes"
        path = self.path.partition("?")[0]
        assert path.startswith(prefix)
        match self.command:
            case "GET":
                self.respond(200, [{"id": number, "body": body} for number, body in self.notes.items()])
            case "POST":
                self.notes[len(self.notes) + 1] = self.body_field()
                self.respond(201, {})
            case _:
                self.notes[int(path.removeprefix(f"{prefix}/"))] = self.body_field()
                self.respond(200, {})
        return None

    do_GET = do_POST = do_PUT = handle_request

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def gitlab() -> Iterator[tuple[str, dict[int, str]]]:
    notes = {1: "LGTM"}
    server = HTTPServer(("127.0.0.1", 0), type("OneMergeRequest", (Notes,), {"notes": notes}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v4", notes
    server.shutdown()
    thread.join()
    server.server_close()


def post(script: str, folder: Path, *arguments: str, **environment: str) -> int:
    command = [str(SCRIPTS / script), "plan.md", *arguments]
    return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=False).returncode


def test_gitlabs_note_is_created_once_and_then_updated(app: Harness, gitlab: tuple[str, dict[int, str]]) -> None:
    url, notes = gitlab
    settings = {"CI_API_V4_URL": url, "CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_IID": "3", "GITLAB_TOKEN": "secret"}
    for line in ("echo one\n", "echo two\n"):
        app.write("ami/setup.sh", line)
        assert app.run("plan", "--output", "plan.md").status == 0
        text = (app.folder / "plan.md").read_text()
        assert post("gitlab-comment.sh", app.folder, **settings) == 0
        assert notes == {1: "LGTM", 2: text}
    assert "| **bake** | app |" in text
    assert post("gitlab-comment.sh", app.folder, **{**settings, "GITLAB_TOKEN": "wrong"}) != 0


GH = """#!/bin/sh
printf '%s\\n' "$*" >>"$RECORD"
case "$*" in *--paginate*) [ -z "$EXISTING" ] || echo "$EXISTING" ;; esac
"""


@pytest.mark.parametrize("existing", ["", "42"])
def test_githubs_comment_is_created_or_updated(app: Harness, existing: str) -> None:
    app.program("gh", GH)
    assert app.run("plan", "--output", "plan.md").status == 0
    record = app.folder.parent / "record"
    settings = {"RECORD": str(record), "EXISTING": existing, "GITHUB_REPOSITORY": "me/app"}
    settings["PATH"] = app.environment["PATH"]
    assert post("github-comment.sh", app.folder, "3", **settings) == 0
    search, written = record.read_text().splitlines()
    assert search.startswith("api --paginate repos/me/app/issues/3/comments --jq")
    created = "api repos/me/app/issues/3/comments --field body=@plan.md --silent"
    updated = "api --method PATCH repos/me/app/issues/comments/42 --field body=@plan.md --silent"
    assert written == (updated if existing else created)


def test_the_limit_of_gitlab_is_larger(app: Harness) -> None:
    images = "".join(f'[images.{"x" * 100}-{number}]\ntemplate = "ami/app.json"\n' for number in range(450))
    app.write("bakery.toml", f'version = 1\n[defaults]\nregions = ["us-east-1"]\n{images}')
    sizes = []
    for variable in ({}, {"GITLAB_CI": "true"}):
        output = app.folder.parent / "plan.md"
        assert app.run("plan", "--output", str(output), environment=variable).status == 0
        sizes.append(len(output.read_bytes()))
    assert 64_000 < sizes[0] <= 65_536 < sizes[1] <= 1_000_000
