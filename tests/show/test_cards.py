import re
from dataclasses import replace

import pytest
import torch
from reading import Run, cards, facts, part, section, summary, words

import regional_primitives as rp
from regional_primitives.show import numerals
from regional_primitives.show.form import remainder_in_words


@pytest.fixture(scope="module")
def run(exact_folder):
    return Run(exact_folder)


@pytest.fixture(scope="module")
def page(run):
    return run.page()


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


def test_the_remainder_is_in_no_ranking_and_has_a_card_of_its_own(run, page):
    d = run.decomposition
    for ranking in ("by-strength", "by-visible-change"):
        titles = [title for title, _, _ in cards(page, ranking)]
        assert f"Component {d.remainder}" not in titles
        assert len(titles) > (5 if ranking == "by-strength" else 0)
    left = part(page, "remainder")
    assert words(left).startswith("The remainder of the 4 patches that were not chosen")
    assert "no interaction of patches" in left
    ((_, mark, told),) = cards(page, "remainder")
    assert mark == "the remainder"
    assert told["strength ‖Δf‖"] == numerals.decimal(float(d.strengths[0]))
    assert told["action field"] == "4 patches, all that were not chosen"
    assert "component 0" not in left


def test_ranks_and_shares_leave_the_remainder_out(run, page):
    d = run.decomposition
    title, _, told = cards(page, "by-strength")[0]
    assert title == "Component 1"
    assert "(1st)" in told["strength ‖Δf‖"]
    energy = d.strengths.double().square()
    assert told["share of Σ‖Δf‖²"] == numerals.percent(float(energy[1] / energy[1:].sum()))
    assert "(1st)" in cards(page, "by-visible-change")[0][2]["visible change"]
    text = words(section(page, "components"))
    assert f"rank in each, of {d.count - 1};" in text
    assert "number 0 is the remainder" in text


def test_numbers_skip_a_remainder_in_the_middle(run):
    weaker = with_a_weaker_remainder(run.decomposition)
    assert weaker.remainder == 2
    first = cards(run.page(weaker), "by-strength")[:4]
    assert [title for title, _, _ in first] == [f"Component {k}" for k in (0, 1, 3, 4)]
    ranks = [told["strength ‖Δf‖"].split("(")[1].split(")")[0] for _, _, told in first]
    assert ranks == ["1st", "2nd", "3rd", "4th"]


def test_a_remainder_without_pictures_is_told_without_a_card(run):
    exhibits = run.exhibits
    stay = exhibits.shown != run.decomposition.remainder
    names = ("shown", "patterns", "removals", "boundedness")
    fewer = replace(exhibits, **{name: getattr(exhibits, name)[stay] for name in names})
    page = run.page(exhibits=fewer)
    assert cards(page, "remainder") == []
    assert part(page, "remainder")


def test_components_below_the_floor_are_marked_and_tell_how_far(run):
    d = run.decomposition
    # Every third component is half as strong as the noise, the others are twice as strong.
    factors = torch.where(torch.arange(d.count) % 3 == 1, 2.0, 0.5)
    found = cards(run.page(replace(d, noise=d.strengths * factors)), "by-strength")
    assert [mark for _, mark, _ in found[:6]] == ["below the noise floor", "", ""] * 2
    told = [one["strength ‖Δf‖"].split(", ")[1] for _, _, one in found[:3]]
    assert told == [f"{ratio}\u00a0× the noise of its order" for ratio in ("0.50", "2.0", "2.0")]


def test_without_a_floor_nothing_is_marked(run):
    for _, mark, told in cards(run.page(replace(run.decomposition, noise=None)), "by-strength"):
        assert mark == ""
        assert "noise" not in told["strength ‖Δf‖"]


def test_where_all_patches_are_chosen_no_demand_asks_for_the_remainder(run):
    d, origin = run.decomposition, run.decomposition.provenance
    fields = d.action_fields.clone()
    fields[d.remainder] = False
    every = replace(origin, settings={**origin.settings, "patches": []})
    page = run.page(replace(d, action_fields=fields, provenance=every))
    assert "no demand switches it on" in part(page, "remainder")
    assert "no action field" in section(page, "picture")
    assert cards(page, "remainder")[0][2]["action field"] == "none"
    energy = d.strengths.square()
    share = numerals.percent(float(energy[d.remainder] / energy.sum()))
    told = f"a remainder that no patch asks for ({share} of the energy); asked for some of"
    assert told in summary(page)
    faint = d.strengths.index_fill(0, torch.tensor(d.remainder), 1e-6)
    few = replace(d, action_fields=fields, provenance=every, strengths=faint)
    assert remainder_in_words(few).endswith("(next to nothing)")
    assert section(page, "picture").count('class="picture large"') == 3


def test_the_structured_form_has_no_remainder(run_folder):
    run = Run(run_folder)
    page = run.page()
    assert 'id="remainder"' not in page
    assert f"rank in each, of {run.decomposition.count};" in words(section(page, "components"))
    assert not any(mark for _, mark, _ in cards(page, "by-strength"))


def test_both_rankings_lead_with_their_strongest(run_folder):
    run = Run(run_folder)
    count = run.decomposition.count
    visible = torch.linspace(0.2, 0.1, count)
    page = run.page(exhibits=replace(run.exhibits, visible_change=visible))
    for ranking, order in (("by-strength", range(count)), ("by-visible-change", range(count))):
        titles = [title for title, _, _ in cards(page, ranking)]
        assert titles == [f"Component {k}" for k in order][: len(titles)]
    folded = re.search(r"<summary>(\d+) more", part(page, "by-visible-change")).group(1)
    assert int(folded) == len(titles) - 8 >= 2


def test_what_nobody_would_notice_is_not_listed_as_visible(run_folder):
    run = Run(run_folder)
    first, *others = run.exhibits.seen
    faint = run.exhibits.visible_change.index_fill(0, torch.tensor(first), 0.0)
    page = run.page(exhibits=replace(run.exhibits, visible_change=faint))
    titles = [title for title, _, _ in cards(page, "by-visible-change")]
    assert titles == [f"Component {k}" for k in others][: len(titles)]
    assert "change nothing so much and are not listed" in words(section(page, "components"))
    told = {title: facts for title, _, facts in cards(page, "by-strength")}
    assert told[f"Component {first}"]["visible change"] == "none that one notices"


def test_cards_and_shares_speak_in_names(named_folder):
    page = Run(named_folder).page()
    d = Run(named_folder).decomposition
    titles = re.findall(r"<h4>(.*?) <small>component (\d+)</small>", page)
    assert titles
    for title, k in titles:
        chosen = [d.names[i] for i in d.action_fields[int(k)].nonzero().flatten().tolist()]
        assert title in (" + ".join(chosen), "everything")
    shares = facts(section(page, "first"))
    assert set(shares) == set(d.names)
    assert "patches" not in words(section(page, "first"))


def test_a_card_tells_the_components_own_numbers(run_folder):
    run = Run(run_folder)
    d, exhibits = run.decomposition, run.exhibits
    _, _, told = cards(run.page(), "by-visible-change")[0]
    k = exhibits.visible_order[0]
    strength = numerals.decimal(float(d.strengths[k]))
    assert told["strength ‖Δf‖"] == f"{strength} ({numerals.ordinal(k + 1)})"
    assert told["visible change"].endswith("(1st)")
    place = exhibits.shown.tolist().index(k)
    assert told["boundedness"] == numerals.percent(float(exhibits.boundedness[place]))
    assert told["action field"] == numerals.patches(int(d.action_fields[k].sum()))
    assert facts(part(run.page(), "by-strength"))
