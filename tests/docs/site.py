"""The built site as tests read it."""

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the site: what it links to, what can be linked to, and its text."""

    links: tuple[str, ...]
    """The targets of links, images, scripts and styles, as they are written."""
    anchors: frozenset[str]
    code: tuple[str, ...]
    """The texts that are set as code, such as a setting's name."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links, self.anchors, self.code = list[str](), set[str](), list[str]()
        self._in_code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := found.get(name))]
        self.anchors |= {value for name in ("id", "name") if (value := found.get(name))}
        if tag == "code":
            self._in_code += 1
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code[-1] += data


def read(path: Path) -> Page:
    """A page of the site."""
    reader = _Reader()
    reader.feed(path.read_text())
    return Page(tuple(reader.links), frozenset(reader.anchors), tuple(reader.code))


def read_all(site: Path) -> dict[Path, Page]:
    """All pages of the site, but the one for addresses that do not exist: its links begin at the site's root."""
    return {path: read(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def broken(site: Path, pages: dict[Path, Page]) -> list[str]:
    """The links within the site that lead nowhere, or to a folder, which only a server can answer."""
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            lacks_anchor = parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors
            if not target.is_file() or lacks_anchor:
                found.append(f"{path.relative_to(site)}: {link}")
    return found
