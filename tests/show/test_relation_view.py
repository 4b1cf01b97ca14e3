import base64
import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

import regional_primitives as rp
from regional_primitives.show import style, write_report
from regional_primitives.show.relation_view import relation_figures, relation_view

NAMES = ["containment", "togetherness", "overlap", "credit"]


@pytest.fixture(scope="module", params=["run_folder", "labelled_folder", "exact_folder"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def exact(exact_folder):
    return rp.Decomposition.load(exact_folder)


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


def many(decomposition, count):
    """As many components, their fields drawn at random."""
    rng = torch.Generator().manual_seed(0)
    fields = torch.rand(count, decomposition.regions.count, generator=rng) < 0.4
    fields[:, 0] |= ~fields.any(1)
    return replace(
        decomposition,
        action_fields=fields,
        strengths=torch.linspace(3.0, 0.1, count),
        offsets=torch.arange(count + 1),
        units=torch.zeros(count, dtype=torch.int32),
        values=torch.ones(count),
    )


def test_every_report_has_the_section_and_the_files(folder, tmp_path):
    import shutil

    own = shutil.copytree(folder, tmp_path / "run")
    page = write_report(own).read_text(encoding="utf-8")
    section = re.search(r'<section id="relations">(.*?)</section>', page, re.S).group(1)
    assert "How do the components relate?" in section
    assert section.count('<img class="by-day"') == section.count('<img class="by-night"') == 4
    assert 'href="#relations"' in page
    for name in NAMES:
        picture = Image.open(own / "figures" / f"{name}.png")
        assert min(picture.size) > 200


def test_the_key_numbers_are_those_of_the_relations(exact):
    found = rp.relations(exact.without(exact.remainder))
    facts = dict(relation_view(exact).facts)
    fields = [
        set(field.nonzero().flatten().tolist()) for field in found.decomposition.action_fields
    ]
    pairs = sum(one < other for one in fields for other in fields)
    possible = len(fields) * (len(fields) - 1) // 2
    assert facts["Fields inside another"] == f"{pairs} of {possible} pairs of components"

    def chain(field):
        return 1 + max([chain(other) for other in fields if other < field], default=0)

    assert facts["Longest chain"].startswith(f"{max(map(chain, fields))} fields")
    groups = found.groups(0.5)
    assert facts["Groups that act together"].startswith(f"{len(groups)} among the {len(fields)} ")
    assert facts["Largest such group"].startswith(f"{max(map(len, groups))} component")
    assert f"{100 * found.mean_overlap:.0f}" in facts["Mean overlap"]


def test_the_remainder_is_left_out_and_numbers_stay_those_of_the_cards(exact):
    view = relation_view(exact)
    assert "The remainder is left out." in view.note
    assert "below the noise floor too" in view.note
    figures = relation_figures(exact)
    ticks = {int(tick.get_text()) for tick in figures["overlap"].axes[0].get_yticklabels()}
    assert ticks == set(range(1, exact.count))
    for name in ("containment", "togetherness", "credit"):
        words = {text.get_text() for text in figures[name].axes[0].texts}
        assert "0" not in words
        assert "1" in words
    assert f"of {exact.count - 1}" in figures["containment"].axes[0].get_title(loc="left")


def test_the_structured_form_says_nothing_of_a_remainder(run_folder):
    run = rp.Decomposition.load(run_folder)
    assert "remainder" not in relation_view(run).note
    assert "noise" not in relation_view(run).note


@pytest.mark.parametrize(("count", "drawn"), [(0, []), (1, ["credit"]), (2, NAMES)])
def test_few_components_break_nothing(run_folder, count, drawn):
    few = kept(rp.Decomposition.load(run_folder), count)
    view = relation_view(few)
    assert list(relation_figures(few)) == drawn
    assert len(view.figures) == len(drawn)
    assert bool(view.facts) == (count > 1)
    if count < 2:
        assert ("no components", "one component only")[count] in view.note


def test_hundreds_of_components_break_nothing(run_folder):
    view = relation_view(many(rp.Decomposition.load(run_folder), 260))
    assert len(view.figures) == 4
    assert sum(len(figure.light) for figure in view.figures) < 1_000_000


def test_every_figure_says_how_to_read_it_on_light_and_dark_pages(exact):
    for figure in relation_view(exact).figures:
        assert figure.reading.endswith(".")
        assert figure.label.endswith(".")
        assert 300 < figure.width < 2000
        light, dark = (
            base64.b64decode(uri.split(",")[1]).decode() for uri in (figure.light, figure.dark)
        )
        assert style.LIGHT.paper in light
        assert style.LIGHT.paper not in dark
        assert style.DARK.ink in dark


def test_maps_are_clear_where_values_are_small_so_that_they_suit_dark_paper(exact):
    for name in ("overlap", "credit"):
        (image,) = relation_figures(exact)[name].axes[0].images
        colours = image.cmap([0.0, 1.0])
        assert colours[0, 3] == 0
        assert colours[1, 3] >= 0.5
