import io
from dataclasses import replace

import pytest
import torch
from matplotlib.offsetbox import AnnotationBbox
from PIL import Image

import regional_primitives as rp
from regional_primitives.scores.relations import covering_pairs
from regional_primitives.show import form
from regional_primitives.show import relation_plots as plots

PLOTS = [
    plots.plot_containment,
    plots.plot_togetherness,
    plots.plot_overlap,
    plots.plot_credit,
]


@pytest.fixture(scope="module")
def decomposition(run_folder):
    return rp.Decomposition.load(run_folder)


@pytest.fixture(scope="module")
def relations(decomposition):
    return rp.relations(decomposition, 24)


@pytest.fixture(scope="module")
def labelled(labelled_folder):
    return rp.relations(rp.Decomposition.load(labelled_folder))


def kept(decomposition, count):
    """The strongest components only."""
    stop = int(decomposition.offsets[count])
    return replace(
        decomposition,
        action_fields=decomposition.action_fields[:count],
        strengths=decomposition.strengths[:count],
        offsets=decomposition.offsets[: count + 1],
        units=decomposition.units[:stop],
        values=decomposition.values[:stop],
    )


def words(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def signs(axes):
    return [artist for artist in axes.get_children() if isinstance(artist, AnnotationBbox)]


def test_axes_speak_in_names_where_these_are_short(labelled):
    d = labelled.decomposition
    names = ["sky", "sea", "sand", "stones", "a sun that is far too long"]
    named = rp.relations(replace(d, regions=d.regions.named(names)))
    ticks = [tick.get_text() for tick in plots.plot_overlap(named).axes[0].get_xticklabels()]
    assert len(ticks) == named.strongest
    for k, tick in zip(named.order, ticks, strict=True):
        field = " + ".join(names[i] for i in d.action_fields[k].nonzero().flatten().tolist())
        assert tick in (field, str(k), "everything")
        assert (tick == str(k)) == (len(field) > 22 and tick != "everything")
    told = {word.replace("\n", " ") for word in words(plots.plot_containment(named).axes[0])}
    of = named.decomposition
    short = [form.field_in_words(of, k) for k in range(min(16, of.count))]
    assert {field for field in short if len(field) <= 16} <= told
    inside = " ".join(words(plots.plot_credit(named).axes[0])).replace("\n", " ")
    assert all(name in inside for name in names)


@pytest.mark.parametrize("plot", PLOTS)
def test_every_figure_has_a_title_and_says_how_to_read_it(relations, plot):
    axes = plot(relations).axes[0]
    assert axes.get_title(loc="left")
    assert any(len(word) > 25 for word in words(axes))


def test_containment_shows_the_strongest_fields_and_their_order(relations):
    axes = plots.plot_containment(relations, most=12).axes[0]
    assert len(signs(axes)) == 12
    assert {str(k) for k in range(12)} <= set(words(axes))
    arrows = [text for text in axes.texts if getattr(text, "arrow_patch", None) is not None]
    pairs = covering_pairs(relations.contains[:12, :12])
    assert len(arrows) == len(pairs) > 0
    at = {tuple(sign.xy): k for k, sign in enumerate(signs(axes))}
    ends = {at[tuple(arrow.xy)] for arrow in arrows}
    shown = [int(word) for word in words(axes) if word.isdigit()]
    assert {shown[end] for end in ends} == {smaller for _, smaller in pairs}
    assert (
        plots.plot_containment(relations)
        .axes[0]
        .get_title(loc="left")
        .endswith(f"16 strongest of {relations.decomposition.count}")
    )


def test_the_tree_joins_at_the_merges_heights(relations):
    axes = plots.plot_togetherness(relations).axes[0]
    tops = [line.get_ydata()[1] for line in axes.lines]
    assert tops == pytest.approx((100 * (1 - relations.merges[:, 2])).tolist())
    low, high = axes.get_ylim()
    assert low == 100
    assert high < min(tops)
    assert [word for word in words(axes) if word.isdigit()] == [str(k) for k in relations.order]
    assert [sign.xy[0] for sign in signs(axes)] == list(range(24))
    assert "%" in axes.get_ylabel()
    assert any("mean 10" in word for word in words(axes))


def test_the_heat_map_shows_the_overlap_in_the_order_of_the_tree(relations):
    axes = plots.plot_overlap(relations).axes[0]
    shown = torch.as_tensor(axes.images[0].get_array().filled(float("nan")))
    order = relations.order
    expected = 100 * relations.overlap[order][:, order]
    apart = ~torch.eye(24, dtype=torch.bool)
    torch.testing.assert_close(shown[apart], expected[apart])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [str(k) for k in order]
    (bar,) = axes.child_axes
    assert "%" in bar.get_ylabel()


def test_credit_shows_totals_and_who_earns_them(relations):
    axes = plots.plot_credit(relations).axes[0]
    totals = torch.as_tensor(axes.images[0].get_array().filled(float("nan")))
    torch.testing.assert_close(totals.flatten(), relations.patch_totals)
    for patch in range(16):
        row, column = divmod(patch, 4)
        there = [
            text.get_text()
            for text in axes.texts
            if text.get_position()[0] // 1 == column
            and text.get_position()[1] // 1 == row
            and len(text.get_text()) < 10
        ]
        leading = relations.credit_of_patch(patch)[:3]
        assert there[::2] == [str(k) for k, _ in leading]
        percents = [float(text.replace("%", "")) / 100 for text in there[1::2]]
        assert percents == pytest.approx([share for _, share in leading], rel=0.06)
    (bar,) = axes.child_axes
    assert "‖Δf‖" in bar.get_ylabel()


def test_small_cells_name_the_leading_component_only(relations):
    from matplotlib.figure import Figure

    axes = Figure(figsize=(1.6, 1.6)).add_axes((0, 0, 1, 1))
    plots.plot_credit(relations, axes)
    leading = [str(relations.credit_of_patch(patch)[0][0]) for patch in range(16)]
    assert [word for word in words(axes) if word.isdigit()] == leading


def test_regions_of_a_label_map_are_named_inside_themselves(labelled, label_map):
    axes = plots.plot_credit(labelled).axes[0]
    named = [text for text in axes.texts if "%" in text.get_text()]
    assert len(named) == 5
    for patch, text in enumerate(named):
        x, y = text.get_position()
        assert int(label_map[int(y), int(x)]) == patch
        assert text.get_text().split(":")[0] == str(labelled.credit_of_patch(patch)[0][0])


def test_a_regions_name_stands_where_it_has_room(decomposition):
    labels = torch.zeros(32, 32, dtype=torch.long)
    labels[:24, 8:24] = 1  # region 0 is a U round it, whose middle lies in region 1
    regions = rp.Regions.from_labels(labels)
    fields = decomposition.action_fields[:, :2]
    found = rp.relations(replace(decomposition, regions=regions, action_fields=fields))
    axes = plots.plot_credit(found).axes[0]
    told = [text for text in axes.texts if "%" in text.get_text()]
    assert len(told) == 2
    for patch, text in enumerate(told):
        x, y = map(int, text.get_position())
        assert (labels[y - 2 : y + 3, x - 2 : x + 3] == patch).all()


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_components_can_be_drawn(decomposition, plot, count):
    figure = plot(rp.relations(kept(decomposition, count)))
    assert _pixels(figure).size[0] > 300


@pytest.mark.parametrize("plot", PLOTS)
def test_pictures_of_label_maps_are_not_blank(labelled, plot):
    low, high = _pixels(plot(labelled)).convert("L").getextrema()
    assert low < 80
    assert high == 255


@pytest.mark.parametrize("plot", PLOTS)
def test_a_figure_can_be_drawn_on_the_callers_axis(relations, plot):
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 2)
    assert plot(relations, axes[1]) is figure
    assert not axes[0].texts
    assert figure.axes == list(axes)


def test_drawing_leaves_pyplot_alone(relations):
    from matplotlib import pyplot

    for plot in PLOTS:
        plot(relations)
    assert pyplot.get_fignums() == []


def _pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return Image.open(buffer)
