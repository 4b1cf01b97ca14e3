"""Anybody's components are a decomposition like any other: scored, kept, edited, compared."""

import json
from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from planted_truth import planted_truth
from regional_primitives.explore.explorer import Explorer
from regional_primitives.others import Components, Directions
from regional_primitives.others.fields import smallest_fields

GRID = rp.Regions.grid(4, 4)
LIGHT = rp.Evaluation(demands=16, components=4, contexts=3, free_demands=2, free_steps=5)


@pytest.fixture(scope="module")
def latents(planted):
    return planted.sample_latents(1, seed=3)


@pytest.fixture(scope="module")
def fitted(planted, latents):
    settings = rp.Structured(steps=5, batch=4, probes=1, baseline_count=64)
    return rp.explain(planted, latents, GRID, settings, picture_seed=3)


@pytest.fixture(scope="module")
def truth(fitted):
    return planted_truth(fitted.feature, fitted.baseline)


@pytest.fixture(scope="module")
def theirs(planted, fitted, truth):
    return rp.components((truth.action_fields, truth.components), planted, fitted, name="truth")


def test_components_come_back_as_they_were_given(theirs, truth, fitted):
    order = truth.strengths.argsort(descending=True)
    assert theirs.action_fields.equal(truth.action_fields[order])
    for k, row in enumerate(order):
        assert theirs.component(k)[0].equal(truth.components[row])
    assert theirs.provenance.method == "given"
    assert theirs.provenance.settings["name"] == "truth"
    assert theirs.provenance.picture_seed == 3
    assert theirs.baseline_units.equal(fitted.baseline_units)


def test_the_same_scores_as_of_the_planted_answer(planted, theirs, truth, latents):
    scores = rp.evaluate(theirs, planted, LIGHT)
    assert scores.inside_error < 1e-9
    assert scores.completeness_gap < 1e-6
    assert scores.boundedness == pytest.approx(1)
    assert scores.consistency == pytest.approx(1)
    assert scores.evaluations is None
    assert rp.evaluate(theirs, planted, replace(LIGHT, refits=True)).stability is None
    # As the README has it: of the generator's own baseline.
    own = rp.evaluate(
        (truth.action_fields, truth.components), planted, LIGHT, latents=latents, regions=GRID
    )
    assert own.boundedness == pytest.approx(1)
    assert own.demands == scores.demands


def test_what_is_left_out_is_missing_unless_it_is_kept(planted, fitted, truth):
    some = (truth.action_fields[:4], truth.components[:4])
    missing = rp.components(some, planted, fitted)
    left = truth.components[4:].sum(0)
    whole = (fitted.feature_units - fitted.baseline_units).norm()
    scores = rp.evaluate(missing, planted, LIGHT)
    assert scores.completeness_gap == pytest.approx(float(left.norm() / whole), rel=1e-5)
    assert scores.remainder == 0
    kept = rp.components(some, planted, fitted, keep_rest=True)
    assert kept.remainder is not None
    assert torch.allclose(kept.component(kept.remainder)[0], left, atol=1e-6)
    again = rp.evaluate(kept, planted, LIGHT)
    assert again.completeness_gap < 1e-6
    assert again.remainder == pytest.approx(float(left.norm() / whole) ** 2, rel=1e-4)
    # The rest is no answer to any demand, so that nothing else changes.
    assert again.inside_error == pytest.approx(scores.inside_error, rel=1e-5)
    image = planted.at(kept.latents).image(kept.latents)
    assert torch.allclose(rp.edit(kept, planted, {}), image, atol=1e-5)


def test_fields_by_the_one_rule_find_the_planted_ones(planted, fitted, truth):
    found = rp.components(Components(truth.components), planted, fitted, share=0.9999)
    assert found.provenance.settings["share"] == 0.9999
    order = truth.strengths.argsort(descending=True)
    planted_fields = truth.action_fields[order]
    assert not bool((found.action_fields & ~planted_fields).any())
    # A patch that gets next to nothing is not among those that hold nearly all.
    assert float((found.action_fields == planted_fields).float().mean()) > 0.98


