"""The explorer as a user meets it, in Chromium: click, brush, scale, solo, undo, export, cancel."""

import base64
import json
import sys

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

import regional_primitives as rp
from regional_primitives import cli
from regional_primitives.explore.serving import serving
from regional_primitives.runs.folder import default_folder
from regional_primitives.runtime.eight_bit import bytes_of

SCREENS = [(1440, "light"), (390, "dark")]


class Page:
    """A tab on the explorer that notes whatever goes wrong in it."""

    def __init__(self, browser, address, fragment="", width=1440, scheme="light", height=1000):
        self.address = address
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        self.tab = self.context.new_page()
        self.tab.set_default_timeout(15_000)
        self.said, self.asked = [], []
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(address + fragment)
        self.settle()

    def settle(self):
        self.tab.locator("body[data-settled='true']").wait_for()

    def click_patch(self, patch):
        row, column = divmod(patch, 6)
        self.click_place((column + 0.5) / 6, (row + 0.5) / 6)

    def click_place(self, x, y):
        box = self.tab.locator("#patches").bounding_box()
        self.tab.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        self.settle()

    def row(self, k):
        return self.tab.locator(f".part[data-component='{k}']")

    @property
    def digest(self):
        return self.tab.locator("#shown").get_attribute("data-digest")

    def pixels(self, selector="#shown"):
        """Read the pixels that the browser decoded, [height, width, 3]."""
        width, height, values = self.tab.evaluate(
            """(selector) => {
              const image = document.querySelector(selector);
              const copy = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
              const context = copy.getContext("2d");
              context.drawImage(image, 0, 0);
              const size = [copy.width, copy.height];
              return [...size, [...context.getImageData(0, 0, ...size).data]];
            }""",
            selector,
        )
        return np.array(values, dtype=np.uint8).reshape(height, width, 4)[..., :3]

    def close(self):
        assert self.said == []
        strangers = [url for url in self.asked if not url.startswith((self.address, "data:"))]
        assert strangers == []
        self.context.close()


@pytest.fixture
def page(browser, address):
    opened = Page(browser, address)
    yield opened
    opened.close()


def _same(page, face, faces, edit, *others):
    expected = bytes_of(rp.edit(face, faces, edit, *others)[0], (-1.0, 1.0)).numpy()
    np.testing.assert_array_equal(page.pixels(), expected)


def _asked(face, *patches):
    return face.action_fields[:, list(patches)].any(1).nonzero().flatten().tolist()


def test_clicked_patches_show_what_they_alone_generate(page, face, faces):
    _same(page, face, faces, rp.Edit())
    page.click_patch(14)
    page.click_patch(21)
    awake = _asked(face, 14, 21)
    _same(page, face, faces, rp.Edit.keep_only(awake))
    assert page.tab.locator("#reading-on").inner_text() == f"{len(awake)} of {face.count}"
    spent = (face.minimal_feature([14, 21]) - face.baseline).abs().sum()
    cost = float(spent / (face.feature - face.baseline).abs().sum())
    told = page.tab.locator("#reading-cost").inner_text().removesuffix("\u00a0%")
    assert float(told) == pytest.approx(100 * cost, abs=0.51)
    assert page.tab.locator(".part .tag").first.inner_text() == "awake"
    chosen = page.tab.locator("[role=gridcell][aria-selected=true]")
    assert [one.get_attribute("data-patch") for one in chosen.all()] == ["14", "21"]
    page.click_patch(14)
    _same(page, face, faces, rp.Edit.keep_only(_asked(face, 21)))


def test_a_brush_asks_for_what_it_passes_and_is_one_step(page, face, faces):
    box = page.tab.locator("#patches").bounding_box()
    height = box["y"] + box["height"] * 2.5 / 6
    page.tab.mouse.move(box["x"] + box["width"] * 1.5 / 6, height)
    page.tab.mouse.down()
    page.tab.mouse.move(box["x"] + box["width"] * 4.5 / 6, height, steps=12)
    page.tab.mouse.up()
    page.settle()
    _same(page, face, faces, rp.Edit.keep_only(_asked(face, 13, 14, 15, 16)))
    page.tab.get_by_role("button", name="Undo").click()
    page.settle()
    _same(page, face, faces, rp.Edit())


