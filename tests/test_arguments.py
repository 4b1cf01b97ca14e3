"""Whatever a caller passes in: bad input meets one clear line, and nothing of the caller's changes."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import regional_primitives as rp
from regional_primitives.comparisons import compare_runs
from regional_primitives.reproduction import reproduce
from regional_primitives.runs import explain_to_folder
from regional_primitives.runtime import memory
from regional_primitives.runtime.progress import reporting
from regional_primitives.sweeps import sweep

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
    return rp.cut(
        Net(), "act", **{"sample_latents": normal, "baseline_count": 4, **changes}
    )


@pytest.fixture(scope="module")
def generator():
    return cut()


@pytest.fixture(scope="module")
def d(generator):
    return rp.explain(generator, generator.sample_latents(1), GRID, FAST)


NONSENSE = (
    None, 5, -1, 1e308, float("nan"), True, "x", "", b"x", [], {}, (), object(), torch.ones(3, 7),
    torch.tensor(float("nan")), np.ones((2, 2)), 10**30, ["x"], {"x": None}, {None: 1}, Net, int,
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
        "baselines": (rp.baselines, {**pair, "names": "none", "settings": MEASURE}),
        "relations": (
            rp.relations,
            {"decomposition": d, "strongest": 2, "asked_share": 0.1, "weigh": "energy"},
        ),
        "compare": (
            rp.compare,
            {"decompositions": [d, d], "names": ["a", "b"], "leave_out": [[], []], "a": 1, "b": 1,
             "draws": 1, "seed": 0},
        ),
        "edit": (rp.edit, {**pair, "scales": {0: 0.0}, "other": d}),
        "edit_effects": (rp.edit_effects, {**pair, "edit": {0: 0.0}, "other": d}),
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
        "Regions.from_labels": (rp.Regions.from_labels, {"label_map": torch.tensor([[0, 1]])}),
        "Regions.from_masks": (rp.Regions.from_masks, {"masks": torch.ones(1, 2, 2) > 0}),
        "Regions.demand": (GRID.demand, {"patches": [0]}),
        "Edit": (rp.Edit, {"scales": {0: 1.0}, "others": 1.0, "taken": {}, "patches": (0,)}),
        "Edit.remove": (rp.Edit.remove, {"components": [0]}),
        "Edit.keep_only": (rp.Edit.keep_only, {"components": [0]}),
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
        "merged_field": (relations.merged_field, {"group": [0]}),
        "merged_strength": (relations.merged_strength, {"group": [0]}),
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
        "compare", "edit", "edit_effects", "cut", "layers", "load_generator", "or_harsanyi",
        "or_values", "and_harsanyi", "and_values", "Regions", "Regions.grid", "Regions.parse",
        "Regions.from_labels", "Regions.from_masks", "Regions.demand", "Edit", "Edit.remove",
        "Edit.keep_only", "Edit.swap", "Edit.blend", "sample_latents", "latents_of_image", "at",
        "head", "image", "tail", "component", "without", "minimal_feature", "combine", "scales",
        "load", "check_generator", "groups", "credit_of_patch", "merged_field", "merged_strength",
        "compare_runs", "sweep", "reproduce",
    ],
)  # fmt: skip
def test_bad_input_of_every_entry_point_is_one_line(
    generator, d, name, entries, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    call, right = entries[name]
    for argument in right:
        for wrong in (*NONSENSE, generator, d):
            try:
                call(**{**right, argument: wrong})
            except rp.RegionalPrimitivesError as error:
                assert "\n" not in str(error), f"{name}({argument}={wrong!r})"
            except Exception as error:
                pytest.fail(f"{name}({argument}={wrong!r}): {type(error).__name__}: {error}")


@pytest.fixture(scope="module")
def entries(generator, d):
    return calls(generator, d)
