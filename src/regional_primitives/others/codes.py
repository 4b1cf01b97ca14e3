"""Sparse codes: latents of a sparse autoencoder, each a decoder vector times its activations.

f ≈ b + Σ_k a_k(s) v_k at every site s of the feature, so that Δf_k = (a_k(f) − a_k(f0)) v_k, and
the bias b cancels. A code of f − f0 itself has no second activations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import InputError
from regional_primitives.others.answer import Answer, afford, numbers, one_layout


@dataclass(frozen=True, eq=False)
class Codes(Answer):
    """Activations of one picture, and the dictionary that they are of; inactive latents drop out.

    Labels are the latents' numbers.
    """

    decoder: Any
    """v_k, [latents, channels]."""
    activations: Any
    """a_k(f), [*sites, latents]: a row a token, or a row and a column of a feature map."""
    baseline_activations: Any = None
    """a_k(f0), likewise; 0 where none are given."""

    def terms(self, subject: Subject) -> Float[Tensor, "terms units"]:
        """Return each active latent's own change, at all sites where it is active."""
        decoder, change = numbers(self.decoder, "decoder vectors"), self._change()
        layout = one_layout(subject, "sparse codes")
        if decoder.ndim != 2 or decoder.shape != (change.shape[1], layout.channels):
            raise InputError(
                f"decoder vectors are [latents, channels] = [{change.shape[1]}, {layout.channels}]"
                f", not {list(decoder.shape)}"
            )
        if len(change) != layout.sites:
            raise InputError(
                f"activations are [*sites, latents] of {layout.sites} sites; {len(change)} came"
            )
        active = _active(change)
        afford(len(active), subject, "active latents")
        return layout.flat(change.T[active][:, :, None] * decoder[active][:, None, :])

    def labels(self) -> tuple[str, ...]:
        """Return the numbers of the active latents."""
        return tuple(f"latent {k}" for k in _active(self._change()).tolist())

    def _change(self) -> Float[Tensor, "sites latents"]:
        found = numbers(self.activations, "activations")
        if found.ndim < 2:
            raise InputError(f"activations are [*sites, latents], not {list(found.shape)}")
        if self.baseline_activations is not None:
            before = numbers(self.baseline_activations, "baseline activations")
            if before.shape != found.shape:
                raise InputError(
                    f"baseline activations are as the activations, {list(found.shape)}; not "
                    f"{list(before.shape)}"
                )
            found = found - before
        return found.flatten(0, -2)


def _active(change: Float[Tensor, "sites latents"]) -> Tensor:
    found = (change != 0).any(0).nonzero().flatten()
    if not len(found):
        raise InputError("no latent is active, so there are no components")
    return found
