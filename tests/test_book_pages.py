"""The real chapters, built over the simulated house alone: do their pages stand on their own?"""

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from book_project import REPOSITORY, Project
from browser import Browser, Visit, chromium

pytestmark = pytest.mark.slow

CHAPTERS = sorted(path.stem for path in (REPOSITORY / "notebooks").glob("*.ipynb"))
PROSE = sorted(path.stem for path in (REPOSITORY / "book").glob("*.md"))
PAGES = ["index", "search", "genindex", *PROSE, *CHAPTERS]

# What makes a browser fetch: tag -> attributes. A link counts by what it is for, <a> never.
FETCHING = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "link": ("href",),
}
NOT_FETCHED = {"index", "search", "next", "prev", "canonical", "author", "copyright"}
EXTERNAL = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
EXTERNAL_STYLE = re.compile(r"(?:@import\s+|url\(\s*)[\"']?((?:https?:)?//[^\"')\s;]+)", re.IGNORECASE)


class Page(HTMLParser):
    """What a page makes the browser fetch from elsewhere, and what it links to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched_from_outside: list[str] = EXTERNAL_STYLE.findall(html)
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == "a":
            self.links.append(values.get("href", ""))
        if tag == "link" and set(values.get("rel", "").split()) <= NOT_FETCHED:
            return
        addresses = [values[name] for name in FETCHING.get(tag, ()) if name in values]
        self.fetched_from_outside += [address for address in addresses if EXTERNAL.match(address)]


@pytest.fixture(scope="module")
def html(tiny_book: Project) -> Path:
    return tiny_book.root / "html"


@pytest.fixture(scope="module")
def address(html: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=html))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def from_outside(visit: Visit, address: str) -> list[str]:
    return [url for url in visit.requests if not url.startswith((f"{address}/", "data:", "blob:"))]


def test_every_page_is_there(html: Path) -> None:
    assert {path.stem for path in html.glob("*.html")} == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_page_refers_to_nothing_outside(html: Path, page: str) -> None:
    assert Page((html / f"{page}.html").read_text()).fetched_from_outside == []


def test_style_sheets_refer_to_nothing_outside(html: Path) -> None:
    sheets = sorted(html.rglob("*.css"))
    assert sheets
    assert {str(sheet): found for sheet in sheets if (found := EXTERNAL_STYLE.findall(sheet.read_text()))} == {}


def test_the_search_for_outside_references_finds_one() -> None:
    page = Page(
        '<link rel="stylesheet" href="https://a/x.css"><script src="//b/x.js"></script><a href="https://c/"></a>'
        '<style>@import "https://d/x.css"; p { background: url(https://e/x.png) }</style><img src="x.png">'
    )
    assert {urlsplit(address).netloc for address in page.fetched_from_outside} == {"a", "b", "d", "e"}


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_without_error_failed_request_or_outside_help(browser: Browser, address: str, page: str) -> None:
    formulas = """(async () => {
        if (window.MathJax?.startup) await MathJax.startup.promise;
        return {
            raw: document.querySelectorAll("article .math:not(:has(mjx-container))").length,
            errors: document.querySelectorAll("mjx-merror").length,
        };
    })()"""
    visit = browser.visit(f"{address}/{page}.html", formulas)
    assert visit.problems == []
    assert from_outside(visit, address) == []
    assert visit.answer == {"raw": 0, "errors": 0}


@pytest.mark.parametrize("page", [*PROSE, *CHAPTERS])
def test_page_is_no_wider_than_a_phone(browser: Browser, address: str, page: str) -> None:
    """What is wider, a table or a figure, scrolls inside its own frame, and leaves the text where it is."""
    visit = browser.visit(f"{address}/{page}.html", "document.documentElement.scrollWidth", width=390)
    assert visit.answer == 390


@pytest.mark.parametrize("page", [*PROSE, *CHAPTERS])
def test_no_table_is_wider_than_a_sheet_of_paper(browser: Browser, address: str, page: str) -> None:
    """Paper does not scroll. An A4 sheet is 794 pixels wide, and a browser leaves some 40 on either side."""
    wide = """[...document.querySelectorAll("article table")]
        .filter(table => table.getBoundingClientRect().right > document.documentElement.clientWidth)
        .map(table => table.innerText.slice(0, 80))"""
    assert browser.visit(f"{address}/{page}.html", wide, width=714, media="print").answer == []


def test_search_finds_offline(browser: Browser, address: str) -> None:
    hits = """new Promise(done => {
        const look = left => {
            const hits = [...document.querySelectorAll("#search-results li a")].map(a => a.getAttribute("href"));
            hits.length || !left ? done(hits) : setTimeout(look, 100, left - 1);
        };
        look(50);
    })"""
    visit = browser.visit(f"{address}/search.html?q=gateway", hits)
    assert visit.problems == []
    assert any(hit.startswith("01-data.html") for hit in visit.answer)


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_book_lead_somewhere(html: Path, page: str) -> None:
    parts = [urlsplit(link) for link in Page((html / f"{page}.html").read_text()).links]
    inside = {unquote(part.path) for part in parts if part.path and not part.scheme and not part.netloc}
    assert [path for path in sorted(inside) if not (html / path).is_file()] == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter_can_be_launched_and_downloaded(html: Path, chapter: str) -> None:
    links = Page((html / f"{chapter}.html").read_text()).links
    path = f"notebooks/{chapter}.ipynb"
    assert (REPOSITORY / path).is_file()
    assert any("mybinder.org" in link and link.endswith(f"urlpath=lab/tree/{path}") for link in links)
    assert any("colab.research.google.com" in link and link.endswith(f"/blob/main/{path}") for link in links)
    assert f"_sources/{chapter}.ipynb" in links
