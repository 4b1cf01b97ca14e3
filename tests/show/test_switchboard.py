import json
import re
from dataclasses import replace

import pytest
import torch
from reading import unpack

import regional_primitives as rp
from regional_primitives.scores import Exhibits
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
        self.data = switchboard(self.book, self.exhibits)
        low, high = self.run.provenance.image_range
        self.quantum = self.data["share"] * (high - low)
        self.baseline = self.unpack(self.data["x0"]) + low
        self.patterns = torch.stack([self.unpack(one) for one in self.data["changes"]])
        self.rest = self.unpack(self.data["rest"])
        self.picture = self.baseline + self.patterns.sum(0) + self.rest

    def unpack(self, text):
        return unpack(text, tuple(self.run.image.shape), self.quantum)

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
    stated = float(re.search(r"off by ([\d.]+) levels", page.data["rounding"]).group(1))
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
    if page.data["others"]:
        assert not torch.allclose(total - page.rest, page.run.image, atol=page.bound)


def test_pictures_beside_the_sum_are_those_that_were_generated(page):
    x, exhibits = page.run.image, page.exhibits
    shown = exhibits.shown.tolist()

    def near(held, start, image):
        found = start + page.unpack(held["change"])
        assert float((found - image).abs().max()) <= page.bound
        assert held["source"] in page.book.images

    for name, images in (("steps", exhibits.build_up), ("demands", exhibits.demanded)):
        for held, image in zip(page.data[name], images, strict=True):
            near(held, page.baseline, image)
    assert [held["component"] for held in page.data["without"]] == page.order
    for held, k in zip(page.data["without"], page.order, strict=True):
        near(held, page.picture, x - exhibits.removals[shown.index(k)])
    assert [held["component"] for held in page.data["alone"]] == page.order
    departure = (page.run.baseline_image - x).square().sum()
    for held, k in zip(page.data["alone"], page.order, strict=True):
        alone = page.run.baseline_image + exhibits.patterns[shown.index(k)]
        error = float((alone - x).square().sum() / departure)
        assert held["error"] == pytest.approx(error, rel=1e-5)


def test_it_begins_with_a_sum_whose_patterns_are_all_here(page):
    order, count = page.data["start"].removeprefix("first=").split(":")
    assert order == "visible"
    assert int(count) in page.exhibits.steps.tolist()
    assert set(page.exhibits.visible_order[: int(count)]) <= set(page.exhibits.shown.tolist())


def test_fields_and_patches_are_those_of_the_run(page):
    assert page.data["fields"] == [
        row.nonzero().flatten().tolist() for row in page.run.action_fields
    ]
    assert page.data["shown"] == page.order
    assert page.data["others"] == page.run.count - len(page.order)
    labels = unpack(page.data["labels"], tuple(page.run.image.shape[-2:]), 1.0).long()
    assert torch.equal(labels, page.run.regions.label_map(*page.run.image.shape[-2:]))
    assert page.data["count"] == page.run.regions.count
    assert page.data["columns"] == page.run.regions.columns


def test_pictures_that_are_not_finite_do_not_spoil_the_data(run_folder):
    page = Page(run_folder)
    broken = page.exhibits.demanded.clone()
    broken[0] = torch.nan
    inside = page.exhibits.inside.clone()
    inside[0] = torch.nan
    data = switchboard(page.book, replace(page.exhibits, demanded=broken, inside=inside))
    json.dumps(data, allow_nan=False)
    demand = data["demands"][0]
    assert demand["inside"] is None
    assert demand["error"] is None


def test_a_run_without_shown_components_has_no_switches(run_folder):
    page = Page(run_folder)
    none = replace(
        page.exhibits, shown=page.exhibits.shown[:0], patterns=page.exhibits.patterns[:0],
        removals=page.exhibits.removals[:0], boundedness=page.exhibits.boundedness[:0],
    )  # fmt: skip
    assert switchboard(page.book, none) is None


def test_the_exact_form_names_its_remainder_and_its_random_demands(exact_folder):
    data = Page(exact_folder).data
    assert data["remainder"] in data["shown"]
    assert not [demand for demand in data["demands"] if "eld-out" in demand["name"]]
