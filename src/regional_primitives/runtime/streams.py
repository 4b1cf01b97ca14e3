"""Random streams: one an item, so that batch size, worker and device count cannot change a draw.

The idea is that of NVlabs/edm's stacked generators.
"""

from __future__ import annotations

import hashlib

import torch

from regional_primitives.runtime.arguments import random_seed


def stream(seed: int, *names: str | int) -> torch.Generator:
    """Return a fresh CPU generator that depends on `seed` and `names` alone.

    Without names it is `torch.Generator().manual_seed(seed)`, so that a picture's latent can be
    drawn again without this library. With names, streams of different purposes never meet.
    """
    seed = random_seed(seed)
    if not names:
        return torch.Generator().manual_seed(seed)
    text = "/".join(str(part) for part in (seed, *names))
    derived = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(derived)
