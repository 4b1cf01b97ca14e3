"""Methods beside ours on three generators: the tables of docs/others.md and docs/results.md.

    .venv/bin/python benchmarks/others.py [faces vae-faces class-fashion] [--pictures 20]
    .venv/bin/python benchmarks/others.py … --code DIR --work DIR

The first line asks ours, the rivals that the library comes with, captum's integrated gradients and
shapiq's k-SII. The second also runs published code on features of our networks: PandA's
decomposition, GANSpace's incremental PCA, and sdxl-unbox's top-k sparse autoencoder with the loss
of its training script. DIR of --code holds checkouts of github.com/james-oldfield/PandA,
harskish/ganspace and wendlerc/sdxl-unbox by their names (nothing of them is part of this
project); their Python packages tensorly and fbpca must be installed. What they learn of many
pictures is kept in the folder of --work, and used again from there. --purposes names the question,
both unless given. Writes benchmarks/results/others.json after each picture, goes on from there, and
renews the tables. A quarter of a minute to a minute of one core a picture and purpose.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import captum.attr
import numpy as np
import record
import shapiq
import torch
from pages import renew, table
from safetensors.torch import load_file, save_file
from torch import Tensor

import regional_primitives as rp
from regional_primitives.others import (
    Attributions,
    Codes,
    Directions,
    Interactions,
    Parts,
    region_scores,
)
from regional_primitives.rivals import Compared
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE
from regional_primitives.show.numerals import with_interval

DOCS = Path(__file__).parents[1] / "docs"
GENERATORS = ("faces", "vae-faces", "class-fashion")
PURPOSES = ("generate", "isolate")
EVALUATION = rp.Evaluation(demands=128, components=16, contexts=8, free_demands=0)
RIVALS = ("spatial crop", "influence alone", "PCA", "NMF", "semi-NMF", "random fields")
COLUMNS = {
    "inside_error": "inside error",
    "leak": "leak",
    "cost": "cost",
    "boundedness": "boundedness",
    "consistency": "consistency",
    "n90": "n90",
    "completeness_gap": "missing",
}
FORMS = {name: TABLE[name].form for name in COLUMNS} | {"completeness_gap": "{:.1%}"}
_SEED = 1_000_000
"""Of the latents that methods learn from, far from those of the pictures that are scored."""


def budgets(channels: int) -> dict[str, dict[str, int]]:
    """Return what each method learns, and for how long; the rest is its own default."""
    parts = {"appearances": channels, "steps": 5_000}
    return {
        "GANSpace": {"directions": 80, "pictures": 6_000},
        "PandA": {"parts": 8, **parts},
        "PandA, a part a patch": {"parts": 36, **parts},
        "sparse autoencoder": {
            "latents": 4 * channels,
            "k": max(4, 20 * channels // 256),
            "steps": 800,
            "batch": 4096,
        },
    }


def load(name: str, file: Path) -> ModuleType:
    """Import one file of a checkout."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is missing; see the head of this file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def features(generator: rp.Generator, count: int, seed: int) -> Tensor:
    """Return f of so many pictures, [count, channels, rows, columns]."""
    with torch.no_grad():
        parts = [
            generator.head(generator.sample_latents(min(256, count - start), seed=seed + start))
            for start in range(0, count, 256)
        ]
    return torch.cat(parts)


