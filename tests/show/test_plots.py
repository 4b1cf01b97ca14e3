import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

import regional_primitives as rp
from regional_primitives.runtime.storage import read_json
from regional_primitives.scores import Exhibits
from regional_primitives.show import plots, style, write_figures
from regional_primitives.show.figures import draw_figures
from regional_primitives.show.overview import plot_overview

FRONTIER = [
    {"price": price, "inside_error": inside, "leak": leak}
    for price, inside, leak in ((0.03, 0.002, 0.2), (0.1, 0.004, 0.12), (0.3, 0.01, 0.08))
]


@pytest.fixture(scope="module")
def decomposition(run_folder):
    return rp.Decomposition.load(run_folder)


@pytest.fixture(scope="module")
def scores(run_folder):
    return replace(rp.Scores.from_dict(read_json(run_folder / "scores.json")), frontier=FRONTIER)


@pytest.fixture(scope="module")
def exhibits(run_folder):
    return Exhibits.read(run_folder)


@pytest.fixture(scope="module")
def figures(decomposition, scores):
    return {
        "sparsity": plots.plot_sparsity(decomposition, scores),
        "top_error": plots.plot_top_error(scores),
        "field_sizes": plots.plot_field_sizes(decomposition, scores),
        "history": plots.plot_history(decomposition),
        "frontier": plots.plot_frontier(scores),
    }


def test_every_figure_has_a_title_and_both_axes_named(figures):
    titles = {figure.axes[0].get_title(loc="left") for figure in figures.values()}
    assert len(titles) == len(figures)
    for figure in figures.values():
        (axes,) = figure.axes
        assert axes.get_title(loc="left")
        assert axes.get_xlabel()
        assert "%" in axes.get_ylabel()


def test_the_sparsity_curve_passes_through_its_marks(decomposition, scores, figures):
    axes = figures["sparsity"].axes[0]
    curve = torch.tensor(axes.lines[0].get_ydata())
    assert len(curve) == decomposition.count
    assert float(curve[-1]) == pytest.approx(100)
    for name, share in (("n50", 50), ("n90", 90), ("n95", 95)):
        count = getattr(scores, name)
        assert float(curve[count - 1]) >= share - 1e-6
        assert count == 1 or float(curve[count - 2]) < share
        assert f"{name} = {count}" in {text.get_text() for text in axes.texts}
    assert axes.get_xscale() == "log"


def test_the_other_curves_show_the_numbers(decomposition, scores, figures):
    line = figures["top_error"].axes[0].lines[0]
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) == pytest.approx(
        {count: 100 * error for count, error in scores.top_inside_error.items()}
    )
    bars = figures["field_sizes"].axes[0].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(100)
    thin = figures["history"].axes[0].lines[0]
    assert list(thin.get_ydata()) == pytest.approx((100 * decomposition.history[:, 0]).tolist())
    assert list(figures["frontier"].axes[0].lines[0].get_ydata()) == pytest.approx([20, 12, 8])


def test_a_figure_can_be_drawn_on_the_callers_axis(decomposition, scores):
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 2)
    assert plots.plot_sparsity(decomposition, scores, axes[0]) is figure
    assert plots.plot_history(decomposition, axes[1]) is figure
    assert len(figure.axes) == 2


def test_the_overview_names_the_run_and_says_what_colours_mean(decomposition, exhibits):
    figure = plot_overview(decomposition, exhibits)
    assert "planted, layer express, picture seed 3" in figure.get_suptitle()
    assert any("image range" in axes.get_ylabel() for axes in figure.axes)


def test_an_overview_of_components_that_nobody_notices_shows_the_strongest(decomposition, exhibits):
    unseen = replace(exhibits, visible_change=torch.zeros_like(exhibits.visible_change))
    figure = plot_overview(decomposition, unseen)
    assert "the strongest (none alone is noticed)" in figure.get_suptitle()
    titles = [axes.get_title() for axes in figure.axes]
    assert [title for title in titles if title.startswith("component")][:2] == [
        "component 0", "component 1",
    ]  # fmt: skip


def test_drawing_leaves_pyplot_alone(decomposition, scores, figures):
    from matplotlib import pyplot

    assert pyplot.get_fignums() == []


def test_figures_are_written_and_not_blank(tmp_path, decomposition, scores, exhibits):
    written = write_figures(tmp_path, decomposition, scores, exhibits)
    names = ["overview", "sparsity", "top_error", "field_sizes", "history", "frontier"]
    names += ["containment", "togetherness", "overlap", "credit"]
    assert written == [tmp_path / "figures" / f"{name}.png" for name in names]
    for path in written:
        picture = Image.open(path).convert("L")
        assert min(picture.size) > 300
        assert picture.getextrema() == (picture.getextrema()[0], 255)
        assert picture.getextrema()[0] < 80


def test_what_was_not_measured_is_not_drawn(decomposition, scores, exhibits):
    silent = replace(decomposition, history=torch.zeros(0, 3))
    drawn = draw_figures(silent, replace(scores, frontier=None), exhibits)
    assert not {"history", "frontier"} & set(drawn)


def test_equal_figures_give_equal_svg(scores):
    one, other = (style.svg(plots.plot_top_error(scores)) for _ in range(2))
    assert one == other
    assert "<svg" in one


def test_a_dark_figure_differs_in_colours_only(scores):
    light = style.svg(plots.plot_top_error(scores))
    dark = style.darkened(light)
    assert "#ffffff" not in dark
    colour = re.compile("#[0-9a-f]{6}")
    assert colour.sub("", dark) == colour.sub("", light)
    assert len(set(colour.findall(dark))) == len(set(colour.findall(light)))
