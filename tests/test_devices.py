"""Every device gives the same explanation; a GPU is tried where torch finds one."""

import json
import sys

import pytest
import torch

import regional_primitives as rp
from regional_primitives.cli import main
from regional_primitives.evaluate.refits import stability

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
QUICK = rp.Structured(steps=12, batch=4, probes=1, baseline_count=64)
SCORED = rp.Evaluation(demands=8, components=3, contexts=2, free_demands=1, free_steps=3)


GRID = rp.Regions.grid(4, 4)


@pytest.fixture(scope="module", params=DEVICES)
def generator(request):
    return rp.load_generator("planted", device=request.param)


@pytest.fixture(scope="module")
def explained(generator):
    return rp.explain(generator, generator.sample_latents(1, seed=3), GRID, QUICK)


@pytest.mark.parametrize("device", DEVICES)
def test_an_explanation_is_kept_on_the_cpu_and_is_the_one_made_there(device, faces):
    latents = faces.sample_latents(1, seed=3)
    explained = rp.explain(rp.load_generator("faces", device=device), latents, settings=QUICK)
    there = rp.explain(faces, latents, settings=QUICK)
    assert explained.values.device.type == explained.image.device.type == "cpu"
    assert torch.allclose(explained.image, there.image, atol=1e-2)
    # A GPU rounds convolutions to ten bits unless told otherwise, and a dozen full steps tell.
    assert min(stability(explained, there)) > 0.85


def test_scores_and_baselines(generator, explained):
    scores = rp.evaluate(explained, generator, SCORED)
    assert scores.completeness_gap < 1e-5
    compared = rp.baselines(explained, generator, settings=SCORED)
    assert compared.own.points[0].inside_error == pytest.approx(scores.inside_error, rel=1e-2)


def test_exact_form(generator):
    settings = rp.Exact(
        patches=(5, 6, 10), steps=5, starts=1, sparse_steps=5, joint_steps=2, baseline_count=64
    )
    found = rp.explain(generator, generator.sample_latents(1, seed=3), GRID, settings)
    assert rp.evaluate(found, generator, SCORED).completeness_gap < 1e-5


def test_edits(generator, explained):
    edited = rp.edit(explained, generator, {0: 0.0})
    assert edited.device.type == "cpu"
    assert not torch.equal(edited[0], explained.image)


@pytest.mark.parametrize("device", DEVICES)
def test_command(device, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    words = ["primitives", "explain", "planted", "--device", device, "--json", "--out", str(out)]
    changed = ["--grid=4x4"]
    changed += [f"--set={name}" for name in ("steps=10", "probes=1", "baseline_count=64")]
    monkeypatch.setattr(sys, "argv", [*words, *changed])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    assert json.loads(capsys.readouterr().out)
    assert (out / "report.html").is_file()
