"""The lab's own cure for noisy interactions, as a rival of the sparse exact form.

    .venv/bin/python benchmarks/noise_cure.py [program] [planted] [added] [faces] [vae-faces]
        [--pictures 2] [--patches 9]

Work of the paper's lab on interactions (arXiv 2302.13080 and later) takes noise out by a small
disturbance of every value of the set function, bounded, such that the interactions have the least
ℓ1 norm. Here the values are those of each unit of u(S) − f0 and the bound is a share of |f − f0|:

    min_ε Σ_T |I_or(u + ε)(T)|     |ε(S)| ≤ τ |f − f0| in every unit,  ε(∅) = 0

`program`: is that linear program solved? `planted`: networks whose components are known. `added`:
their true values, with noise of a known size. `faces`, `vae-faces`: pictures, two searches each.
All ways get the same minimal features, which are kept in --runs.
Writes benchmarks/results/noise_cure.json; the note is docs/research/noise-cure.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from planting import Planted, planted_networks
from scipy.optimize import linprog

import regional_primitives as rp
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.exact.components import noise_floor
from regional_primitives.decompose.exact.minimal import MinimalFeatures
from regional_primitives.decompose.exact.objective import DemandObjective
from regional_primitives.decompose.exact.sparse_or import fit_jointly, sparsest
from regional_primitives.decompose.subject import prepare
from regional_primitives.regions import visible_foreground
from regional_primitives.runtime.streams import stream
from regional_primitives.setfunctions import OrRidge, or_harsanyi, or_values, orders

BOUNDS = ("0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "1 σ", "2 σ", "3 σ")
"""τ, a share of |f − f0|, or so many times the noise that the plain transform shows."""
CHOSEN = "3 σ"
"""The best on average on the planted networks that choices may see, with noise added."""
FACE_BOUNDS = ("0.05", CHOSEN)
NOISES = (0.01, 0.04, 0.1)
"""Standard deviations of added noise, shares of |f − f0|."""
TIE, PUSH = 20.0, 4.0
"""ADMM's: how strongly the copies of the components are tied, over those of the values; and by how
many bounds components shrink in a step, times that."""


def cured(
    departures: torch.Tensor, scale: torch.Tensor, bound: float, steps: int = 400
) -> torch.Tensor:
    """Return the OR components of least ℓ1 norm whose values are within the bound of those given.

    A linear program a unit, solved by ADMM for all units at once: one copy of the components is
    sparse, one copy of the values is within the box, a third of both obeys the OR law. Ours.

    Args:
        departures: u(S) − f0 by bitmask, [2ⁿ, D]; that of ∅ is zero.
        scale: |f − f0|, [D]; where it is 0, so are the components.
        bound: τ.
        steps: of ADMM. At 400 the norm is within 1 % of the linear program's, and values leave the
            box by 1 to 5 % of the bound (root mean square).
    """
    values = departures / scale.clamp_min(1e-30)
    ridge = OrRidge((len(values) - 1).bit_length())
    lower, upper = values - bound, values + bound
    lower[0] = upper[0] = 0
    sparse, box = or_harsanyi(values.double()).to(values), values
    sparse_dual, box_dual = torch.zeros_like(values), torch.zeros_like(values)
    for _ in range(steps):
        lawful = ridge.solve(TIE * (sparse - sparse_dual) + or_values(box - box_dual), TIE)
        lawful[0] = 0
        sparse_dual += 1.6 * lawful - 0.6 * sparse  # over-relaxed, as Boyd et al. recommend
        box_dual += 1.6 * or_values(lawful) - 0.6 * box
        sparse = sparse_dual.sign() * (sparse_dual.abs() - PUSH * bound / TIE).clamp_min_(0)
        box = box_dual.clamp(lower, upper)
        sparse_dual -= sparse
        box_dual -= box
    return sparse * scale


def routes(
    departures: torch.Tensor, scale: torch.Tensor, bounds: Iterable[str], settings: rp.Exact
) -> dict[str, Callable[[], torch.Tensor]]:
    """Name the ways from u(S) − f0 to components that look at no picture."""

    def cure(bound: str) -> torch.Tensor:
        share, _, noise = bound.partition(" ")
        unit = noise_of(departures, scale) if noise else 1.0
        return cured(departures, scale, float(share) * unit)

    return {
        "plain transform": lambda: or_harsanyi(departures.double()).float(),
        **{f"cure {bound}": partial(cure, bound) for bound in bounds},
        "sparse, before the joint fit": lambda: sparsest(departures, settings),
    }


def noise_of(departures: torch.Tensor, scale: torch.Tensor) -> float:
    """Estimate σ, the noise of the values in units of |f − f0|, as `sparsest` does."""
    plain = or_harsanyi((departures[:, scale > 0] / scale[scale > 0]).double())
    order = orders((len(plain) - 1).bit_length())
    return float((plain.square().mean(1).sqrt() / 2 ** (order / 2))[1:].median())


def fitted(features: MinimalFeatures, components: torch.Tensor, settings: rp.Exact) -> torch.Tensor:
    """Drop weak components and fit the others to the pictures, as the sparse form does."""
    strength = components.norm(dim=1, keepdim=True)
    kept = components * (strength >= settings.smallest_strength * strength.max())
    objective = DemandObjective(features.subject, settings, Evaluations(features.subject.generator))
    return fit_jointly(kept, objective, features.demands, settings)


def measured(
    features: MinimalFeatures, bounds: Iterable[str], settings: rp.Exact
) -> dict[str, tuple[torch.Tensor, dict[str, Any]]]:
    """Make components in every way, and tell how few they are and what they generate."""
    subject = features.subject
    departures = torch.cat(
        [torch.zeros(1, features.units.shape[1]), features.units - subject.baseline_units]
    )
    ways = routes(departures, subject.difference.abs(), bounds, settings)
    found: dict[str, tuple[torch.Tensor, float]] = {}
    for name, way in ways.items():
        begun = time.perf_counter()
        components = way()
        found[name] = components, time.perf_counter() - begun
    for name, before in (
        ("sparse", "sparse, before the joint fit"),
        (f"cure {CHOSEN}, then the joint fit", f"cure {CHOSEN}"),
    ):
        begun = time.perf_counter()
        components = fitted(features, found[before][0], settings)
        found[name] = components, found[before][1] + time.perf_counter() - begun
    free = _pooled(features, features.units)
    told = {}
    for name, (components, seconds) in found.items():
        generated = subject.baseline_units + or_values(components)[1:]
        told[name] = (
            components,
            {
                **few(components),
                "pooled_inside_error": _pooled(features, generated),
                "of_the_features": free,
                "seconds": seconds,
            },
        )
    return told


def few(components: torch.Tensor) -> dict[str, Any]:
    """Tell n90, how many are salient as the lab has it, and the energy at orders 1 to 3."""
    energy = components.double().square().sum(1)
    order = orders((len(energy) - 1).bit_length())
    falling = energy.sort(descending=True).values.cumsum(0) / energy.sum()
    return {
        "n90": int((falling < 0.9).sum()) + 1,
        "salient": int((energy.sqrt() > energy.sqrt().max() / 20).sum()),
        "low_orders": float(energy[order <= 3].sum() / energy.sum()),
    }


def _pooled(features: MinimalFeatures, units: torch.Tensor) -> float:
    """Return the pooled inside error of one flat feature a demand, over all demands."""
    errors, generator = features.subject.errors, features.subject.generator
    wrong = whole = 0.0
    for asked, some in zip(features.demands.split(64), units.split(64), strict=True):
        counted = torch.nn.functional.pad(asked.float(), (0, 1))
        off = errors.per_patch(generator.render(some), errors.image)
        wrong += float((counted * off).sum())
        whole += float((counted * errors.departure).sum())
    return wrong / whole


def known(network: Planted, patches: tuple[int, ...], difference: torch.Tensor) -> torch.Tensor:
    """Sum the planted components that these patches cannot tell apart, by bitmask."""
    bits = 2 ** torch.arange(len(patches))
    masks = (network.fields[:, list(patches)] * bits).sum(1)
    components = torch.zeros(2 ** len(patches), difference.shape[-1])
    return components.index_add_(0, masks, network.components(difference))


def recovered(found: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Tell how far components are off, and what is in fields that were not planted; of ‖f − f0‖.

    As `recovery.py` does; what is left of f is the component of no patch here.
    """
    found = torch.cat([truth.sum(0, keepdim=True) - found[1:].sum(0, keepdim=True), found[1:]])
    planted, whole = truth.any(1), truth.sum(0).norm()
    planted[0] = True  # a remainder is no field that was not planted
    return {
        "error": float((found - truth).norm() / whole),
        "elsewhere": float(found[~planted].norm() / whole),
    }


