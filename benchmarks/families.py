"""What cutting the published networks of docs/families.md costs, and that each cut is right.

    .venv/bin/python benchmarks/families.py MY_MODELS.py:FUNCTION LAYER [name=value …]

Run it where the recipe's checkout and file are; one cut a process, since checkouts call their
packages alike and memory is counted by process. A recorded tail is compared with the whole network
in which the layer's output is replaced: on the picture's feature, on a disturbed one, and in one
vector-Jacobian product. Times are of the processor, so that other jobs count little. Adds a row to
benchmarks/results/families.json and to the page's table; without arguments, only writes the table.
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pages
import record
import torch
from torch import Tensor

import regional_primitives as rp
from regional_primitives.generators.feature import feature_of, tensors_of
from regional_primitives.generators.precision import relative_gap
from regional_primitives.generators.tail import PastNoGrad

PAGE = Path(__file__).parents[1] / "docs" / "families.md"
cost: dict[str, float] = {}


def status(key: str) -> float:
    """Read a size of this process, in MiB."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.findall(rf"{key}:\s+(\d+)", text)[0]) / 1024


def measured(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a function gives, its seconds of processor, and by how many MiB memory grew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    before, began = status("VmRSS"), time.process_time()
    return run(), time.process_time() - began, status("VmHWM") - before


def counted(cut: Callable[..., rp.Generator], module: Any, *layer: Any, **options: Any) -> Any:
    """Cut, and note what that costs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rp.WholeRunWarning)
        generator, cost["cut_seconds"], cost["cut_mib"] = measured(
            lambda: cut(module, *layer, **options)
        )
    return generator


def gradient(run: Callable[[list[Tensor]], Tensor], feature: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return images of a feature and one vector-Jacobian product."""
    leaves = [tensor.clone().requires_grad_(True) for tensor in feature]
    with PastNoGrad():
        images = run(leaves)
    vector = torch.randn(images.shape, generator=torch.Generator().manual_seed(9)).to(images)
    product = torch.autograd.grad((images * vector).sum(), leaves)
    return images.detach(), torch.cat([part.flatten() for part in product])


def main(model: str, layer: str, *given: str) -> None:
    """Cut, compare, print, write."""
    torch.set_num_threads(1)
    options = {name: _number(value) for name, value in (text.split("=", 1) for text in given)}
    cut, rp.cut = rp.cut, lambda *args, **named: counted(cut, *args, **named)
    generator = rp.load_generator(model, layer, **options)
    latents = generator.sample_latents(1)
    one = generator.at(latents)
    feature = one.head(latents)
    forward = sorted(measured(lambda: one.image(latents))[1:] for _ in range(3))[1]
    rng = torch.Generator().manual_seed(7)
    disturbed = [
        tensor + 0.5 * tensor.std() * torch.randn(tensor.shape, generator=rng)
        for tensor in tensors_of(feature)
    ]
    images, own = gradient(lambda leaves: one.tail(feature_of(leaves)), disturbed)
    whole, meant = gradient(
        lambda leaves: one.network.substituted(
            latents, one.layers, one.behind.parts.by_layer(feature_of(leaves))
        ),
        disturbed,
    )
    with torch.no_grad():
        gap = relative_gap(one.tail(feature), one.image(latents))
        tail = measured(lambda: one.tail(feature))[1]
    row = {
        "recipe": model.rpartition(":")[2],
        "layer": layer,
        "options": options,
        "parameters": sum(part.numel() for part in one.network.module.parameters()),
        "feature": [list(tensor.shape[1:]) for tensor in tensors_of(feature)],
        "recorded": not one.runs_whole_network,
        "why_not": getattr(one.behind, "why", ""),
        "one_by_one": one.behind.mixes,
        "flows_past": len(one.side_inputs),
        "picture_gap": gap,
        "disturbed_gap": relative_gap(images, whole),
        "gradient_gap": relative_gap(own, meant),
        "forward_seconds": forward[0],
        "forward_mib": forward[1],
        "cut_passes": cost["cut_seconds"] / forward[0],
        "cut_mib": cost["cut_mib"],
        "tail_share": tail / forward[0],
    }
    print(row)
    add(row)


def add(row: dict[str, Any]) -> None:
    """Put a row in the place of an older one of the same cut."""
    kept = record.read("families")
    same = ("recipe", "layer", "options")
    rows = [r for r in kept.get("rows", []) if any(r[name] != row[name] for name in same)]
    record.keep("families", {**kept, **record.ran_on(), "rows": [*rows, row]})
    show([*rows, row])


def show(rows: list[dict[str, Any]]) -> None:
    """Write the page's table, networks by recipe and size."""
    by_size = sorted(rows, key=lambda row: (row["recipe"], row["parameters"]))
    header = (
        "recipe", "parameters", "cut", "feature", "tail", "flow past",
        "forward pass", "cut", "memory of the cut", "tail / whole",
    )  # fmt: skip
    pages.renew(PAGE, "families", pages.table(header, map(_cells, by_size)))


def _cells(row: dict[str, Any]) -> list[str]:
    kind = "recorded" if row["recorded"] else f"whole: {row['why_not']}"
    return [
        f"`{row['recipe']}`",
        f"{row['parameters'] / 1e6:.1f} M",
        row["layer"],
        " and ".join("×".join(map(str, shape)) for shape in row["feature"]),
        kind + (", one by one" if row["one_by_one"] else ""),
        str(row["flows_past"]),
        f"{row['forward_seconds']:.2g} s",
        f"{row['cut_passes']:.0f} passes",
        f"{row['cut_mib']:.0f} MiB",
        f"{min(row['tail_share'], 1):.2f}",
    ]


def _number(value: str) -> Any:
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return value


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*sys.argv[1:])
    else:
        show(record.read("families")["rows"])
