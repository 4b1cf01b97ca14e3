"""The command and the Python lines that make a run or a sweep again, told from what it recorded."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.division import PARTS
from regional_primitives.decompose.exact import Exact
from regional_primitives.decompose.given import Given
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.decompose.structured import Structured
from regional_primitives.generators.zoo import ZOO
from regional_primitives.scores import Evaluation
from regional_primitives.scores.sweep_scores import SweepScores
from regional_primitives.show import numerals

_FORMS: dict[str, type[Structured] | type[Exact]] = {"structured": Structured, "exact": Exact}


def changed_from(default: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from these defaults, or that they do not know."""
    known = json.loads(json.dumps(asdict(default)))  # as JSON, a tuple comes back as a list
    return {
        name: value
        for name, value in values.items()
        if name not in known or known[name] != json.loads(json.dumps(value))
    }


def changed_settings(decomposition: Decomposition) -> dict[str, Any]:
    """Return the settings that differ from the defaults; all of them for an unknown method."""
    origin = decomposition.provenance
    if not origin.fitted:
        return changed_from(Given(purpose=origin.purpose), origin.settings)
    if origin.method not in _FORMS:
        return origin.settings
    form = _FORMS[origin.method]
    changed = changed_from(form(purpose=origin.purpose), origin.settings)
    if (
        origin.generator in ZOO
        and changed.get("baseline_count") == ZOO[origin.generator].baseline_count
    ):
        del changed["baseline_count"]
    asked = {} if origin.purpose == form().purpose else {"purpose": origin.purpose}
    return asked | changed


def command(decomposition: Decomposition) -> str | None:
    """Return the command line, or None where the command cannot make this run.

    It knows generators by name, pictures named by a seed or a file, any regions, and both forms.
    """
    origin = decomposition.provenance
    model, options = _model(origin)
    possible = (
        model is not None
        and (origin.picture_seed is not None or origin.picture_file is not None)
        and origin.method in _FORMS
        # Settings of an earlier release may have gone since.
        and set(origin.settings) <= asdict(_FORMS[origin.method]()).keys()
    )
    if model is None or not possible:
        return None
    changed = changed_settings(decomposition)
    words = ["primitives", "explain", model]
    words += (
        ["--seed", str(origin.picture_seed)]
        if origin.picture_file is None
        else ["--image", origin.picture_file]
    )
    words += options
    words += ["--layer", origin.layer, *_division(decomposition.regions.to_dict(), model)]
    if origin.method == "exact":
        words += ["--exact", ",".join(map(str, decomposition.patches))]
        changed.pop("patches", None)
    if "purpose" in changed:
        words += ["--purpose", changed.pop("purpose")]
    return shlex.join([*words, *_settings("--set", changed)])


def sweep_command(sweep: SweepScores) -> str:
    """Return the command line that makes a sweep again."""
    layers = ",".join(layer.layer for layer in sweep.layers)
    words = ["primitives", "sweep", sweep.generator, "--layers", layers]
    words += ["--seeds", seeds_in_words(sweep.seeds)]
    words += _division(sweep.regions, sweep.generator)
    words += _options(sweep.options, None if sweep.generator in ZOO else "--option")
    if sweep.purpose != Structured().purpose:
        words += ["--purpose", sweep.purpose]
    measured = changed_from(Evaluation(), sweep.evaluation)
    if measured.get("refits") and measured.get("free_bounds"):
        words.append("--thorough")
        del measured["refits"], measured["free_bounds"]
    changed = changed_from(Structured(purpose=sweep.purpose), sweep.settings)
    return shlex.join([*words, *_settings("--set", changed), *_settings("--measure", measured)])


def seeds_in_words(seeds: tuple[int, ...]) -> str:
    """Write picture seeds as a command takes them."""
    if len(seeds) > 1 and seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}:{seeds[-1] + 1}"
    return ",".join(map(str, seeds))


def python_lines(decomposition: Decomposition) -> str:
    """Return the lines that give this decomposition and its scores in Python."""
    origin, regions = decomposition.provenance, decomposition.regions
    lines = ["import regional_primitives as rp", ""]
    options = "".join(f", {name}={value!r}" for name, value in origin.options.items())
    if origin.generator in ZOO:
        lines.append(
            f"generator = rp.load_generator({origin.generator!r}, layer={origin.layer!r}{options})"
        )
    elif "factory" in origin.options:
        made = origin.options["factory"]
        given = "".join(f", {name}={value!r}" for name, value in made["options"].items())
        lines.append(f"generator = rp.load_generator({made['model']!r}{given})")
    else:
        low, high = origin.image_range
        lines.append(
            f"generator = rp.cut(network, layer={origin.layer!r}, image_range=({low}, {high}), "
            f"sample_latents=sample_latents{options})  # your own network"
        )
    seed = origin.picture_seed
    parts = _division(regions.to_dict(), origin.generator) == ["--regions", PARTS]
    if seed is None or not (regions.is_grid or parts):
        lines.append('run = rp.Decomposition.load("RUN")  # the folder of this report')
    grid = f"rp.Regions.grid(rows={regions.rows}, columns={regions.columns})"
    divided = repr(PARTS) if parts else grid if regions.is_grid else "run.regions"
    noted = "" if seed is None else f", picture_seed={seed}"
    settings = ", ".join(
        f"{name}={value!r}" for name, value in changed_settings(decomposition).items()
    )
    sampled = "run.latents" if seed is None else f"generator.sample_latents(1, seed={seed})"
    if not origin.fitted:
        return "\n".join(
            [*lines[:3], 'decomposition = rp.Decomposition.load("RUN")  # this report\'s folder',
             "scores = rp.evaluate(decomposition, generator)"]
        )  # fmt: skip
    lines += [
        f"latents = {sampled}",
        f"regions = {divided}",
        f"settings = rp.{origin.method.capitalize()}({settings})",
        f"decomposition = rp.explain(generator, latents, regions, settings{noted})",
        "scores = rp.evaluate(decomposition, generator)",
    ]
    return "\n".join(lines)


def _model(origin: Provenance) -> tuple[str | None, list[str]]:
    """Return by what name the command knows the generator, and its options; None by none."""
    made = origin.options.get("factory")
    if made is not None:
        # The layer has an option of its own.
        given = {name: value for name, value in made["options"].items() if name != "layer"}
        return made["model"], _options(given, "--option")
    if origin.generator in ZOO:
        return origin.generator, _options(origin.options)
    return None, []


def _division(regions: Mapping[str, Any], generator: str) -> list[str]:
    """Say regions as the command takes them: RUN is a run folder, whose own are meant."""
    if regions["kind"] == "grid" and "names" not in regions:
        return ["--grid", f"{regions['rows']}x{regions['columns']}"]
    parts = ZOO[generator].parts if generator in ZOO else None
    known = parts is not None and parts().to_dict() == regions
    return ["--regions", PARTS if known else "RUN"]


def _options(options: Mapping[str, Any], option: str | None = None) -> list[str]:
    """Write options by their own names, or all by that of one which takes NAME=VALUE."""
    return [
        word
        for name, value in options.items()
        for word in ((f"--{name}", str(value)) if option is None else (option, f"{name}={value}"))
    ]


def _settings(option: str, changed: Mapping[str, Any]) -> list[str]:
    return [word for name, value in changed.items()
            for word in (option, f"{name}={numerals.plain(value)}")]  # fmt: skip
