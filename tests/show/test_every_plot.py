"""Every public plot: into the caller's axis or figure, or one of its own; pyplot is left alone."""

import inspect
import io
from dataclasses import replace

import matplotlib
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

import regional_primitives as rp
from regional_primitives import scores as measured
from regional_primitives import show
from regional_primitives.compare.transfer import transfer
from regional_primitives.rivals import Compared, Comparison, Point
from regional_primitives.scores import Exhibits
from regional_primitives.scores.sweep_scores import LayerScores, PictureScores, SweepScores

NAMES = sorted(name for name in show.__all__ if name.startswith("plot_"))
FEW = {"components": 5, "contexts": 3}


@pytest.fixture(scope="module")
def arguments(planted, run_folder, exact_folder):
    """What each plot takes."""
    d = rp.Decomposition.load(run_folder)
    other = rp.explain(
        planted, planted.sample_latents(1, seed=4), d.regions,
        rp.Structured(steps=2, batch=4, probes=1, baseline_count=64),
    )  # fmt: skip
    scores, exhibits = rp.Scores.read(run_folder), Exhibits.read(run_folder)
    point = {"price": 0.1, "inside_error": 0.01, "leak": 0.1}
    scores = replace(scores, frontier=[point, {**point, "leak": 0.2}])
    exact = rp.Decomposition.load(exact_folder)
    related = rp.relations(d, 8)
    pictures = rp.compare([d, other], draws=1)
    method = Compared("m", "does", "ours", "s", (Point("s", 0.1, 0.1, 0.1, 0.1, 0.1, 0.1),), 9,
                      0.5, 0.5, 10, 5)  # fmt: skip
    patches = list(range(16))
    sparsity = measured.sparsity(d)
    return {
        "plot_baselines": (Comparison(method, (method,), 8, 2, {}),),
        "plot_boundedness": (bounded := measured.boundedness(d, planted, shown=2, **FEW),),
        "plot_build_up": (superposed := measured.superposition(d, planted),),
        "plot_carried": (rp.carry({0: 0.0}, d, planted, planted.sample_latents(7), draws=1),),
        "plot_consistency": (consistent := measured.consistency(d, planted, **FEW),),
        "plot_containment": (related,),
        "plot_contexts": (consistent,),
        "plot_control": (controlled := measured.control(d, planted, draws=2),),
        "plot_credit": (related,),
        "plot_distributions": (swept(scores, 8),),
        "plot_edits": (controlled,),
        "plot_field_sizes": (d, scores),
        "plot_frontier": (scores,),
        "plot_history": (d,),
        "plot_noise": (exact.without(exact.remainder),),
        "plot_orders": (sparsity,),
        "plot_overlap": (related,),
        "plot_overview": (d, exhibits),
        "plot_real_fields": (bounded,),
        "plot_redraw": (measured.redraw(d, d, patches, patches),),
        "plot_shared_fields": (pictures,),
        "plot_sparsity": (d, scores),
        "plot_strengths": (sparsity,),
        "plot_superposition": (superposed,),
        "plot_sweep": (swept(scores),),
        "plot_togetherness": (related,),
        "plot_top_error": (scores,),
        "plot_transfer": (transfer([d, other], draws=1),),
        "plot_transfer_matrix": (pictures,),
    }


def swept(scores, pictures=1):
    picture = PictureScores(0, "0", "0/report.html", True, 1.0, scores)
    return SweepScores(
        generator="planted", weights_digest="ab", options={},
        regions={"kind": "grid", "rows": 4, "columns": 4}, patches=16, seeds=(0,) * pictures,
        settings={}, evaluation={}, versions={}, machine={}, date="2025-01-31",
        layers=(LayerScores("express", (64,), 16, (picture,) * pictures),),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def pyplot_left_alone():
    """Fail where a plot opens a window, or changes what the user has set."""
    before = dict(matplotlib.rcParams)
    yield
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def visible(figure):
    """Whether anything is seen in the left and in the right half."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=60)
    picture = Image.open(buffer).convert("L")
    middle = picture.width // 2
    halves = (picture.crop((0, 0, middle, picture.height)),
              picture.crop((middle, 0, picture.width, picture.height)))  # fmt: skip
    return [low < 200 < high for low, high in (half.getextrema() for half in halves)]


def test_every_plot_is_tried(arguments):
    assert list(arguments) == NAMES
    assert show.__all__ == sorted(show.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_a_figure_of_its_own(arguments, name):
    figure = getattr(show, name)(*arguments[name])
    assert isinstance(figure, Figure)
    assert any(visible(figure))
    # A notebook shows it, though pyplot does not know it.
    bundle, _ = DisplayFormatter().format(figure)
    assert bundle["image/png"][:4] == b"\x89PNG"


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_where_it_is_told(arguments, name):
    plot = getattr(show, name)
    places = {"axes", "figure"} & set(inspect.signature(plot).parameters)
    (place,) = places
    whole = Figure(figsize=(24.0, 8.0))
    if place == "axes":
        axes = whole.add_axes((0.6, 0.2, 0.3, 0.6))
        assert plot(*arguments[name], axes=axes) is whole
        assert whole.axes == [axes]
        assert axes.get_title(loc="left")
    else:
        left, right = whole.subfigures(1, 2)
        assert plot(*arguments[name], figure=right) is whole
        assert left.axes == []
        assert right.axes
    assert visible(whole) == [False, True]