def _settings(network: Planted) -> rp.Exact:
    """Return those of `planted.py`: at most nine patches, drawn by the seed."""
    drawn = torch.randperm(network.regions.count, generator=torch.Generator().manual_seed(0))[:9]
    return rp.Exact(patches=tuple(sorted(drawn.tolist())), noise_floor=False)


def on_planted(runs: Path, pictures: int) -> Iterator[dict[str, Any]]:
    """Tell every way's error on the networks whose components are known."""
    for network, picture in product(planted_networks(), range(pictures)):
        settings, folder = _settings(network), runs / "planted" / f"{network.name}-{picture}"
        latents = network.generator.sample_latents(picture + 1, seed=3)[-1:]
        features = rp.minimal_features(
            network.generator, latents, network.regions, None, settings, checkpoint=folder
        )
        truth = known(network, features.patches, features.subject.difference.cpu())
        case = {"network": network.name, "held_out": network.held_out, "picture": picture}
        ways = measured(features, BOUNDS, settings).items()
        yield {
            **case,
            "ways": {name: {**recovered(own, truth), **told} for name, (own, told) in ways},
        }


def on_added(pictures: int) -> Iterator[dict[str, Any]]:
    """Tell every way's error where noise of a known size is added to the true minimal features."""
    for network, picture, noise in product(planted_networks(), range(pictures), NOISES):
        settings = _settings(network).settled(network.generator)
        latents = network.generator.sample_latents(picture + 1, seed=3)[-1:]
        subject = prepare(
            network.generator, latents, network.regions,
            baseline_count=settings.baseline_count, baseline_seed=0,
        )  # fmt: skip
        difference = subject.difference.cpu()
        truth = known(network, settings.patches, difference)
        rng = stream(picture, "noise cure", network.name)
        values = or_values(torch.cat([torch.zeros_like(truth[:1]), truth[1:]]))
        values[1:] += noise * difference.abs() * torch.randn(values[1:].shape, generator=rng)
        case = {"network": network.name, "held_out": network.held_out, "picture": picture}
        ways = routes(values, difference.abs(), BOUNDS, settings).items()
        found = {name: recovered(way(), truth) for name, way in ways}
        yield {**case, "noise": noise, "ways": found}


