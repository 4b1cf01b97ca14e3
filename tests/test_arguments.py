"""Whatever a caller passes in: bad input meets one clear line, and nothing of theirs changes."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import regional_primitives as rp
from regional_primitives.runs.compare import compare_runs
from regional_primitives.runs.folder import explain_to_folder
from regional_primitives.runs.reproduce import reproduce
from regional_primitives.runs.sweep import sweep
from regional_primitives.runtime import arguments

FAST = rp.Structured(steps=2, batch=2, trials=0, probes=1, baseline_count=4)
MEASURE = rp.Evaluation(demands=4, components=1, contexts=2, free_demands=1, free_steps=1)
GRID = rp.Regions.grid(2, 2)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.fc, self.act, self.end = nn.Linear(4, 12), nn.ReLU(), nn.Conv2d(3, 3, 1)

    def forward(self, z, given=None):
        if given is not None:
            given["deep"][0]["w"].add_(1)
            given["deep"].append("mine")
            if "record" in given:
                given["record"].w.add_(1)
        x = self.act(self.fc(z).view(-1, 3, 2, 2))
        z.zero_()
        return self.end(nn.functional.interpolate(x, scale_factor=4))


def normal(count, rng):
    return torch.randn(count, 4, generator=rng)


def cut(**changes):
    return rp.cut(Net(), "act", **{"sample_latents": normal, "baseline_count": 4, **changes})


@pytest.fixture(scope="module")
def generator():
    return cut()


@pytest.fixture(scope="module")
def d(generator):
    return rp.explain(generator, generator.sample_latents(1), GRID, FAST)


NONSENSE = (
    None, 5, -1, 1e308, float("nan"), True, "x", "", b"x", [], {}, (), object(), torch.ones(3, 7),
    torch.tensor(float("nan")), np.ones((2, 2)), 10**30, ["x"], {"x": None}, {None: 1},
)  # fmt: skip


def calls(generator, d):
    """Every public entry point, with arguments that are right."""
    latents = generator.sample_latents(1)
    relations = rp.relations(d)
    features = rp.minimal_features(
        generator, latents, GRID, [[0]], rp.Minimal(steps=1, baseline_count=4)
    )
    explain = {"generator": generator, "latents": latents, "regions": GRID, "settings": FAST}
    pair = {"decomposition": d, "generator": generator}
    few = rp.Minimal(steps=1, baseline_count=4)
    demanded = {k: explain[k] for k in ("generator", "latents", "regions")}
    cutting = {
        "module": Net(), "layer": "act", "sample_latents": normal, "image_range": (-1, 1),
        "baseline": torch.zeros(3, 2, 2), "baseline_latents": torch.ones(2, 4),
        "baseline_count": 4, "fixed": {}, "image": None, "noise_seed": 0, "call": None,
        "steps": None, "name": "n",
    }  # fmt: skip
    return {
        "explain": (rp.explain, {**explain, "picture_seed": 1, "picture_file": "x"}),
        "minimal_features": (
            rp.minimal_features, {**demanded, "subsets": [[0]], "settings": few}
        ),
        "exact_components": (
            rp.exact_components, {"features": features, "settings": rp.Exact(steps=1)}
        ),
        "evaluate": (rp.evaluate, {**pair, "settings": MEASURE}),
        "baselines": (rp.baselines, {**pair, "names": "spatial crop", "settings": MEASURE}),
        "relations": (
            rp.relations,
            {"decomposition": d, "strongest": 2},
        ),
        "compare": (
            rp.compare,
            {"decompositions": [d, d], "names": ["a", "b"], "a": 1, "b": 1,
             "draws": 1, "seed": 0},
        ),
        "edit": (rp.edit, {**pair, "scales": {0: 0.0}, "other": d}),
        "edit (remove)": (rp.edit, {**pair, "remove": [0]}),
        "edit_effects": (rp.edit_effects, {**pair, "edit": {0: 0.0}, "other": d}),
        "carry": (
            rp.carry, {**pair, "edit": {0: 0.0}, "latents": latents, "by": "scale", "draws": 1,
                       "seed": 0, "inside": 0.5, "outside": 0.5},
        ),
        "cut": (rp.cut, cutting),
        "layers": (
            rp.layers,
            {"network": Net(), "example": latents, "fixed": {}, "image": None, "steps": None},
        ),
        "load_generator": (
            rp.load_generator,
            {"name": "nothing", "layer": "x", "weights": "x", "size": 5, "device": "cpu"},
        ),
        "or_harsanyi": (rp.or_harsanyi, {"values": torch.ones(4)}),
        "or_values": (rp.or_values, {"interactions": torch.ones(4)}),
        "and_harsanyi": (rp.and_harsanyi, {"values": torch.ones(4)}),
        "and_values": (rp.and_values, {"interactions": torch.ones(4)}),
        "Regions": (rp.Regions, {"rows": 2, "columns": 2, "labels": None}),
        "Regions.grid": (rp.Regions.grid, {"rows": 2, "columns": 2}),
        "Regions.parse": (rp.Regions.parse, {"text": "2x2"}),
        "Regions.from_labels": (
            rp.Regions.from_labels,
            {"label_map": torch.tensor([[0, 1]]), "names": {0: "a", 1: "b"}, "ignore": 7},
        ),
        "Regions.segments": (rp.Regions.segments, {"image": torch.zeros(3, 8, 8), "count": 4}),
        "Regions.read": (rp.Regions.read, {"path": "x.png", "names": "y.json"}),
        "Regions.write": (GRID.write, {"path": "x.png", "height": 8, "width": 8}),
        "Regions.named": (GRID.named, {"names": ["a", "b", "c", "d"]}),
        "Regions.resized": (GRID.resized, {"height": 8, "width": 8}),
        "Regions.from_masks": (rp.Regions.from_masks, {"masks": torch.ones(1, 2, 2) > 0}),
        "Regions.demand": (GRID.demand, {"patches": [0]}),
        "Edit": (rp.Edit, {"scales": {0: 1.0}, "others": 1.0, "taken": {}, "patches": (0,)}),
        "Edit.remove": (rp.Edit.remove, {"components": [0]}),
        "Edit.keep_only": (rp.Edit.keep_only, {"components": [0]}),
        "Edit.of_regions": (
            rp.Edit.of_regions, {"one": d, "patches": [0], "scale": 0.5, "rule": "shared"}
        ),
        "Edit.swap": (
            rp.Edit.swap, {"one": d, "other": d, "components": [0], "fields": []}
        ),
        "Edit.blend": (
            rp.Edit.blend, {"one": d, "other": d, "patches": [0], "rule": "shared"}
        ),
        "sample_latents": (generator.sample_latents, {"count": 1, "seed": 0}),
        "latents_of_image": (generator.latents_of_image, {"path": "x"}),
        "at": (generator.at, {"latents": latents}),
        "head": (generator.head, {"latents": latents}),
        "image": (generator.image, {"latents": latents}),
        "tail": (generator.tail, {"feature": torch.ones(1, 3, 2, 2)}),
        "component": (d.component, {"k": 0}),
        "without": (d.without, {"k": 0}),
        "minimal_feature": (d.minimal_feature, {"demand": [0]}),
        "combine": (d.combine, {"scales": torch.ones(1, d.count)}),
        "scales": (d.scales, {"changes": {0: 1.0}}),
        "load": (rp.Decomposition.load, {"folder": "x"}),
        "check_generator": (d.check_generator, {"generator": generator}),
        "groups": (relations.groups, {"togetherness": 0.5}),
        "credit_of_patch": (relations.credit_of_patch, {"patch": 0}),
        "compare_runs": (compare_runs, {"folders": ["x", "y"]}),
        "sweep": (sweep, {"model": "nothing", "seeds": [0], "workers": 1, "regions": GRID,
                          "settings": FAST, "evaluation": MEASURE}),
        "reproduce": (reproduce, {"model": "nothing", "folder": "x", "protocol": None,
                                  "regions": None, "exact": None, "structured": None}),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "explain", "minimal_features", "exact_components", "evaluate", "baselines", "relations",
        "compare", "edit", "edit (remove)", "edit_effects", "carry", "cut", "layers",
        "load_generator",
        "or_harsanyi",
        "or_values", "and_harsanyi", "and_values", "Regions", "Regions.grid", "Regions.parse",
        "Regions.from_labels", "Regions.from_masks", "Regions.segments", "Regions.read",
        "Regions.write", "Regions.named",
        "Regions.resized", "Regions.demand", "Edit", "Edit.remove", "Edit.of_regions",
        "Edit.keep_only", "Edit.swap", "Edit.blend", "sample_latents", "latents_of_image", "at",
        "head", "image", "tail", "component", "without", "minimal_feature", "combine", "scales",
        "load", "check_generator", "groups", "credit_of_patch", "compare_runs", "sweep",
        "reproduce",
    ],
)  # fmt: skip
def test_bad_input_of_every_entry_point_is_one_line(
    generator, d, name, entries, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    call, right = entries[name]
    for argument in right:
        for wrong in (*NONSENSE, generator, d):
            said = ""
            try:
                call(**{**right, argument: wrong})
            except rp.RegionalPrimitivesError as error:
                said = str(error)
            except Exception as error:
                pytest.fail(f"{name}({argument}={wrong!r}): {type(error).__name__}: {error}")
            assert len(said.splitlines()) < 2, f"{name}({argument}={wrong!r})"


@pytest.fixture(scope="module")
def entries(generator, d):
    return calls(generator, d)


def test_progress_is_true_false_none_or_a_function(generator, d):
    for progress in (True, False, None, lambda *_: None):
        assert rp.evaluate(d, generator, MEASURE, progress=progress).demands == 4


def test_bad_input_progress(generator):
    for wrong in (0, 5, "", "bar", []):
        with pytest.raises(rp.InputError, match="progress is True, False, or a callable"):
            rp.explain(generator, generator.sample_latents(1), GRID, FAST, progress=wrong)


@pytest.mark.parametrize("wrong", [{}, 0, "", [], False, Net])
def test_bad_input_only_none_means_the_default(generator, d, wrong):
    latents = generator.sample_latents(1)
    for call in (
        lambda: rp.explain(generator, latents, GRID, wrong),
        lambda: rp.explain(generator, latents, wrong, FAST),
        lambda: rp.minimal_features(generator, latents, wrong),
        lambda: rp.minimal_features(generator, latents, GRID, [[0]], wrong),
        lambda: rp.evaluate(d, generator, wrong),
        lambda: rp.baselines(d, generator, "spatial crop", wrong),
        lambda: sweep("planted", [0], folder="x", settings=wrong),
        lambda: reproduce("planted", "x", protocol=wrong),
        lambda: explain_to_folder(generator, 0, "x", regions=wrong),
    ):
        with pytest.raises(rp.InputError, match=r"(settings|regions) are rp\.|regions '' are none"):
            call()


def test_bad_input_more_than_memory_holds_is_refused_before_the_work(generator, d, monkeypatch):
    monkeypatch.setattr(arguments, "most_bytes", lambda: 2**20)
    latents, wide = generator.sample_latents(1), rp.Regions.grid(8, 8)
    told = []
    for call in (
        lambda: rp.explain(generator, latents, GRID, rp.Structured(batch=10**6, baseline_count=4)),
        lambda: rp.explain(generator, latents, rp.Regions.grid(32, 32), FAST),
        lambda: rp.evaluate(d, generator, rp.Evaluation(demands=10**7)),
        lambda: rp.evaluate(d, generator, rp.Evaluation(contexts=10**7)),
        lambda: rp.compare([d, d], draws=10**9),
        lambda: generator.sample_latents(10**12),
        lambda: wide.masks(512, 512),
    ):
        with pytest.raises(rp.InputError, match=r"would take .* of memory, more than half") as why:
            call()
        told.append(str(why.value))
    assert len(set(told)) == len(told)


def test_bad_input_is_not_what_numbers_of_numpy_and_torch_are_numbers(generator, tmp_path):
    eight, zero = np.int64(8), torch.tensor(0)
    settings = rp.Structured(
        steps=np.int64(2), batch=np.int32(2), trials=zero, probes=np.uint8(1), baseline_count=eight,
        tolerance=np.float32(0.5), seed=torch.tensor(3),
    )  # fmt: skip
    grid = rp.Regions.grid(np.int64(2), torch.tensor(2))
    d = rp.explain(
        generator, generator.sample_latents(np.int64(1), seed=zero), grid, settings,
        picture_seed=np.int64(7),
    )  # fmt: skip
    d.save(tmp_path / "run")
    again = rp.Decomposition.load(tmp_path / "run")
    assert again.provenance.picture_seed == 7
    assert json.loads((tmp_path / "run/run.json").read_text())["regions"]["rows"] == 2
    assert torch.equal(d.component(np.int64(0)), d.component(0))
    assert torch.equal(d.component(zero), d.component(0))
    expected = d.minimal_feature([0, 1])
    for demand in (np.array([0, 1]), torch.tensor([0, 1]), np.array([True, True, False, False])):
        assert torch.equal(d.minimal_feature(demand), expected)
    edit = rp.Edit({np.int64(0): np.float32(0.5)}, patches=np.array([0]))
    edit.write(tmp_path / "edit.json")
    assert rp.Edit.read(tmp_path / "edit.json").scales == {0: 0.5}


def test_what_the_caller_passes_in_stays(d):
    record = SimpleNamespace(w=torch.zeros(1))
    fixed = {"given": {"deep": [{"w": torch.zeros(1)}], "record": record}}
    before, latents = copy.deepcopy(fixed), torch.ones(1, 4)
    cut_at = cut(fixed=fixed)
    first = rp.explain(cut_at, latents, GRID, FAST)
    assert torch.equal(latents, torch.ones(1, 4))
    assert len(fixed["given"]["deep"]) == 1
    assert torch.equal(fixed["given"]["deep"][0]["w"], before["given"]["deep"][0]["w"])
    assert torch.equal(record.w, torch.zeros(1))
    latents.zero_()
    fixed["given"]["deep"][0]["w"].fill_(9)
    assert torch.equal(first.latents, torch.ones(1, 4))


def test_what_the_caller_changes_later_changes_nothing():
    baseline, patches, labels = torch.zeros(3, 2, 2), [0, 1], torch.tensor([[0, 1]])
    cut_at = cut(baseline=baseline)
    exact, regions = rp.Exact(patches=patches), rp.Regions.from_labels(labels)
    baseline.fill_(1)
    patches.append(2)
    labels.zero_()
    regions.label_map(1, 2).zero_()
    assert float(cut_at.baseline.abs().sum()) == 0
    assert exact.patches == (0, 1)
    assert regions.labels.tolist() == [[0, 1]]


@pytest.mark.parametrize("scale", [1e39, -1e300, np.float64(1e200), 10**400])
def test_bad_input_numbers_beyond_single_precision(generator, d, scale):
    with pytest.raises(rp.InputError, match="must be a"):
        rp.edit(d, generator, {0: scale})
    with pytest.raises(rp.InputError, match="cost_weight must be a number of at least 0"):
        rp.Structured(cost_weight=abs(scale))


@pytest.mark.parametrize("sampler", [lambda: None, lambda count: None, lambda a, b, c: None, 5])
def test_bad_input_a_sampler_that_cannot_be_called(sampler):
    network = nn.Sequential(nn.Linear(8, 12), nn.Unflatten(1, (3, 2, 2)))
    with pytest.raises(rp.InputError, match=r"sample_latents is a function \(count, rng\)"):
        rp.cut(network, "0", sample_latents=sampler)
