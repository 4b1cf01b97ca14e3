"""The report as a reader meets it, in a browser: it opens, adds up, plays and prints."""

import re
import shutil
from functools import cache, partial

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

import regional_primitives as rp
from regional_primitives.runtime.storage import read_json
from regional_primitives.scores import Exhibits
from regional_primitives.scores.table import TABLE, headlines
from regional_primitives.show import numerals, write_report
from regional_primitives.show.score_table import write


class Report:
    """A run folder with its page, and tabs that note whatever goes wrong in them."""

    def __init__(self, browser, folder):
        self.browser = browser
        self.folder = folder
        self.address = write_report(folder).as_uri()
        self.run = rp.Decomposition.load(folder)
        self.exhibits = Exhibits.read(folder)
        shown = self.exhibits.shown.tolist()
        self.order = [k for k in self.exhibits.visible_order if k in shown]
        self.patterns = self.exhibits.patterns[[shown.index(k) for k in self.order]]
        self.departure = self.run.image - self.run.baseline_image

    def open(self, width=1440, scheme="light", **settings):
        tab = self.browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **settings
        )
        tab.said, tab.asked_for = [], []
        tab.on("console", lambda message: tab.said.append(message.text))
        tab.on("pageerror", lambda error: tab.said.append(str(error)))
        tab.on("request", lambda request: tab.asked_for.append(request.url))
        tab.goto(self.address)
        if settings.get("java_script_enabled", True):
            tab.wait_for_selector("#switches", state="visible")
        return tab

    def sum(self, tiles):
        return self.run.baseline_image + self.patterns[sorted(tiles)].sum(0)

    def error(self, image, reference=None):
        reference = self.run.image if reference is None else reference
        return float((image - reference).square().sum() / self.departure.square().sum())


@pytest.fixture(scope="module")
def open_report(browser, tmp_path_factory):
    @cache
    def opened(folder):
        own = shutil.copytree(folder, tmp_path_factory.mktemp("page") / "run")
        return Report(browser, own)

    return opened


@pytest.fixture(scope="module")
def report(open_report, run_folder):
    return open_report(run_folder)


@pytest.fixture
def tab(report):
    opened = report.open()
    yield opened
    assert opened.said == []
    opened.close()


def canvas(tab, selector):
    """Read a canvas as [height, width, 3]."""
    width, height, values = tab.evaluate(
        """(selector) => {
          const drawn = document.querySelector(selector);
          const { width, height } = drawn;
          const copy = new OffscreenCanvas(width, height);
          const context = copy.getContext("2d", { willReadFrequently: true });
          context.drawImage(drawn, 0, 0);
          return [width, height, [...context.getImageData(0, 0, width, height).data]];
        }""",
        selector,
    )
    return np.array(values).reshape(height, width, 4)[..., :3]


def bytes_of(image, image_range):
    low, high = image_range
    return (((image - low) / (high - low)).clamp(0, 1) * 255).permute(1, 2, 0).numpy()


def pressed(tab, selector):
    return [
        i
        for i, one in enumerate(tab.locator(selector).all())
        if one.get_attribute("aria-pressed") == "true"
    ]


def number(text):
    """Read what a table tells: its value, and half of its last digit."""
    text = text.replace("\u00a0", " ").replace("−", "-").replace(",", "").strip("± ")
    match = re.fullmatch(r"(<?) ?(-?[\d.]+) ?(%|dB|×|fits)?", text)
    assert match, text
    below, digits, unit = match.groups()
    scale = 0.01 if unit == "%" else 1.0
    places = len(digits.partition(".")[2])
    if below:
        return 0.0, float(digits) * scale
    return float(digits) * scale, 0.5001 * 10.0**-places * scale


def tells(text, value):
    """Whether a text tells a value that the page computed from stored patterns."""
    told, half = number(text)
    return told == pytest.approx(value, abs=half + 1e-3 * abs(value) + 1e-6)


