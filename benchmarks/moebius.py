"""Time the OR transform against a copy, a dense matrix and shapiq: python benchmarks/moebius.py

Everything is measured in one run and interleaved, so that a busy machine slows all of it alike.
The figures go to benchmarks/results/moebius.json.
"""

from __future__ import annotations

import importlib.metadata
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import record
import shapiq
import torch

from regional_primitives.setfunctions import or_harsanyi, or_values

PATCHES, WIDTH = 12, 4096
REPEATS, SLOW_REPEATS = 15, 3


def main() -> None:
    """Measure, print the table, write the figures."""
    subsets = 2**PATCHES
    values = torch.randn(subsets, WIDTH, generator=torch.Generator().manual_seed(0))
    started = time.perf_counter()
    matrix = dense_or_matrix()
    matrix_seconds = time.perf_counter() - started

    array = values[:, 0].double().numpy()
    bits = 2 ** np.arange(PATCHES)

    def shapiq_column() -> Any:
        # shapiq has no OR transform; the dual game turns it into an AND, of the same cost.
        def dual(coalitions: Any) -> Any:
            return array[-1] - array[~coalitions @ bits]

        return shapiq.ExactComputer(dual, PATCHES)("Moebius")

    column = values[:, 0].clone()
    fast = {
        "values.clone()": values.clone,
        "or_harsanyi": lambda: or_harsanyi(values),
        "or_values": lambda: or_values(values),
        "or_harsanyi, one column": lambda: or_harsanyi(column),
    }
    slow = {
        "dense matrix product": lambda: matrix @ values,
        "shapiq Moebius, one column": shapiq_column,
    }
    threads = torch.get_num_threads()
    seconds = measure(fast, slow)
    torch.set_num_threads(1)
    one_thread = measure({name: fast[name] for name in ("values.clone()", "or_harsanyi")}, {})
    torch.set_num_threads(threads)
    seconds |= {f"{name}, 1 thread": times for name, times in one_thread.items()}

    difference = (or_harsanyi(values) - matrix @ values).abs().max().item()
    found = shapiq_column()
    peer = {sum(1 << i for i in T): found.values[k] for T, k in found.interaction_lookup.items()}
    ours = or_harsanyi(values[:, 0].double())
    peer_difference = max(abs(ours[mask].item() - peer[mask]) for mask in range(1, subsets))

    summaries = {name: summary(times) for name, times in seconds.items()}
    ratios = {
        "or_harsanyi / clone": ratio(seconds, "or_harsanyi", "values.clone()"),
        "or_values / clone": ratio(seconds, "or_values", "values.clone()"),
        "or_harsanyi / clone, 1 thread": ratio(
            seconds, "or_harsanyi, 1 thread", "values.clone(), 1 thread"
        ),
    }
    copy = summaries["values.clone()"]["median"]
    shapiq_all = summaries["shapiq Moebius, one column"]["median"] * WIDTH

    print(f"{PATCHES} patches, {subsets} subsets × {WIDTH} float32, {threads} threads")
    print(f"{'':34}{'median':>12}{'from':>12}{'to':>12}   of a clone")
    for name, times in summaries.items():
        figures = "".join(f"{1e3 * times[key]:9.2f} ms" for key in ("median", "lowest", "highest"))
        print(f"{name:34}{figures}{times['median'] / copy:12.2f} ×")
    for name, figure in ratios.items():
        text = "{median:.2f} × ({lowest:.2f} to {highest:.2f})".format(**figure)
        print(f"{name:34}{text}, ratio within each round")
    print(f"dense matrix: {matrix.nbytes / 2**20:.0f} MiB, built in {matrix_seconds:.2f} s")
    print(f"shapiq, {WIDTH} columns by multiplication: {shapiq_all:.0f} s (not measured)")
    print(
        f"largest difference from the dense product {difference:.1e}, from shapiq (float64) ",
        end="",
    )
    print(f"{peer_difference:.1e}")

    content = {
        **record.ran_on(),
        "load_average_at_end": os.getloadavg()[0],
        "shapiq": importlib.metadata.version("shapiq"),
        "patches": PATCHES,
        "width": WIDTH,
        "dtype": "float32",
        "seconds": summaries,
        "ratios_within_each_round": ratios,
        "dense_matrix_bytes": matrix.nbytes,
        "dense_matrix_build_seconds": matrix_seconds,
        "shapiq_all_columns_seconds_by_multiplication": shapiq_all,
        "largest_difference_from_dense_product": difference,
        "largest_difference_from_shapiq_float64": peer_difference,
    }
    record.keep("moebius", content)


def dense_or_matrix() -> torch.Tensor:
    """The OR transform as a matrix [T, S]: −(−1)^{|T|−|N∖S|} where N∖S ⊆ T, and v(∅) for T = ∅."""
    masks = torch.arange(2**PATCHES, dtype=torch.int32)
    left_out = masks.flip(0)
    counts = sum(masks >> i & 1 for i in range(PATCHES))
    inside = (left_out[None, :] & ~masks[:, None]) == 0
    odd = (counts[:, None] - counts.flip(0)[None, :]) & 1
    matrix = inside * (2.0 * odd - 1.0)
    matrix[0] = 0
    matrix[0, 0] = 1
    return matrix


def measure(
    fast: dict[str, Callable[[], Any]], slow: dict[str, Callable[[], Any]]
) -> dict[str, list[float]]:
    """Seconds of each call, in rounds; the slow ones are in the first few rounds only."""
    seconds: dict[str, list[float]] = {name: [] for name in fast | slow}
    for call in fast.values():
        call()
    for repeat in range(REPEATS):
        for name, call in (fast | slow if repeat < SLOW_REPEATS else fast).items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def summary(figures: list[float]) -> dict[str, float]:
    """Median and range."""
    return {
        "median": statistics.median(figures),
        "lowest": min(figures),
        "highest": max(figures),
        "repeats": len(figures),
    }


def ratio(seconds: dict[str, list[float]], upper: str, lower: str) -> dict[str, float]:
    """Median and range of the ratio of two calls of the same round."""
    return summary([a / b for a, b in zip(seconds[upper], seconds[lower], strict=True)])


if __name__ == "__main__":
    main()