def test_the_one_rule_takes_the_fewest_patches():
    shares = torch.tensor([[0.1, 0.6, 0.3], [0.0, 0.0, 0.0]])
    assert smallest_fields(shares, 0.5).tolist() == [[False, True, False], [True] * 3]
    assert smallest_fields(shares, 0.8).tolist()[0] == [False, True, True]
    assert smallest_fields(shares, 1.0).tolist()[0] == [True, True, True]


def test_a_run_folder_of_theirs_is_one_like_ours(planted, theirs, fitted, tmp_path):
    folder = tmp_path / "theirs"
    rp.report(theirs, planted, folder, LIGHT)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "layer express, picture seed 3, components of truth" in page
    assert "fit never saw" not in page
    found = rp.Decomposition.load(folder)
    assert found.action_fields.equal(theirs.action_fields)
    assert found.provenance == theirs.provenance
    assert rp.edit(found, planted, {0: 0.0}).shape == (1, 3, 32, 32)
    assert rp.compare([found, fitted]).to_dict()
    explorer = Explorer.of(folder)
    session = explorer.session(explorer.first)
    assert explorer.describe(session)["fields"] == [
        field.nonzero().flatten().tolist() for field in found.action_fields
    ]
    explorer.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, None),
        ({"name": 3}, "the name of a method is a text"),
        ({"share": 2}, "share must be a number"),
        ({"labels": "one"}, "labels of components are texts"),
        ({"purpose": []}, "purpose must be"),
    ],
)
def test_settings_on_record_are_checked(planted, theirs, tmp_path, settings, message):
    theirs.save(tmp_path / "run")
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**told, "settings": settings}))
    if message is None:
        found = rp.Decomposition.load(tmp_path / "run")
        rp.report(found, planted, tmp_path / "again", LIGHT)
        assert "components of another method" in (tmp_path / "again" / "report.html").read_text()
        return
    with pytest.raises(rp.StorageError, match=message):
        rp.Decomposition.load(tmp_path / "run")


def test_names_of_components_follow_their_strength(planted, fitted, truth):
    names = [f"primitive {i}" for i in range(len(truth.components))]
    given = Components(truth.components, truth.action_fields, names)
    found = rp.components(given, planted, fitted)
    order = truth.strengths.argsort(descending=True).tolist()
    assert found.provenance.settings["labels"] == tuple(names[i] for i in order)


def test_one_table_beside_ours(planted, fitted, truth, theirs):
    found = rp.baselines(
        fitted, planted, (), LIGHT,
        others={
            "truth": (truth.action_fields, truth.components),
            "no fields": Components(truth.components),
            "again": theirs,
        },
    )  # fmt: skip
    by_name = {one.name: one for one in found.baselines}
    assert list(by_name) == ["truth", "no fields", "again"]
    assert by_name["truth"].points == by_name["again"].points[:0] + by_name["truth"].points
    assert by_name["truth"].best.inside_error == pytest.approx(
        by_name["again"].best.inside_error, abs=1e-12
    )
    assert len(by_name["no fields"].points) == 5
    assert by_name["truth"].completeness_gap < 1e-6
    assert found.own.best.inside_error == pytest.approx(
        rp.evaluate(fitted, planted, LIGHT).inside_error
    )
    both = rp.baselines(fitted, planted, "spatial crop", LIGHT, others={"truth": theirs})
    assert [one.name for one in both.baselines] == ["truth", "spatial crop"]
    assert type(found).from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    ("fields", "tensors", "message"),
    [
        (torch.ones(2, 16), torch.ones(2, 60), r"fields are bool \[2, 16\].*not float32"),
        (torch.ones(2, 9) > 0, torch.ones(2, 60), r"fields are bool \[2, 16\].*\[2, 9\]"),
        (torch.ones(3, 16) > 0, torch.ones(2, 60), r"fields are bool \[2, 16\].*\[3, 16\]"),
        (torch.zeros(2, 16) > 0, torch.ones(2, 60), "components 0 and 1 act on no patch"),
        (torch.ones(2, 16) > 0, torch.ones(2, 61), r"components are \[K, 60\].*\[2, 61\]"),
        (torch.ones(0, 16) > 0, torch.ones(0, 60), "components are none"),
        (torch.ones(2, 16) > 0, torch.full((2, 60), torch.nan), "components hold NaN"),
        (torch.ones(2, 16) > 0, torch.zeros(2, 60), "none of the components changes"),
        (torch.ones(2, 16) > 0, "text", "components are a tensor, not str"),
        (torch.ones(2, 16) > 0, torch.ones(2, 60, dtype=torch.complex64), "are real numbers"),
    ],
)
def test_bad_input_components(planted, fitted, fields, tensors, message):
    with pytest.raises(rp.InputError, match=message):
        rp.components((fields, tensors), planted, fitted)