def ganspace(code: Path, generator: rp.Generator, directions: int, pictures: int) -> dict[str, Any]:
    """Learn principal directions by GANSpace's own estimator."""
    estimators = load("ganspace_estimators", code / "ganspace" / "estimators.py")
    found = estimators.get_estimator("ipca", directions, 1.0)
    batch = 2_000  # that of its decomposition.py
    for number in range(pictures // batch):
        some = features(generator, batch, _SEED + number * batch)
        found.fit_partial(some.flatten(1).numpy())
    components = torch.from_numpy(found.get_components()[0].astype(np.float32))
    return {"directions": components.view(-1, *some.shape[1:])}


def panda(
    code: Path, generator: rp.Generator, parts: int, appearances: int, steps: int
) -> dict[str, Any]:
    """Learn parts and appearances by PandA's own decomposition, of our features."""
    for name, held in {  # networks of its own, which ours stands for
        "networks": (), "networks.load_generator": ("load_generator",), "networks.genforce": (),
        "networks.genforce.utils": (), "networks.genforce.utils.visualizer": ("postprocess_image",),
        "networks.biggan": ("one_hot_from_names", "truncated_noise_sample"),
        "networks.stylegan3": (), "networks.stylegan3.load_stylegan3": ("make_transform",),
        "utils": ("plot_masks", "plot_colours", "mapRange"),
    }.items():  # fmt: skip
        module = ModuleType(name)
        for each in held:
            setattr(module, each, None)
        sys.modules[name] = module
    published: Any = load("panda_model", code / "PandA" / "model.py").Model

    channels, side = generator.feature_shape[:2]

    class Ours(published):
        def __init__(self) -> None:
            self.device, self.layer, self.c, self.s = "cpu", 0, channels, side
            self.generator = type("Latents", (), {"z_space_dim": 1})

        def sample(self, noise: Tensor, **_: Any) -> tuple[Tensor, None]:
            drawn = int(noise[0, 0].abs() * 1e6)  # its noise chooses our latents
            return features(generator, len(noise), _SEED + drawn), None

    # Its own rate of 1e-8 is for another network's features, and moves ours hardly; taken is the
    # largest power of ten that neither diverges nor ends with all parts gone.
    for rate in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        model = Ours()
        model.HOSVD(batch_size=10, n_iters=100)
        model.decompose(ranks=[appearances, parts], lr=rate, its=steps, verbose=False)
        if bool(model.Us.isfinite().all()) and bool((model.Us.abs().amax(0) > 0).all()):
            break
    return {"parts": model.Us.T.reshape(parts, side, side), "appearances": model.Uc.T}


def autoencoder(
    code: Path, generator: rp.Generator, latents: int, k: int, steps: int, batch: int
) -> dict[str, Any]:
    """Train sdxl-unbox's autoencoder on the feature's sites, as its training script does."""
    channels = generator.feature_shape[0]
    sae = load("sdxl_unbox_sae", code / "sdxl-unbox" / "SAE" / "sae.py")
    torch.manual_seed(0)
    dead = 10_000_000 // batch
    model = sae.SparseAutoencoder(
        latents, channels, k, auxk=latents // 4, dead_steps_threshold=dead
    )
    every = features(generator, 8_192, _SEED).flatten(2).transpose(1, 2).reshape(-1, channels)
    model.pre_bias.data = every.mean(0)
    scale = 1 / every.var(0, correction=0).mean()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, eps=6.25e-10)
    rng = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = every[torch.randint(len(every), (batch,), generator=rng)]
        recons, info = model(x)
        aux = model.decode_sparse(info["auxk_inds"], info["auxk_vals"])
        left = x - recons.detach() + model.pre_bias.detach()
        unexplained = (aux - left).square().mean() / (left - left.mean(0)).square().mean()
        loss = scale * (recons - x).square().mean() + unexplained.nan_to_num(0) / 32
        loss.backward()
        sae.unit_norm_decoder_(model)
        sae.unit_norm_decoder_grad_adjustment_(model)
        optimiser.step()
        optimiser.zero_grad()
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def codes(code: Path, learned: dict[str, Tensor], k: int, f: Tensor, f0: Tensor) -> Codes:
    """Encode the picture's feature and the baseline's."""
    sae = load("sdxl_unbox_sae", code / "sdxl-unbox" / "SAE" / "sae.py")
    latents, channels = len(learned["latent_bias"]), len(learned["pre_bias"])
    model = sae.SparseAutoencoder(latents, channels, k, auxk=None, dead_steps_threshold=1)
    model.load_state_dict(learned)
    with torch.no_grad():
        found, before = (model.encode(one[0].flatten(1).T) for one in (f, f0))
        return Codes(model.decoder.weight.T, found, before)


def credited(generator: rp.Generator, d: rp.Decomposition) -> Attributions:
    """Attribute each patch's departure to the units, by captum's integrated gradients."""
    count = d.provenance.settings["baseline_count"]
    scores, f, f0 = region_scores(generator, d.latents, d.regions, baseline_count=count)
    method = captum.attr.IntegratedGradients(scores)
    count = d.regions.count
    found = [method.attribute(f, baselines=f0, target=i, n_steps=16) for i in range(count)]
    return Attributions(torch.cat(found).float(), torch.eye(count, dtype=torch.bool))


def interacting(generator: rp.Generator, d: rp.Decomposition) -> Interactions:
    """Ask shapiq how the cells under patches act together on the picture's departure."""
    count = d.provenance.settings["baseline_count"]
    scores, f, f0 = region_scores(generator, d.latents, d.regions, baseline_count=count)
    masks = d.regions.masks(*d.image.shape[-2:])[None].float()
    regions = torch.nn.functional.interpolate(masks, f.shape[-2:], mode="area")[0]

    def game(coalitions: np.ndarray) -> np.ndarray:
        on = torch.as_tensor(coalitions).float()
        gates = torch.einsum("bn,nhw->bhw", on, regions)[:, None]
        with torch.no_grad():
            each = [scores(f0 + gate * (f - f0)).mean(1) for gate in gates.split(64)]
        return torch.cat(each).numpy()

    method = shapiq.KernelSHAPIQ(n=d.regions.count, index="k-SII", max_order=2, random_state=0)
    return Interactions(method.approximate(budget=2_048, game=game))


