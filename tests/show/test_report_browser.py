"""The report as a reader meets it, in a browser: it opens, adds up, plays and prints."""

import re
import time
from functools import cache

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

import regional_primitives as rp
from regional_primitives.runtime.run_files import REPORT
from regional_primitives.runtime.storage import read_json
from regional_primitives.scores import Exhibits
from regional_primitives.scores.table import TABLE, headlines
from regional_primitives.show import numerals
from regional_primitives.show.score_table import write


class Report:
    """A run folder with its page, and tabs that note whatever goes wrong in them."""

    def __init__(self, browser, folder):
        self.browser = browser
        self.folder = folder
        self.address = (folder / REPORT).as_uri()
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
            settle(tab)
            unfold(tab)
        return tab

    @property
    def rest(self):
        """The switch of all else, numbered after all components."""
        return self.run.count

    def sum(self, tiles):
        return self.run.baseline_image + self.patterns[sorted(tiles)].sum(0)

    def error(self, image, reference=None):
        reference = self.run.image if reference is None else reference
        return float((image - reference).square().sum() / self.departure.square().sum())


@pytest.fixture(scope="module")
def open_report(browser, with_report):
    return cache(lambda folder: Report(browser, with_report(folder)))


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


def settle(tab):
    tab.locator("body[data-settled='true']").wait_for()


def unfold(tab):
    """Open what is folded away, as clicks on the headings would."""
    tab.evaluate("document.querySelectorAll('.folded').forEach((part) => { part.open = true; })")


def click(tab, selector):
    tab.locator(selector).click()
    settle(tab)


def thumb(k):
    return f".part[data-component='{k}'] .thumb"


def asked(tab):
    """List the patches that are asked for."""
    chosen = tab.locator("[role=gridcell][aria-selected=true]").all()
    return [int(one.get_attribute("data-patch")) for one in chosen]


def on(tab):
    """Return the components that are on, of those with a switch."""
    return {
        int(row.get_attribute("data-component"))
        for row in tab.locator(".part").all()
        if row.locator(".thumb").get_attribute("aria-pressed") == "true"
    }


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
    closed = tab.locator("details:not([open]) > summary")
    while closed.count():
        closed.first.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.locator(".thumb").first.click()
    found = Axe().run(tab).response
    assert len(found["passes"]) > 30
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}
    told = [(rule["id"], rule["nodes"][0]["html"][:120]) for rule in found["violations"]]
    assert told == []
    assert tab.said == []
    assert [url for url in tab.asked_for if not url.startswith("data:")] == [report.address]
    tab.close()


def wrong_by(tab, expected):
    """Return by how many levels the sum that is drawn is off."""
    return np.abs(canvas(tab, "#shown") - bytes_of(expected, (-1.0, 1.0))).max()


def test_what_is_switched_on_is_added_up(report, tab):
    click(tab, "#nothing")
    switched = set()
    for place in (0, 2, 5, 2, 3):
        click(tab, thumb(report.order[place]))
        switched ^= {place}
        assert on(tab) == {report.order[one] for one in switched}
        expected = report.sum(switched)
        # Half a level by drawing, a 32nd by storing for each of three patterns and the baseline.
        assert wrong_by(tab, expected) <= 0.5 + 4 / 32 + 1e-3
        assert tells(tab.inner_text("#reading-sum"), report.error(expected))
        told = f"{len(switched)} of {len(report.order)} patterns"
        assert tab.inner_text("#reading-on") == told
    assert not np.array_equal(canvas(tab, "#shown"), canvas(tab, "#difference"))


def test_patterns_are_scaled_muted_and_played_solo_and_steps_are_undone(report, tab):
    first, second = report.order[:2]
    click(tab, "#nothing")
    row = tab.locator(f".part[data-component='{first}']")
    row.locator("input[type=range]").fill("1.5")
    settle(tab)
    one = report.run.baseline_image + 1.5 * report.patterns[0]
    assert wrong_by(tab, one) <= 0.5 + 2.5 / 32 + 1e-3
    assert tab.locator("#beside").get_attribute("data-source") == "x"  # no picture at this scale
    click(tab, thumb(second))
    assert wrong_by(tab, one + report.patterns[1]) <= 0.5 + 3.5 / 32 + 1e-3
    row.locator(".mute").click()
    settle(tab)
    assert on(tab) == {second}
    row.locator(".solo").click()
    settle(tab)
    assert on(tab) == {first}
    assert wrong_by(tab, one) <= 0.5 + 2.5 / 32 + 1e-3
    for _ in range(3):
        tab.keyboard.press("Control+z")
    settle(tab)
    assert on(tab) == {first}
    tab.keyboard.press("Control+Shift+z")
    settle(tab)
    assert on(tab) == {first, second}
    with tab.expect_download() as download:
        tab.locator("#save-picture").click()
    with Image.open(download.value.path()) as saved:
        np.testing.assert_array_equal(np.asarray(saved.convert("RGB")), canvas(tab, "#shown"))


