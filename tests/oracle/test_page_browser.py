"""The repository's page in a real browser."""

from __future__ import annotations

import subprocess
from pathlib import Path

from requirements import need

from ondemand_pkg.formats import DEB
from ondemand_pkg.repository import page
from ondemand_pkg.repository.gpg import Key
from ondemand_pkg.repository.inspect import Facts
from ondemand_pkg.repository.state import Item, State

ITEM = Item("pool/o/ondemand-web/x.deb", DEB, "ondemand-web", "1.0-1", "all", "0", "0", 30000, 0, "")
FACTS = Facts(DEB, "ondemand-web", "1.0-1", "all", "x.deb", "0", "Company web", {}, "web:1", ["80"], "[container.web]\n")


def test_everything_is_there_and_the_script_adds_search_and_copy(tmp_path: Path) -> None:
    need("chromium")
    path = tmp_path / "index.html"
    state = State(items={ITEM.path: ITEM}, suites={"stable": {ITEM.path}})
    path.write_text(page.render_page(state, {ITEM.path: page.told(FACTS)}, [Key("0" * 40, 0, 0, "Site")], False))
    done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                           "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
                           "--dump-dom", path.as_uri()],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(part in done.stdout for part in ("Company web", "<code>web:1</code>", "[container.web]", "Signed-By: "))
    assert done.stdout.count(">Copy</button>") == 2 and "<p hidden" not in done.stdout
