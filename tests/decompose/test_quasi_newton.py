"""Batched L-BFGS with bounds, against scipy one problem at a time."""

import pytest
import torch
from scipy import optimize

from regional_primitives.decompose.exact.quasi_newton import minimise

SIZE, PROBLEMS = 30, 5


@pytest.fixture
def problems():
    """Quartic bowls of different curvature, one a problem."""
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(PROBLEMS, SIZE, SIZE, generator=rng, dtype=torch.float64) / SIZE**0.5
    bowl = root @ root.mT + 0.05 * torch.eye(SIZE, dtype=torch.float64)
    pull = torch.randn(PROBLEMS, SIZE, generator=rng, dtype=torch.float64)
    asked = []

    def evaluate(rows, units):
        asked.append(rows.tolist())
        slope = (bowl[rows] @ units[..., None])[..., 0]
        value = 0.5 * (units * slope).sum(1) - (pull[rows] * units).sum(1)
        return value + 0.01 * units.pow(4).sum(1), slope - pull[rows] + 0.04 * units**3

    evaluate.asked = asked
    return evaluate


def by_scipy(evaluate, problem, bounds):
    def one(point):
        value, slope = evaluate(torch.tensor([problem]), torch.from_numpy(point)[None])
        return float(value[0]), slope[0].numpy()

    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000}
    start = torch.zeros(SIZE, dtype=torch.float64).numpy()
    return optimize.minimize(
        one, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )


@pytest.mark.parametrize("box", [None, (-0.2, 0.5)])
def test_ends_where_scipy_ends(problems, box):
    ends = [] if box is None else [torch.full((1, SIZE), bound).double() for bound in box]
    bounds = dict(zip(("lower", "upper"), ends, strict=False))
    start = torch.zeros(PROBLEMS, SIZE, dtype=torch.float64)
    found = minimise(problems, start, length=1.0, steps=300, tolerance=1e-6, **bounds)
    assert found.converged.all()
    assert (found.residual <= 1e-6).all()
    evaluations = sum(map(len, problems.asked))
    for problem in range(PROBLEMS):
        oracle = by_scipy(problems, problem, None if box is None else [box] * SIZE)
        assert float(found.value[problem]) == pytest.approx(oracle.fun, abs=1e-7)
        assert torch.allclose(found.units[problem], torch.from_numpy(oracle.x), atol=1e-4)
    if box is not None:
        assert float(found.units.min()) == pytest.approx(box[0])
        assert float(found.units.max()) == pytest.approx(box[1])
    assert evaluations < 60 * PROBLEMS


def test_problems_do_not_depend_on_their_company(problems):
    start = torch.zeros(PROBLEMS, SIZE, dtype=torch.float64)
    together = minimise(problems, start, length=1.0, steps=15, tolerance=1e-9)
    alone = minimise(problems, start[:1], length=1.0, steps=15, tolerance=1e-9)
    assert torch.allclose(together.units[:1], alone.units, atol=1e-12)


def test_problems_that_are_done_are_not_asked_again(problems):
    start = torch.zeros(PROBLEMS, SIZE, dtype=torch.float64)
    optimum = minimise(problems, start, length=1.0, steps=300, tolerance=1e-8).units
    start[:-1] = optimum[:-1]
    problems.asked.clear()
    minimise(problems, start, length=1.0, steps=300, tolerance=1e-6)
    assert problems.asked[0] == list(range(PROBLEMS))
    assert all(rows == [PROBLEMS - 1] for rows in problems.asked[1:])


def test_no_steps_leave_the_start(problems):
    start = torch.ones(PROBLEMS, SIZE, dtype=torch.float64)
    found = minimise(problems, start, length=1.0, steps=1, tolerance=0.0)
    assert (found.value < problems(torch.arange(PROBLEMS), start)[0]).all()
    assert not found.converged.any()


def test_stops_where_nothing_gets_better():
    calls = []

    def kink(rows, units):  # a gradient that lies: no step along it is ever better
        calls.append(len(rows))
        return units.abs().sum(1), torch.ones_like(units)

    found = minimise(kink, torch.zeros(1, 3), length=1.0, steps=100, tolerance=1e-9)
    assert torch.equal(found.units, torch.zeros(1, 3))
    assert not found.converged.any()
    assert len(calls) < 20
