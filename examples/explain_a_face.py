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

# The parts that faces come with a map of; about 4,300 evaluations of the tail. Squares, superpixels
# or a map of your own: rp.Regions.grid(6, 6), "segments:40", rp.Regions.read("map.png").
d = rp.explain(generator, latents, "parts", progress=True)
print(d)  # 26 components of 6 regions

# How far to believe it: measured on 128 demands that the fit never saw.
scores = rp.evaluate(d, generator)
print(f"pooled inside error {scores.pooled_inside_error:.3%}")  # 0.003 %
print(f"boundedness         {scores.boundedness:.2f}")  # 1.00; 1 is perfect
print(f"consistency         {scores.consistency:.2f}")  # 0.97, likewise

# The strongest components: which parts they generate, and how much feature they hold.
for k in range(5):
    parts = d.regions.in_words(d.action_fields[k].nonzero().flatten().tolist())
    print(f"component {k}: strength {float(d.strengths[k]):.2f}, {parts}")

# Ask for the eyes only, and look how far they are what they are in the picture.
eyes = ["left eye", "right eye"]
picture = rp.ask(d, generator, eyes)[0]
mask = d.regions.pixel_mask(d.regions.demand(eyes), 64, 64)
there = float((picture - d.image)[:, mask].norm() / (d.baseline_image - d.image)[:, mask].norm())
print(f"the eyes: relative error {there:.1%}")  # about 2 %

# Edit: switch the strongest component off, strengthen the next; or a part by its name.
edited = rp.edit(d, generator, {0: 0.0, 1: 1.5})
print(f"edit changes the picture by {float((edited - d.image).abs().max()):.2f} at most (of 2)")
without = rp.edit(d, generator, remove=["mouth"])
print(f"… without the mouth by {float((without - d.image).abs().max()):.2f}")

# Another face, fitted with a fifth of the evaluations: which primitives do the two share?
other = rp.explain(
    generator,
    generator.sample_latents(1, seed=0),
    "parts",
    rp.Structured.of_quality("fast"),
)
(pair,) = rp.compare([d, other]).pairs
print(f"common action fields, t(20, 100): {pair.transfer:.0%}")  # all …
print(f"  of random connected fields {pair.connected.transfer.mean:.0%}")  # … but most anyway
print(f"strengths that overlap: {pair.strength_overlap:.0%}")  # about 74 %
print(f"cosine of their components: {pair.cosine:.2f}")  # about 0.1, less than …
print(f"  of the whole features {pair.departure_cosine:.2f}")  # … 0.18: the places are common, only

with tempfile.TemporaryDirectory() as folder:
    d.save(Path(folder) / "face")
    again = rp.Decomposition.load(Path(folder) / "face")
    assert torch.equal(again.values, d.values)