# The planted generator is linear in its components, a trained one is not.
@pytest.mark.parametrize("folder", ["run_folder", "faces_folder"])
def test_the_picture_beside_is_the_one_generated_from_what_is_on(open_report, request, folder):
    report = open_report(request.getfixturevalue(folder))
    tab = report.open()
    linear = folder == "run_folder"

    def source():
        found = tab.get_attribute("#beside", "data-source")
        assert tab.get_attribute("#beside", "src") == tab.get_attribute(f"#image-{found}", "href")
        return found

    def gap_told(gap):
        told = tab.inner_text("#reading-gap")
        assert (gap < 1e-10) == linear == told.endswith("but for rounding")
        assert tells(told.removesuffix(" but for rounding"), gap)

    click(tab, "#nothing")
    assert source() == "x0"
    click(tab, thumb(report.order[4]))
    assert source() == f"alone-{report.order[4]}"
    # One pattern is its own sum.
    assert tab.inner_text("#reading-gap") == "0\u00a0% but for rounding"
    click(tab, thumb(report.order[4]))
    for k in report.order[:4]:
        click(tab, thumb(k))
    assert source() == "step-4"
    step = report.exhibits.steps.tolist().index(4)
    generated = report.exhibits.build_up[step]
    assert tab.inner_text("#reading-generated") == numerals.percent(report.error(generated))
    gap_told(report.error(report.sum(range(4)), generated))
    click(tab, "label:has([value=beside])")
    shown = canvas(tab, "#shown")
    assert np.abs(shown - bytes_of(generated, (-1.0, 1.0))).max() <= 0.5 + 1e-3
    click(tab, "label:has([value=after])")
    click(tab, thumb(report.order[7]))
    assert source() == "x"
    assert "none was generated" in tab.inner_text("#beside-caption")
    assert tab.locator("#reading-generated").count() == 0
    click(tab, "#reset")
    assert source() == "x"
    assert report.rest in on(tab)
    assert tab.inner_text("#reading-sum") == tab.inner_text("#reading-generated") == "0\u00a0%"
    click(tab, thumb(report.order[1]))
    assert source() == f"without-{report.order[1]}"
    place = report.exhibits.shown.tolist().index(report.order[1])
    gap = report.patterns[1] - report.exhibits.removals[place]
    gap_told(report.error(gap, torch.zeros(())))
    click(tab, "#patterns")
    assert on(tab) == set(report.order)
    every = range(len(report.order))
    assert wrong_by(tab, report.sum(every)) <= 0.5 + (len(every) + 1) / 32 + 1e-3
    assert tab.said == []
    tab.close()


def test_asking_for_patches_wakes_the_components_that_meet_them(report, tab):
    fields = report.run.action_fields
    wanted = torch.zeros(report.run.regions.count, dtype=torch.bool)
    for patch in (5, 6, 9, 5):
        click(tab, f".patch[data-patch='{patch}']")
        wanted[patch] = ~wanted[patch]
        assert asked(tab) == wanted.nonzero().flatten().tolist()
        woken = (fields & wanted).any(1)
        places = [i for i, k in enumerate(report.order) if woken[k]]
        assert on(tab) == {report.order[place] for place in places}
        assert f": {int(woken.sum())} component" in tab.inner_text("#sentence")
        assert wrong_by(tab, report.sum(places)) <= 0.5 + (len(places) + 1) / 32 + 1e-3
    click(tab, "#clear")
    assert asked(tab) == []


def test_a_demand_of_the_run_stands_beside_with_its_measured_errors(report, tab):
    for place in range(len(report.exhibits.demand_names)):
        click(tab, f"[data-demand] >> nth={place}")
        patches = report.exhibits.demands[place]
        assert asked(tab) == patches.nonzero().flatten().tolist()
        same = [i for i, row in enumerate(report.exhibits.demands) if torch.equal(row, patches)]
        assert tab.get_attribute("#beside", "data-source") in [f"given-{one}" for one in same]
        assert tab.locator("[data-demand][aria-pressed=true]").count() == len(same)
        inside = numerals.percent(float(report.exhibits.inside[place]))
        assert tab.inner_text("#reading-inside").endswith(f"generated {inside}")
        if not bool(patches.all()):
            leak = numerals.percent(float(report.exhibits.leak[place]))
            assert tab.inner_text("#reading-leak").endswith(f"generated {leak}")


def test_keys_do_what_the_mouse_does(report, tab):
    click(tab, "#nothing")
    tab.locator(".patch").first.focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        tab.keyboard.press(key)
    assert asked(tab) == [5]
    assert tab.locator(".patch[tabindex='0']").count() == 1
    for key in ("Home", "ArrowUp", "ArrowLeft", "Space"):  # the border stops the walk
        tab.keyboard.press(key)
    settle(tab)
    assert asked(tab) == [0, 5]
    tab.locator(".thumb").nth(3).focus()
    before = on(tab)
    third, fourth = (tab.locator(".part").nth(place) for place in (3, 4))
    lit = tab.get_attribute("#overlay .field", "d")
    assert lit == third.locator(".thumb .line").get_attribute("d")
    tab.keyboard.press("Space")
    settle(tab)
    assert on(tab) ^ before == {int(third.get_attribute("data-component"))}
    tab.keyboard.press("ArrowDown")
    assert fourth.evaluate("(row) => row.contains(document.activeElement)")


