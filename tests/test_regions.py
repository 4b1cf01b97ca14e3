from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regional_primitives import InputError, Regions
from regional_primitives.regions import visible_foreground

sides = st.integers(1, 12)


@st.composite
def grids(draw):
    """Draw a grid and a picture with at least as many pixels a side as cells."""
    rows, columns = draw(sides), draw(sides)
    return rows, columns, draw(st.integers(rows, 70)), draw(st.integers(columns, 70))


def test_64_pixels_in_6_rows():
    labels = Regions.grid(6, 6).label_map(64, 64)
    heights = [11, 11, 10, 11, 11, 10]
    assert labels[:, 0].bincount()[::6].tolist() == heights
    assert labels[0].bincount().tolist() == heights
    assert labels[0, 0] == 0
    assert labels[0, -1] == 5
    assert labels[-1, 0] == 30
    assert labels[-1, -1] == 35


@given(grids())
def test_every_pixel_is_in_exactly_one_patch_of_the_grid(grid):
    rows, columns, height, width = grid
    masks = Regions.grid(rows, columns).masks(height, width)
    assert masks.shape == (rows * columns, height, width)
    assert (masks.sum(0) == 1).all()


@given(grids())
def test_patches_of_a_grid_are_filled_rectangles_in_reading_order_of_nearly_equal_size(grid):
    rows, columns, height, width = grid
    tops, lefts = [], []
    for mask in Regions.grid(rows, columns).masks(height, width):
        ys, xs = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        top, bottom, left, right = int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1
        assert mask[top:bottom, left:right].all()
        assert mask.sum() == (bottom - top) * (right - left)
        assert bottom - top in (height // rows, -(-height // rows))
        assert right - left in (width // columns, -(-width // columns))
        tops.append(top)
        lefts.append(left)
    assert list(zip(tops, lefts, strict=True)) == sorted(zip(tops, lefts, strict=True))


@given(grids(), st.randoms(use_true_random=False))
def test_pixel_mask_is_the_union_of_its_patches(grid, random):
    rows, columns, height, width = grid
    regions = Regions.grid(rows, columns)
    demand = torch.tensor([random.random() < 0.5 for _ in range(regions.count)])
    union = torch.zeros(height, width, dtype=torch.bool)
    for patch, mask in enumerate(regions.masks(height, width)):
        if demand[patch]:
            union |= mask
    assert torch.equal(regions.pixel_mask(demand, height, width), union)


@given(sides, sides)
def test_text_of_a_grid_is_read_back(rows, columns):
    regions = Regions.parse(f" {rows} x {columns} ")
    assert (regions.rows, regions.columns, regions.count) == (rows, columns, rows * columns)
    assert regions.to_dict() == {"kind": "grid", "rows": rows, "columns": columns}


@pytest.mark.parametrize("text", ["6x6", "6X6", "6×6", "06x6", "6 x 6"])
def test_ways_to_write_a_grid(text):
    assert Regions.parse(text).description == "6 × 6 grid"


def test_grid_of_many_tens():
    assert Regions.parse("10x20").count == 200


@pytest.mark.parametrize(
    "text", ["", "6", "6x", "x6", "6x6x6", "0x6", "6x0", "00x6", "-1x6", "6.5x6", "axb", "6*6"]
)
def test_malformed_grid_texts_are_refused(text):
    with pytest.raises(InputError, match=r"not of the form ROWSxCOLUMNS, such as 6x6") as error:
        Regions.parse(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("side", [0, -1, 2.0, "6", True, None])
def test_bad_input_sides_of_a_grid(side):
    with pytest.raises(InputError, match=f"rows of a grid must be a whole number.*{side}"):
        Regions.grid(side, 6)
    with pytest.raises(InputError, match=f"columns of a grid must be a whole number.*{side}"):
        Regions.grid(6, side)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((5, 64), "grid of 6 rows needs as many pixels; the picture has 5"),
        ((64, 5), "grid of 6 columns needs as many pixels; the picture has 5"),
    ],
)
def test_more_cells_than_pixels(size, message):
    with pytest.raises(InputError, match=message):
        Regions.grid(6, 6).label_map(*size)


def test_as_many_cells_as_pixels():
    assert torch.equal(Regions.grid(2, 3).label_map(2, 3), torch.arange(6).view(2, 3))


# Label maps and masks

LABELS = torch.tensor([[0, 0, -1], [0, 2, 1], [-1, 2, 1]])


def test_label_map_keeps_pixels_of_no_patch_out():
    regions = Regions.from_labels(LABELS)
    assert not regions.is_grid
    assert regions.count == 3
    assert regions.description == "label map of 3 regions"
    told = regions.to_dict()
    assert (told["kind"], told["count"], len(told["digest"])) == ("labels", 3, 64)
    masks = regions.masks(3, 3)
    assert masks.flatten(1).sum(1).tolist() == [3, 2, 2]
    everything = regions.pixel_mask(torch.ones(3, dtype=torch.bool), 3, 3)
    assert torch.equal(everything, LABELS >= 0)


def test_label_map_is_a_copy():
    labels = LABELS.clone()
    regions = Regions.from_labels(labels)
    labels.zero_()
    assert torch.equal(regions.label_map(3, 3), LABELS)


def test_masks_and_label_maps_are_two_ways_to_say_the_same():
    regions = Regions.from_labels(LABELS)
    again = Regions.from_masks(regions.masks(3, 3))
    assert torch.equal(again.label_map(3, 3), LABELS)


def test_label_map_fits_pictures_of_its_own_size_only():
    with pytest.raises(InputError, match="label map is 3 × 3 pixels, the picture 6 × 3"):
        Regions.from_labels(LABELS).label_map(6, 3)


def test_label_map_from_numpy(unchecked):
    assert Regions.from_labels(np.array([[0, 1]], dtype=np.uint8)).count == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[-1, -1]]), "marks no pixel of any patch"),
        (torch.zeros(0, 0, dtype=torch.long), "marks no pixel"),
        (torch.tensor([[0.0, 1.0]]), r"whole-numbered tensor \[height, width\], not torch.float32"),
        (torch.tensor([[True, False]]), "not torch.bool"),
        (torch.tensor([0, 1]), r"not torch.int64 \[2\]"),
        (torch.zeros(1, 2, 2, dtype=torch.long), r"not torch.int64 \[1, 2, 2\]"),
        ("face", "a label map is a tensor, not str"),
        ([[0, 1], [2]], "a label map is a tensor, not list"),
    ],
)
def test_bad_input_label_maps(labels, message):
    with pytest.raises(InputError, match=message):
        Regions.from_labels(labels)


