import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import regional_primitives as rp
from regional_primitives.show.glyphs import FieldGlyphs, coarse_labels

DPI = 144


def drawn(regions, patches, points=48.0):
    """Pixels of one glyph, alone on a white figure as large as itself, that are red."""
    glyphs = FieldGlyphs(regions, points)
    figure = Figure(figsize=(glyphs.size[0] / 72, glyphs.size[1] / 72), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    glyphs.draw(axes, regions.demand(patches), (0.5, 0.5), colour="#ff0000")
    canvas.draw()
    pixels = torch.tensor(canvas.buffer_rgba().tolist())[..., :3]
    return (pixels == torch.tensor([255, 0, 0])).all(2)


@pytest.mark.parametrize("patches", [[], [0], [7], [0, 1, 4, 5], list(range(12)), [5, 6]])
def test_the_fields_patches_are_filled_where_they_are(patches):
    regions = rp.Regions.grid(3, 4)
    red = drawn(regions, patches)
    assert tuple(red.shape) == (72, 96)
    expected = regions.pixel_mask(regions.demand(patches), *red.shape)
    # Borders are drawn over the edges of patches, which are 24 pixels wide.
    y, x = torch.meshgrid(torch.arange(72), torch.arange(96), indexing="ij")
    inside = ((y % 24 - 11.5).abs() < 9) & ((x % 24 - 11.5).abs() < 9)
    assert red[inside].equal(expected[inside])


def test_a_hole_stays_empty():
    ring = [0, 1, 2, 3, 5, 6, 7, 8]
    red = drawn(rp.Regions.grid(3, 3), ring)
    assert not red[36:60, 36:60].any()
    assert red[4:28, 36:60].float().mean() > 0.8


def test_a_label_map_is_thinned_out_but_keeps_its_shape(label_map):
    regions = rp.Regions.from_labels(label_map)
    assert coarse_labels(regions).equal(label_map)
    large = label_map.repeat_interleave(10, 0).repeat_interleave(20, 1)
    small = coarse_labels(rp.Regions.from_labels(large))
    assert tuple(small.shape) == (36, 72)
    expected = torch.nn.functional.interpolate(label_map[None, None].float(), (36, 72))[0, 0]
    assert (small != expected).float().mean() < 0.05
    red = drawn(regions, [4])
    expected = (label_map == 4).repeat_interleave(3, 0).repeat_interleave(3, 1)
    assert (red != expected).float().mean() < 0.1
