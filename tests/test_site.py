"""The documentation as it is built: no warnings, no dead ends, nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbclient import NotebookClient

import regional_primitives as rp
from regional_primitives import show

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


class Page(HTMLParser):
    """Where a page's links and files lead, what can be linked to in it, and what links say."""

    def __init__(self, path):
        super().__init__()
        self.links, self.files, self.anchors, self.words = [], [], set(), {}
        self.open = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.add(attrs.get("id"))
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
            self.open = attrs["href"]
        if tag in ("img", "script", "source", "iframe") and "src" in attrs:
            self.files.append(attrs["src"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "icon", "preload"):
            self.files.append(attrs["href"])

    def handle_endtag(self, tag):
        if tag == "a":
            self.open = None

    def handle_data(self, data):
        if self.open and data.strip():
            self.words.setdefault(" ".join(data.split()), self.open)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site; building it fails on any warning."""
    folder = tmp_path_factory.mktemp("site")
    words = ["--fail-on-warning", "--keep-going", "--quiet", "-b", "html"]
    words += ["-d", str(folder / "trees"), str(ROOT / "docs"), str(folder / "html")]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *words], capture_output=True, text=True, cwd=folder
    )
    assert built.returncode == 0, built.stderr
    assert built.stderr == ""
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}


def target(name, link):
    """The page or file that a link of a page leads to, and the place in it."""
    address, place = urldefrag(link)
    path = unquote(urlsplit(address).path)
    return ((Path("/") / name).parent / path if path else Path("/") / name).resolve(), place


def test_every_link_leads_somewhere(site, pages):
    inside = outside = 0
    for name, page in pages.items():
        for link in page.links:
            if "://" in link:
                assert link.startswith(("https://", "http://arxiv")), f"{name}: {link}"
                outside += 1
                continue
            path, place = target(name, link)
            assert (site / path.relative_to("/")).is_file(), f"{name}: {link}"
            if place and path.suffix == ".html":
                anchors = pages[str(path.relative_to("/"))].anchors
                assert unquote(place) in anchors, f"{name}: {link}"
            inside += 1
    assert inside > 5000
    assert outside > 100


def test_pages_take_nothing_from_elsewhere(site, pages):
    for name, page in pages.items():
        for file in page.files:
            assert "://" not in file, f"{name}: {file}"
            assert not file.startswith("//"), f"{name}: {file}"
            if not file.startswith("data:"):
                path, _ = target(name, file)
                assert (site / path.relative_to("/")).is_file(), f"{name}: {file}"
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.findall(r"url\(['\"]?(?:https?:)?//[^)]*\)|@import", styles)


def test_every_public_name_is_documented(pages):
    anchors = set().union(*(page.anchors for page in pages.values()))
    listed = [f"regional_primitives.{name}" for name in rp.__all__]
    listed += [f"regional_primitives.others.{name}" for name in rp.others.__all__]
    listed += [f"regional_primitives.show.{name}" for name in show.__all__]
    missing = [name for name in listed if name not in anchors]
    # `components` stands among the public names by its short one.
    assert missing in ([], ["regional_primitives.others.components"])


def test_every_verb_is_documented(pages):
    from regional_primitives.cli import app

    verbs = {command.callback.__name__ for command in app.registered_commands}
    assert verbs <= pages["api/command.html"].anchors


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which layer?", "howto/layers.html"),
        ("Which regions?", "howto/regions.html"),
        ("How long?", "howto/cost.html"),
        ("Can I believe it?", "howto/scores.html"),
    ],
)
def test_a_newcomers_questions_are_a_click_away(site, pages, question, answer):
    assert pages["index.html"].words[question] == answer
    assert "In short:" in (site / answer).read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_legible_to_all(site, browser, scheme):
    for width, names in ((1440, ("index", "howto/scores")), (390, ("start", "notebooks/face"))):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        for name in names:
            page = context.new_page()
            page.goto(f"file://{site}/{name}.html")
            root = "document.documentElement"
            assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), name
            found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
            serious = [
                (each["id"], [node["html"][:120] for node in each["nodes"][:3]])
                for each in found.response["violations"]
            ]
            assert not serious, f"{name}, {scheme}, {width}: {serious}"
        context.close()


# Notebooks


def shape(cell):
    """What a cell gives, apart from numbers and pixels."""
    kinds = [
        output.output_type + "".join(sorted(output.get("data", {})) or [output.get("name", "")])
        for output in cell.get("outputs", ())
    ]
    return [kind for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_gives_what_the_page_shows(path, tmp_path):
    kept = nbformat.read(path, 4)
    nbformat.validate(kept)
    assert not any("execution" in cell.metadata for cell in kept.cells)
    run = nbformat.read(path, 4)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(run, timeout=300, kernel_name="python3", resources=place).execute()
    for old, new in zip(kept.cells, run.cells, strict=True):
        assert shape(old) == shape(new), old.source
        printed = [output.name for output in new.get("outputs", ()) if "name" in output]
        assert "stderr" not in printed, new.outputs
    assert path.stat().st_size < 2**20


def test_every_notebook_is_on_the_site(pages):
    assert NOTEBOOKS
    assert all(f"notebooks/{path.stem}.html" in pages for path in NOTEBOOKS)