def on_program() -> Iterator[dict[str, Any]]:
    """Hold the norms against those that scipy's solver of linear programs finds, six patches."""
    rng, count, units = stream(0, "noise cure", "program"), 63, 10
    matrix = or_values(torch.eye(count + 1, dtype=torch.float64))[1:, 1:].numpy()
    values = (torch.rand(count + 1, units, generator=rng) < 0.05).float()
    values = or_values(values) + 0.03 * torch.randn(values.shape, generator=rng)
    values[0] = 0
    for bound in (0.01, 0.05, 0.2):
        found = cured(values, torch.ones(units), bound)
        both_ways = np.block([[matrix, -matrix], [-matrix, matrix]])
        least = 0.0
        for own in values[1:].T.double().numpy():
            limits = np.concatenate([own + bound, bound - own])
            least += linprog(np.ones(2 * count), A_ub=both_ways, b_ub=limits).fun
        beyond = ((or_values(found) - values).abs() - bound).clamp_min(0)
        yield {
            "bound": bound,
            "norm": float(found.abs().sum()),
            "least": least,
            "beyond": float(beyond.square().mean().sqrt() / bound),
        }


def on_pictures(name: str, runs: Path, pictures: int, count: int) -> Iterator[dict[str, Any]]:
    """Tell what every way generates, and on what two independent searches agree."""
    generator, regions = rp.load_generator(name), rp.Regions.grid()
    for picture in range(pictures):
        latents = generator.sample_latents(1, seed=picture)
        subject = prepare(
            generator, latents, regions, baseline_count=generator.baseline_count, baseline_seed=0
        )
        mask = visible_foreground(subject.image, subject.baseline_image)
        try:
            patches = regions.draw_foreground(mask, stream(picture, "noise cure"), count)
        except rp.InputError:  # too small a foreground
            continue
        found = []
        for search in range(2):
            settings = rp.Exact(patches=patches, noise_floor=False, seed=search)
            folder = runs / name / f"{picture}-{count}-{search}"
            features = rp.minimal_features(
                generator, latents, regions, None, settings, checkpoint=folder
            )
            found.append(measured(features, FACE_BOUNDS, settings))
        ways = {}
        for name, (one, told) in found[0].items():
            other = found[1][name][0]
            floor = noise_floor(one, other).max() / one.norm(dim=1).max()
            apart = (one - other).norm() / (one.square().sum() + other.square().sum()).sqrt()
            ways[name] = {**told, "noise_floor": float(floor), "apart": float(apart)}
        yield {"picture": picture, "patches": count, "ways": ways}


def main() -> None:
    """Measure what is asked for, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=["program", "planted", "added", "faces"])
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--patches", type=int, default=9, help="of pictures")
    parser.add_argument("--runs", type=Path, default=Path("runs/noise_cure"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    kept = record.read("noise_cure")
    for part in asked.parts:
        ways = {
            "program": on_program,
            "planted": lambda: on_planted(asked.runs, asked.pictures),
            "added": lambda: on_added(asked.pictures),
        }
        rows = (
            ways[part]()
            if part in ways
            else on_pictures(part, asked.runs, asked.pictures, asked.patches)
        )
        kept[part] = []
        for row in rows:
            kept[part].append(row)
            record.keep("noise_cure", kept)
            print(row, flush=True)


if __name__ == "__main__":
    main()
