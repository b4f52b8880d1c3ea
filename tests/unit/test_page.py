"""The page of the repository says what a visitor asks, and whatever stands in a package stays text."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from ondemand_pkg.formats import DEB, RPM
from ondemand_pkg.repository import page
from ondemand_pkg.repository.gpg import Key
from ondemand_pkg.repository.inspect import Facts
from ondemand_pkg.repository.state import Item, State

EVIL = '</pre><script>alert("1")</script>&amp;\'"><img src=x onerror=alert(1)>'
FACTS = Facts(DEB, "ondemand-web", "1.0-1", "all", "ondemand-web_1.0-1_all.deb", "0", "Company web", {}, "web:1", ["80", "::1"],
              "[container.web]\n")
KEY = Key("0123456789ABCDEF0123456789ABCDEF01234567", 0, 0, "Site <site@example.com>")


class Tags(HTMLParser):
    """Collects elements and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def shown(facts: Facts = FACTS, key: Key = KEY, url: str = "http://packages.example/") -> str:
    items = {}
    for number, version in enumerate(("1.9-1", "1.10-1")):
        for format in (DEB, RPM):
            path = f"pool/o/{facts.name}/{version}.{format}"
            items[path] = Item(path, format, facts.name, version, "all", "0", "0", 30000, 86400 * number, "")
    state = State(url=url, items=items, suites={"stable": set(items)})
    return page.render_page(state, dict.fromkeys(items, page.told(facts)), [key], True)


@pytest.mark.parametrize("part", [
    "Company web", "<code>web:1</code>", "<code>80</code>, <code>::1</code>", "[container.web]", "29.3 KiB", "1970-01-02",
    "0123 4567 89AB CDEF", "http://packages.example/ondemand-archive-keyring.deb", "Signed-By: /usr/share/keyrings/"])
def test_it_tells(part: str) -> None:
    assert part in shown()


def test_it_links_both_files_of_every_version_and_nothing_of_another_host() -> None:
    links = Tags(shown()).links
    assert [link for link in links if link.startswith("pool/")] == [
        f"pool/o/ondemand-web/{version}.{format_name}" for version in ("1.10-1", "1.9-1") for format_name in ("deb", "rpm")]
    assert not [link for link in links if ":" in link]


def test_the_newest_version_comes_first() -> None:
    assert re.findall(r"<b>([^<]*)</b>", shown()) == ["1.10-1", "1.9-1"]


@pytest.mark.parametrize("facts", [
    pytest.param(dataclasses.replace(FACTS, summary=EVIL), id="summary"),
    pytest.param(dataclasses.replace(FACTS, image=EVIL), id="image"),
    pytest.param(dataclasses.replace(FACTS, declaration=EVIL), id="declaration")])
def test_what_stands_in_a_package_stays_text(facts: Facts) -> None:
    assert Tags(shown(facts)).elements == Tags(shown()).elements


def test_ports_and_the_keys_owner_stay_text() -> None:
    assert Tags(shown(dataclasses.replace(FACTS, ports=[EVIL]))).elements.count("img") == 0
    assert Tags(shown(key=dataclasses.replace(KEY, user=EVIL))).elements == Tags(shown()).elements


def test_control_characters_and_those_that_turn_a_line_around_are_replaced() -> None:
    evil = "a\x1b]0;b\x07\u202ec\x00\x9bd\te\n"
    facts = dataclasses.replace(FACTS, summary=evil, image=evil, ports=[evil], declaration=evil)
    text = shown(facts, dataclasses.replace(KEY, user=evil))
    assert text.count("a\ufffd]0;b\ufffd\ufffdc\ufffd\ufffdd\te\n") == 5
    assert not set(evil) & set(text) - set("a]0;bcde\t\n")
