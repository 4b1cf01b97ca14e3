"""How far components are off where they are known: the planted networks, by default settings.

Writes results/planted.json. Two pictures and two seeds a network; five minutes of one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

import regional_primitives as rp
from regional_primitives.evaluate.recovery import recovery
from regional_primitives.generators.zoo.planting import planted_networks

RESULT = Path(__file__).parent / "results" / "planted.json"


def main() -> None:
    """Explain them all, tell each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for network in planted_networks():
        for purpose in ("generate", "isolate"):
            found = []
            for picture in range(asked.pictures):
                latents = network.generator.sample_latents(picture + 1, seed=3)[-1:]
                for seed in range(asked.seeds):
                    settings = rp.Structured(purpose=purpose, seed=seed)
                    d = rp.explain(network.generator, latents, network.regions, settings)
                    difference = d.feature_units - d.baseline_units
                    found.append(recovery(d, network.fields, network.components(difference)))
            rows.append(
                {
                    "network": network.name,
                    "patches": network.regions.count,
                    "held_out": network.held_out,
                    "purpose": purpose,
                    "error": [round(one.error, 4) for one in found],
                    "elsewhere": [round(one.elsewhere, 4) for one in found],
                    "missing": [one.missing for one in found],
                    "evaluations": d.provenance.evaluations,
                }
            )
            print(rows[-1], flush=True)
    lines = ",\n".join(map(json.dumps, rows))
    RESULT.write_text(f'{{"rows": [\n{lines}\n]}}\n')
    for purpose in ("generate", "isolate"):
        for held_out in (False, True):
            errors = [
                error
                for row in rows
                if row["purpose"] == purpose and row["held_out"] is held_out
                for error in row["error"]
            ]
            print(
                f"{purpose}, {'held out' if held_out else 'the others'}: error "
                f"{sum(errors) / len(errors):.1%} on average, {max(errors):.1%} at worst"
            )


if __name__ == "__main__":
    main()
