"""The page of compared pictures as a reader meets it, in a browser, and on paper."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

import regional_primitives as rp
from regional_primitives.runs.compare import compare_runs

SCREENS = [(1440, "light"), (390, "dark")]
SETTINGS = rp.Structured(steps=6, batch=8, probes=1, baseline_count=64)


@pytest.fixture(scope="module")
def pages(planted, tmp_path_factory):
    """The page of two pictures, and that of three."""
    root = tmp_path_factory.mktemp("compared")
    runs = []
    for seed in (3, 4, 5):
        latents = planted.sample_latents(1, seed=seed)
        found = rp.explain(planted, latents, rp.Regions.grid(4, 4), SETTINGS, picture_seed=seed)
        found.save(root / f"run-{seed}")
        runs.append(root / f"run-{seed}")
    for count in (2, 3):
        compare_runs(runs[:count], root / str(count), draws=2)
    return {count: (root / str(count) / "compare.html").as_uri() for count in (2, 3)}


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_it_opens_quietly_loads_nothing_fits_and_is_accessible(
    browser, pages, count, width, scheme
):
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(pages[count])
    for summary in tab.locator("summary").all():
        summary.click()
    assert tab.locator("article.shared").count() > 3
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert Axe().run(tab).response["violations"] == []
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [pages[count]]
    tab.close()


@pytest.mark.parametrize("count", [2, 3])
def test_paper_holds_several_shared_primitives_a_page(browser, pages, count):
    tab = browser.new_page()
    tab.goto(pages[count])
    shared = tab.locator("article.shared").count()
    sheets = len(re.findall(rb"/Type */Page\b", tab.pdf(format="A4")))
    assert sheets <= 4 + shared / 4
    tab.close()
