from dataclasses import replace
from functools import cached_property

import pytest

import regional_primitives as rp
from regional_primitives.scores import Exhibits
from regional_primitives.show import form, numerals, view
from regional_primitives.show.charts import report_charts
from regional_primitives.show.relation_view import RelationView, relation_view
from regional_primitives.show.score_table import score_groups
from regional_primitives.show.view import report_view


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch):
    """Leave out what takes seconds to draw; words are told without it."""
    monkeypatch.setattr(view, "relation_view", lambda decomposition: RelationView("", (), ()))
    monkeypatch.setattr(view, "report_charts", lambda decomposition, scores: ())


class Run:
    """What lies in a run folder, and the page made of it."""

    def __init__(self, folder):
        self.decomposition = rp.Decomposition.load(folder)
        self.scores = rp.Scores.read(folder)
        self.exhibits = Exhibits.read(folder)

    @cached_property
    def figures(self):
        """What `view` leaves out."""
        return report_charts(self.decomposition, self.scores), relation_view(self.decomposition)

    def view(self, **changes):
        return report_view(replace(self.decomposition, **changes), self.scores, self.exhibits)

    def notes(self, **changes):
        groups = score_groups(self.scores, replace(self.decomposition, **changes))
        return " ".join(group.note for group in groups)


@pytest.fixture(scope="module")
def structured(run_folder):
    return Run(run_folder)


@pytest.fixture(scope="module")
def exact(exact_folder):
    return Run(exact_folder)


def settled(decomposition, **settings):
    origin = decomposition.provenance
    return replace(origin, settings={**origin.settings, **settings})


def summary(view):
    return "".join(piece for piece, _ in view.summary)


def test_the_fixture_has_components_on_both_sides_of_the_floor(exact):
    d = exact.decomposition
    assert d.remainder == 0
    assert 0 < form.above_floor(d) < d.count - 1


def test_only_the_structured_form_has_demands_that_the_fit_never_saw(structured, exact):
    assert f"{structured.scores.demands} random demands that the fit never saw" in (
        structured.notes()
    )
    notes = exact.notes()
    assert "never saw" not in notes
    assert "held-out" not in notes
    assert "drawn from the 31 sets of the 5 chosen patches" in notes
    assert "The fit saw every one of these sets" in notes
    assert "No score asks for a patch that was not chosen" in notes


def test_demands_of_one_patch_and_of_all(exact):
    one = exact.notes(provenance=settled(exact.decomposition, patches=[4]))
    assert "all of the one chosen patch, which the fit saw" in one
    every = exact.notes(provenance=settled(exact.decomposition, patches=[]))
    assert "511 sets of the 9 chosen patches" in every
    assert "was not chosen" not in every


def test_no_text_of_the_exact_form_speaks_of_held_out_demands(exact, structured):
    def texts(value):
        if isinstance(value, str):
            yield "" if value.startswith("data:") else value
        elif isinstance(value, dict):
            yield from (text for part in value.values() for text in texts(part))
        elif isinstance(value, tuple | list):
            yield from (text for part in value for text in texts(part))
        elif hasattr(value, "__dataclass_fields__"):
            yield from texts(vars(value))

    said, usual = (" ".join(texts((run.view(), run.figures))) for run in (exact, structured))
    for falsehood in ("held-out", "Held-out", "never saw", "other random demands"):
        assert falsehood not in said
        assert falsehood in usual
    assert "Random demand with the largest leak" in said


def test_the_demands_shown_keep_to_the_chosen_patches(exact):
    others = ~exact.decomposition.regions.demand(exact.decomposition.patches)
    assert not exact.exhibits.demands[:, others].any()
    assert "the fit saw every demand" in exact.view().demands_note


def test_the_summary_counts_the_remainder_apart(exact, structured):
    d = exact.decomposition
    text = summary(exact.view())
    assert f"{d.count - 1} components and the remainder of the 4 patches that were not chosen" in (
        text
    )
    assert "some of the chosen patches only" in text
    above = int(d.without(d.remainder).significant.sum())
    assert f"{above} of the {d.count - 1} components are stronger than the noise" in text
    assert text.count(". ") == 0
    plain = summary(structured.view())
    assert not any(word in plain for word in ("remainder", "chosen", "noise"))


def test_one_patch_left_over_is_named_as_one(exact):
    d = exact.decomposition
    fields = d.action_fields.clone()
    fields[d.remainder, [2, 5, 6]] = False
    less = replace(d, action_fields=fields, provenance=settled(d, patches=[0, 1, 2, 3, 4, 5, 6, 8]))
    assert form.remainder_in_words(less) == "the remainder of the 1 patch that was not chosen"


def test_the_chosen_patches_are_shown_and_named(exact, structured):
    view = exact.view()
    assert view.chosen == "patches 0, 1, 3, 4 and 8 of 9 (patch 0 is top left, row by row)"
    captions = [picture.caption for picture in view.introduction]
    assert captions.index("The chosen patches P") == 1
    picture = view.introduction[1]
    assert picture.source == "x"
    assert picture.field
    assert picture.dimmed
    assert dict(view.origin)["Chosen patches"] == view.chosen
    assert structured.view().chosen == ""
    assert len(structured.view().introduction) == 3


def test_the_noise_is_told_where_it_was_measured_only(exact, structured):
    d = exact.decomposition
    assert f"{form.above_floor(d)} of {d.count - 1} components are stronger" in exact.notes()
    assert "noise was not measured" in exact.notes(noise=None)
    assert dict(exact.view(noise=None).origin)["Noise floor"] == "not measured"
    assert "noise" not in summary(exact.view(noise=None))
    assert "noise" not in structured.notes()
    assert "Noise floor" not in dict(structured.view().origin)


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
        groups = score_groups(run.scores, run.decomposition)
        return next(row.meaning for group in groups for row in group.rows if row.name == name)

    assert "other random demands" in meaning(structured, "stability")
    assert "from another start" in meaning(exact, "stability")
    assert "the remainder are added" in meaning(exact, "completeness_gap")
    assert meaning(exact, "leak") == meaning(structured, "leak")


def test_the_method_says_what_converged(exact, structured):
    assert dict(exact.view().origin)["Method"].startswith("exact, sparse form; every minimal")
    stopped = replace(exact.decomposition.provenance, converged=False)
    assert "ran out of steps" in dict(exact.view(provenance=stopped).origin)["Method"]
    assert dict(structured.view().origin)["Method"].startswith("structured, ")


def test_settings_left_at_their_defaults_are_not_marked_in_the_exact_form(exact):
    assert exact.view().changed == {
        "patches", "baseline_count", "steps", "tolerance", "sparse_steps", "joint_steps", "starts",
        "start_noise",
    }  # fmt: skip


def test_the_build_up_says_where_the_remainder_comes(exact, structured):
    rank = exact.exhibits.visible_order.index(exact.decomposition.remainder) + 1
    assert f"comes {numerals.ordinal(rank)}." in exact.view().build_up_note
    assert structured.view().build_up_note == ""
