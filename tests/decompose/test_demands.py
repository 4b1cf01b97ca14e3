import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.demands import draw_demands, held_out_demands


def test_a_demand_depends_on_its_number_alone():
    regions = rp.Regions.grid(6, 6)
    together = draw_demands(regions, 20, 3, "fit")
    apart = torch.cat([draw_demands(regions, 5, 3, "fit", start=s) for s in (0, 5, 10, 15)])
    assert torch.equal(together, apart)


def test_streams_of_different_purpose_or_seed_differ():
    regions = rp.Regions.grid(6, 6)
    fit = draw_demands(regions, 40, 0, "fit")
    assert not torch.equal(fit, held_out_demands(regions, 40, 0))
    assert not torch.equal(fit, draw_demands(regions, 40, 1, "fit"))


def test_no_demand_is_empty_and_about_half_are_rectangles():
    regions = rp.Regions.grid(4, 5)
    demands = draw_demands(regions, 400, 0, "fit")
    assert demands.any(1).all()
    known = {row.numpy().tobytes() for row in regions.rectangles()}
    share = sum(row.numpy().tobytes() in known for row in demands) / len(demands)
    # Half by construction, and some of the others happen to be rectangles.
    assert 0.45 < share < 0.75


def test_every_rectangle_is_as_likely_as_any_other():
    regions = rp.Regions.grid(2, 2)
    demands = draw_demands(regions, 4000, 0, "fit")
    pairs = demands[demands.sum(1) == 2].int().tolist()
    rows = pairs.count([1, 1, 0, 0]) + pairs.count([0, 0, 1, 1])
    columns = pairs.count([1, 0, 1, 0]) + pairs.count([0, 1, 0, 1])
    assert rows / columns == pytest.approx(1.0, abs=0.15)


def test_demands_of_a_label_map_are_connected_half_of_the_time():
    labels = torch.arange(12).repeat_interleave(2).view(1, 24).expand(4, 24)
    regions = rp.Regions.from_labels(labels)
    demands = draw_demands(regions, 200, 0, "fit")
    # Patches lie in a row, so a connected demand is a single interval.
    starts = torch.nn.functional.pad(demands.int(), (1, 0)).diff(dim=1).clamp_min(0).sum(1)
    assert demands.any(1).all()
    assert (starts == 1).float().mean() > 0.45


def test_unconnected_islands_do_not_hang_the_draw():
    regions = rp.Regions.from_labels(torch.tensor([[0, -1, 1, -1, 2]]))
    assert draw_demands(regions, 50, 0, "fit").any(1).all()


def test_a_count_below_one_is_refused():
    with pytest.raises(rp.InputError, match="at least one demand"):
        draw_demands(rp.Regions.grid(2, 2), 0, 0, "fit")