def learned(code: Path, work: Path, name: str) -> dict[str, dict[str, Tensor]]:
    """Let each method learn of a generator's features, or read what it has learned."""
    generator = rp.load_generator(name)
    found = {}
    for method, settings in budgets(generator.feature_shape[0]).items():
        file = work / name / f"{method.replace(' ', '-').replace(',', '')}.safetensors"
        if not file.is_file():
            print(f"{method} learns of {name}: {settings}", flush=True)
            make = ganspace if method == "GANSpace" else panda if "PandA" in method else autoencoder
            made = make(code, generator, **settings)
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({key: one.contiguous() for key, one in made.items()}, file)
        found[method] = load_file(file)
    return found


def compared(
    name: str, seed: int, purpose: str, code: Path | None, known: dict[str, dict[str, Tensor]]
) -> dict[str, list[float | None]]:
    """Score all on one picture: by method, `COLUMNS` at the setting that serves it best."""
    generator = rp.load_generator(name)
    latents = generator.sample_latents(1, seed=seed)
    settings = rp.Structured(purpose=purpose)  # type: ignore[arg-type]
    d = rp.explain(generator, latents, rp.Regions.grid(6, 6), settings)
    others: dict[str, Any] = {}
    if code is not None:
        others["GANSpace"] = Directions(known["GANSpace"]["directions"])
        for method in ("PandA", "PandA, a part a patch"):
            others[method] = Parts(known[method]["parts"], known[method]["appearances"])
        sparse = budgets(generator.feature_shape[0])["sparse autoencoder"]["k"]
        others["sparse autoencoder"] = codes(
            code, known["sparse autoencoder"], sparse, d.feature, d.baseline
        )
    others["captum, integrated gradients"] = credited(generator, d)
    others["shapiq, pairs of patches"] = interacting(generator, d)
    found = rp.baselines(d, generator, RIVALS, EVALUATION, others=others)
    return {one.name: told(one) for one in (found.own, *found.baselines)}


def told(method: Compared) -> list[float | None]:
    """Return a method's `COLUMNS`, at the setting that serves it best."""
    return [
        getattr(method.best if hasattr(method.best, name) else method, name) for name in COLUMNS
    ]


def rows(pictures: list[dict[str, list[float | None]]]) -> dict[str, dict[str, str]]:
    """Write each method's means over the pictures with half of their 95 % intervals."""
    found: dict[str, dict[str, str]] = {}
    for method in pictures[0]:
        own = [one[method] for one in pictures if method in one]
        found[method] = {
            name: "" if None in values else with_interval(Spread.over(values), FORMS[name])
            for name, values in zip(COLUMNS, zip(*own, strict=True), strict=True)
        }
    return found


def renewed(pictures: dict[str, dict[str, list[float | None]]], names: list[str]) -> None:
    """Write the tables: all scores of the first generator, the main ones of each."""
    for purpose in PURPOSES:
        each = {
            name: rows(
                [one for key, one in pictures.items() if key.startswith(f"{name} {purpose} ")]
            )
            for name in names
        }
        first = each[names[0]]
        renew(
            DOCS / "others.md",
            purpose,
            table(
                ("method", *COLUMNS.values()), [(key, *one.values()) for key, one in first.items()]
            ),
        )
        shown = ("inside_error", "leak", "consistency")
        header = ("method", *(f"{name}: {COLUMNS[score]}" for name in names for score in shown))
        lines = [
            (key, *(each[name][key][score] for name in names for score in shown)) for key in first
        ]
        renew(DOCS / "results.md", f"methods, {purpose}", table(header, lines))


def main() -> None:
    """Compare on each picture, and renew the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("generators", nargs="*", default=GENERATORS)
    parser.add_argument("--code", type=Path, help="folder of the checkouts")
    parser.add_argument("--work", type=Path, default=Path("runs/others"))
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--purposes", nargs="+", choices=PURPOSES, default=PURPOSES)
    chosen = parser.parse_args()
    before = record.read("others")
    found: dict[str, Any] = before.get("pictures", {})
    known = {
        name: learned(chosen.code, chosen.work, name) if chosen.code else {}
        for name in chosen.generators
    }
    for purpose, name, seed in product(chosen.purposes, chosen.generators, range(chosen.pictures)):
        key = f"{name} {purpose} {seed}"
        if key not in found:
            found[key] = compared(name, seed, purpose, chosen.code, known[name])
            print(key, flush=True)
            record.keep("others", {**record.ran_on(), "scores": list(COLUMNS), "pictures": found})
    renewed(found, list(chosen.generators))


if __name__ == "__main__":
    main()
