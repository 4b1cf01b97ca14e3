import json
import re
from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.scores import Exhibits
from regional_primitives.show.packing import unpack
from regional_primitives.show.pictures import PictureBook
from regional_primitives.show.pixels import ColourScale
from regional_primitives.show.switchboard import switchboard

FOLDERS = ["run_folder", "labelled_folder", "exact_folder"]


class Page:
    """A run, its switchboard, and the arrays as the page's script unpacks them."""

    def __init__(self, folder):
        self.run = rp.Decomposition.load(folder)
        self.exhibits = Exhibits.read(folder)
        self.book = PictureBook(self.run, ColourScale(0.5))
        self.board = switchboard(self.book, self.exhibits)
        self.data = self.board.data
        low, high = self.run.provenance.image_range
        self.quantum = self.data["share"] * (high - low)
        self.baseline = self.unpack(self.data["baseline"]) + low
        self.patterns = torch.stack([self.unpack(one) for one in self.data["patterns"]])
        self.rest = self.unpack(self.data["rest"])

    def unpack(self, text):
        return unpack(text, tuple(self.run.image.shape), self.quantum)

    def frame(self, index):
        frame = self.data["frames"][index]
        if "pattern" in frame:
            return self.baseline + self.patterns[frame["pattern"]]
        start = self.baseline
        if frame["origin"] == "picture":
            start = self.baseline + self.patterns.sum(0) + self.rest
        return start + (self.unpack(frame["change"]) if "change" in frame else 0)

    @property
    def order(self):
        shown = set(self.exhibits.shown.tolist())
        return [k for k in self.exhibits.visible_order if k in shown]

    @property
    def bound(self):
        """Half a quantum for each of the terms: all patterns, the rest, the baseline, a change."""
        return (len(self.patterns) + 3) * self.quantum / 2 + 1e-5


@pytest.fixture(scope="module", params=FOLDERS)
def page(request):
    return Page(request.getfixturevalue(request.param))


def test_patterns_are_those_of_the_run_the_most_visible_first(page):
    shown = page.exhibits.shown.tolist()
    for k, pattern in zip(page.order, page.patterns, strict=True):
        wrong = (pattern - page.exhibits.patterns[shown.index(k)]).abs().max()
        assert float(wrong) <= page.quantum / 2 + 1e-6
    visible = page.exhibits.visible_change[page.order].tolist()
    assert visible == sorted(visible, reverse=True)


def test_any_sum_is_within_the_stated_rounding(page):
    shown = page.exhibits.shown.tolist()
    places = [shown.index(k) for k in page.order]
    rng = torch.Generator().manual_seed(4)
    stated = float(re.search(r"off by ([\d.]+) levels", page.board.rounding).group(1))
    low, high = page.run.provenance.image_range
    for _ in range(8):
        on = torch.rand(len(places), generator=rng) < 0.5
        exact = page.run.baseline_image + page.exhibits.patterns[places][on].sum(0)
        packed = page.baseline + page.patterns[on].sum(0)
        levels = float((packed - exact).abs().max()) * 255 / (high - low)
        assert levels <= stated + 1e-3


def test_all_patterns_and_all_else_are_the_picture(page):
    total = page.baseline + page.patterns.sum(0) + page.rest
    assert float((total - page.run.image).abs().max()) <= page.bound
    if page.data["elsewhere"]:
        assert not torch.allclose(total - page.rest, page.run.image, atol=page.bound)


def test_pictures_beside_the_sum_are_those_that_were_generated(page):
    x, exhibits = page.run.image, page.exhibits
    shown = exhibits.shown.tolist()

    def near(frame, image):
        assert float((page.frame(frame) - image).abs().max()) <= page.bound

    for step, image in zip(page.data["steps"], exhibits.build_up, strict=True):
        near(step["frame"], image)
    for demand, image in zip(page.data["demands"], exhibits.demanded, strict=True):
        near(demand["frame"], image)
    removed = [one for one in page.data["held"] if one["rest"] and len(one["on"]) < len(shown)]
    assert len(removed) == len(shown)
    for tile, (one, k) in enumerate(zip(removed, page.order, strict=True)):
        assert tile not in one["on"]
        near(one["frame"], x - exhibits.removals[shown.index(k)])
    assert {frame["source"] for frame in page.data["frames"]} <= {"x", "x0", *page.book.images}


def test_a_step_has_a_sum_only_where_all_its_patterns_are_here(page):
    for step in page.data["steps"]:
        leading = page.exhibits.visible_order[: step["count"]]
        if step["on"] is None:
            assert not set(leading) <= set(page.exhibits.shown.tolist())
        else:
            assert [page.order[tile] for tile in step["on"]] == leading


def test_fields_and_patches_are_those_of_the_run(page):
    fields = page.run.action_fields
    for k, field in zip(page.order, page.data["fields"], strict=True):
        assert fields[k].nonzero().flatten().tolist() == field
    missing = [k for k in range(page.run.count) if k not in page.order]
    assert page.board.others == len(page.data["elsewhere"]) == len(missing)
    labels = unpack(page.data["labels"], tuple(page.run.image.shape[-2:]), 1.0).long()
    assert torch.equal(labels, page.run.regions.label_map(*page.run.image.shape[-2:]))
    assert len(page.board.patches) == page.run.regions.count
    assert page.data["columns"] == (page.run.regions.columns or 0)


def test_pictures_that_are_not_finite_do_not_spoil_the_data(run_folder):
    page = Page(run_folder)
    broken = page.exhibits.demanded.clone()
    broken[0] = torch.nan
    inside = page.exhibits.inside.clone()
    inside[0] = torch.nan
    data = switchboard(page.book, replace(page.exhibits, demanded=broken, inside=inside)).data
    json.dumps(dict(data), allow_nan=False)
    demand = data["demands"][0]
    assert demand["inside"] is None
    assert data["frames"][demand["frame"]]["error"] is None


def test_a_run_without_shown_components_has_no_switches(run_folder):
    page = Page(run_folder)
    none = replace(
        page.exhibits, shown=page.exhibits.shown[:0], patterns=page.exhibits.patterns[:0],
        removals=page.exhibits.removals[:0], boundedness=page.exhibits.boundedness[:0],
    )  # fmt: skip
    assert switchboard(page.book, none) is None


def test_the_exact_form_names_its_remainder_and_its_random_demands(exact_folder):
    board = Page(exact_folder).board
    assert [tile.label for tile in board.tiles].count("remainder") == 1
    assert not [name for name in board.demands if "eld-out" in name]
