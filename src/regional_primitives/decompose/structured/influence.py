"""Measured influence: how strongly each unit of the feature acts on each patch of the picture.

Our starting point for the structured form: random vector–Jacobian products of the tail give, with v
standard normal on one patch, E[(v·J)²]·(f − f0)² a unit, the squared first-order change of that
patch when the unit moves from baseline to feature. The products are taken at points along the way
from f0 to f: at f itself a saturated output (a black border under a tanh) has no gradient at all,
and units that blacken it would seem to reach nothing there.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.subject import Subject
from regional_primitives.decompose.subjects import Subjects
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
    return measure_influences(Subjects([subject]), evaluations, probes, seed, batch)[0]


def measure_influences(
    subjects: Subjects, evaluations: Evaluations, probes: int, seed: int, batch: int = 48
) -> list[Float[Tensor, "patches units"]]:
    """Do so for several pictures of as many patches, `batch` products of each at a time."""
    count, before = subjects.errors.count, evaluations.count
    measured: list[Tensor] = []

    def influence_of(number: int) -> Tensor:
        if not measured:  # if any picture's is not known, those of all are measured
            measured.extend(_measured(subjects, evaluations, probes, seed, batch))
        return measured[number]

    influences = [
        _RECENT.get(f"{_content(subject)}/{probes}/{seed}", partial(influence_of, number))
        for number, subject in enumerate(subjects.several)
    ]
    evaluations.count = before + len(subjects) * probes * count
    return influences


def _content(subject: Subject) -> str:
    """Name all of a picture that its influence depends on."""
    generator, errors = subject.generator, subject.errors
    content = {
        "feature": subject.units,
        "baseline": subject.baseline_units,
        "image": errors.image,
        "labels": errors.labels,
        **{f"latents.{name}": part for name, part in parts(subject.latents).items()},
    }
    # The last bin is no patch, so that labels alone do not tell it from one.
    which = f"{generator.digest}/{generator.layer}/{generator.device}/{errors.count}"
    return f"{which}/{tensors_digest(content)}"


def _measured(
    subjects: Subjects, evaluations: Evaluations, probes: int, seed: int, batch: int
) -> Float[Tensor, "pictures patches units"]:
    count, device = subjects.errors.count, subjects.difference.device
    jobs = [(probe, patch) for probe in range(probes) for patch in range(count)]
    batch = min(batch, subjects.chunk)
    together = max(1, subjects.chunk // batch)
    influence = torch.zeros(len(subjects), count, subjects.difference.shape[1], device=device)
    for some in (jobs[start : start + batch] for start in range(0, len(jobs), batch)):
        along = torch.tensor([(probe + 0.5) / probes for probe, _ in some], device=device)
        patches = torch.tensor([patch for _, patch in some], device=device)
        noise = _noise(subjects, seed, some)
        for first in range(0, len(subjects), together):
            pictures = slice(first, first + together)
            # v, standard normal on one patch and 0 elsewhere.
            within = subjects.errors.labels[pictures][:, None] == patches[:, None]
            cotangents = noise * within.unflatten(-1, noise.shape[-2:])[:, :, None]
            start, end = subjects.baseline_units[pictures], subjects.units[pictures]
            gradient, _ = evaluations.pulled_back(
                torch.lerp(start, end, along[:, None]).flatten(0, 1),
                lambda _, cotangents=cotangents: (cotangents.flatten(0, 1), None),  # type: ignore[misc]
                subjects.tail(pictures, len(some)),
            )
            acting = gradient.unflatten(0, (-1, len(some))) * subjects.difference[pictures][:, None]
            influence[pictures].index_add_(1, patches, acting.square())
    return influence / probes


def _noise(
    subjects: Subjects, seed: int, jobs: list[tuple[int, int]]
) -> Float[Tensor, "jobs channels height width"]:
    """Draw standard normal pictures, one a job, the same for every picture."""
    image = subjects.errors.image[0]
    streams = (stream(seed, "influence", *job) for job in jobs)
    return torch.stack([torch.randn(image.shape, generator=rng) for rng in streams]).to(image)
