from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.scores import Exhibits
from regional_primitives.show import form
from regional_primitives.show.figures import draw_figures
from regional_primitives.show.plots import plot_noise
from regional_primitives.show.report import render


@pytest.fixture(scope="module")
def whole(exact_folder):
    return rp.Decomposition.load(exact_folder)


@pytest.fixture(scope="module")
def components(whole):
    return form.apart(whole)


@pytest.fixture(scope="module")
def scores(exact_folder):
    return rp.Scores.read(exact_folder)


def lines(figure, name):
    return [line for line in figure.axes[0].lines if line.get_label().startswith(name)]


def test_every_component_stands_at_its_order_and_strength(components):
    figure = plot_noise(components)
    (above,), (below,) = lines(figure, "above"), lines(figure, "below")
    marks = components.significant
    for line, chosen in ((above, marks), (below, ~marks)):
        torch.testing.assert_close(torch.tensor(line.get_ydata()), components.strengths[chosen])
        orders = torch.tensor(line.get_xdata()).round().long()
        assert orders.tolist() == components.action_fields.sum(1)[chosen].tolist()
        assert f"({int(chosen.sum())})" in line.get_label()


def test_the_floor_of_each_order_is_drawn(components):
    figure = plot_noise(components)
    steps = [line for line in figure.axes[0].lines if len(set(line.get_ydata())) == 1
             and len(line.get_xdata()) == 2]  # fmt: skip
    drawn = {round(sum(line.get_xdata()) / 2): line.get_ydata()[0] for line in steps}
    orders = components.action_fields.sum(1).tolist()
    assert drawn == pytest.approx(dict(zip(orders, components.noise.tolist(), strict=True)))


def test_the_axes_say_what_they_are(components):
    (axes,) = plot_noise(components).axes
    assert axes.get_title(loc="left")
    assert "order" in axes.get_xlabel()
    assert "‖Δf‖" in axes.get_ylabel()
    assert axes.get_yscale() == "log"


def test_a_floor_of_nothing_or_one_component_can_be_drawn(components):
    plot_noise(replace(components, noise=0 * components.noise))
    stop = int(components.offsets[1])
    names = ("action_fields", "strengths", "noise")
    one = replace(components, offsets=components.offsets[:2], units=components.units[:stop],
                  values=components.values[:stop],
                  **{name: getattr(components, name)[:1] for name in names})  # fmt: skip
    assert plot_noise(one).axes[0].get_xlim()[0] == 0.5


def test_without_a_floor_there_is_no_such_chart(whole, scores, exact_folder):
    silent = replace(whole, noise=None)
    with pytest.raises(rp.InputError, match="noise_floor=True"):
        plot_noise(silent)
    exhibits = Exhibits.read(exact_folder)
    figures = draw_figures(silent, scores, exhibits)
    assert "noise" not in figures
    assert "with the noise floor" not in render(silent, scores, exhibits, figures=figures)


def test_the_chart_is_among_the_others_and_none_counts_the_remainder(whole, scores, exact_folder):
    exhibits, above = Exhibits.read(exact_folder), form.above_floor(whole)
    drawn = draw_figures(whole, scores, exhibits)
    page = render(whole, scores, exhibits, figures=drawn)
    assert f"{above} of {whole.count - 1} components lie above it." in page
    assert len(lines(drawn["noise"], "above")[0].get_ydata()) == above
    assert len(drawn["sparsity"].axes[0].lines[0].get_ydata()) == whole.count - 1
    assert f"of {whole.count - 1} components" in drawn["overview"].get_suptitle()
    titles = {axes.get_title() for axes in drawn["overview"].axes}
    assert f"component {whole.remainder}" not in titles
    assert "component 1" in titles
