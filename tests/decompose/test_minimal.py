"""Minimal features: their optimum, warm starts, resuming, settings, bad input."""

from dataclasses import replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.exact import minimal
from regional_primitives.decompose.exact.objective import DemandObjective
from regional_primitives.decompose.subject import PatchErrors
from regional_primitives.errors import InputError, StorageError

PATCHES = (0, 1, 5, 10)
SETTINGS = {"purpose": "isolate", "patches": PATCHES, "tolerance": 1e-3, "cost_weight": 0.01}


@pytest.fixture(scope="module")
def planted():
    return rp.load_generator("planted")


@pytest.fixture(scope="module")
def latents(planted):
    return planted.sample_latents(1, seed=1)


REGIONS = rp.Regions.grid(4, 4)


def find(planted, latents, subsets=None, checkpoint=None, **changes):
    settings = rp.Minimal(**{**SETTINGS, **changes})
    return rp.minimal_features(planted, latents, REGIONS, subsets, settings, checkpoint=checkpoint)


def quadratic_optimum(found, row):
    """Solve the planted network's objective in closed form: its tail is linear."""
    subject, settings = found.subject, found.settings
    f, f0 = subject.units[0].double(), subject.baseline_units[0].double()
    basis = torch.eye(len(f)).double()
    flat = lambda units: subject.generator.tail(units.float()).double().flatten(1)  # noqa: E731
    at_zero = flat(torch.zeros(1, len(f)))
    jacobian = (flat(basis) - at_zero).T
    x, x0 = (at_zero[0] + jacobian @ units for units in (f, f0))
    masks = REGIONS.masks(32, 32).double()
    pixels = masks.flatten(1).repeat(1, 3)
    asked = pixels[found.demands[row]].sum(0)
    unit = (pixels[list(PATCHES)].sum(0) * (x - x0) ** 2).sum()
    spared = (1 - asked) * settings.outside_weight
    if settings.surroundings == "free":
        spared = spared * pixels[list(PATCHES)].sum(0)
    weight = (asked + spared) / unit
    aim = jacobian.T @ (weight * asked.where(asked > 0, torch.zeros(())) * (x - x0))
    price = settings.cost_weight / (f - f0).square().sum()
    matrix = jacobian.T @ (weight[:, None] * jacobian) + price * basis
    return f0 + torch.linalg.solve(matrix, aim)


@pytest.mark.parametrize("surroundings", ["baseline", "free"])
def test_ends_at_the_optimum(planted, latents, surroundings):
    free = {"parametrisation": "free", "surroundings": surroundings}
    found = find(planted, latents, cost_weight=0.1, **free)
    assert found.converged.all()
    length = found.subject.difference.norm()
    for row in (0, 5, 14):
        best = quadratic_optimum(found, row).float()
        # The minimality term is strongly convex, which bounds the distance by the residual.
        bound = float(found.residual[row]) / (2 * found.settings.cost_weight)
        assert (found.units[row] - best).norm() / length <= bound + 1e-3
        assert bound < 0.01


def test_all_subsets_come_in_bitmask_order(planted, latents):
    found = find(planted, latents)
    assert found.demands.shape == (15, 16)
    assert found.demands[0].nonzero().flatten().tolist() == [0]
    assert found.demands[6 - 1].nonzero().flatten().tolist() == [1, 5]
    assert found.patches == PATCHES
    assert found.feature.shape == (15, 60)


def test_starts_do_not_matter(planted, latents):
    one = find(planted, latents)
    other = find(planted, latents, start_noise=0.5, warm_start=False)
    change = (one.units - other.units).norm(dim=1) / one.subject.difference.norm()
    assert float(change.max()) < 0.05
    assert one.evaluations < other.evaluations


def test_demands_do_not_depend_on_their_company(planted, latents):
    together = find(planted, latents, warm_start=False)
    alone = find(planted, latents, [[1, 5]], warm_start=False)
    length = together.subject.difference.norm()
    assert (together.units[5:6] - alone.units).norm() < 0.01 * length
    small = find(planted, latents, warm_start=False, batch=2)
    assert ((together.units - small.units).norm(dim=1) < 0.01 * length).all()


def test_gated_features_stay_between_baseline_and_feature(planted, latents):
    found = find(planted, latents, parametrisation="gated")
    ends = torch.stack([found.subject.units[0], found.subject.baseline_units[0]])
    assert (found.units >= ends.amin(0) - 1e-6).all()
    assert (found.units <= ends.amax(0) + 1e-6).all()
    free = find(planted, latents)
    assert (found.objective >= free.objective - 1e-5).all()


def test_a_higher_price_of_leak_leaks_less(planted, latents):
    cheap, dear = (find(planted, latents, outside_weight=w) for w in (0.0, 1.0))
    assert dear.leak.mean() < 0.7 * cheap.leak.mean()
    assert dear.inside_error.mean() > cheap.inside_error.mean()


