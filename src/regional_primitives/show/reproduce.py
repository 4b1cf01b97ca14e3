"""The command and the Python lines that make a run again, told from what the run recorded."""

from __future__ import annotations

import dataclasses
import json
import shlex
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.exact import Exact
from regional_primitives.decompose.structured import Structured
from regional_primitives.generators.zoo import ZOO

__all__ = ["changed_settings", "command", "python_lines"]

_FORMS: dict[str, type[Structured] | type[Exact]] = {"structured": Structured, "exact": Exact}


def changed_settings(decomposition: Decomposition) -> dict[str, Any]:
    """Return the settings that differ from the defaults; all of them for an unknown method."""
    origin = decomposition.provenance
    if origin.method not in _FORMS:
        return origin.settings
    form = _FORMS[origin.method]
    # As JSON, a tuple comes back as a list.
    default = json.loads(json.dumps(dataclasses.asdict(form(purpose=origin.purpose))))
    own = ZOO[origin.generator].baseline_count if origin.generator in ZOO else None
    asked = {} if origin.purpose == form().purpose else {"purpose": origin.purpose}
    return asked | {
        name: value
        for name, value in origin.settings.items()
        if (name not in default or default[name] != json.loads(json.dumps(value)))
        and not (name == "baseline_count" and value == own)
    }


def command(decomposition: Decomposition) -> str | None:
    """Return the command line, or None where the command cannot make this run.

    It knows the zoo's generators, pictures named by a seed or a file, grids, and both forms.
    """
    origin, regions = decomposition.provenance, decomposition.regions
    possible = (
        origin.generator in ZOO
        and (origin.picture_seed is not None or origin.picture_file is not None)
        and regions.is_grid
        and origin.method in _FORMS
        # Settings of an earlier release may have gone since.
        and set(origin.settings) <= {f.name for f in dataclasses.fields(_FORMS[origin.method])}
    )
    if not possible:
        return None
    picture = (
        f"--seed {origin.picture_seed}"
        if origin.picture_file is None
        else f"--image {shlex.quote(origin.picture_file)}"
    )
    changed = changed_settings(decomposition)
    exact = []
    purpose = changed.pop("purpose", None)
    if origin.method == "exact":
        exact = [f"--exact {','.join(map(str, decomposition.patches))}"]
        changed.pop("patches", None)
    words = [
        f"primitives explain {origin.generator} {picture}",
        *(f"--{name} {shlex.quote(str(value))}" for name, value in origin.options.items()),
        f"--layer {shlex.quote(origin.layer)} --grid {regions.rows}x{regions.columns}",
        *exact,
        *([] if purpose is None else [f"--purpose {purpose}"]),
        *(f"--set {name}={value}" for name, value in changed.items()),
    ]
    return " ".join(words)


def python_lines(decomposition: Decomposition) -> str:
    """Return the lines that give this decomposition and its scores in Python."""
    origin, regions = decomposition.provenance, decomposition.regions
    lines = ["import regional_primitives as rp", ""]
    options = "".join(f", {name}={value!r}" for name, value in origin.options.items())
    if origin.generator in ZOO:
        lines.append(
            f"generator = rp.load_generator({origin.generator!r}, layer={origin.layer!r}{options})"
        )
    else:
        low, high = origin.image_range
        lines.append(
            f"generator = rp.cut(network, layer={origin.layer!r}, image_range=({low}, {high}), "
            f"sample_latents=sample_latents{options})  # your own network"
        )
    run = 'run = rp.Decomposition.load("RUN")  # the folder of this report'
    if origin.picture_seed is None or not regions.is_grid:
        lines.append(run)
    latents = (
        "run.latents"
        if origin.picture_seed is None
        else f"generator.sample_latents(1, seed={origin.picture_seed})"
    )
    patches = (
        f"rp.Regions.grid(rows={regions.rows}, columns={regions.columns})"
        if regions.is_grid
        else "run.regions"
    )
    noted = "" if origin.picture_seed is None else f", picture_seed={origin.picture_seed}"
    settings = ", ".join(
        f"{name}={value!r}" for name, value in changed_settings(decomposition).items()
    )
    lines += [
        f"latents = {latents}",
        f"regions = {patches}",
        f"settings = rp.{origin.method.capitalize()}({settings})",
        f"decomposition = rp.explain(generator, latents, regions, settings{noted})",
        "scores = rp.evaluate(decomposition, generator)",
    ]
    return "\n".join(lines)
