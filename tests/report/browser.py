"""Opens pages of the report in Chromium, and records what they request and print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

CHROMIUM = "/usr/bin/chromium"
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 400, "height": 800}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Starts Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page of the report in a browser context of its own.

    requests  URLs that the page requested, other than its own
    messages  errors and warnings in the console, and uncaught exceptions
    """

    def __init__(self, browser: Browser, file: Path, options: Mapping[str, Any]) -> None:
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.url = file.as_uri()
        self.context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        self.context.set_default_timeout(60_000)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page: Page = self.context.new_page()
        self.context.on("request", self._requested)
        self.context.on("console", self._printed)
        self.page.on("pageerror", lambda error: self.messages.append(f"uncaught: {error}"))
        self.page.on("dialog", self._opened)

    def open(self, route: str = "") -> Page:
        """Loads the page again, at a route such as `#/image/app`."""
        self.page.goto("about:blank")
        self.page.goto(self.url + route)
        return self.page

    def go(self, route: str) -> Page:
        """Changes the route without loading the page again."""
        self.page.evaluate("route => { location.hash = route }", route)
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        return self.page

    def _opened(self, dialog: Dialog) -> None:
        self.messages.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, request: Request) -> None:
        if request.url.split("#")[0] not in (self.url, "about:blank"):
            self.requests.append(request.url[:200])

    def _printed(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.messages.append(f"{message.type}: {message.text}")


def violations(page: Page, *rules: str) -> list[str]:
    """Returns what axe-core finds on the page that is serious or critical, with the elements. Default: all rules."""
    if not page.evaluate("'axe' in window"):
        page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    found = page.evaluate("async options => (await axe.run(document, options)).violations", options)
    return [
        f"{violation['impact']} {violation['id']}: {json.dumps(node['target'])} {node['failureSummary']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