@pytest.mark.parametrize(
    ("folder", "width", "scheme"),
    [
        # One colour table and one layout serve all folders, so that each width and each scheme do.
        ("run_folder", 1440, "light"),
        ("run_folder", 390, "dark"),
        ("labelled_folder", 1440, "dark"),
        ("exact_folder", 390, "light"),
    ],
)
def test_it_opens_quietly_loads_nothing_fits_and_is_accessible(
    open_report, request, folder, width, scheme
):
    report = open_report(request.getfixturevalue(folder))
    tab = report.open(width, scheme)
    for summary in tab.locator("summary").all():
        summary.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.locator(".tile").first.click()
    found = Axe().run(tab).response
    assert len(found["passes"]) > 30
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}
    told = [(rule["id"], rule["nodes"][0]["html"][:120]) for rule in found["violations"]]
    assert told == []
    assert tab.said == []
    assert [url for url in tab.asked_for if not url.startswith("data:")] == [report.address]
    tab.close()


def test_what_is_switched_on_is_added_up(report, tab):
    tab.locator("[data-start=none]").click()
    on = set()
    for tile in (0, 2, 5, 2, 3):
        tab.locator(".tile").nth(tile).click()
        on ^= {tile}
        assert pressed(tab, ".tile") == sorted(on)
        expected = report.sum(on)
        wrong = canvas(tab, "#sum canvas") - bytes_of(expected, (-1.0, 1.0))
        # Half a level by drawing, a 32nd by storing for each of three patterns and the baseline.
        assert np.abs(wrong).max() <= 0.5 + 4 / 32 + 1e-3
        assert tells(tab.inner_text("#told-sum"), report.error(expected))
        assert tab.inner_text("#told-on") == f"{len(on)} of {len(report.order)} patterns"
    assert not np.array_equal(canvas(tab, "#sum canvas"), canvas(tab, "#gap canvas"))


# The planted generator is linear in its components, a trained one is not.
@pytest.mark.parametrize("folder", ["run_folder", "faces_folder"])
def test_the_picture_beside_is_the_one_generated_from_what_is_on(open_report, request, folder):
    report = open_report(request.getfixturevalue(folder))
    tab = report.open()
    source = partial(tab.get_attribute, "#beside use", "href")
    linear = folder == "run_folder"

    def gap_told(gap):
        told = tab.inner_text("#told-gap")
        assert (gap < 1e-10) == linear == told.endswith("but for rounding")
        assert tells(told.removesuffix(" but for rounding"), gap)

    tab.locator("[data-start=none]").click()
    assert source() == "#image-x0"
    tab.locator(".tile").nth(4).click()
    assert source() == f"#image-alone-{report.order[4]}"
    # One pattern is its own sum.
    assert tab.inner_text("#told-gap") == "0\u00a0% but for rounding"
    tab.locator(".tile").nth(4).click()
    for tile in range(4):
        tab.locator(".tile").nth(tile).click()
    assert source() == "#image-step-4"
    step = report.exhibits.steps.tolist().index(4)
    generated = report.exhibits.build_up[step]
    assert tab.inner_text("#told-generated") == numerals.percent(report.error(generated))
    gap_told(report.error(report.sum(range(4)), generated))
    tab.locator(".tile").nth(7).click()
    assert source() == "#image-x"
    assert "none was generated" in tab.inner_text("#beside-caption")
    assert tab.locator("#told-generated").is_hidden()
    tab.locator("[data-start=everything]").click()
    assert source() == "#image-x"
    assert tab.inner_text("#told-sum") == tab.inner_text("#told-generated") == "0\u00a0%"
    tab.locator(".tile").nth(1).click()
    assert source() == f"#image-without-{report.order[1]}"
    place = report.exhibits.shown.tolist().index(report.order[1])
    gap = report.patterns[1] - report.exhibits.removals[place]
    gap_told(report.error(gap, torch.zeros(())))
    assert tab.said == []
    tab.close()


