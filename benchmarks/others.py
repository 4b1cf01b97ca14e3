"""Published methods beside ours on `faces`, layer main.5, 6 × 6 grid: the table of docs/others.md.

    .venv/bin/python benchmarks/others.py --code DIR --work DIR [--pictures 5]

DIR of --code holds checkouts of github.com/james-oldfield/PandA, harskish/ganspace and
wendlerc/sdxl-unbox by their names (nothing of them is part of this project); their Python packages
tensorly and fbpca must be installed. Run is their own code, on features of our network: PandA's
decomposition, GANSpace's incremental PCA, sdxl-unbox's top-k sparse autoencoder with the loss of
its training script. What they learn of many pictures is kept in the folder of --work, and used
again from there. captum's integrated gradients and shapiq's k-SII, which need no training, are
asked anew for every picture. Writes benchmarks/results/others_faces.json after each picture, goes
on from there, and renews the tables.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
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
from regional_primitives.rivals import Compared, Comparison
from regional_primitives.scores.spread import Spread
from regional_primitives.scores.table import TABLE
from regional_primitives.show.numerals import with_interval

PAGE = Path(__file__).parents[1] / "docs" / "others.md"
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
LEARNED = {
    "GANSpace": {"directions": 80, "pictures": 6_000},
    "PandA": {"parts": 8, "appearances": 256, "steps": 5_000},
    "PandA, a part a patch": {"parts": 36, "appearances": 256, "steps": 5_000},
    "sparse autoencoder": {"latents": 1024, "k": 20, "steps": 800, "batch": 4096},
}
"""What each method learns, and for how long; the rest is its own default."""
_SEED = 1_000_000
"""Of the latents that methods learn from, far from those of the pictures that are scored."""


def load(name: str, file: Path) -> ModuleType:
    """Import one file of a checkout."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is missing; see the head of this file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def features(generator: rp.Generator, count: int, seed: int) -> Tensor:
    """Return f of so many pictures, [count, 256, 8, 8]."""
    with torch.no_grad():
        latents = generator.sample_latents(count, seed=seed)
        return torch.cat([generator.head(some) for some in latents.split(256)])


