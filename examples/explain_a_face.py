"""A tour in one file: explain a face, believe it or not, ask for patches, edit, compare, save.

    .venv/bin/python examples/explain_a_face.py

Takes a minute or two on two cores; the comments say what to expect.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

import regional_primitives as rp

# A trained generator, cut behind its second stage: 256 channels of 8 × 8 pixels come out of the
# head, and the tail makes a 64 × 64 face of them.
generator = rp.load_generator("faces", layer="main.5")
latents = generator.sample_latents(1, seed=22)

# Every patch of a 6 × 6 grid, about 5,000 evaluations of the tail.
d = rp.explain(generator, latents, rp.Regions.grid(6, 6), progress=True)
print(d)  # about 200 components

# How far to believe it: measured on 128 demands that the fit never saw.
scores = rp.evaluate(d, generator)
print(f"inside error {scores.inside_error:.2%}")  # about 0.4 %
print(f"leak         {scores.leak:.1%}")  # about 9 %
print(f"boundedness  {scores.boundedness:.2f}")  # about 0.85; 1 is perfect

# The three strongest components: which patches they generate, and how much feature they hold.
for k in range(3):
    patches = d.action_fields[k].nonzero().flatten().tolist()
    print(f"component {k}: strength {float(d.strengths[k]):.2f}, patches {patches}")

# Ask for the left half of the picture only, and look at what the other half does.
left = torch.arange(36) % 6 < 3
picture = rp.ask(d, generator, left)[0]
mask = d.regions.pixel_mask(left, 64, 64)
there = float((picture - d.image)[:, mask].norm() / (d.baseline_image - d.image)[:, mask].norm())
print(f"left half: relative error {there:.1%}")  # a few percent

# Edit: switch the strongest component off, strengthen the next.
edited = rp.edit(d, generator, {0: 0.0, 1: 1.5})
print(f"edit changes the picture by {float((edited - d.image).abs().max()):.2f} at most (of 2)")

# Another face, fitted with a fifth of the evaluations: which primitives do the two share?
other = rp.explain(
    generator,
    generator.sample_latents(1, seed=0),
    rp.Regions.grid(6, 6),
    rp.Structured.of_quality("fast"),
)
(pair,) = rp.compare([d, other]).pairs
print(f"common action fields, t(20, 100): {pair.transfer:.0%}")  # nearly all …
print(f"  of random connected fields {pair.connected.transfer.mean:.0%}")  # … but 60 to 80 % anyway
print(f"strengths that overlap: {pair.strength_overlap:.0%}")  # about 65 %, at random 44 %
print(f"cosine of their components: {pair.cosine:.2f}")  # about 0.1, less than …
print(f"  of the whole features {pair.departure_cosine:.2f}")  # … 0.18: the places are common, only

with tempfile.TemporaryDirectory() as folder:
    d.save(Path(folder) / "face")
    again = rp.Decomposition.load(Path(folder) / "face")
    assert torch.equal(again.values, d.values)
