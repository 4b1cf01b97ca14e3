from dataclasses import asdict, replace

import pytest

import regional_primitives as rp
from regional_primitives.decompose.stored import Grid, Manifest
from regional_primitives.runtime.storage import read_json
from regional_primitives.scores import Exhibits
from regional_primitives.scores.table import TABLE, headlines
from regional_primitives.show import numerals
from regional_primitives.show.score_table import score_groups
from regional_primitives.show.view import report_view


@pytest.fixture(scope="module")
def decomposition(run_folder):
    return rp.Decomposition.load(run_folder)


@pytest.fixture(scope="module")
def scores(run_folder):
    return rp.Scores.from_dict(read_json(run_folder / "scores.json"))


@pytest.fixture(scope="module")
def exhibits(run_folder):
    return Exhibits.read(run_folder)


@pytest.fixture(scope="module")
def view(decomposition, scores, exhibits):
    return report_view(decomposition, scores, exhibits)


def rows_of(scores, decomposition):
    return {row.name: row for group in score_groups(scores, decomposition) for row in group.rows}


@pytest.mark.parametrize("folder", ["run_folder", "exact_folder"])
def test_every_score_is_told_once_with_its_meaning(folder, request):
    folder = request.getfixturevalue(folder)
    scores, decomposition = rp.Scores.read(folder), rp.Decomposition.load(folder)
    rows = [row for group in score_groups(scores, decomposition) for row in group.rows]
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert set(names) == {score.name for score in TABLE.values() if score.group}
    for row in rows:
        assert row.meaning.endswith(".")
        assert row.good
        assert row.notion in ("paper", "ours")


def test_values_are_the_scores(scores, decomposition):
    rows = rows_of(scores, decomposition)
    assert rows["inside_error"].value == numerals.percent(scores.inside_error)
    assert rows["inside_error"].spread == f"± {numerals.percent(scores.inside_error_spread)}"
    assert rows["leak"].spread == f"± {numerals.percent(scores.leak_spread)}"
    assert rows["n90"].value == str(scores.n90)
    assert rows["psnr"].value == f"{scores.psnr:.1f}\u00a0dB"
    notes = " ".join(group.note for group in score_groups(scores, decomposition))
    assert f"{scores.demands} random demands" in notes
    assert f"{scores.measured_components} strongest" in notes
    assert numerals.percent(scores.measured_share) in notes


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("psnr", "scikit-image"),
        ("ssim", "scikit-image"),
        ("additivity_gap", "no demand was optimised by itself"),
        ("free_leak", "no demand was optimised by itself"),
        ("stability", "three more fits"),
        ("frontier", "three more fits"),
    ],
)
def test_what_was_not_measured_says_why(scores, decomposition, name, reason):
    row = rows_of(replace(scores, **{name: None}), decomposition)[name]
    assert not row.measured
    assert row.value.startswith("not measured")
    assert reason in row.value


PURPOSE_SETTINGS = {"isolate": {"outside_weight": 0.2}, "generate": {"purpose": "generate"}}


@pytest.mark.parametrize("purpose", PURPOSE_SETTINGS)
def test_a_report_says_which_question_it_answers_and_leads_with_its_scores(
    decomposition, scores, exhibits, purpose
):
    provenance = replace(decomposition.provenance, settings=PURPOSE_SETTINGS[purpose])
    view = report_view(replace(decomposition, provenance=provenance), scores, exhibits)
    question = {"generate": "What generates S?", "isolate": "What can be changed in S alone?"}
    assert view.question[0] == question[purpose]
    assert tuple(row.name for row in view.headlines) == headlines(purpose)
    text = "".join(piece for piece, _ in view.summary)
    key = " ".join(piece for piece, marked in view.summary if marked)
    assert text.count(". ") == 0
    assert text.endswith(".")
    assert f"{decomposition.count} components" in key
    for row in view.headlines[:2]:
        assert row.value in key
    note = next(group.note for group in view.groups if "nobody asked" in group.question)
    assert ("property of the layer" in note) == (purpose == "generate")


def test_what_the_picture_does_not_need_is_told_where_there_is_a_remainder(decomposition, scores):
    def notes(share):
        groups = score_groups(replace(scores, remainder=share), decomposition)
        return " ".join(group.note for group in groups)

    assert "38\u00a0% of the feature is not needed by this picture." in notes(0.38)
    assert "not needed" not in notes(0.0)
    assert "not needed" not in notes(None)


def test_both_rankings_lead_with_their_strongest(decomposition, exhibits, view):
    strongest, most_visible = view.rankings
    for ranking, order in (
        (strongest, range(decomposition.count)),
        (most_visible, exhibits.visible_order),
    ):
        assert len(ranking.first) == 12
        assert len(ranking.rest) >= 2
        titles = [card.title for card in ranking.first + ranking.rest]
        assert titles == [f"Component {k}" for k in order][: len(titles)]


def test_a_card_tells_the_components_own_numbers(decomposition, exhibits, view):
    card = view.rankings[1].first[0]
    k = exhibits.visible_order[0]
    facts = dict(card.facts)
    strength = numerals.decimal(float(decomposition.strengths[k]))
    assert facts["strength ‖Δf‖"] == f"{strength} ({numerals.ordinal(k + 1)})"
    assert facts["visible change"].endswith("(1st)")
    place = exhibits.shown.tolist().index(k)
    assert facts["boundedness"] == numerals.percent(float(exhibits.boundedness[place]))
    size = int(decomposition.action_fields[k].sum())
    assert facts["action field"] == numerals.patches(size)


def test_every_picture_exists_and_no_image_is_stored_for_nothing(view):
    used = set()

    def collect(value):
        if isinstance(value, dict):
            if "source" in value and "dimmed" in value:
                used.add(value["source"])
                assert value["label"]
            for part in value.values():
                collect(part)
        elif isinstance(value, (list, tuple)):
            for part in value:
                collect(part)

    collect(asdict(replace(view, images={}, changed=frozenset())))
    assert used == set(view.images)


def test_demands_end_with_the_worst_and_tell_their_errors(exhibits, view):
    assert [row.name for row in view.demands[-2:]] == [
        "Held-out demand with the largest inside error",
        "Held-out demand with the largest leak",
    ]
    for place, row in enumerate(view.demands):
        assert row.inside == numerals.percent(float(exhibits.inside[place]))


def test_small_pictures_are_enlarged_by_whole_numbers(view):
    assert (view.width, view.zoom, view.zoom_large, view.zoom_narrow) == (32, 4, 12, 10)


def test_settings_that_differ_are_marked(view):
    assert view.changed == {"purpose", "steps", "batch", "probes", "baseline_count"}
    assert dict(view.settings)["steps"] == "12"


def test_what_the_manifest_adds_is_told(decomposition, scores, exhibits):
    manifest = Manifest(
        decomposition.provenance,
        Grid(4, 4),
        "Tensor",
        "0" * 64,
        {"demands": 16},
        evaluation_seconds=2.5,
    )
    origin = dict(report_view(decomposition, scores, exhibits, manifest).origin)
    assert origin["Scores measured with"] == "demands 16"
    assert origin["Time of the scores"].startswith("2.5")