# Names


def test_labels_may_be_any_whole_numbers():
    regions = Regions.from_labels(torch.tensor([[255, 7], [7, -40]]), ignore=255)
    assert torch.equal(regions.labels, torch.tensor([[-1, 1], [1, 0]]))
    assert Regions.from_labels(torch.tensor([[10**12, 5]])).count == 2


def test_names_belong_to_labels_and_null_leaves_pixels_out():
    labels = torch.tensor([[17, 4], [4, 255]])
    regions = Regions.from_labels(labels, {17: "hair", "4": "skin", 255: None, 9: "hat"})
    assert regions.names == ("skin", "hair")
    assert torch.equal(regions.labels, torch.tensor([[1, 0], [0, -1]]))
    assert regions.description == "2 regions: skin, hair"
    assert repr(regions) == "<Regions: 2 regions: skin, hair>"
    assert Regions.grid(1, 2).named(["left", "right"]).names == ("left", "right")
    assert Regions.grid(1, 2).names == ("0", "1")


def test_masks_have_the_names_of_their_dictionary():
    one, two = _masks([1, 0, 0], [0, 1, 1])
    regions = Regions.from_masks({"mouth": one, "nose": two})
    assert regions.demand("nose").tolist() == [False, True]
    assert regions.demand(["nose", 0]).tolist() == [True, True]
    assert regions.in_words([1, 0]) == "nose, mouth"
    assert Regions.grid().in_words([3]) == "patch 3"
    assert Regions.grid().in_words([3, 4]) == "patches 3, 4"


