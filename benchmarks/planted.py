"""How far components are off where they are known: the planted networks, by default settings.

Writes results/planted.json. Two pictures and two seeds a network; the structured form takes five
minutes of one core, the exact form about twenty.
"""

from __future__ import annotations

import argparse

import record
import torch
from planting import Planted, planted_networks
from recovery import Recovery, recovery, within

import regional_primitives as rp

ROUTES = ("generate", "isolate", "exact")
"""The structured form of both purposes, and the exact form of what generates S."""


def recovered(network: Planted, picture: int, seed: int, route: str) -> tuple[Recovery, int]:
    """Explain one picture; return how far its components are off, and evaluations.

    The exact form takes nine of the patches where there are more, drawn by the seed.
    """
    latents = network.generator.sample_latents(picture + 1, seed=3)[-1:]
    count = network.regions.count
    drawn = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:9]
    patches = tuple(sorted(drawn.tolist()))
    settings = (
        rp.Exact(patches=patches, noise_floor=False, seed=seed)
        if route == "exact"
        else rp.Structured(purpose=route, seed=seed)
    )
    d = rp.explain(network.generator, latents, network.regions, settings)
    fields = network.fields
    components = network.components(d.feature_units - d.baseline_units)
    if route == "exact":
        fields, components = within(fields, components, patches)
    return recovery(d, fields, components), d.provenance.evaluations


def main() -> None:
    """Explain them all, tell each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--routes", default=",".join(ROUTES))
    asked = parser.parse_args()
    routes = asked.routes.split(",")
    torch.set_num_threads(1)
    stands = record.read("planted").get("rows", [])
    rows = [row for row in stands if row["route"] not in routes]
    for network in planted_networks():
        for route in routes:
            found = [
                recovered(network, picture, seed, route)
                for picture in range(asked.pictures)
                for seed in range(asked.seeds)
            ]
            rows.append(
                {
                    "network": network.name,
                    "patches": network.regions.count,
                    "held_out": network.held_out,
                    "route": route,
                    "error": [one.error for one, _ in found],
                    "elsewhere": [one.elsewhere for one, _ in found],
                    "missing": [one.missing for one, _ in found],
                    "evaluations": max(evaluations for _, evaluations in found),
                }
            )
            print(rows[-1], flush=True)
    record.keep("planted", {"rows": rows})
    for route in ROUTES:
        for held_out in (False, True):
            errors = [
                error
                for row in rows
                if row["route"] == route and row["held_out"] is held_out
                for error in row["error"]
            ]
            if errors:
                print(
                    f"{route}, {'held out' if held_out else 'the others'}: error "
                    f"{sum(errors) / len(errors):.1%} on average, {max(errors):.1%} at worst"
                )


if __name__ == "__main__":
    main()