def test_bad_input_another_picture_or_none(planted, fitted, truth, theirs, latents):
    pair = (truth.action_fields, truth.components)
    other = planted.sample_latents(1, seed=4)
    with pytest.raises(rp.InputError, match="these components are another picture's"):
        rp.components(Components(*pair[::-1], made_of=planted.head(other)), planted, fitted)
    rp.components(Components(*pair[::-1], made_of=planted.head(latents)), planted, fitted)
    with pytest.raises(rp.InputError, match="tell which picture"):
        rp.evaluate(pair, planted)
    with pytest.raises(rp.InputError, match="has its own picture"):
        rp.evaluate(theirs, planted, latents=latents)
    with pytest.raises(rp.InputError, match="has its own patches"):
        rp.components(pair, planted, fitted, GRID)
    with pytest.raises(rp.InputError, match=r"an answer of rp\.others or \(fields, tensors\)"):
        rp.components(3, planted, fitted)
    with pytest.raises(rp.InputError, match="share must be a number from"):
        rp.components(pair, planted, fitted, share=0)
    with pytest.raises(rp.InputError, match="1 names do not name 10 components"):
        rp.components(Components(truth.components, names=["one"]), planted, fitted)
    remainder = truth.action_fields.clone()
    remainder[0] = False
    with pytest.raises(rp.InputError, match="the rest is told already"):
        rp.components((remainder[:3], truth.components[:3]), planted, fitted, keep_rest=True)


def test_bad_input_of_comparisons(planted, fitted, truth):
    elsewhere = rp.explain(
        planted, planted.sample_latents(1, seed=4), GRID,
        rp.Structured(steps=1, batch=2, singles=0, probes=1, baseline_count=64),
    )  # fmt: skip
    with pytest.raises(rp.InputError, match="components of 'theirs' are of another picture"):
        rp.baselines(fitted, planted, (), LIGHT, others={"theirs": elsewhere})
    pair = (truth.action_fields, truth.components)
    coarse = rp.components(
        Components(truth.components), planted, fitted.latents, rp.Regions.grid(2, 2),
        baseline_count=64,
    )  # fmt: skip
    with pytest.raises(rp.InputError, match="in other patches"):
        rp.baselines(fitted, planted, (), LIGHT, others={"theirs": coarse})
    with pytest.raises(rp.InputError, match=r"others are \{name: answer\}, not list"):
        rp.baselines(fitted, planted, (), LIGHT, others=[pair])
    with pytest.raises(rp.InputError, match="told by name"):
        rp.baselines(fitted, planted, (), LIGHT, others={3: pair})
    with pytest.raises(rp.InputError, match=r"directions are \[K, 60\]"):
        rp.baselines(fitted, planted, (), LIGHT, others={"d": Directions(torch.ones(2, 3))})
