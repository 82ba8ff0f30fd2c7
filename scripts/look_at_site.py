"""Open each page of the built documentation in a browser and tell what a reader would stumble over.

``python scripts/look_at_site.py docs/_build/html --browser /usr/bin/chromium`` needs playwright
(from pip) and a Chromium. Each page is loaded at the width of a phone and of a desk: no script may
fail, nothing may be missing, nothing but a table or code block may be wider than the window, and
those must scroll by themselves; each link within the site must lead to something. The search must
find a word of the glossary. ``--pictures`` keeps a screenshot of each page at both widths.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright

WIDTHS = {"narrow": 360, "wide": 1440}
"""Pixels: a small phone, and a desk."""

HEIGHT = 900
"""Pixels of the window; screenshots show the whole page."""

SEARCHED = "backchannel"

# What sticks out of the window, unless something around it scrolls.
STICKS_OUT = """() => {
  const scrolls = node => {
    for (let up = node; up.tagName !== "ARTICLE"; up = up.parentElement) {
      if (["auto", "scroll"].includes(getComputedStyle(up).overflowX)) return true;
    }
    return false;
  };
  return [...document.querySelectorAll("article *")]
    .filter(node => node.getBoundingClientRect().right > window.innerWidth + 1 && !scrolls(node))
    .map(node => node.tagName + ": " + node.textContent.trim().slice(0, 60));
}"""

LINKS = "() => [...document.querySelectorAll('a[href]')].map(link => link.href)"
ANCHORS = "() => [...document.querySelectorAll('[id]')].map(node => node.id)"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the site and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Look:
    """What was seen: faults, and the links and anchors of each page."""

    def __init__(self, browser: Browser, root: str, pictures: Path | None) -> None:
        self.faults: list[str] = []
        self._browser = browser
        self._root = root
        self._pictures = pictures
        self._links: dict[str, set[str]] = {}
        self._anchors: dict[str, set[str]] = {}

    def page(self, name: str) -> None:
        """Load a page at each width."""
        for width, pixels in WIDTHS.items():
            page = self._open(f"{name} ({width})", pixels)
            page.goto(f"{self._root}/{name}", wait_until="load")
            for what in page.evaluate(STICKS_OUT):
                self.faults.append(f"{name} ({width}): wider than the window: {what}")
            if self._pictures is not None:
                shot = (
                    self._pictures / f"{name.removesuffix('.html').replace('/', '-')}-{width}.png"
                )
                page.screenshot(path=shot, full_page=True)
            self._links[name] = set(page.evaluate(LINKS))
            self._anchors[name] = set(page.evaluate(ANCHORS))
            page.close()

    def search(self) -> None:
        """Search for a word, as a reader would."""
        page = self._open("search", WIDTHS["wide"])
        page.goto(f"{self._root}/index.html")
        page.fill(".sidebar-search", SEARCHED)
        page.press(".sidebar-search", "Enter")
        try:  # the hits come one by one
            page.wait_for_selector("ul.search li:has-text('Glossary')", timeout=20_000)
        except TimeoutError:
            hits = page.locator("ul.search li").count()
            self.faults.append(f"the search for {SEARCHED!r} found {hits} pages, no glossary")
        page.close()

    def links(self) -> None:
        """Check that each link within the site leads to something."""
        for name, links in self._links.items():
            for link in links:
                where, anchor = urldefrag(urljoin(f"{self._root}/{name}", link))
                if not where.startswith(self._root):
                    continue
                target = unquote(urlparse(where).path).lstrip("/") or "index.html"
                if target in self._anchors and anchor and anchor not in self._anchors[target]:
                    self.faults.append(f"{name}: no {anchor!r} in {target}")

    def _open(self, what: str, width: int) -> Page:
        page = self._browser.new_page(viewport={"width": width, "height": HEIGHT})
        page.on("pageerror", lambda error: self.faults.append(f"{what}: a script failed: {error}"))
        page.on("requestfailed", lambda request: self.faults.append(f"{what}: no {request.url}"))
        page.on(
            "response",
            lambda reply: (
                reply.ok
                or reply.status == 304
                or self.faults.append(f"{what}: {reply.status} for {reply.url}")
            ),
        )
        return page


def main() -> int:
    """Look at the site; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("site", type=Path, help="the folder that Sphinx built")
    parser.add_argument("--browser", required=True, help="Chromium's program")
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots")
    options = parser.parse_args()
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    pages = sorted(
        str(path.relative_to(options.site))
        for path in options.site.rglob("*.html")
        if not path.is_relative_to(options.site / "_static")
    )
    handler = functools.partial(Quiet, directory=str(options.site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            # Without its sandbox: root, as CI often is, can't have one; the pages are our own.
            browser = playwright.chromium.launch(
                executable_path=options.browser, args=["--no-sandbox"]
            )
            look = Look(browser, f"http://127.0.0.1:{server.server_port}", options.pictures)
            for name in pages:
                look.page(name)
            look.search()
            look.links()
            browser.close()
        server.shutdown()
    for fault in look.faults:
        print(fault)
    print(f"{len(pages)} pages at {len(WIDTHS)} widths: {len(look.faults)} faults")
    return 1 if look.faults else 0


if __name__ == "__main__":
    sys.exit(main())