def test_components_are_toggled_scaled_muted_and_played_solo(page, face, faces):
    page.row(0).locator(".thumb").click()
    page.settle()
    _same(page, face, faces, rp.Edit({0: 0.0}))
    assert page.row(0).locator(".thumb").get_attribute("aria-pressed") == "false"
    page.row(2).locator("input[type=range]").fill("1.5")
    page.settle()
    _same(page, face, faces, rp.Edit({0: 0.0, 2: 1.5}))
    page.row(3).locator("input[type=number]").fill("-2.5")
    page.row(3).locator("input[type=number]").press("Enter")
    page.settle()
    _same(page, face, faces, rp.Edit({0: 0.0, 2: 1.5, 3: -2.5}))
    page.row(2).locator(".mute").click()
    page.settle()
    _same(page, face, faces, rp.Edit({0: 0.0, 2: 0.0, 3: -2.5}))
    page.row(4).locator(".solo").click()
    page.settle()
    _same(page, face, faces, rp.Edit.keep_only([4]))
    page.row(4).locator(".solo").click()
    page.row(2).locator(".mute").click()
    page.settle()
    _same(page, face, faces, rp.Edit({0: 0.0, 2: 1.5, 3: -2.5}))
    for _ in range(7):
        page.tab.keyboard.press("Control+z")
    page.settle()
    _same(page, face, faces, rp.Edit())
    page.tab.keyboard.press("Control+Shift+z")
    page.settle()
    _same(page, face, faces, rp.Edit({0: 0.0}))
    page.tab.get_by_role("button", name="Reset").click()
    page.settle()
    _same(page, face, faces, rp.Edit())


def test_a_scale_that_cannot_be_is_refused_in_words(page, face, faces):
    number = page.row(1).locator("input[type=number]")
    number.fill("99")
    number.press("Enter")
    assert "from −10 to 10" in page.tab.locator("#alert").inner_text()
    _same(page, face, faces, rp.Edit())


def test_a_number_box_shows_the_scale_that_holds(page):
    """Also after a refusal, and after an undo while it had the focus."""
    number = page.row(1).locator("input[type=number]")
    number.fill("99")
    number.press("Enter")
    assert number.input_value() == "1"
    number.fill("0.12345")
    number.press("Enter")
    page.settle()
    assert number.input_value() == "0.123"
    page.tab.get_by_role("button", name="Undo").click()
    page.settle()
    assert number.input_value() == "1"