def ganspace(code: Path, generator: rp.Generator, directions: int, pictures: int) -> dict[str, Any]:
    """Learn principal directions by GANSpace's own estimator."""
    estimators = load("ganspace_estimators", code / "ganspace" / "estimators.py")
    found = estimators.get_estimator("ipca", directions, 1.0)
    batch = 2_000  # that of its decomposition.py
    for number in range(pictures // batch):
        found.fit_partial(features(generator, batch, _SEED + number).flatten(1).numpy())
    components, _, variance = found.get_components()
    return {"directions": torch.from_numpy(components.astype(np.float32)).view(-1, 256, 8, 8),
            "variance": torch.tensor(float(variance.sum()))}  # fmt: skip


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

    class OnFaces(published):
        def __init__(self) -> None:
            self.device, self.layer, self.c, self.s = "cpu", 0, 256, 8
            self.generator = type("Latents", (), {"z_space_dim": 100})

        def sample(self, noise: Tensor, **_: Any) -> tuple[Tensor, None]:
            with torch.no_grad():
                return generator.head(noise.view(-1, 100, 1, 1)), None

    model = OnFaces()
    model.HOSVD(batch_size=10, n_iters=100)
    # Its own rate of 1e-8 is for another network's features, and moves nothing here; this is the
    # largest power of ten that does not diverge.
    model.decompose(ranks=[appearances, parts], lr=1e-4, its=steps, verbose=False)
    return {"parts": model.Us.T.reshape(parts, 8, 8), "appearances": model.Uc.T}


def autoencoder(
    code: Path, generator: rp.Generator, latents: int, k: int, steps: int, batch: int
) -> dict[str, Any]:
    """Train sdxl-unbox's autoencoder on the feature's 64 sites, as its training script does."""
    sae = load("sdxl_unbox_sae", code / "sdxl-unbox" / "SAE" / "sae.py")
    torch.manual_seed(0)
    dead = 10_000_000 // batch
    model = sae.SparseAutoencoder(latents, 256, k, auxk=latents // 4, dead_steps_threshold=dead)
    every = features(generator, 8_192, _SEED).flatten(2).transpose(1, 2).reshape(-1, 256)
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
    latents = len(learned["latent_bias"])
    model = sae.SparseAutoencoder(latents, 256, k, auxk=None, dead_steps_threshold=1)
    model.load_state_dict(learned)
    with torch.no_grad():
        found, before = (model.encode(one[0].flatten(1).T) for one in (f, f0))
        return Codes(model.decoder.weight.T, found, before)


def credited(generator: rp.Generator, d: rp.Decomposition) -> Attributions:
    """Attribute each patch's departure to the units, by captum's integrated gradients."""
    count = d.provenance.settings["baseline_count"]
    scores, f, f0 = region_scores(generator, d.latents, d.regions, baseline_count=count)
    method = captum.attr.IntegratedGradients(scores)
    found = [method.attribute(f, baselines=f0, target=i, n_steps=16) for i in range(36)]
    return Attributions(torch.cat(found).float(), torch.eye(36, dtype=torch.bool))


def interacting(generator: rp.Generator, d: rp.Decomposition) -> Interactions:
    """Ask shapiq how the cells under patches act together on the picture's departure."""
    count = d.provenance.settings["baseline_count"]
    scores, f, f0 = region_scores(generator, d.latents, d.regions, baseline_count=count)
    regions = torch.nn.functional.interpolate(
        d.regions.masks(64, 64)[None].float(), (8, 8), mode="area"
    )[0]  # [patches, 8, 8]

    def game(coalitions: np.ndarray) -> np.ndarray:
        on = torch.as_tensor(coalitions).float()
        gates = torch.einsum("bn,nhw->bhw", on, regions)[:, None]
        with torch.no_grad():
            each = [scores(f0 + gate * (f - f0)).mean(1) for gate in gates.split(64)]
        return torch.cat(each).numpy()

    method = shapiq.KernelSHAPIQ(n=36, index="k-SII", max_order=2, random_state=0)
    return Interactions(method.approximate(budget=2_048, game=game))


def learned(code: Path, work: Path, generator: rp.Generator) -> dict[str, dict[str, Tensor]]:
    """Let each method learn, or read what it has learned."""
    work.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, settings in LEARNED.items():
        file = work / f"{name.replace(' ', '-').replace(',', '')}.safetensors"
        if not file.is_file():
            print(f"{name} learns: {settings}", flush=True)
            make = ganspace if name == "GANSpace" else panda if "PandA" in name else autoencoder
            save_file({key: one.contiguous() for key, one in
                       make(code, generator, **settings).items()}, file)  # fmt: skip
        found[name] = load_file(file)
    return found


def compared(code: Path, known: dict[str, dict[str, Tensor]], seed: int, purpose: str) -> Any:
    """Score all on one picture."""
    generator = rp.load_generator("faces")
    latents = generator.sample_latents(1, seed=seed)
    settings = rp.Structured(purpose=purpose)  # type: ignore[arg-type]
    d = rp.explain(generator, latents, rp.Regions.grid(6, 6), settings)
    others: dict[str, Any] = {"GANSpace": Directions(known["GANSpace"]["directions"])}
    for name in ("PandA", "PandA, a part a patch"):
        others[name] = Parts(known[name]["parts"], known[name]["appearances"])
    sparse = LEARNED["sparse autoencoder"]["k"]
    others["sparse autoencoder"] = codes(
        code, known["sparse autoencoder"], sparse, d.feature, d.baseline
    )
    others["captum, integrated gradients"] = credited(generator, d)
    others["shapiq, pairs of patches"] = interacting(generator, d)
    return rp.baselines(d, generator, RIVALS, EVALUATION, others=others).to_dict()


def row(methods: list[Compared]) -> list[str]:
    """Tell a method's means over the pictures, each at the setting that serves it best."""
    cells = [methods[0].name]
    for name in COLUMNS:
        values = [getattr(one.best if hasattr(one.best, name) else one, name) for one in methods]
        cells.append("" if None in values else with_interval(Spread.over(values), FORMS[name]))
    return cells


def main() -> None:
    """Compare on each picture, and renew the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", type=Path, required=True, help="folder of the checkouts")
    parser.add_argument("--work", type=Path, required=True, help="folder of what methods learn")
    parser.add_argument("--pictures", type=int, default=5)
    chosen = parser.parse_args()
    known = learned(chosen.code, chosen.work, rp.load_generator("faces"))
    before = record.read("others_faces")
    same = record.agree(before.get("learned", {}), LEARNED)
    found: dict[str, Any] = dict(before["pictures"]) if same else {}
    for seed in range(chosen.pictures):
        for purpose in ("generate", "isolate"):
            name = f"{purpose} {seed}"
            if name not in found:
                found[name] = compared(chosen.code, known, seed, purpose)
                print(name, flush=True)
                record.keep(
                    "others_faces", {**record.ran_on(), "learned": LEARNED, "pictures": found}
                )
    header = ("method", *COLUMNS.values())
    for purpose in ("generate", "isolate"):
        pictures = [Comparison.from_dict(one) for key, one in found.items() if purpose in key]
        columns = zip(*([one.own, *one.baselines] for one in pictures), strict=True)
        renew(PAGE, purpose, table(header, [row(list(column)) for column in columns]))


if __name__ == "__main__":
    main()
