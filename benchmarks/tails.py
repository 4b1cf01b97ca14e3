"""What a recorded tail costs: beside a tail cut by hand, and beside the whole network.

    .venv/bin/python benchmarks/tails.py

Both are ratios of times measured in turns within one run, forward and backward, median of rounds.
The tail by hand is `nn.Sequential` of the very layers behind the cut. The share of the whole
network's run is compared with the share that `primitives layers` lists. For every generator of the
zoo and every layer listed, the tail's image is compared with the whole network's. Writes
benchmarks/results/tails.json.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import record
import torch
from torch import Tensor, nn

import regional_primitives as rp
from regional_primitives.generators import ZOO
from regional_primitives.generators.layers import parse_layers
from regional_primitives.generators.precision import relative_gap

ROUNDS = 40


def seconds(run: Callable[[Tensor], Tensor], feature: Tensor) -> float:
    """Time one forward and backward pass."""
    leaf = feature.clone().requires_grad_(True)
    began = time.perf_counter()
    run(leaf).sum().backward()
    return time.perf_counter() - began


def ratio(one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], f: Tensor) -> float:
    """Return the median ratio of two functions' times, taken in turns."""
    for run in (one, other):
        seconds(run, f)
    return statistics.median(seconds(one, f) / seconds(other, f) for _ in range(ROUNDS))


def forward_share(generator: rp.Generator, latents: Tensor) -> float:
    """Return the measured time of the tail's forward pass over that of the whole network's."""
    bound = generator.at(latents[:1])
    feature = bound.head(latents)
    times = []
    with torch.no_grad():
        for _ in range(ROUNDS):
            began = time.perf_counter()
            bound.tail(feature)
            middle = time.perf_counter()
            generator.network.module(latents)
            times.append((middle - began) / (time.perf_counter() - middle))
    return statistics.median(times)


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)  # with two threads on a busy machine, times tell of the scheduler
    rows = []
    for layer in ("main.2", "main.5", "main.8", "main.11"):
        generator = rp.load_generator("faces", layer)
        latents = generator.sample_latents(24)
        feature = generator.head(latents)
        network = generator.network.module
        behind = list(network.main)[int(layer.split(".")[1]) + 1 :]
        by_hand = nn.Sequential(*behind)
        assert torch.equal(by_hand(feature), generator.tail(feature))
        listed = {point.name: point.time_share for point in rp.layers(generator, latents)}
        row = {
            "generator": "faces",
            "layer": layer,
            "batch": len(feature),
            "recorded_over_by_hand": ratio(generator.tail, by_hand, feature),
            "tail_over_whole_forward": forward_share(generator, latents),
            "listed_share": listed[layer],
        }
        rows.append(row)
        print(row, flush=True)
    gaps = []
    for name, entry in ZOO.items():
        if not entry.installed():
            print(f"{name} left out: {entry.how_to_get}")
            continue
        generator = rp.load_generator(name)
        latents = generator.sample_latents(1, seed=3)
        image = generator.image(latents)
        for layer in entry.layers:
            layers = parse_layers(layer, generator.network.module)
            bound = replace(generator, layers=layers, behind=None).at(latents)
            with torch.no_grad():
                gap = relative_gap(bound.tail(bound.head(latents)), image)
            gaps.append({"generator": name, "layer": layer, "gap": gap,
                         "recorded": not bound.runs_whole_network,
                         "flows_past": len(bound.side_inputs)})  # fmt: skip
            print(gaps[-1], flush=True)
    content = {
        **record.ran_on(),
        "rounds": ROUNDS,
        "rows": rows,
        "gaps": gaps,
    }
    record.keep("tails", content)


if __name__ == "__main__":
    main()
