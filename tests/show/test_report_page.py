import re
from dataclasses import replace

import pytest
from reading import Run, facts, part, score_row, section, summary, words

import regional_primitives as rp
from regional_primitives.decompose.stored import Grid, Manifest
from regional_primitives.scores.table import TABLE, headlines
from regional_primitives.show import numerals


@pytest.fixture(scope="module")
def run(run_folder):
    return Run(run_folder)


@pytest.fixture(scope="module")
def page(run):
    return run.page()


@pytest.mark.parametrize("folder", ["run_folder", "exact_folder"])
def test_every_score_is_told_once_with_its_meaning(folder, request):
    page = Run(request.getfixturevalue(folder)).page()
    names = re.findall(r'<tr id="score-(\w+)">', page)
    assert len(names) == len(set(names))
    measured = Run(request.getfixturevalue(folder)).scores.to_dict()
    assert set(names) == {
        name for name in TABLE if TABLE[name].group and measured[name] is not None
    }
    for name in names:
        _, _, good, notion, meaning = score_row(page, name)
        assert meaning.endswith(".")
        assert good
        assert notion in ("paper", "ours")


def test_values_are_the_scores(run, page):
    scores = run.scores
    inside, leak = score_row(page, "inside_error")[1], score_row(page, "leak")[1]
    spread = numerals.percent(scores.inside_error_spread)
    assert inside == f"{numerals.percent(scores.inside_error)} ± {spread}"
    assert leak.endswith(f"± {numerals.percent(scores.leak_spread)}")
    assert score_row(page, "n90")[1] == str(scores.n90)
    assert score_row(page, "psnr")[1] == f"{scores.psnr:.1f}\u00a0dB"
    told = words(section(page, "scores"))
    assert f"{scores.demands} random demands" in told
    assert f"{scores.measured_components} strongest" in told
    assert numerals.percent(scores.measured_share) in told


def test_a_page_of_very_many_components_says_what_it_left_out(run, monkeypatch):
    count, looked, related = run.decomposition.count, 5, 4
    monkeypatch.setattr("regional_primitives.show.form.MOST_RELATED", related)
    scores = replace(run.scores, patterns=7, patterns_share=0.5, superposition_error=None)
    visible = run.exhibits.visible_change.clone()
    visible[looked:] = 0
    exhibits = replace(run.exhibits, visible_change=visible, looked_at=looked)
    page = run.page(scores=scores, exhibits=exhibits)
    energy = run.decomposition.strengths.double().square()

    def share(rows):
        return numerals.percent(float(rows.sum() / energy.sum()))

    told = words(section(page, "scores"))
    assert f"estimated from 7 of {count} components, which carry {numerals.percent(0.5)} of" in told
    assert "superposition error takes all of them and was not measured" in told
    told = words(section(page, "components"))
    assert f"other {count - looked}, with {share(energy[looked:])} of the energy, were not" in told
    assert f"of the {looked} strongest components change nothing so much" in told or visible.all()
    told = words(section(page, "relations"))
    assert f"Only the {related} strongest of {count} components are related" in told
    assert f"which carry {share(energy[:related])} of the energy" in told


def test_a_page_of_usual_many_leaves_nothing_out(page):
    assert "over all components" in words(section(page, "scores"))
    for words_of_many in ("estimated from", "were not looked at", "components are related, which"):
        assert words_of_many not in words(page)


def test_what_was_not_measured_is_absent(run):
    names = ("additivity_gap", "free_leak", "psnr", "stability", "unit_stability", "frontier")
    page = run.page(scores=replace(run.scores, **dict.fromkeys(names)))
    for name in names:
        assert f'id="score-{name}"' not in page
    assert "not measured" not in words(section(page, "scores"))
    assert "Would another fit say the same?" not in page


PURPOSE_SETTINGS = {"isolate": {"outside_weight": 0.2}, "generate": {"purpose": "generate"}}


