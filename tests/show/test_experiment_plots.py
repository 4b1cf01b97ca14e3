import io
from dataclasses import replace

import pytest
import torch
from PIL import Image

import regional_primitives as rp
from regional_primitives import scores
from regional_primitives.compare.across import AcrossPictures
from regional_primitives.compare.transfer import transfer
from regional_primitives.show import experiment_pictures as pictures
from regional_primitives.show import experiment_plots as plots
from regional_primitives.show.comparison_plots import plot_transfer


@pytest.fixture(scope="module")
def runs(planted):
    """Two pictures, quickly made."""
    settings = rp.Structured(steps=4, batch=4, probes=1, baseline_count=64, size_penalty=0.0)
    return [
        rp.explain(planted, planted.sample_latents(1, seed=seed), rp.Regions.grid(4, 4), settings)
        for seed in (3, 4)
    ]


@pytest.fixture(scope="module")
def results(planted, runs):
    """Every experiment on both pictures."""
    chosen = list(range(16))
    few = {"components": 7, "contexts": 3}
    return {
        "sparsity": [scores.sparsity(d) for d in runs],
        "boundedness": [scores.boundedness(d, planted, shown=3, **few) for d in runs],
        "consistency": [scores.consistency(d, planted, **few) for d in runs],
        "superposition": [scores.superposition(d, planted) for d in runs],
        "control": [scores.control(d, planted, draws=2) for d in runs],
        "redraw": [scores.redraw(d, d, chosen, chosen) for d in runs],
    }


CHARTS = {
    "strengths": ("sparsity", plots.plot_strengths),
    "orders": ("sparsity", plots.plot_orders),
    "boundedness": ("boundedness", plots.plot_boundedness),
    "consistency": ("consistency", plots.plot_consistency),
    "superposition": ("superposition", plots.plot_superposition),
    "control": ("control", plots.plot_control),
    "redraw": ("redraw", plots.plot_redraw),
}
SHEETS = {
    "real fields": ("boundedness", pictures.plot_real_fields),
    "contexts": ("consistency", pictures.plot_contexts),
    "build-up": ("superposition", pictures.plot_build_up),
    "edits": ("control", pictures.plot_edits),
}