def test_asking_for_patches_wakes_the_components_that_meet_them(report, tab):
    fields = report.run.action_fields
    asked = torch.zeros(report.run.regions.count, dtype=torch.bool)
    for patch in (5, 6, 9, 5):
        tab.locator(".patch").nth(patch).click()
        asked[patch] = ~asked[patch]
        assert pressed(tab, ".patch") == asked.nonzero().flatten().tolist()
        woken = (fields & asked).any(1)
        tiles = [i for i, k in enumerate(report.order) if woken[k]]
        assert pressed(tab, ".tile") == tiles
        assert tab.inner_text("#told-woken").startswith(f"{int(woken.sum())}")
        wrong = canvas(tab, "#sum canvas") - bytes_of(report.sum(tiles), (-1.0, 1.0))
        assert np.abs(wrong).max() <= 0.5 + (len(tiles) + 1) / 32 + 1e-3
    tab.locator(".tile").first.click()
    assert pressed(tab, ".patch") == []


def test_a_demand_of_the_run_stands_beside_with_its_measured_errors(report, tab):
    for place in range(len(report.exhibits.demand_names)):
        tab.locator(f"[data-demand='{place}']").click()
        patches = report.exhibits.demands[place]
        assert pressed(tab, ".patch") == patches.nonzero().flatten().tolist()
        same = [i for i, row in enumerate(report.exhibits.demands) if torch.equal(row, patches)]
        sources = [f"#image-given-{one}" for one in same]
        assert tab.get_attribute("#beside use", "href") in sources
        inside = numerals.percent(float(report.exhibits.inside[place]))
        assert tab.inner_text("#told-inside").endswith(f"generated {inside}")
        if not bool(patches.all()):
            leak = numerals.percent(float(report.exhibits.leak[place]))
            assert tab.inner_text("#told-leak").endswith(f"generated {leak}")


def test_keys_do_what_the_mouse_does(tab):
    tab.locator("[data-start=none]").click()
    tab.locator(".patch").first.focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        tab.keyboard.press(key)
    assert pressed(tab, ".patch") == [5]
    assert tab.locator(".patch[tabindex='0']").count() == 1
    for key in ("Home", "ArrowLeft", "Space"):  # the border stops the walk
        tab.keyboard.press(key)
    assert pressed(tab, ".patch") == [0, 5]
    tab.locator(".tile").nth(3).focus()
    before = pressed(tab, ".tile")
    lit = tab.get_attribute(".line.lit >> nth=0", "d")
    assert lit == tab.get_attribute(".tile:nth-child(4) .line", "d")
    tab.keyboard.press("Space")
    assert set(pressed(tab, ".tile")) ^ set(before) == {3}
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
        tab.get_attribute(".tile >> nth=4", "aria-label")
    )


def test_a_pointer_lights_the_field_and_the_components_that_serve_a_patch(report, tab):
    tab.locator(".tile").nth(2).hover()
    field = tab.get_attribute(".tile >> nth=2 >> .line", "d")
    assert field
    lit = [one.get_attribute("d") for one in tab.locator(".line.lit").all()]
    assert lit == [field] * 3
    tab.locator(".patch").nth(6).hover()
    assert {one.get_attribute("d") for one in tab.locator(".line.lit").all()} == {""}
    serving = [i for i, k in enumerate(report.order) if report.run.action_fields[k, 6]]
    found = tab.locator(".tile").evaluate_all("(all) => all.map((t) => t.matches('.serves'))")
    assert [i for i, yes in enumerate(found) if yes] == serving


