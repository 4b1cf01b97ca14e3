"""Whether published networks of many kinds can be cut, whether their tails are right, and the cost.

    .venv/bin/python benchmarks/networks.py --code FOLDER [--only NAME …]

FOLDER/OWNER/NAME are checkouts of the repositories that published.py names. Each network runs in a
process of its own and replaces its line of benchmarks/results/networks.json and docs/networks.md;
without arguments, only the page is written. What is measured is told in cuts.py.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import textwrap
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import cuts
import pages
import record
import torch
from published import CODE, NETWORKS, Published

import regional_primitives as rp

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
LONGEST = 900
"""Seconds for a network."""


def main() -> None:
    """Examine each network in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", type=Path)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, metavar="NAME", default=[*NETWORKS])
    asked = parser.parse_args()
    if asked.code and len(asked.only) == 1:
        keep(asked.only[0], examined(asked.only[0], asked.code.resolve()))
    elif asked.code:
        for name in asked.only:
            command = [sys.executable, __file__, "--code", asked.code, "--only", name]
            try:
                subprocess.run(command, timeout=LONGEST, check=True)
            except subprocess.SubprocessError as error:
                print(name, error)
    else:
        show(record.read("networks")["networks"])


def examined(name: str, code: Path) -> dict[str, Any]:
    """Build a network, cut it, list its layers."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    entry = NETWORKS[name]
    CODE.append(code)
    sys.path.insert(0, str(code / entry.code))
    torch.manual_seed(0)
    network, options = entry.make()
    if isinstance(network, torch.nn.Module):
        network.eval()
        stir(network)
    layers = listed(network, options)  # first, so that no cut pays for what torch loads at first
    return {
        "code": entry.code,
        "version": version(entry, code),
        "licence": entry.licence,
        "kind": entry.kind,
        "unlike": entry.unlike,
        "cuts": [attempt(network, layer, options) for layer in entry.cuts],
        "layers": layers,
    }


@torch.no_grad()
def stir(network: torch.nn.Module) -> None:
    """Let no weights be alike: many networks begin with layers that give nothing."""
    rng = torch.Generator().manual_seed(1)
    for weight in network.parameters():
        if weight.is_floating_point() and bool((weight == weight.flatten()[0]).all()):
            noise = torch.randn(weight.shape, generator=rng).to(weight)
            weight += 0.3 * noise * (weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.3)


def attempt(network: Any, layer: str, options: dict[str, Any]) -> dict[str, Any]:
    """Cut at a layer, or tell why that is not to be."""
    cost: dict[str, float] = {}
    try:
        generator = cuts.counting(rp.cut, cost)(network, layer, **options)
        return {"layer": layer, **cuts.row(generator, cost)}
    except Exception as error:
        return {"layer": layer, **told(error)}


def listed(network: Any, options: dict[str, Any]) -> dict[str, Any]:
    """List the network's layers."""
    given = {
        key: value for key, value in options.items() if key not in ("sample_latents", "image_range")
    }
    sample = options.get("sample_latents")
    example = None if sample is None else sample(1, torch.Generator().manual_seed(0))
    began = time.process_time()
    try:
        points = rp.layers(network, example, **given)
    except Exception as error:
        return told(error)
    return {"count": len(points), "seconds": time.process_time() - began}


def told(error: Exception) -> dict[str, Any]:
    """Say what a refusal says; what is no refusal is a fault."""
    if isinstance(error, rp.RegionalPrimitivesError):
        return {"refused": str(error)}
    traceback.print_exc()
    return {"fault": f"{type(error).__name__}: {error}"}


def version(entry: Published, code: Path) -> str:
    """Name the commit of a checkout, or the version of a package."""
    if "/" not in entry.code:
        return importlib.metadata.version(entry.code)
    command = ["git", "-C", code / entry.code, "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def keep(name: str, line: dict[str, Any]) -> None:
    """Put a network's line in the place of an older one."""
    for cut in line["cuts"]:
        print(name, cut, flush=True)
    print(name, line["layers"], flush=True)
    kept = record.read("networks")
    lines = {**kept.get("networks", {}), name: line}
    record.keep("networks", {**kept, **record.ran_on(), "weights": "random", "networks": lines})
    if PAGE.exists():
        show(lines)


def show(lines: dict[str, Any]) -> None:
    """Write the page's table and what was refused, in published.py's order."""
    known = {name: lines[name] for name in NETWORKS if name in lines}
    header = (
        "network", "code", "kind", "parameters", "cuts", "tail", "flow past", "image", "gradient",
        "items run", "cut / pass", "memory, cut / pass", "layers",
    )  # fmt: skip
    kinds = Counter(kind(cut) for line in known.values() for cut in line["cuts"])
    what = ", ".join(f"{count} {how}" for how, count in kinds.most_common())
    cuts_made = f"{len(known)} networks and pipelines, {kinds.total()} cuts: {what}."
    pages.renew(PAGE, "counts", [cuts_made.replace("recorded, one", "recorded but one")])
    pages.renew(PAGE, "networks", pages.table(header, (cells(*item) for item in known.items())))
    pages.renew(PAGE, "refused", [text for item in known.items() for text in troubles(*item)])
    unlike = (f"- {name}: {line['unlike']}" for name, line in known.items() if line["unlike"])
    pages.renew(PAGE, "unlike", unlike)


def cells(name: str, line: dict[str, Any]) -> list[str]:
    """Lay out a network's row; of its cuts the least and the most."""
    good = [cut for cut in line["cuts"] if "recorded" in cut]

    def span(key: str, form: str = "{:.0f}") -> str:
        values = sorted(cut[key] for cut in good if cut[key] is not None)
        ends = list(dict.fromkeys(form.format(value) for value in values[:1] + values[-1:]))
        return " – ".join(ends)

    def worst(key: str) -> str:
        values = [cut[key] for cut in good if cut[key] is not None]
        return f"{max(values):.0e}" if values and max(values) else "0" if values else ""

    kinds = list(dict.fromkeys(kind(cut) for cut in line["cuts"]))
    listed = line["layers"]
    code = line["code"]
    return [
        name,
        f"[{code}](https://github.com/{code}) {line['version']}"
        if "/" in code
        else f"{code} {line['version']}",
        f"{line['kind']} ({line['licence']})",
        f"{good[0]['parameters'] / 1e6:.1f} M" if good else "",
        ", ".join(f"`{cut['layer']}`" for cut in line["cuts"]),
        "; ".join(kinds),
        span("flows_past"),
        worst("disturbed_gap"),
        worst("gradient_gap"),
        span("cut_items"),
        span("cut_passes"),
        f"{span('cut_mib')} / {span('forward_mib')} MiB" if good else "",
        str(listed.get("count", "refused")),
    ]


def kind(cut: dict[str, Any]) -> str:
    """Say in a few words what came of a cut."""
    if "recorded" not in cut:
        return "refused" if "refused" in cut else "fault"
    how = "recorded" if cut["recorded"] else "whole"
    return how + (", one by one" if cut["one_by_one"] else "")


def troubles(name: str, line: dict[str, Any]) -> list[str]:
    """Say why a network is run whole or refused, and what was replaced to run it."""
    said = {}
    for cut in [*line["cuts"], {"layer": "all layers", **line["layers"]}]:
        text = cut.get("refused") or cut.get("fault") or cut.get("why_not")
        if text:
            said.setdefault((kind(cut), text), []).append(f"`{cut['layer']}`")
    return [
        f"- {name}, {', '.join(layers)}, {how}: {textwrap.shorten(text, 200, placeholder=' …')}"
        for (how, text), layers in said.items()
    ]


if __name__ == "__main__":
    main()