def drawn(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    picture = Image.open(buffer).convert("L")
    low, high = picture.getextrema()
    assert min(picture.size) > 150
    assert low < 100
    assert high == 255


@pytest.mark.parametrize("name", CHARTS)
def test_charts_of_one_and_of_several_pictures(results, name):
    experiment, plot = CHARTS[name]
    one, several = (
        plot(results[experiment][0]),
        plot(AcrossPictures.of(results[experiment])),
    )
    for figure, count in ((one, "one picture"), (several, "2 pictures")):
        (axes,) = figure.axes
        assert axes.get_title(loc="left")
        assert axes.get_ylabel()
        assert axes.get_xlabel().endswith(count)
        drawn(figure)


def test_the_chart_of_transfer(runs):
    found = transfer(runs, a=5, b=9, draws=2)
    figure = plot_transfer(found)
    (axes,) = figure.axes
    assert axes.get_xlabel().endswith("2 pictures")
    curve = axes.lines[0].get_ydata()
    assert list(curve) == pytest.approx((100 * found.found.curves.mean(0)).tolist())
    assert "t(5, 9)" in "".join(text.get_text() for text in axes.texts)
    drawn(figure)


def test_the_papers_range_is_drawn_at_its_own_counts_only(runs):
    found = transfer(runs, a=20, b=100, draws=1)
    assert (found.a, found.b) == (20, 100)
    for result, expected in ((found, True), (replace(found, a=19), False)):
        (axes,) = plot_transfer(result).axes
        told = "".join(text.get_text() for text in axes.texts)
        assert ("grey: paper, 76–88 %" in told) is expected
        assert any(list(line.get_ydata()) == [76, 88] for line in axes.lines) is expected


def test_the_build_up_says_where_its_error_is(results):
    found = results["superposition"][0]
    few = replace(found, patches=torch.arange(16) < 5)
    said = [pictures.plot_build_up(one).texts[1].get_text() for one in (found, few)]
    assert said[0].startswith("below: squared error against x, where 100 %")
    assert said[1].startswith("below: squared error against x on the 5 patches of the fields, ")


@pytest.mark.parametrize("name", SHEETS)
def test_sheets_of_pictures(results, name):
    experiment, plot = SHEETS[name]
    figure = plot(results[experiment][0])
    drawn(figure)
    assert len(figure.texts) == 2  # a title, and what the notes mean


@pytest.mark.parametrize("name", ["real fields", "contexts", "edits"])
def test_maps_have_a_colour_bar(results, name):
    experiment, plot = SHEETS[name]
    labels = [axes.get_ylabel() for axes in plot(results[experiment][0]).axes]
    assert sum("image range" in label for label in labels) == 1


def test_charts_show_the_numbers(results):
    several = AcrossPictures.of(results["superposition"])
    axes = plots.plot_superposition(several).axes[0]
    bold = [line for line in axes.lines if line.get_linewidth() > 2]
    for line, order in zip(bold, ("strongest_first", "smallest_first"), strict=False):
        third = [float(getattr(r, order).inside_error[2]) for r in several.results]
        assert line.get_xdata()[2] == 4
        assert line.get_ydata()[2] == pytest.approx(50 * sum(third))
    axes = plots.plot_orders(results["sparsity"][0]).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == pytest.approx(100)
    axes = plots.plot_boundedness(results["boundedness"][0]).axes[0]
    told = {text.get_text() for text in axes.texts}
    assert f"{results['boundedness'][0].numbers()['boundedness']:.2f}" in told
    axes = plots.plot_consistency(results["consistency"][0]).axes[0]
    assert list(axes.lines[0].get_ydata()) == results["consistency"][0].cosine.tolist()
    assert f"{results['consistency'][0].numbers()['consistency']:.2f}" in axes.texts[0].get_text()


def test_notes_below_the_pictures_are_the_numbers(results):
    found = results["boundedness"][0]
    notes = [axes.get_xlabel() for axes in pictures.plot_real_fields(found).axes]
    share = f"{100 * float(found.alone.share_inside[0]):.0f} %"
    assert any(note.startswith(share) for note in notes)
    found = results["consistency"][0]
    notes = [axes.get_xlabel() for axes in pictures.plot_contexts(found).axes]
    told = [float(note.split()[1]) for note in notes if note.startswith("cosine")]
    # All contexts are shown here, so that the notes come to the score itself.
    assert sum(told) / len(told) == pytest.approx(found.shown_cosine, abs=0.006)
    found = results["superposition"][0]
    notes = [axes.get_xlabel() for axes in pictures.plot_build_up(found).axes]
    first = 100 * float(found.strongest_first.inside_error[0])
    assert f"{first:.0f} %" in notes


def test_a_region_without_components_can_be_drawn(planted, runs):
    found = scores.control(runs[0], planted, regions=[[5]], draws=1)
    none = replace(
        found,
        edits=tuple(
            replace(edit, effect=None, random_effect=None, components=0) for edit in found.edits
        ),
    )
    drawn(pictures.plot_edits(none))
    drawn(plots.plot_control(none))


def test_grey_pictures_and_a_field_of_the_whole_picture(results):
    found = results["boundedness"][0]
    nowhere = torch.full_like(found.alone.auc, torch.nan)
    grey = replace(
        found,
        image=found.image[:1],
        alone=replace(found.alone, auc=nowhere),
        in_context=replace(found.in_context, auc=nowhere[:7]),
    )
    drawn(pictures.plot_real_fields(grey))
    drawn(plots.plot_boundedness(grey))


def test_a_chart_can_be_drawn_on_the_callers_axis(results):
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 2)
    assert plots.plot_strengths(results["sparsity"][0], axes[0]) is figure
    assert plots.plot_redraw(results["redraw"][0], axes[1]) is figure


def test_drawing_leaves_pyplot_alone(results):
    from matplotlib import pyplot

    pictures.plot_edits(results["control"][0])
    assert pyplot.get_fignums() == []
