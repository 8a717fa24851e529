"""python -m benchmarks.page_timing paint|filter FILE TEXT ROWS: times a page in Chromium; prints seconds and KiB.

paint   from the navigation to the first contentful paint, as the browser reports it
filter  from the navigation until TEXT, typed into the search, has its result on the screen: ROWS rows

Real input waits for the page, so a page is interactive as soon as its first filter works. The text is typed again in
each frame until it has an effect, because a page cannot say from when on it listens.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

_PAINT = """() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"""
_FILTER = """
  const [text, rows] = %s;
  const isShown = (row) => row.getClientRects().length > 0;
  const type = () => {
    const search = document.querySelector('input[type=search]');
    if (!search) return requestAnimationFrame(type);
    search.value = text;
    search.dispatchEvent(new InputEvent('input', { bubbles: true }));
    const shown = [...document.querySelectorAll(%r)].filter(isShown);
    if (shown.length !== rows) return requestAnimationFrame(type);
    requestAnimationFrame(() => requestAnimationFrame(() => { window.filtered = performance.now(); }));
  };
  requestAnimationFrame(type);
"""
ROW = "#images tbody tr, #images .tabulator-row"


def main() -> int:
    what, file, text, rows = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        if what == "filter":
            page.add_init_script(_FILTER % ([text, int(rows)], ROW))
        page.goto(Path(file).absolute().as_uri(), timeout=120_000)
        milliseconds = _value(page, _PAINT if what == "paint" else "() => window.filtered")
        print(f"{milliseconds / 1000:.4f} {_peak_kib(browser)}")
        browser.close()
    return 0


def _value(page: Page, expression: str) -> float:
    for _ in range(600):
        value = page.evaluate(expression)
        if value is not None:
            return float(value)
        time.sleep(0.05)
    raise SystemExit("the page did not get there in 30 s")


def _peak_kib(browser: Browser) -> int:
    """Returns the peak memory of the largest process that renders pages."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    peaks = [0]
    for process in processes:
        if process["type"] == "renderer":
            status = Path(f"/proc/{process['id']}/status").read_text()
            peaks += [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    return max(peaks)


if __name__ == "__main__":
    sys.exit(main())
