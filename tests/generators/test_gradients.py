"""A tail's gradient is that of the whole network, by the network's own rules, or is refused."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from networks import Picture, sample
from torch import nn
from torch.utils.checkpoint import checkpoint

import regional_primitives as rp
from regional_primitives.generators.recorded import RecordedTail
from regional_primitives.generators.tail import WholeRunTail, vector_jacobian


def _function(forward, backward):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return forward(x)

        @staticmethod
        def backward(ctx, gradient):
            return backward(gradient)

    return Function


straight_through = _function(lambda x: (8 * x).round() / 8, lambda g: g)
tenfold = _function(lambda x: x.clone(), lambda g: 10 * g)
reversed_ = _function(lambda x: x.view_as(x), lambda g: -g)


def _half_without(self, h, z):
    with torch.no_grad():
        side = self.up(h)
    return self.up(h) + side


def _hooked(self, h, z):
    h = self.up(h)
    if h.requires_grad:
        h.register_hook(lambda gradient: 0.3 * gradient)
    return h


class Ends(nn.Module):
    """A picture that goes through a last function, or is made within a context."""

    def __init__(self, behind, end=lambda x: x, within=torch.enable_grad):
        super().__init__()
        self.body = Picture(behind)
        self.end, self.within = end, within

    def forward(self, z):
        with self.within():
            return self.end(self.body(z))


def _bound(network, layer="body.early"):
    torch.manual_seed(0)
    generator = rp.cut(network, layer, sample_latents=sample, baseline_count=8)
    latents = generator.sample_latents(1, seed=3)
    return generator.at(latents), latents


def _gap(bound, latents, follow_all=False):
    """Compare both gradients at one place; the same operations, so that only kernels round."""
    tail = bound.behind
    whole = WholeRunTail(
        tail.parts, bound.network, bound.layers, latents, 0, "", follow_all=follow_all
    )
    (_, own), (_, expected) = (vector_jacobian(t, bound.head(latents)) for t in (tail, whole))
    assert expected.any()
    return float((own - expected).abs().max() / expected.abs().max())


_kept_from_before = straight_through.apply  # bound before any recording, as many networks do


@pytest.mark.parametrize(
    "behind",
    [
        lambda self, h, z: straight_through.apply(self.up(h)),
        lambda self, h, z: _kept_from_before(self.up(h)),
        lambda self, h, z: self.up(h) + tenfold.apply(self.up(h)),
        lambda self, h, z: self.up(reversed_.apply(h)) + F.interpolate(h, scale_factor=2),
        lambda self, h, z: checkpoint(self.up, h, use_reentrant=True),
        lambda self, h, z: checkpoint(lambda x: self.up(x), h, use_reentrant=True),
        lambda self, h, z: checkpoint(self.up, h, use_reentrant=False),
        lambda self, h, z: self.up(h) + torch.no_grad()(self.up)(h),
        _half_without,
    ],
)
def test_networks_own_rules_are_recorded(behind):
    with warnings.catch_warnings():
        warnings.simplefilter("error", rp.errors.WholeRunWarning)
        bound, latents = _bound(Ends(behind))
    assert isinstance(bound.behind, RecordedTail)
    assert _gap(bound, latents) <= 1e-5


def test_rules_that_cannot_be_kept_run_whole():
    with pytest.warns(rp.errors.WholeRunWarning, match="gives another gradient"):
        bound, latents = _bound(Ends(_hooked))
    assert _gap(bound, latents) == 0


@pytest.mark.parametrize(
    "behind",
    [
        lambda self, h, z: straight_through.apply(self.up(h)),
        lambda self, h, z: self.up(h) * float(h.abs().mean()),  # runs whole
    ],
)
def test_sampler_under_no_grad_has_the_gradient_it_would_have_without(behind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rp.errors.WholeRunWarning)
        bound, latents = _bound(Ends(behind, within=torch.no_grad))
    assert _gap(bound, latents, follow_all=True) <= 1e-5
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("end", [torch.sign, lambda x: (4 * x).round(), lambda x: (x > 0).float()])
def test_gradient_that_is_zero_everywhere_is_refused(end):
    with pytest.raises(rp.GeneratorError, match=r"is zero everywhere|no gradient flows"):
        _bound(Ends(lambda self, h, z: self.up(h), end))


def test_units_that_are_dead_at_one_picture_are_no_reason_to_refuse():
    """Where the feature is small the picture stays black; elsewhere it does not."""
    bound, _ = _bound(Ends(lambda self, h, z: F.relu(self.up(h).abs() - 0.3)))
    assert isinstance(bound.behind, RecordedTail)


def test_functions_are_applied_as_before_after_a_recording():
    before = torch.autograd.Function.__dict__["apply"]
    _bound(Ends(lambda self, h, z: straight_through.apply(self.up(h))))
    assert torch.autograd.Function.__dict__["apply"] is before
