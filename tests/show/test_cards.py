from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.scores import Exhibits
from regional_primitives.show import numerals
from regional_primitives.show import view as pages
from regional_primitives.show.form import remainder_in_words
from regional_primitives.show.relation_view import RelationView
from regional_primitives.show.view import report_view


@pytest.fixture(scope="module", autouse=True)
def _no_figures():
    """Leave out what takes seconds to draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "relation_view", lambda decomposition: RelationView("", (), ()))
        patch.setattr(pages, "report_charts", lambda decomposition, scores: ())
        yield


@pytest.fixture(scope="module")
def decomposition(exact_folder):
    return rp.Decomposition.load(exact_folder)


@pytest.fixture(scope="module")
def scores(exact_folder):
    return rp.Scores.read(exact_folder)


@pytest.fixture(scope="module")
def exhibits(exact_folder):
    return Exhibits.read(exact_folder)


@pytest.fixture(scope="module")
def view(decomposition, scores, exhibits):
    return report_view(decomposition, scores, exhibits)


def cards_of(view, ranking):
    return view.rankings[ranking].first + view.rankings[ranking].rest


def with_a_weaker_remainder(decomposition):
    """The same with the remainder's strength between those of others."""
    d, middle = decomposition, float(decomposition.strengths[2:4].mean())
    factors = torch.ones(d.count)
    factors[d.remainder] = middle / float(d.strengths[d.remainder])
    owner = torch.repeat_interleave(torch.arange(d.count), d.offsets.diff())
    names = ("feature", "baseline", "image", "baseline_image", "regions", "history", "latents")
    return rp.Decomposition.assemble(
        fields=d.action_fields, field_of=owner, unit_of=d.units.long(),
        values=d.values * factors[owner], noise=d.noise, provenance=d.provenance,
        **{name: getattr(d, name) for name in names},
    )  # fmt: skip


def test_the_remainder_is_in_no_ranking_and_has_a_card_of_its_own(decomposition, view):
    for ranking in (0, 1):
        titles = [card.title for card in cards_of(view, ranking)]
        assert f"Component {decomposition.remainder}" not in titles
        assert len(titles) > 5
    left = view.remainder
    assert left.title == "The remainder of the 4 patches that were not chosen"
    assert "no interaction of patches" in left.note
    assert left.card.mark == "the remainder"
    facts = dict(left.card.facts)
    assert facts["strength ‖Δf‖"] == numerals.decimal(float(decomposition.strengths[0]))
    assert facts["action field"] == "4 patches, all that were not chosen"
    assert not any("component 0" in picture.label for picture in left.card.pictures)


def test_ranks_and_shares_leave_the_remainder_out(decomposition, view):
    card = cards_of(view, 0)[0]
    assert card.title == "Component 1"
    facts = dict(card.facts)
    assert "(1st)" in facts["strength ‖Δf‖"]
    energy = decomposition.strengths.double().square()
    assert facts["share of Σ‖Δf‖²"] == numerals.percent(float(energy[1] / energy[1:].sum()))
    assert "(1st)" in dict(cards_of(view, 1)[0].facts)["visible change"]
    assert view.components == str(decomposition.count - 1)
    assert "number 0 is the remainder" in view.numbering


def test_numbers_skip_a_remainder_in_the_middle(decomposition, scores, exhibits):
    weaker = with_a_weaker_remainder(decomposition)
    assert weaker.remainder == 2
    cards = cards_of(report_view(weaker, scores, exhibits), 0)
    assert [card.title for card in cards[:4]] == [f"Component {k}" for k in (0, 1, 3, 4)]
    ranks = [dict(card.facts)["strength ‖Δf‖"].split("(")[1].split(")")[0] for card in cards[:4]]
    assert ranks == ["1st", "2nd", "3rd", "4th"]


def test_a_remainder_without_pictures_is_told_without_a_card(decomposition, scores, exhibits):
    stay = exhibits.shown != decomposition.remainder
    names = ("shown", "patterns", "removals", "boundedness")
    fewer = replace(exhibits, **{name: getattr(exhibits, name)[stay] for name in names})
    left = report_view(decomposition, scores, fewer).remainder
    assert left.card is None
    assert left.title


def test_components_below_the_floor_are_marked_and_tell_how_far(decomposition, scores, exhibits):
    # Every third component is half as strong as the noise, the others are twice as strong.
    factors = torch.where(torch.arange(decomposition.count) % 3 == 1, 2.0, 0.5)
    noisy = replace(decomposition, noise=decomposition.strengths * factors)
    cards = cards_of(report_view(noisy, scores, exhibits), 0)
    assert [card.mark for card in cards[:6]] == ["below the noise floor", "", ""] * 2
    told = [dict(card.facts)["strength ‖Δf‖"].split(", ")[1] for card in cards[:3]]
    assert told == [f"{ratio}\u00a0× the noise of its order" for ratio in ("0.50", "2.0", "2.0")]


def test_without_a_floor_nothing_is_marked(decomposition, scores, exhibits):
    silent = report_view(replace(decomposition, noise=None), scores, exhibits)
    for card in cards_of(silent, 0):
        assert card.mark == ""
        assert "noise" not in dict(card.facts)["strength ‖Δf‖"]


def test_where_all_patches_are_chosen_no_demand_asks_for_the_remainder(
    decomposition, scores, exhibits
):
    d, origin = decomposition, decomposition.provenance
    fields = d.action_fields.clone()
    fields[d.remainder] = False
    every = replace(origin, settings={**origin.settings, "patches": []})
    view = report_view(replace(d, action_fields=fields, provenance=every), scores, exhibits)
    assert "no demand switches it on" in view.remainder.note
    assert "no action field" in view.remainder.where
    assert dict(view.remainder.card.facts)["action field"] == "none"
    text = "".join(piece for piece, _ in view.summary)
    energy = d.strengths.square()
    share = numerals.percent(float(energy[d.remainder] / energy.sum()))
    assert f"a remainder that no patch asks for ({share} of the energy); asked for some of" in text
    faint = d.strengths.index_fill(0, torch.tensor(d.remainder), 1e-6)
    few = replace(d, action_fields=fields, provenance=every, strengths=faint)
    assert remainder_in_words(few).endswith("(next to nothing)")
    assert len(view.introduction) == 3


def test_the_structured_form_has_no_remainder(run_folder):
    run = rp.Decomposition.load(run_folder)
    view = report_view(run, rp.Scores.read(run_folder), Exhibits.read(run_folder))
    assert view.remainder is None
    assert view.components == str(run.count)
    assert not any(card.mark for card in cards_of(view, 0))
