import base64
import re
from dataclasses import replace

import pytest
import torch
from PIL import Image
from reading import Run, facts, section, words

import regional_primitives as rp
from regional_primitives.runtime.run_files import REPORT
from regional_primitives.show import relation_plots, style
from regional_primitives.show.figures import draw_figures

NAMES = ["containment", "togetherness", "overlap", "credit"]


@pytest.fixture(scope="module", params=["run_folder", "labelled_folder", "exact_folder"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def exact(exact_folder):
    return Run(exact_folder)


@pytest.fixture(scope="module")
def run(run_folder):
    return Run(run_folder)


@pytest.fixture(scope="module")
def drawn(exact):
    """All figures of the exact run, and its page."""
    figures = draw_figures(exact.decomposition, exact.scores, exact.exhibits)
    return figures, exact.page(figures=figures)


def told(page):
    return section(page, "relations")


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


def test_every_report_has_the_section_and_the_files(folder, with_report):
    own = with_report(folder)
    page = (own / REPORT).read_text(encoding="utf-8")
    section = re.search(r'<section id="relations">(.*?)</section>', page, re.S).group(1)
    assert "How do the components relate?" in section
    assert section.count("<picture>") == section.count("<source media=") == 4
    assert 'href="#relations"' in page
    for name in NAMES:
        picture = Image.open(own / "figures" / f"{name}.png")
        assert min(picture.size) > 200


def test_the_key_numbers_are_those_of_the_relations(exact):
    d = exact.decomposition
    found = rp.relations(d.without(d.remainder))
    shown = facts(told(exact.page()))
    fields = [
        set(field.nonzero().flatten().tolist()) for field in found.decomposition.action_fields
    ]
    pairs = sum(one < other for one in fields for other in fields)
    possible = len(fields) * (len(fields) - 1) // 2
    assert shown["Fields inside another"] == f"{pairs} of {possible} pairs of components"

    def chain(field):
        return 1 + max([chain(other) for other in fields if other < field], default=0)

    assert shown["Longest chain"].startswith(f"{max(map(chain, fields))} fields")
    groups = found.groups(0.5)
    assert shown["Groups that act together"].startswith(f"{len(groups)} among the {len(fields)} ")
    assert shown["Largest such group"].startswith(f"{max(map(len, groups))} component")
    assert f"{100 * found.mean_overlap:.0f}" in shown["Mean overlap"]


def test_the_remainder_is_left_out_and_numbers_stay_those_of_the_cards(exact, drawn):
    figures, page = drawn
    assert "The remainder is left out." in told(page)
    assert "below the noise floor too" in told(page)
    count = exact.decomposition.count
    ticks = {int(tick.get_text()) for tick in figures["overlap"].axes[0].get_yticklabels()}
    assert ticks == set(range(1, count))
    for name in ("containment", "togetherness", "credit"):
        texts = {text.get_text() for text in figures[name].axes[0].texts}
        assert "0" not in texts
        assert "1" in texts
    assert f"of {count - 1}" in figures["containment"].axes[0].get_title(loc="left")


def test_the_structured_form_says_nothing_of_a_remainder(run):
    assert "remainder" not in told(run.page())
    assert "noise" not in told(run.page())


@pytest.mark.parametrize(("count", "names"), [(0, []), (1, ["credit"]), (2, NAMES)])
def test_few_components_break_nothing(run, count, names):
    few = kept(run.decomposition, count)
    exhibits = fewer(run.exhibits, count)
    figures = draw_figures(few, run.scores, exhibits)
    assert [name for name in figures if name in NAMES] == names
    page = told(run.page(few, exhibits=exhibits, figures=figures))
    assert page.count("<picture>") == len(names)
    assert ("<dl" in page) == (count > 1)
    if count < 2:
        assert ("no components", "one component only")[count] in page


def fewer(exhibits, count):
    """The pictures of the strongest components only."""
    stay = exhibits.shown < count
    return replace(
        exhibits,
        visible_change=exhibits.visible_change[:count],
        steps=exhibits.steps.clamp_max(count),
        **{name: getattr(exhibits, name)[stay]
           for name in ("shown", "patterns", "removals", "boundedness")},
    )  # fmt: skip


def test_hundreds_of_components_break_nothing(run):
    found = rp.relations(many(run.decomposition, 260))
    figures = {name: getattr(relation_plots, f"plot_{name}")(found) for name in NAMES}
    assert sum(len(style.svg(figure)) for figure in figures.values()) < 750_000


def test_every_figure_says_how_to_read_it_on_light_and_dark_pages(drawn):
    _, page = drawn
    shown = re.findall(r"<h3>.*?</div>", told(page), re.S)
    assert len(shown) == 4
    for one in shown:
        assert words(re.search(r'<p class="note prose">(.*?)</p>', one, re.S).group(1)).endswith(
            "."
        )
        (label,) = re.findall(r'alt="(.*?)"', one)
        assert label.endswith(".")
        assert 300 < int(re.search(r"--natural: (\d+)px", one).group(1)) < 2000
        dark, light = (
            base64.b64decode(text).decode() for text in re.findall(r'base64,([^"]+)"', one)
        )
        assert style.LIGHT.paper in light
        assert style.LIGHT.paper not in dark
        assert style.DARK.ink in dark


def test_maps_are_clear_where_values_are_small_so_that_they_suit_dark_paper(drawn):
    for name in ("overlap", "credit"):
        (image,) = drawn[0][name].axes[0].images
        colours = image.cmap([0.0, 1.0])
        assert colours[0, 3] == 0
        assert colours[1, 3] >= 0.5