@pytest.mark.parametrize("purpose", PURPOSE_SETTINGS)
def test_a_report_says_which_question_it_answers_and_leads_with_its_scores(run, purpose):
    d = run.decomposition
    provenance = replace(d.provenance, settings=PURPOSE_SETTINGS[purpose])
    page = run.page(replace(d, provenance=provenance))
    question = {"generate": "What generates S?", "isolate": "What can be changed in S alone?"}
    assert f"<b>{question[purpose]}</b>" in page
    shown = re.findall(r'<dt><a href="#score-(\w+)">', page)
    assert tuple(shown) == headlines(purpose)
    text = summary(page)
    key = re.search(r'<p class="summary">.*?</p>', page, re.S).group()
    strong = " ".join(re.findall(r"<strong>(.*?)</strong>", key))
    assert text.count(". ") == 0
    assert text.endswith(".")
    assert f"{d.count} components" in strong
    for name in headlines(purpose)[:2]:
        value = re.search(rf'<tr id="score-{name}">.*?<b>(.*?)</b>', page).group(1)
        assert value in strong
    assert ("property of the layer" in part(page, "group-leak")) == (purpose == "generate")


def test_what_the_picture_does_not_need_is_told_where_there_is_a_remainder(run):
    def notes(share):
        return section(run.page(scores=replace(run.scores, remainder=share)), "scores")

    assert "38\u00a0% of the feature is not needed by this picture." in notes(0.38)
    assert "not needed" not in notes(0.0)
    assert "not needed" not in notes(None)


@pytest.mark.parametrize("folder", ["run_folder", "exact_folder"])
def test_every_picture_exists_and_no_image_is_stored_for_nothing(folder, request):
    page = Run(request.getfixturevalue(folder)).page()
    stored = re.findall(r'<image id="image-([^"]+)"', page)
    used = set(re.findall(r'<use href="#image-([^"]+)"', page))
    # The board shows the rest: each picture by the name that it has in the board's data.
    used |= set(re.findall(r'"source": "([^"]+)"', page))
    assert len(stored) == len(set(stored))
    assert used == set(stored)
    assert all(re.findall(r'role="img" aria-label="([^"]*)"', page))


def test_demands_end_with_the_worst_and_tell_their_errors(run, page):
    shown = re.findall(r'<article class="demand">.*?</article>', page, re.S)
    names = [re.search("<h3>(.*?)</h3>", one).group(1) for one in shown]
    assert names[-2:] == [
        "Held-out demand with the largest inside error",
        "Held-out demand with the largest leak",
    ]
    for error, one in zip(run.exhibits.inside.tolist(), shown, strict=True):
        assert f"error {numerals.percent(error)}" in words(one.replace("&nbsp;", " "))


def test_small_pictures_are_enlarged_by_whole_numbers(page):
    sizes = "--width: 32; --height: 32; --zoom: 4.0; --zoom-large: 9.0; --zoom-narrow: 10.0;"
    assert sizes in page


def test_settings_that_differ_are_marked(page):
    marked = re.findall(r"<code>(\w+)</code></dt><dd>[^<]* <span class=\"changed\">", page)
    assert set(marked) == {"purpose", "steps", "batch", "probes", "baseline_count"}
    assert facts(section(page, "origin"))["steps"].startswith("12 ")


def test_what_the_manifest_adds_is_told(run):
    manifest = Manifest(
        run.decomposition.provenance,
        Grid(4, 4),
        "Tensor",
        "0" * 64,
        {"demands": 16},
        evaluation_seconds=2.5,
    )
    told = facts(section(run.page(manifest=manifest), "origin"))
    assert told["Scores measured with"] == "demands 16"
    assert told["Time of the scores"].startswith("2.5")


def test_names_from_elsewhere_cannot_become_markup(run):
    d = run.decomposition
    origin = replace(d.provenance, generator="<b>bold</b>")
    assert "<b>bold</b>" not in run.page(replace(d, provenance=origin))
    assert isinstance(d, rp.Decomposition)