def test_what_generates_needs_no_unit_in_part(planted, latents):
    found = find(
        planted, latents, purpose="generate", cost_weight=0.005, tolerance=1e-5, steps=400, stages=4
    )
    subject = found.subject
    on = (found.units - subject.baseline_units) / subject.difference
    assert ((on < 0.02) | (on > 0.98)).float().mean() > 0.95
    assert found.inside_error.max() < 1e-4
    alone = find(planted, latents)  # what can be changed alone has a price on all else
    assert found.leak.mean() > alone.leak.mean()
    # More is needed for more patches: u grows with S.
    for one in range(len(found.demands)):
        for other in range(len(found.demands)):
            if bool((found.demands[one] <= found.demands[other]).all()):
                assert (on[one] <= on[other] + 0.05).float().mean() > 0.95


def test_a_blank_patch_does_not_rule(planted, latents):
    found = find(planted, latents, purpose="generate", stages=1, steps=1)
    objective = DemandObjective(found.subject, found.settings, Evaluations(planted.at(latents)))
    errors = found.subject.errors
    image, where = errors.image.clone(), REGIONS.label_map(32, 32) == 0
    image[:, where] = errors.baseline_image[:, where] + 1e-4
    blank = PatchErrors.of(image, errors.baseline_image, REGIONS)
    objective = replace(objective, subject=replace(found.subject, errors=blank))
    demand = torch.zeros(1, 16, dtype=torch.bool)
    demand[0, 0] = True
    value, _ = objective.gradient(demand, found.subject.units)
    average = blank.departure[list(PATCHES)].mean()
    wrong = blank.per_patch(errors.image[None], blank.image)[0, 0]
    assert value[0] == pytest.approx(
        float(wrong / (0.1 * average)) + objective.settings.prices[-1], rel=1e-3
    )


def test_goes_on_after_an_interrupt(planted, latents, tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    whole = find(planted, latents, batch=4)
    real, calls = minimal.minimise, []

    def interrupted(*args, **kwargs):
        calls.append(len(args[1]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(minimal, "minimise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find(planted, latents, batch=4, checkpoint=folder)
    before = list(calls)
    found = find(planted, latents, batch=4, checkpoint=folder)
    assert sum(calls[len(before) :]) == 15 - sum(before[:2])
    # The same batches of demands, so the same operations.
    assert torch.equal(found.units, whole.units)
    assert found.evaluations == whole.evaluations
    with pytest.raises(StorageError, match="other settings"):
        find(planted, latents, cost_weight=0.5, checkpoint=folder)


class Pair(torch.nn.Module):
    """Two layers side by side paint one picture."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = torch.nn.Linear(8, 10), torch.nn.Linear(8, 12)
        self.paint = torch.nn.Linear(22, 3 * 16 * 16)

    def forward(self, z):
        both = torch.cat([self.left(z), self.right(z)], 1)
        return torch.tanh(self.paint(both)).view(-1, 3, 16, 16)


def test_a_bundle_of_tensors():
    generator = rp.cut(
        Pair(),
        ["left", "right"],
        sample_latents=lambda count, rng: torch.randn(count, 8, generator=rng),
        image_range=(-1.0, 1.0),
    )
    picture = generator.sample_latents(1, seed=0)
    found = rp.minimal_features(
        generator, picture, REGIONS, [[0]], rp.Minimal(cost_weight=1e-3, outside_weight=0.0)
    )
    assert [tensor.shape for tensor in found.feature] == [(1, 10), (1, 12)]
    assert found.inside_error[0] < 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patches": (0, 0)}, "named twice"),
        ({"patches": (-1,)}, "every patch must be a whole number"),
        ({"cost_weight": 0.0}, "cost_weight must be above 0"),
        ({"cost_weight": float("nan")}, "cost_weight must be a number"),
        ({"outside_weight": -1.0}, "outside_weight must be a number of at least 0"),
        ({"parametrisation": "tied"}, "parametrisation must be 'gated' or 'free', not 'tied'"),
        ({"surroundings": "black"}, "surroundings must be 'baseline' or 'free'"),
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"memory_mib": 0}, "memory_mib"),
    ],
)
def test_bad_input_settings(changes, message):
    with pytest.raises(InputError, match=message):
        rp.Minimal(**changes)


@pytest.mark.parametrize(
    ("subsets", "changes", "message"),
    [
        (None, {"patches": ()}, "16 patches have 65,536 demands"),
        (None, {"patches": (3, 99)}, "patch 99 does not exist"),
        ([[]], {}, "at least one patch"),
        ([], {}, "at least one patch"),
        ([[0, 2]], {}, r"patches \[2\] are demanded but not chosen"),
        (torch.ones(2, 3, dtype=torch.bool), {}, r"subsets are bool \[demands, 16\]"),
        (torch.ones(2, 16), {}, r"subsets are bool"),
    ],
)
def test_bad_input_demands(planted, latents, subsets, changes, message):
    with pytest.raises(InputError, match=message):
        find(planted, latents, subsets, **changes)


def test_bad_input_memory(planted, latents):
    rows = torch.ones(9000, 16, dtype=torch.bool)
    with pytest.raises(InputError, match=r"9000 demands of 60 units take 3 MiB; memory_mib is 1"):
        find(planted, latents, rows, patches=(), memory_mib=1)


def test_bad_input_generator(latents):
    with pytest.raises(InputError, match=r"needs a generator from rp\.cut"):
        rp.minimal_features(torch.nn.Identity(), latents)
