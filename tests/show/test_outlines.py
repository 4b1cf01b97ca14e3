import re

import pytest
import torch

import regional_primitives as rp
from regional_primitives.show.outlines import borders, loops, outline, segments, surroundings


def points_of(path):
    """Read a path of absolute M, H, V, Z into loops of corners."""
    found = []
    for command, numbers in re.findall(r"([MHVZ])([\d ]*)", path):
        values = [int(number) for number in numbers.split()]
        if command == "M":
            found.append([tuple(values)])
        elif command == "H":
            found[-1].append((values[0], found[-1][-1][1]))
        elif command == "V":
            found[-1].append((found[-1][-1][0], values[0]))
    return found


def filled(path, height, width):
    """Fill by the even-odd rule: count upright edges left of each pixel's centre."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    for loop in points_of(path):
        for (x, y), (end_x, end_y) in zip(loop, [*loop[1:], loop[0]], strict=True):
            if x == end_x:
                mask[min(y, end_y) : max(y, end_y), x:] ^= True
    return mask


def test_one_pixel_is_a_square():
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[1, 2] = True
    assert outline(mask) == "M2 1H3V2H2Z"


def test_straight_runs_become_one_segment():
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[2:6, 1:7] = True
    assert outline(mask) == "M1 2H7V6H1Z"


def test_an_l_shape_has_six_corners():
    mask = torch.tensor([[1, 0], [1, 1]]).bool()
    assert outline(mask) == "M0 0H1V1H2V2H0Z"


def test_a_hole_is_a_loop_the_other_way_round():
    mask = torch.ones(3, 3, dtype=torch.bool)
    mask[1, 1] = False
    assert outline(mask) == "M0 0H3V3H0ZM1 1V2H2V1Z"


def test_pixels_that_touch_at_a_corner_are_two_loops():
    assert outline(torch.eye(2).bool()) == "M0 0H1V1H0ZM1 1H2V2H1Z"
    assert len(loops(torch.eye(2).bool().flip(0))) == 2


def test_nothing_marked_is_no_path():
    assert outline(torch.zeros(3, 3, dtype=torch.bool)) == ""


@pytest.mark.parametrize("seed", range(40))
def test_a_filled_outline_is_the_mask(seed):
    rng = torch.Generator().manual_seed(seed)
    height, width = torch.randint(1, 12, (2,), generator=rng).tolist()
    mask = torch.rand(height, width, generator=rng) < torch.rand((), generator=rng)
    assert torch.equal(filled(outline(mask), height, width), mask)
    outside = surroundings(outline(mask), height, width)
    assert torch.equal(filled(outside, height, width), ~mask)


@pytest.mark.parametrize("seed", range(20))
def test_segments_lie_between_labels_and_nowhere_else(seed):
    rng = torch.Generator().manual_seed(seed)
    height, width = torch.randint(1, 10, (2,), generator=rng).tolist()
    labels = torch.randint(-1, 3, (height, width), generator=rng)
    upright = torch.zeros(height, max(width - 1, 0), dtype=torch.bool)
    level = torch.zeros(max(height - 1, 0), width, dtype=torch.bool)
    for (x, y), (end_x, end_y) in segments(labels):
        if x == end_x:
            assert not upright[y:end_y, x - 1].any()
            upright[y:end_y, x - 1] = True
        else:
            assert not level[y - 1, x:end_x].any()
            level[y - 1, x:end_x] = True
    assert torch.equal(upright, labels[:, 1:] != labels[:, :-1])
    assert torch.equal(level, labels[1:] != labels[:-1])


def test_borders_of_a_grid_are_whole_lines():
    labels = rp.Regions.grid(2, 3).label_map(6, 6)
    assert borders(labels) == "M2 0V6M4 0V6M0 3H6"


def test_an_action_field_of_a_label_map_keeps_its_pixel_edges(label_map):
    regions = rp.Regions.from_labels(label_map)
    mask = regions.pixel_mask(regions.demand([0, 4]), *label_map.shape)
    assert torch.equal(filled(outline(mask), *label_map.shape), mask)