def test_what_patches_are_called_does_not_make_other_patches():
    labels = torch.tensor([[0, 1]])
    one, other = (Regions.from_labels(labels, names) for names in (["a", "b"], ["c", "d"]))
    assert one == other
    assert one.to_dict() != other.to_dict()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "1 names for 2 patches"),
        (["a", "a"], "two patches are called 'a'"),
        (["a", "7"], "cannot be called '7': names are no numbers"),
        (["a", "b,c"], "without commas"),
        (["a", " b"], "cannot be called ' b'"),
        (["a", ""], "cannot be called ''"),
        (["a", "x" * 61], "at most 60 characters"),
        (["a", 3], "names of patches are a list of texts"),
        ("ab", "a list of texts, not str"),
        ({0: "a"}, "label 1 has no name; name it, or give it None"),
        ({0: None, 1: None}, "marks no pixel of any patch"),
        ({"zero": "a"}, "the label of a name must be a whole number"),
    ],
)
def test_bad_input_names(names, message, unchecked):
    with pytest.raises(InputError, match=message):
        Regions.from_labels(torch.tensor([[0, 1]]), names)


def test_bad_input_a_name_that_is_none_says_which_is_meant():
    regions = Regions.from_labels(torch.tensor([[0, 1]]), ["mouth", "nose"])
    with pytest.raises(InputError, match=r"no region 'mout'; did you mean 'mouth'.*mouth, nose"):
        regions.demand(["mout"])
    with pytest.raises(InputError, match="no region 'mouth'; there are: patches 0 … 35, without"):
        Regions.grid().demand("mouth")


def test_a_map_is_resized_when_asked():
    regions = Regions.from_labels(torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]]), ["left", "right"])
    larger = regions.resized(4, 8)
    assert larger.names == ("left", "right")
    assert torch.equal(larger.labels[:, :4], torch.zeros(4, 4).long())
    assert larger.resized(2, 4) == regions
    assert Regions.grid(2, 2).resized(9, 9) == Regions.grid(2, 2)
    with pytest.raises(InputError, match="at 1 × 1 pixels nothing is left of patch left"):
        regions.resized(1, 1)


def _masks(*rows):
    return torch.tensor(rows, dtype=torch.bool)[:, None]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (_masks([1, 1, 0], [0, 1, 1]), "masks 0 and 1 overlap"),
        (_masks([1, 1, 0], [0, 0, 0]), "mask 1 holds no pixel"),
        (torch.ones(2, 2, dtype=torch.bool), r"not torch.bool \[2, 2\]"),
        (torch.ones(1, 2, 2), "not torch.float32"),
        (torch.ones(0, 2, 2, dtype=torch.bool), "at least one patch"),
        ("face", "a stack of masks is a tensor, not str"),
    ],
)
def test_bad_input_masks(masks, message):
    with pytest.raises(InputError, match=message):
        Regions.from_masks(masks)


# Neighbours, rectangles, demands


def test_neighbours_of_a_grid_share_an_edge():
    adjacent = Regions.grid(3, 4).neighbours()
    for a in range(12):
        for b in range(12):
            distance = abs(a // 4 - b // 4) + abs(a % 4 - b % 4)
            assert adjacent[a, b] == (distance == 1)


def test_neighbours_in_a_label_map_touch():
    adjacent = Regions.from_labels(torch.tensor([[0, 0, 1], [0, 2, -1], [-1, -1, 3]])).neighbours()
    assert adjacent.nonzero().tolist() == [[0, 1], [0, 2], [1, 0], [2, 0]]


@pytest.mark.parametrize(("rows", "columns", "count"), [(6, 6, 441), (1, 1, 1), (2, 3, 18)])
def test_rectangles_are_all_there_once(rows, columns, count):
    rectangles = Regions.grid(rows, columns).rectangles()
    assert rectangles.shape == (count, rows * columns)
    assert len(rectangles.unique(dim=0)) == count
    for cells in rectangles.view(-1, rows, columns):
        assert torch.equal(cells, cells.any(1)[:, None] & cells.any(0)[None])
        down = cells.any(1).int().diff(prepend=torch.zeros(1, dtype=torch.int32))
        assert (down == 1).sum() == 1


def test_rectangles_given_out_are_the_callers_own():
    Regions.grid(2, 2).rectangles().zero_()
    assert Regions.grid(2, 2).rectangles().any()


def test_a_drawn_rectangle_is_one_of_them_and_the_callers_own():
    regions = Regions.grid(2, 3)
    known = {tuple(row.tolist()) for row in regions.rectangles()}
    rng = torch.Generator().manual_seed(0)
    drawn = [regions.draw_rectangle(rng) for _ in range(400)]
    assert {tuple(row.tolist()) for row in drawn} == known
    for row in drawn:
        row.zero_()
    assert regions.rectangles().any(1).all()


def test_label_maps_have_no_rectangles():
    with pytest.raises(InputError, match="only a grid has rectangles"):
        Regions.from_labels(LABELS).rectangles()
    with pytest.raises(InputError, match="only a grid has rectangles"):
        Regions.from_labels(LABELS).draw_rectangle(torch.Generator())


def test_demand_marks_the_patches_named():
    assert Regions.grid(2, 2).demand([3, 0, 3]).tolist() == [True, False, False, True]
    assert Regions.grid(2, 2).demand([]).tolist() == [False] * 4


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (4, "patch 4 does not exist; patches run 0 … 3"),
        (-1, "patch -1 does not exist"),
        (1.0, "a patch must be a whole number, not 1.0"),
        ("1", "no region '1'; there are: patches 0 … 3, without names"),
    ],
)
def test_bad_input_patches(patch, message):
    with pytest.raises(InputError, match=message):
        Regions.grid(2, 2).demand([patch])


