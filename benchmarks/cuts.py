"""What one cut of a network costs, and whether its tail is right.

A tail is compared with the whole network in which the layer's output is replaced: on the picture's
feature, on a disturbed one, and in one vector-Jacobian product. Times are of the processor, so that
other jobs count little; memory is what the peak of the process grew by.
"""

from __future__ import annotations

import ctypes
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import regional_primitives as rp
from regional_primitives.generators.feature import feature_of, tensors_of
from regional_primitives.generators.latents import batch_size
from regional_primitives.generators.network import Network
from regional_primitives.generators.precision import relative_gap
from regional_primitives.generators.tail import PastNoGrad

Cut = Callable[..., rp.Generator]


def status(key: str) -> float:
    """Read a size of this process, in MiB."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.findall(rf"{key}:\s+(\d+)", text)[0]) / 1024


def measured(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a function gives, its seconds of processor, and by how many MiB memory grew."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    before, began = status("VmRSS"), time.process_time()
    return run(), time.process_time() - began, status("VmHWM") - before


def counting(cut: Cut, cost: dict[str, float]) -> Cut:
    """Return a `rp.cut` that notes what it costs, and how many items it runs the network on."""
    run = Network.run

    def counted_run(network: Network, latents: Any) -> Tensor:
        cost["cut_items"] += batch_size(latents)
        return run(network, latents)

    def counted(subject: Any, *args: Any, **options: Any) -> rp.Generator:
        _read(subject)
        cost["cut_items"] = 0
        Network.run = counted_run  # type: ignore[method-assign]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", rp.WholeRunWarning)
                generator, cost["cut_seconds"], cost["cut_mib"] = measured(
                    lambda: cut(subject, *args, **options)
                )
        finally:
            Network.run = run  # type: ignore[method-assign]
        return generator

    return counted


def _read(subject: Any) -> None:
    """Bring weights into memory that are mapped from a file, so that no cut pays for them."""
    for part in getattr(subject, "components", {"": subject}).values():
        for weight in part.parameters() if isinstance(part, torch.nn.Module) else ():
            weight.detach().sum()


def gradient(run: Callable[[list[Tensor]], Tensor], feature: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return images of a feature and one vector-Jacobian product."""
    leaves = [tensor.clone().requires_grad_(True) for tensor in feature]
    with PastNoGrad():
        images = run(leaves)
    vector = torch.randn(images.shape, generator=torch.Generator().manual_seed(9)).to(images)
    scalar = (images * vector).sum()
    product = torch.autograd.grad(scalar, leaves, materialize_grads=True)
    return images.detach(), torch.cat([part.flatten() for part in product])


def row(generator: rp.Generator, cost: dict[str, float]) -> dict[str, Any]:
    """Compare a cut that has cost so much with the whole network."""
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
    return {
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
        "cut_items": cost["cut_items"],
        "cut_passes": cost["cut_seconds"] / forward[0],
        "cut_mib": cost["cut_mib"],
        "tail_share": tail / forward[0],
    }


def kind(found: dict[str, Any]) -> str:
    """Say how a row's tail runs."""
    whole = "recorded" if found["recorded"] else f"whole: {found['why_not']}"
    return whole + (", one by one" if found["one_by_one"] else "")