def test_the_keyboard_alone_asks_for_patches_and_switches_components(page, face, faces):
    page.tab.locator("[role=gridcell][tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "Space", "Shift+ArrowRight"):
        page.tab.keyboard.press(key)
    page.settle()
    _same(page, face, faces, rp.Edit.keep_only(_asked(face, 7, 8)))
    page.tab.keyboard.down("b")
    np.testing.assert_array_equal(page.pixels(), page.pixels("#before"))
    page.tab.keyboard.up("b")
    page.tab.keyboard.press("Escape")
    page.settle()
    _same(page, face, faces, rp.Edit())
    page.row(0).locator(".thumb").focus()
    page.tab.keyboard.press("ArrowDown")
    page.tab.keyboard.press("Space")
    page.settle()
    _same(page, face, faces, rp.Edit({1: 0.0}))
    page.tab.keyboard.press("s")
    page.settle()
    _same(page, face, faces, rp.Edit.keep_only([1]))
    page.tab.locator("#live", has_text="Solo").wait_for(state="attached")


def test_hover_lights_the_field(page, face):
    page.row(0).hover()
    lit = page.tab.locator("#overlay .field").get_attribute("d")
    assert lit == page.row(0).locator(".thumb .line").get_attribute("d")
    page.tab.locator("h1").hover()
    assert page.tab.locator("#overlay .field").count() == 0


def test_the_list_is_sorted_and_filtered(page, face, address):
    def listed():
        rows = page.tab.locator(".part").all()
        return [int(row.get_attribute("data-component")) for row in rows]

    assert listed() == list(range(min(40, face.count)))
    page.tab.locator("#sort").select_option("visible")
    name = json.loads(page.context.request.get(f"{address}api/runs").text())["first"]
    visible = json.loads(page.context.request.get(f"{address}api/runs/{name}").text())["visible"]
    order = sorted(range(face.count), key=lambda k: (-visible[k], k))
    assert listed() == order[:40]
    page.tab.locator("#sort").select_option("strength")
    page.tab.locator("#size").select_option("2-4")
    sizes = face.action_fields.sum(1).tolist()
    assert listed() == [k for k in range(face.count) if 2 <= sizes[k] <= 4][:40]
    page.tab.locator("#size").select_option("0-")
    page.tab.locator("#which").select_option("meet")
    assert "Nothing is asked for" in page.tab.locator("#list").inner_text()
    page.click_patch(20)
    assert listed() == _asked(face, 20)[:40]


def test_the_build_up_is_chosen_and_played(page, face, faces):
    page.tab.locator("#build-order").select_option("strength")
    page.tab.locator("#strip button").nth(3).wait_for()
    step = page.tab.locator("#strip button").nth(3)
    step.click()
    page.settle()
    count = int(step.get_attribute("data-count"))
    _same(page, face, faces, rp.Edit.keep_only(range(count)))
    page.tab.locator("#build-count").press("ArrowRight")
    page.settle()
    _same(page, face, faces, rp.Edit.keep_only(range(count + 1)))
    play = page.tab.locator("#play")
    play.click()
    # No single step need be seen: on a busy machine it may have passed before anyone looks.
    for _ in range(150):
        if int(page.tab.locator("#build-count").input_value()) >= count + 4:
            break
        page.tab.wait_for_timeout(100)
    assert int(page.tab.locator("#build-count").input_value()) >= count + 4
    assert play.inner_text() == "Pause"
    play.click()
    page.settle()
    reached = int(page.tab.locator("#build-count").input_value())
    _same(page, face, faces, rp.Edit.keep_only(range(reached)))


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_picture_stays_in_sight_while_a_slider_moves(browser, address, width, height):
    page = Page(browser, address, width=width, height=height)
    before = page.digest
    slider = page.row(20).locator("input[type=range]")
    slider.scroll_into_view_if_needed()
    slider.focus()
    page.tab.keyboard.press("Home")
    page.settle()
    assert page.digest != before
    assert page.tab.evaluate("window.scrollY") > 0
    knob = slider.bounding_box()
    picture = page.tab.locator("#shown").bounding_box()
    assert 0 <= knob["y"] <= height - knob["height"]
    assert 0 <= picture["y"] <= height - picture["height"]
    assert (
        knob["x"] > picture["x"] + picture["width"] or knob["y"] > picture["y"] + picture["height"]
    )
    assert page.tab.locator("#overlay .dim").count() == 0
    page.close()


def test_before_is_compared_while_a_button_is_held_and_side_by_side(page):
    page.row(0).locator(".thumb").click()
    page.settle()
    after = page.pixels()
    before = page.pixels("#before")
    assert (after != before).any()
    page.tab.get_by_role("button", name="Hold: before").hover()
    page.tab.mouse.down()
    np.testing.assert_array_equal(page.pixels(), before)
    page.tab.mouse.up()
    np.testing.assert_array_equal(page.pixels(), after)
    page.tab.get_by_role("button", name="Hold: before").focus()
    page.tab.keyboard.down("Enter")
    np.testing.assert_array_equal(page.pixels(), before)
    page.tab.keyboard.up("Enter")
    page.tab.locator("#view").get_by_text("Both").click()
    np.testing.assert_array_equal(page.pixels(), after)
    one, two = (page.tab.locator(name).bounding_box() for name in ("#shown", "#before"))
    assert one["width"] == pytest.approx(two["width"], abs=1)
    assert one["width"] > 300
    assert one["y"] == pytest.approx(two["y"], abs=1)


def test_thumbnails_are_what_a_component_alone_generates_or_maps(page, face, faces):
    thumb = ".part[data-component='0'] .thumb img"
    page.tab.locator(f"{thumb}[src]").wait_for()
    alone = rp.edit(face, faces, rp.Edit.keep_only([0]))
    expected = bytes_of(alone[0], (-1.0, 1.0)).numpy().astype(int)
    # The pattern and the baseline were rounded before they were added up.
    assert np.abs(page.pixels(thumb).astype(int) - expected).max() <= 1
    page.tab.locator("#thumbs").select_option("map")
    assert np.abs(page.pixels(thumb).astype(int) - expected).max() > 1


def test_a_link_holds_the_state(page, browser, address, face, faces):
    page.click_patch(9)
    page.row(_asked(face, 9)[0]).locator("input[type=range]").fill("0.5")
    page.settle()
    other = Page(browser, address, "#" + page.tab.url.split("#")[1])
    assert other.digest == page.digest
    np.testing.assert_array_equal(other.pixels(), page.pixels())
    other.close()
    for fragment in (
        "#scale=1:NaN,x:2,99999:1&ask=99.-1.x&first=name:3&mute=../..",
        "#run=nothing",
    ):
        spoilt = Page(browser, address, fragment)
        _same(spoilt, face, faces, rp.Edit())
        spoilt.close()


@pytest.fixture
def replayed(monkeypatch, capsys, tmp_path, pixels_of):
    """Make an edit's picture again, as the command does."""

    def replay(folder, edit, *more):
        out = tmp_path / "replayed.png"
        words = ["edit", folder, "--replay", edit, "--out", out, *more]
        monkeypatch.setattr(sys, "argv", ["primitives", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        told = capsys.readouterr().err
        assert stop.value.code == 0, told
        assert "the picture is the one that" in told
        return pixels_of(out.read_bytes())

    return replay


def test_the_exported_edit_is_replayed_to_the_same_picture(
    page, face_folder, replayed, tmp_path, pixels_of
):
    page.click_patch(15)
    page.row(0).locator("input[type=range]").fill("1.25")
    page.settle()
    saved = {}
    for name in ("Save edit", "Save picture"):
        with page.tab.expect_download() as download:
            page.tab.get_by_role("button", name=name).click()
        saved[name] = tmp_path / name
        download.value.save_as(saved[name])
    edit = json.loads(saved["Save edit"].read_text())
    assert edit["kind"] == "edit"
    assert edit["picture_digest"] == page.digest
    np.testing.assert_array_equal(pixels_of(saved["Save picture"].read_bytes()), page.pixels())
    np.testing.assert_array_equal(replayed(face_folder, saved["Save edit"]), page.pixels())


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_nothing_keeps_anyone_out(browser, address, width, scheme):
    """axe-core finds nothing serious, and a narrow screen needs no sideways scrolling."""
    page = Page(browser, address, "#ask=14.15&mute=1", width, scheme)
    page.tab.locator(".part img[src]").first.wait_for()
    assert page.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for shown in ("page", "explain", "draw"):
        if shown != "page":
            page.tab.keyboard.press("Escape")
            page.tab.locator(f"#{shown}-open").click()
        found = Axe().run(page.tab).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found
                   if one["impact"] in ("serious", "critical")]  # fmt: skip
        assert serious == []
    page.close()


def test_another_picture_is_explained_from_the_page_and_can_be_cancelled(
    browser, planted, tmp_path
):
    folder = tmp_path / "planted"
    settings = rp.Structured(steps=4, batch=4, trials=0, probes=1, baseline_count=32)
    latents = planted.sample_latents(1, seed=3)
    rp.explain(planted, latents, rp.Regions.grid(3, 3), settings, picture_seed=3).save(folder)
    with serving(folder) as address:
        page = Page(browser, address)
        page.tab.get_by_role("button", name="Explain another picture").click()
        page.tab.locator("#explain-quality").select_option(
            "best"
        )  # nor done before it is cancelled
        page.tab.get_by_role("spinbutton", name="Seed").fill("5")
        page.tab.get_by_role("button", name="Start").click()
        page.tab.locator("#job[data-state=running]").wait_for()
        page.tab.get_by_role("button", name="Cancel").click()
        page.tab.locator("#job[data-state=cancelled]").wait_for(timeout=20_000)
        assert [path.name for path in tmp_path.iterdir()] == ["planted"]
        page.tab.get_by_role("button", name="Explain another picture").click()
        page.tab.locator("#explain-quality").select_option("fast")
        page.tab.get_by_role("spinbutton", name="Seed").fill("6")
        page.tab.get_by_role("button", name="Start").click()
        page.tab.locator("#job[data-state=done]").wait_for(timeout=120_000)
        page.tab.get_by_role("button", name="Show it").click()
        page.tab.locator("#title", has_text="seed 6").wait_for()
        page.settle()
        made = [path for path in tmp_path.iterdir() if path != folder]
        # A second one of that name, made by the command, is the same run.
        assert made[0].name == default_folder("planted", "express", 6, "generate", "fast").name
        found = rp.Decomposition.load(made[0])
        assert found.provenance.picture_seed == 6
        expected = bytes_of(rp.edit(found, planted, {})[0], found.provenance.image_range).numpy()
        np.testing.assert_array_equal(
            page.pixels(), np.broadcast_to(expected, (*expected.shape[:2], 3))
        )
        page.close()


@pytest.fixture(scope="module")
def planted_folder(planted, tmp_path_factory):
    """A run of four named quarters, whose fit takes no time."""
    folder = tmp_path_factory.mktemp("drawn") / "planted"
    regions = rp.Regions.from_labels(rp.Regions.grid(2, 2).label_map(32, 32), list(QUARTERS))
    latents = planted.sample_latents(1, seed=3)
    rp.explain(planted, latents, regions, QUICKLY, picture_seed=3).save(folder)
    return folder


QUICKLY = rp.Structured(steps=4, batch=4, trials=0, probes=1, baseline_count=32)
QUARTERS = ("north west", "north east", "<b>south & west</b>", "south east")


def test_named_regions_are_told_by_name(browser, planted_folder):
    run = rp.Decomposition.load(planted_folder)
    with serving(planted_folder) as address:
        page = Page(browser, address)
        box = page.tab.locator("#patches").bounding_box()
        page.tab.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
        assert page.tab.locator("#under").inner_text() == QUARTERS[2]
        for k in range(min(run.count, 8)):
            field = run.action_fields[k].nonzero().flatten().tolist()
            told = " + ".join(QUARTERS[patch] for patch in field)
            assert page.row(k).locator(".name b").inner_text() == told
            assert f"component {k}" in page.row(k).locator(".where").inner_text()
        page.tab.mouse.down()
        page.tab.mouse.up()
        page.settle()
        assert f"Asked for {QUARTERS[2]}:" in page.tab.locator("#sentence").inner_text()
        page.close()


def test_regions_are_removed_amplified_and_taken_from_another_picture(
    browser, planted, planted_folder, replayed, tmp_path
):
    run = rp.Decomposition.load(planted_folder)
    latents = planted.sample_latents(1, seed=8)
    rp.explain(planted, latents, run.regions, QUICKLY, picture_seed=8).save(tmp_path / "other")
    other = rp.Decomposition.load(tmp_path / "other")
    east, south = QUARTERS[1], QUARTERS[3]

    def same(edit, *others):
        _same(page, run, planted, edit, *others)

    with serving(planted_folder, others=[tmp_path / "other"]) as address:
        page = Page(browser, address)
        assert page.tab.get_by_role("button", name="Remove").is_disabled()
        page.click_place(0.75, 0.25)
        page.tab.get_by_role("button", name="Remove").click()
        page.settle()
        same(rp.Edit.of_regions(run, [east]))
        assert f"{east} removed" in page.tab.locator("#sentence").inner_text()
        page.tab.locator("#effects tbody tr").nth(3).wait_for()
        effect = rp.edit_effects(run, planted, rp.Edit.of_regions(run, [east]))
        told = page.tab.locator("#effects tbody tr").first.inner_text()
        assert f"{100 * effect.own.inside:.2g}" in told
        scale = page.tab.locator("#edits input")
        scale.fill("1.5")
        scale.press("Enter")
        page.settle()
        same(rp.Edit.of_regions(run, [east], 1.5))
        page.click_place(0.75, 0.75)
        page.tab.get_by_label("As in another picture").select_option(index=1)
        page.settle()
        blend = rp.Edit.blend(run, other, [south])
        both = rp.Edit.together([rp.Edit.of_regions(run, [east], 1.5), blend])
        same(both, other)
        link = page.tab.url
        page.tab.get_by_role("button", name=f"Take back the edit of {east}").click()
        page.settle()
        same(blend, other)
        page.tab.get_by_role("button", name="Undo").click()
        page.settle()
        same(both, other)
        with page.tab.expect_download() as download:
            page.tab.get_by_role("button", name="Save edit").click()
        download.value.save_as(tmp_path / "edit.json")
        again = Page(browser, address, "#" + link.split("#")[1])
        assert again.digest == page.digest
        again.close()
        found = replayed(planted_folder, tmp_path / "edit.json", "--from", tmp_path / "other")
        np.testing.assert_array_equal(found, page.pixels())
        page.close()


def _drawing(page):
    """Open the surface to draw on; tells where a place of the picture is on the screen."""
    page.tab.locator("#draw-open").click()
    box = page.tab.locator("#draw-surface").bounding_box()
    return lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_two_regions_are_drawn_named_and_explained(browser, planted, planted_folder):
    with serving(planted_folder) as address:
        page = Page(browser, address)
        at = _drawing(page)
        page.tab.mouse.move(*at(0.2, 0.75))
        page.tab.mouse.down()
        page.tab.mouse.move(*at(0.8, 0.75), steps=6)
        page.tab.mouse.up()
        page.tab.locator("#draw-list input").fill("smile")
        page.tab.get_by_role("button", name="Another region").click()
        page.tab.keyboard.type("glasses")
        page.tab.locator("#draw-tools").get_by_text("Polygon").click()
        for corner in ((0.25, 0.25), (0.75, 0.25), (0.75, 0.5), (0.25, 0.5), (0.25, 0.25)):
            page.tab.mouse.click(*at(*corner))
        page.tab.get_by_role("button", name="Explain these").click()
        page.tab.locator("#job[data-state=done]").wait_for(timeout=120_000)
        told = page.tab.locator("#job-note").inner_text()
        page.tab.get_by_role("button", name="Show it").click()
        page.tab.locator(".part .name", has_text="glasses").first.wait_for()
        page.settle()
        page.close()
    (made,) = (path for path in planted_folder.parent.iterdir() if path != planted_folder)
    assert f"{made.name}/regions.png" in told
    run, regions = rp.Decomposition.load(made), rp.Regions.read(made / "regions.png")
    assert run.names == regions.names == ("smile", "glasses", "everything else")
    assert run.regions == regions
    assert run.provenance.picture_seed == 3
    labels = regions.label_map(32, 32)
    # The polygon's pixels are those whose middle it holds.
    expected = np.zeros((32, 32), dtype=bool)
    expected[8:16, 8:24] = True
    np.testing.assert_array_equal((labels == 1).numpy(), expected)
    assert set(labels[24, 7:25].tolist()) == {0}
    assert labels[20, 16] == 2
    assert (made / "report.html").is_file()


def test_drawing_is_done_with_the_keyboard_and_undone(browser, planted_folder):
    with serving(planted_folder) as address:
        page = Page(browser, address)
        page.tab.locator("#draw-open").click()

        def shares():
            return page.tab.locator("#draw-list .note").all_inner_texts()

        surface = page.tab.locator("#draw-surface")
        surface.focus()
        for _ in range(9):
            page.tab.keyboard.press("-")
        assert page.tab.locator("#draw-size").input_value() == "1"
        assert page.tab.locator("#draw-start").is_disabled()
        page.tab.keyboard.press("Space")
        assert shares() == ["0.098\u00a0%"]  # one pixel of 32 × 32
        page.tab.keyboard.press("ArrowRight")
        page.tab.keyboard.press("Shift+ArrowRight")
        assert shares() == ["0.29\u00a0%"]
        page.tab.keyboard.press("Control+z")
        assert shares() == ["0.098\u00a0%"]
        page.tab.get_by_role("button", name="Another region").click()
        page.tab.get_by_role("button", name="Delete region 1").click()
        assert shares() == ["0\u00a0%"]
        page.tab.locator("#draw-undo").click()
        assert shares() == ["0.098\u00a0%", "0\u00a0%"]
        page.tab.get_by_role("button", name="Begin with this run's regions").click()
        assert shares() == ["25\u00a0%"] * 4
        page.tab.locator("#draw-list input").first.fill("south east")
        page.tab.get_by_role("button", name="Explain these").click()
        page.tab.locator("#draw-alert", has_text="two patches are called").wait_for()
        assert [path.name for path in planted_folder.parent.iterdir() if "tmp" in path.name] == []
        page.said.clear()  # the browser notes the refusal
        page.close()


def test_pictures_in_the_page_are_png(page):
    kind, content = page.tab.locator("#shown").get_attribute("src").split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content).startswith(b"\x89PNG")