def test_a_pointer_lights_the_field_and_the_components_that_serve_a_patch(report, tab):
    row = tab.locator(".part").nth(2)
    row.hover()
    field = row.locator(".line").get_attribute("d")
    assert field
    assert tab.get_attribute("#overlay .field", "d") == field
    tab.locator(".patch").nth(6).hover()
    assert tab.locator("#overlay .field").count() == 0
    serving = {k for k in report.order if report.run.action_fields[k, 6]}
    found = tab.locator(".part.serves").all()
    assert {int(one.get_attribute("data-component")) for one in found} == serving


def test_the_build_up_plays_pauses_and_is_scrubbed(report):
    tab = report.browser.new_page()
    tab.clock.install()
    tab.goto(report.address)
    tab.clock.run_for(500)
    tab.wait_for_selector("details.folded:has(#switches)", state="visible")
    unfold(tab)
    errors = [numerals.percent(float(one)) for one in report.exhibits.build_up_error]
    steps = report.exhibits.steps.tolist()

    def shows(place):
        """Let frames pass, a few milliseconds of the page's own clock each, until all is drawn."""
        for _ in range(20):
            tab.clock.run_for(16)
            if tab.locator("body").get_attribute("data-settled") == "true":
                break
            time.sleep(0.05)
        assert tab.get_attribute("#beside", "data-source") == f"step-{steps[place]}"
        step = tab.locator("#strip [aria-current]")
        assert step.get_attribute("data-count") == str(steps[place])
        assert step.locator("small").inner_text() == errors[place]

    tab.locator("#strip button").nth(1).click()
    shows(1)
    tab.locator("#play").click()
    assert tab.inner_text("#play") == "Pause"
    shows(2)
    tab.clock.run_for(900)
    shows(3)
    tab.locator("#play").click()
    tab.clock.run_for(9000)
    shows(3)
    assert steps[3] == 4
    assert wrong_by(tab, report.sum(range(4))) <= 0.5 + 5 / 32 + 1e-3
    assert tells(tab.inner_text("#reading-sum"), report.error(report.sum(range(4))))
    tab.locator("#play").click()
    tab.clock.run_for(900 * len(steps))
    shows(len(steps) - 1)
    assert tab.inner_text("#play") == "Play"
    assert "the sum lacks them" in tab.inner_text("#reading-on")
    tab.locator("#build-count").focus()
    tab.keyboard.press("ArrowLeft")
    shows(len(steps) - 2)
    tab.locator("#build-count").fill("2")
    shows(2)
    assert tab.get_attribute("#build-count", "aria-valuetext").startswith("2 of")
    tab.close()


def test_every_number_of_the_score_tables_is_that_of_scores_json(report, tab):
    scores = read_json(report.folder / "scores.json")
    seen = set()
    for row in tab.locator("tr[id^=score-]").all():
        name = row.get_attribute("id").removeprefix("score-")
        seen.add(name)
        value = scores[name]
        told, half = number(row.locator("td.number b").inner_text())
        assert told == pytest.approx(len(value) if isinstance(value, list) else value, abs=half)
        if row.locator(".spread").count():
            told, half = number(row.locator(".spread").inner_text())
            assert told == pytest.approx(scores[f"{name}_spread"], abs=half)
    measured = {score.name for score in TABLE.values() if score.group}
    assert seen == {name for name in measured if scores[name] is not None}
    summary = tab.inner_text(".summary").replace("\u00a0", " ")
    for name in headlines(report.run.provenance.purpose)[:2]:
        assert write(TABLE[name], scores[name]).replace("\u00a0", " ") in summary


def test_without_scripts_the_page_stays_whole(report):
    tab = report.open(java_script_enabled=False)
    assert tab.locator("#switches").is_hidden()
    assert tab.locator("a[href='#switches']").is_hidden()
    assert tab.locator(".step").count() == len(report.exhibits.steps)
    tab.locator("summary", has_text="Building").click()
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
    for selector in ("button", "input", "canvas", "nav", "summary:not(:has(h2, h3))"):
        assert tab.locator(selector).count()
        visible = [one.is_visible() for one in tab.locator(selector).all()]
        assert not any(visible), selector
    drawn = tab.locator("picture img").evaluate_all(
        "(all) => all.map((one) => one.currentSrc === one.src)"
    )
    assert drawn
    assert all(drawn)
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
    assert tab.locator("details[open]:not(.folded)").count() == 0
    tab.close()
