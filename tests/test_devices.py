"""A generator may be on a GPU: a pretended one on any machine, and a real one where there is."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from pretended_gpu import pretended_gpu, pretended_graphs
from regional_primitives.rivals import factors, free
from regional_primitives.runs import reproduce as reproduction
from regional_primitives.runs.reproduce import Protocol, reproduce
from regional_primitives.scores.agreement import stability

REAL = ["cuda"] if torch.cuda.is_available() else []
GRID = rp.Regions.grid(4, 4)
QUICK = rp.Structured(steps=12, batch=4, probes=1, baseline_count=64)
EXACT = rp.Exact(
    patches=(5, 6), steps=3, starts=2, sparse_steps=3, joint_steps=1, baseline_count=64
)
SCORED = rp.Evaluation(
    demands=4, components=2, contexts=2, free_demands=1, free_steps=3, free_bounds=True
)


@pytest.fixture(scope="module", params=["pretended", *REAL])
def device(request):
    with pretended_gpu() if request.param == "pretended" else nullcontext(request.param) as gpu:
        yield gpu


@pytest.fixture(scope="module")
def generator(device):
    return rp.load_generator("planted", device=device)


@pytest.fixture(scope="module")
def explained(generator):
    return rp.explain(generator, generator.sample_latents(1, seed=3), GRID, QUICK)


def test_an_explanation_is_kept_on_the_cpu_and_is_the_one_made_there(device, faces):
    latents = faces.sample_latents(1, seed=3)
    explained = rp.explain(rp.load_generator("faces", device=device), latents, settings=QUICK)
    there = rp.explain(faces, latents, settings=QUICK)
    for tensor in (explained.values, explained.image, explained.feature, explained.latents):
        assert tensor.device.type == "cpu"
    # A GPU rounds convolutions to ten bits unless told otherwise, and a dozen full steps tell.
    assert min(stability(explained, there)) > (0.85 if device in REAL else 1 - 1e-6)


@pytest.mark.parametrize("settings", [QUICK, EXACT])
def test_scores_are_those_of_the_cpu(generator, planted, settings):
    latents = planted.sample_latents(1, seed=3)
    found = rp.explain(generator, latents, GRID, settings)
    scores = rp.evaluate(found, generator, replace(SCORED, refits=True))
    there = rp.evaluate(found, planted, SCORED)
    assert scores.completeness_gap < 1e-5
    for name in ("inside_error", "leak", "free_leak", "boundedness", "consistency"):
        assert getattr(scores, name) == pytest.approx(getattr(there, name), rel=1e-3), name


@pytest.mark.parametrize("purpose", ["generate", "isolate"])
def test_many_in_lockstep_and_steps_that_are_replayed(device, generator, planted, purpose):
    settings = rp.Structured(purpose=purpose, steps=24, batch=4, probes=1, baseline_count=64)
    latents = planted.sample_latents(2, seed=3)
    here = rp.explain(planted, latents, GRID, settings, together=True)
    there = rp.explain(generator, latents.to(generator.device), GRID, settings, together=True)
    with nullcontext([]) if device in REAL else pretended_graphs() as made:
        again = rp.explain(
            generator, latents.to(generator.device), GRID, settings, together=True, graphs=True
        )
    close = 1e-2 if device in REAL else 1e-4
    for one, other, replayed in zip(here, there, again, strict=True):
        assert torch.allclose(other.history, one.history, rtol=close, atol=close)
        assert torch.allclose(replayed.history, one.history, rtol=close, atol=close)
        assert min(stability(one, replayed)) > 0.99
    if device not in REAL:
        # Three steps prepare each capture: of the early steps and the late, where these differ.
        phases = 2 if purpose == "generate" else 1
        assert [graph.replays > 0 for graph in made] == [True] * phases
        assert sum(graph.replays for graph in made) == 24 - 3 * phases


def test_where_a_capture_raises_steps_are_launched(device, generator, planted, monkeypatch):
    if device in REAL:
        pytest.skip("what a real capture refuses depends on torch")
    monkeypatch.setattr(type(planted), "chunk", property(lambda self: 3))
    latents = planted.sample_latents(1, seed=3)
    with pretended_graphs() as made:
        found = rp.explain(generator, latents.to(generator.device), GRID, QUICK, graphs=True)
    assert len(made) == 2
    assert not any(graph.replays for graph in made)
    expected = rp.explain(planted, latents, GRID, QUICK)
    assert min(stability(found, expected)) > 1 - 1e-6


def test_baselines(generator, planted, explained, monkeypatch):
    # Few steps: what runs where is the same from the first to the last.
    monkeypatch.setattr(free, "_STEPS", 4)
    monkeypatch.setattr(factors, "_ITERATIONS", 10)
    here, there = (rp.baselines(explained, one, settings=SCORED) for one in (generator, planted))
    for one, other in zip(here.baselines, there.baselines, strict=True):
        assert one.best.objective == pytest.approx(other.best.objective, rel=1e-3), one.name


def test_edits(generator, explained, planted):
    edited = rp.edit(explained, generator, {0: 0.0})
    assert torch.allclose(edited, rp.edit(explained, planted, {0: 0.0}), atol=1e-5)
    here, there = (rp.edit_effects(explained, one, {0: 0.0}) for one in (generator, planted))
    for one, other in zip(here.ways, there.ways, strict=True):
        assert (one.way, one.inside) == (other.way, pytest.approx(other.inside, rel=1e-3))
    latents = planted.sample_latents(2, seed=5)
    here, there = (rp.carry({0: 0.0}, explained, one, latents.to(one.device), draws=1)
                   for one in (generator, planted))  # fmt: skip
    assert here.ways[0].inside == pytest.approx(there.ways[0].inside, rel=1e-3)
    assert here.pictures(1).device.type == "cpu"


def test_layers_are_listed(generator):
    assert rp.layers(generator)


def test_experiments(device, tmp_path, monkeypatch):
    # The page is drawn of what is kept, which is on the CPU.
    monkeypatch.setattr(reproduction, "write_reproduction_report", lambda *_: None)
    result = reproduce(
        "planted",
        tmp_path / "made",
        protocol=Protocol(images=1, patches=2, redrawn=1, strongest=2),
        regions=GRID,
        structured=replace(QUICK, steps=2),
        exact=replace(EXACT, patches=()),
        device=device,
    )
    assert result.per_form.keys() == {"structured", "exact"}


def test_what_others_found_is_the_same_on_a_gpu(device, faces):
    there = rp.load_generator("faces", device=device)
    latents, others = faces.sample_latents(1, seed=3), rp.others
    rng = torch.Generator().manual_seed(0)
    rows, sites = torch.rand(2, 256, 8, 8, generator=rng), torch.rand(2, 8, 8, generator=rng)
    for answer in (
        others.Components(rows),
        others.Directions(rows),
        others.Codes(torch.rand(3, 256, generator=rng), torch.rand(64, 3, generator=rng)),
        others.Parts(sites),
        others.Maps(sites),
        others.Attributions(rows),
        others.Interactions({(0, 1): 1.0, (5,): 2.0}),
    ):
        own, on_gpu = (
            rp.components(answer, generator, latents, GRID, baseline_count=8)
            for generator in (faces, there)
        )
        assert own.count == on_gpu.count
        assert torch.allclose(own.strengths, on_gpu.strengths, rtol=1e-3), answer.kind
    scores, f, f0 = others.region_scores(there, latents, GRID, baseline_count=8)
    assert torch.allclose(scores(f).cpu(), torch.ones(1, 16), atol=1e-3)
    assert torch.allclose(scores(f0).cpu(), torch.zeros(1, 16), atol=1e-3)
