"""Draw docs/images/trained.png: pictures of the networks that were trained here, by seed.

    python -m training.sheet

Rows: `faces` and, of the same latents, `style-faces`; `diffusion-faces`; crops of photographs and
what `latent-photos` makes of them; `class-fashion`, a class a column, twice.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import interpolate
from training.latent_photos import held_out
from training.loop import save_sheet
from training.pairs import faces

from regional_primitives.generators.zoo.denoiser import load_sampler, sample_latents
from regional_primitives.generators.zoo.latent import load_autoencoder
from regional_primitives.generators.zoo.residual import CLASSES, LATENT_SIZE, load_fashion
from regional_primitives.generators.zoo.style import load_style
from regional_primitives.runtime.streams import stream

COLUMNS, SIDE = 10, 64


@torch.no_grad()
def main() -> None:
    """Sample each network and write the sheet."""
    latents, pictures = faces(COLUMNS, SIDE, 0, "sheet")
    noise = torch.randn(2 * COLUMNS, LATENT_SIZE, generator=stream(0, "sheet"))
    labels = torch.arange(2 * COLUMNS) % len(CLASSES)
    photographs = held_out(COLUMNS)
    rows = [
        pictures,
        load_style()(latents),
        load_sampler()(sample_latents(COLUMNS, stream(0, "sheet", "noise"))),
        2 * photographs - 1,
        2 * load_autoencoder()(photographs) - 1,
        load_fashion()(noise, labels).expand(-1, 3, -1, -1),
    ]
    enlarged = [interpolate(row, (SIDE, SIDE)) for row in rows]
    folder = Path(__file__).parents[1] / "docs" / "images"
    save_sheet(folder / "trained.png", torch.cat(enlarged), COLUMNS)


if __name__ == "__main__":
    main()