def test_the_build_up_plays_pauses_and_is_scrubbed(report):
    tab = report.browser.new_page()
    tab.clock.install()
    tab.goto(report.address)
    tab.wait_for_selector("#player", state="visible")
    errors = [numerals.percent(float(one)) for one in report.exhibits.build_up_error]
    steps = report.exhibits.steps.tolist()

    def shows(place):
        assert tab.get_attribute("#player-generated use", "href") == f"#image-step-{steps[place]}"
        assert tab.inner_text("#player-generated-told") == f"error {errors[place]}"

    shows(0)
    tab.locator("#player-play").click()
    assert tab.inner_text("#player-play") == "Pause"
    for place in range(1, 4):
        tab.clock.run_for(900)
        shows(place)
    tab.locator("#player-play").click()
    tab.clock.run_for(9000)
    shows(3)
    assert steps[3] == 4
    wrong = canvas(tab, "#player-sum canvas") - bytes_of(report.sum(range(4)), (-1.0, 1.0))
    assert np.abs(wrong).max() <= 0.5 + 5 / 32 + 1e-3
    told = tab.inner_text("#player-sum-told").removeprefix("error ")
    assert tells(told, report.error(report.sum(range(4))))
    tab.locator("#player-play").click()
    tab.clock.run_for(900 * len(steps))
    shows(len(steps) - 1)
    assert tab.inner_text("#player-play") == "Play"
    assert tab.inner_text("#player-sum-told") == "not all of their patterns are here"
    tab.locator("#player-step").focus()
    tab.keyboard.press("ArrowLeft")
    shows(len(steps) - 2)
    tab.locator("#player-step").fill("2")
    shows(2)
    assert tab.get_attribute("#player-step", "aria-valuetext").startswith("2 of")
    tab.close()


def test_every_number_of_the_score_tables_is_that_of_scores_json(report, tab):
    scores = read_json(report.folder / "scores.json")
    seen = set()
    for row in tab.locator("tr[id^=score-]").all():
        name = row.get_attribute("id").removeprefix("score-")
        seen.add(name)
        value = scores[name]
        if row.locator("td.missing").count():
            assert value is None
            assert row.locator("td.missing").inner_text().startswith("not measured")
            continue
        told, half = number(row.locator("td.number b").inner_text())
        assert told == pytest.approx(len(value) if isinstance(value, list) else value, abs=half)
        if row.locator(".spread").count():
            told, half = number(row.locator(".spread").inner_text())
            assert told == pytest.approx(scores[f"{name}_spread"], abs=half)
    assert seen == {score.name for score in TABLE.values() if score.group}
    summary = tab.inner_text(".summary").replace("\u00a0", " ")
    for name in headlines(report.run.provenance.purpose)[:2]:
        assert write(TABLE[name], scores[name]).replace("\u00a0", " ") in summary


def test_without_scripts_the_page_stays_whole(report):
    tab = report.open(java_script_enabled=False)
    assert tab.locator("#switches").is_hidden()
    assert tab.locator("a[href='#switches']").is_hidden()
    assert tab.locator("#player").is_hidden()
    assert tab.locator(".step").count() == len(report.exhibits.steps)
    assert tab.locator(".step").first.is_visible()
    assert tab.locator(".card").first.is_visible()
    assert tab.said == []
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_light_and_whole_and_has_no_controls(report, scheme):
    tab = report.open(scheme=scheme)
    tab.emulate_media(media="print", color_scheme=scheme)
    colour = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(colour) == "rgb(255, 255, 255)"
    for selector in ("button", "input", "canvas", "nav", "summary", "img.by-night"):
        assert tab.locator(selector).count()
        visible = [one.is_visible() for one in tab.locator(selector).all()]
        assert not any(visible), selector
    assert all(one.is_visible() for one in tab.locator("img.by-day").all())
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    cards = tab.locator(".card")
    assert all(card.is_visible() for card in cards.all())
    breaks = cards.evaluate_all("(all) => all.map((one) => getComputedStyle(one).breakInside)")
    assert set(breaks) == {"avoid"}
    tab.set_viewport_size({"width": 710, "height": 1000})  # what A4 leaves between the margins
    cut = tab.locator(".wide").evaluate_all(
        "(all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length"
    )
    assert cut == 0
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator("details[open]").count() == 0
    tab.close()
