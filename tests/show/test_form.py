import re
from dataclasses import replace

import pytest
from reading import Run, captions, facts, part, score_row, section, summary, words

from regional_primitives.show import form, numerals
from regional_primitives.show.figures import draw_figures


@pytest.fixture(scope="module")
def structured(run_folder):
    run = Run(run_folder)
    run.scores = replace(run.scores, stability=0.9)
    return run


@pytest.fixture(scope="module")
def exact(exact_folder):
    run = Run(exact_folder)
    run.scores = replace(run.scores, stability=0.9)
    return run


def changed(run, **changes):
    """The page of a run that differs in this."""
    return run.page(replace(run.decomposition, **changes))


def notes(run, **changes):
    """What stands between the tables of scores."""
    scores = section(changed(run, **changes), "scores")
    return words(" ".join(re.findall(r'<p class="note prose">.*?</p>', scores, re.S)))


def settled(decomposition, **settings):
    origin = decomposition.provenance
    return replace(origin, settings={**origin.settings, **settings})


def test_the_fixture_has_components_on_both_sides_of_the_floor(exact):
    d = exact.decomposition
    assert d.remainder == 0
    assert 0 < form.above_floor(d) < d.count - 1


def test_only_the_structured_form_has_demands_that_the_fit_never_saw(structured, exact):
    assert f"{structured.scores.demands} random demands that the fit never saw" in notes(structured)
    told = notes(exact)
    assert "never saw" not in told
    assert "held-out" not in told
    assert "drawn from the 31 sets of the 5 chosen patches" in told
    assert "The fit saw every one of these sets" in told
    assert "No score asks for a patch that was not chosen" in told


def test_demands_of_one_patch_and_of_all(exact):
    one = notes(exact, provenance=settled(exact.decomposition, patches=[4]))
    assert "all of the one chosen patch, which the fit saw" in one
    every = notes(exact, provenance=settled(exact.decomposition, patches=[]))
    assert "511 sets of the 9 chosen patches" in every
    assert "was not chosen" not in every


def test_no_text_of_the_exact_form_speaks_of_held_out_demands(exact, structured):
    def said(run):
        figures = draw_figures(run.decomposition, run.scores, run.exhibits)
        page = run.page(figures=figures)
        return page[page.index("<body>") :]

    told, usual = said(exact), said(structured)
    for falsehood in ("held-out", "Held-out", "never saw", "other random demands"):
        assert falsehood not in told
        assert falsehood in usual
    assert "Random demand with the largest leak" in told


def test_the_demands_shown_keep_to_the_chosen_patches(exact):
    others = ~exact.decomposition.regions.demand(exact.decomposition.patches)
    assert not exact.exhibits.demands[:, others].any()
    assert "the fit saw every demand" in section(exact.page(), "demands")


def test_the_summary_counts_the_remainder_apart(exact, structured):
    d, text = exact.decomposition, summary(exact.page())
    assert f"{d.count - 1} components and the remainder of the 4 patches that were not chosen" in (
        text
    )
    assert "some of the chosen patches only" in text
    above = int(d.without(d.remainder).significant.sum())
    assert f"{above} of the {d.count - 1} components are stronger than the noise" in text
    assert text.count(". ") == 0
    plain = summary(structured.page())
    assert not any(word in plain for word in ("remainder", "chosen", "noise"))


def test_one_patch_left_over_is_named_as_one(exact):
    d = exact.decomposition
    fields = d.action_fields.clone()
    fields[d.remainder, [2, 5, 6]] = False
    less = replace(d, action_fields=fields, provenance=settled(d, patches=[0, 1, 2, 3, 4, 5, 6, 8]))
    assert form.remainder_in_words(less) == "the remainder of the 1 patch that was not chosen"


def test_the_chosen_patches_are_shown_and_named(exact, structured):
    page = exact.page()
    chosen = "patches 0, 1, 3, 4 and 8 of 9 (patch 0 is top left, row by row)"
    picture = section(page, "picture")
    assert f"Chosen patches P: {chosen}" in words(picture).replace(" P :", " P:")
    assert captions(picture).index("The chosen patches P") == 1
    second = picture.split("<figure")[2]
    assert '#image-x"' in second
    assert 'class="dimmed"' in second
    assert 'class="line"' in second
    assert facts(section(page, "origin"))["Chosen patches"] == chosen
    plain = section(structured.page(), "picture")
    assert "Chosen patches" not in plain
    assert plain.count('class="picture large"') == 3


def test_the_noise_is_told_where_it_was_measured_only(exact, structured):
    d = exact.decomposition
    assert f"{form.above_floor(d)} of {d.count - 1} components are stronger" in notes(exact)
    silent = changed(exact, noise=None)
    assert "noise was not measured" in words(section(silent, "scores"))
    assert facts(section(silent, "origin"))["Noise floor"] == "not measured"
    assert "noise" not in summary(silent)
    assert "noise" not in notes(structured)
    assert "Noise floor" not in facts(section(structured.page(), "origin"))


def test_noise_is_told_in_multiples(exact):
    d = exact.decomposition
    floor = d.strengths / 12
    assert form.noise_in_words(replace(d, noise=floor), 1) == "12\u00a0× the noise of its order"
    assert form.noise_in_words(replace(d, noise=d.strengths), 1) == (
        "1.0\u00a0× the noise of its order"
    )
    assert "agree" in form.noise_in_words(replace(d, noise=0 * floor), 1)
    assert form.noise_in_words(d, d.remainder) == ""
    assert form.noise_in_words(replace(d, noise=None), 1) == ""


def test_scores_mean_what_they_are_in_each_form(exact, structured):
    def meaning(run, name):
        return score_row(run.page(), name)[-1]

    assert "other random demands" in meaning(structured, "stability")
    assert "from another start" in meaning(exact, "stability")
    assert "the remainder are added" in meaning(exact, "completeness_gap")
    assert meaning(exact, "leak") == meaning(structured, "leak")


def test_the_method_says_what_converged(exact, structured):
    def method(page):
        return facts(section(page, "origin"))["Method"]

    assert method(exact.page()).startswith("exact, sparse form; every minimal")
    stopped = replace(exact.decomposition.provenance, converged=False)
    assert "ran out of steps" in method(changed(exact, provenance=stopped))
    assert method(structured.page()) == "structured; not converged, its errors were still falling"
    still = structured.decomposition.history[-1:].expand(20, 3)
    assert method(changed(structured, history=still)) == "structured"


def test_settings_left_at_their_defaults_are_not_marked_in_the_exact_form(exact):
    told = facts(section(exact.page(), "origin"))
    assert {name for name, value in told.items() if "changed from the default" in value} == {
        "patches", "baseline_count", "steps", "tolerance", "sparse_steps", "joint_steps", "starts",
        "start_noise",
    }  # fmt: skip


def test_the_build_up_says_where_the_remainder_comes(exact, structured):
    rank = exact.exhibits.visible_order.index(exact.decomposition.remainder) + 1
    assert f"comes {numerals.ordinal(rank)}." in section(exact.page(), "build-up")
    assert "remainder" not in section(structured.page(), "build-up")
    assert part(exact.page(), "remainder")
