"""Measured influence: how strongly each unit of the feature acts on each patch of the picture.

Our starting point for the structured form: random vector–Jacobian products of the tail give, with v
standard normal on one patch, E[(v·J)²]·(f − f0)² a unit, the squared first-order change of that
patch when the unit moves from baseline to feature. The products are taken at points along the way
from f0 to f: at f itself a saturated output (a black border under a tanh) has no gradient at all,
and units that blacken it would seem to reach nothing there.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.subject import Subject
from regional_primitives.generators.latents import parts
from regional_primitives.runtime.cache import Recent
from regional_primitives.runtime.storage import tensors_digest
from regional_primitives.runtime.streams import stream

_RECENT = Recent(256 * 2**20)
"""Fits of one picture with other settings share the influence."""


def measure_influence(
    subject: Subject, evaluations: Evaluations, probes: int, seed: int, batch: int = 48
) -> Float[Tensor, "patches units"]:
    """Estimate each unit's squared influence on each patch from `probes` products a patch.

    Probe p is taken at f0 + (p + ½) / probes · (f − f0).

    Costs probes × n evaluations (forward and backward) of the tail. They are counted also where an
    earlier fit of the same picture has measured the same, which is kept for a while.
    """
    generator, errors = subject.generator, subject.errors
    content = {
        "feature": subject.units,
        "baseline": subject.baseline_units,
        "image": errors.image,
        "labels": errors.labels,
        **{f"latents.{name}": part for name, part in parts(subject.latents).items()},
    }
    key = f"{generator.digest}/{generator.layer}/{generator.device}/{probes}/{seed}"
    jobs = [(probe, patch) for probe in range(probes) for patch in range(errors.count)]
    batch, before = min(batch, generator.chunk), evaluations.count

    def measured() -> Tensor:
        device = subject.units.device
        influence = torch.zeros(errors.count, subject.units.shape[1], device=device)
        for chunk in (jobs[start : start + batch] for start in range(0, len(jobs), batch)):
            noise = [_noise_on(subject, i, stream(seed, "influence", p, i)) for p, i in chunk]
            cotangents = torch.stack(noise)
            along = torch.tensor([(probe + 0.5) / probes for probe, _ in chunk], device=device)
            gradient, _ = evaluations.pulled_back(
                torch.lerp(subject.baseline_units, subject.units, along[:, None]),
                lambda _, cotangents=cotangents: (cotangents, None),  # type: ignore[misc]
            )
            patches = torch.tensor([patch for _, patch in chunk], device=device)
            influence.index_add_(0, patches, (gradient * subject.difference).square())
        return influence / probes

    influence = _RECENT.get(f"{key}/{tensors_digest(content)}", measured)
    evaluations.count = before + len(jobs)
    return influence


def _noise_on(subject: Subject, patch: int, rng: torch.Generator) -> Tensor:
    """Draw v, standard normal on one patch and 0 elsewhere."""
    image = subject.image
    noise = torch.randn(image.shape, generator=rng).to(image)
    return noise * (subject.errors.labels == patch).view(image.shape[-2:])