@pytest.mark.parametrize(
    "demand",
    [
        torch.ones(3, dtype=torch.bool),
        torch.ones(5, dtype=torch.bool),
        torch.ones(1, 4, dtype=torch.bool),
        torch.ones(4),
    ],
)
def test_bad_input_demands(demand):
    with pytest.raises(InputError, match=r"a demand is a bool tensor \[4\], not"):
        Regions.grid(2, 2).pixel_mask(demand, 8, 8)


# Foreground


def test_foreground_is_what_the_mask_covers_by_half():
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:4, :2] = True  # half of patch 0
    mask[4:, 4:] = True  # all of patch 3
    mask[4:, 0] = True  # a quarter of patch 2
    regions = Regions.grid(2, 2)
    assert regions.foreground(mask) == (0, 3)
    assert regions.foreground(mask, coverage=0.25) == (0, 2, 3)
    assert regions.foreground(mask, coverage=1.0) == (3,)


def test_foreground_of_nothing():
    with pytest.raises(InputError, match="no patch is covered by the foreground to 50%"):
        Regions.grid(2, 2).foreground(torch.zeros(8, 8, dtype=torch.bool))


@pytest.mark.parametrize("mask", [torch.ones(8, 8), torch.ones(1, 8, 8, dtype=torch.bool)])
def test_bad_input_foreground_masks(mask):
    with pytest.raises(InputError, match="a foreground mask is a bool tensor"):
        Regions.grid(2, 2).foreground(mask)


def test_foreground_patches_are_drawn_from_the_stream_given():
    def draw(seed):
        return regions.draw_foreground(mask, torch.Generator().manual_seed(seed))

    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[:, 16:48] = True
    regions = Regions.grid(6, 6)
    candidates = set(regions.foreground(mask))
    draws = {seed: draw(seed) for seed in range(20)}
    for seed, drawn in draws.items():
        assert len(set(drawn)) == 9
        assert set(drawn) <= candidates
        assert list(drawn) == sorted(drawn)
        assert draw(seed) == drawn
    assert len(set(draws.values())) > 10
    assert set().union(*draws.values()) == candidates


@pytest.mark.parametrize("count", [0, -1, 37])
def test_foreground_has_no_more_patches_than_it_has(count):
    message = f"asked for {count} foreground patches; there are 36"
    everywhere = torch.ones(64, 64, dtype=torch.bool)
    with pytest.raises(InputError, match=message):
        Regions.grid(6, 6).draw_foreground(everywhere, torch.Generator(), count)


def test_visible_foreground_is_where_the_picture_departs_most():
    baseline = torch.full((3, 4, 4), 0.2)
    image = baseline.clone()
    image[:, 1:3, 1:3] += 0.5
    image[0, 0, 0] += 0.01
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[1:3, 1:3] = True
    assert torch.equal(visible_foreground(image, baseline), expected)
    assert not visible_foreground(baseline, baseline).any()
