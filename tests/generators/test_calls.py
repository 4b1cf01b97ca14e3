"""Code that torch's modes are not told of, as published networks have it."""

import pytest
import torch
from torch import nn

import regional_primitives as rp
from regional_primitives.generators.recorded import RecordedTail


class CheckpointFunction(torch.autograd.Function):
    """As in ADM's U-Nets: it wants weights that follow gradients."""

    @staticmethod
    def forward(ctx, run, count, *given):
        """Run without a graph."""
        ctx.run, ctx.inputs, ctx.weights = run, given[:count], given[count:]
        with torch.no_grad():
            return run(*ctx.inputs)

    @staticmethod
    def backward(ctx, *slopes):
        """Run again, with one."""
        inputs = [value.detach().requires_grad_(True) for value in ctx.inputs]
        with torch.enable_grad():
            outputs = ctx.run(*inputs)
        wanted = (*inputs, *ctx.weights)
        return None, None, *torch.autograd.grad(outputs, wanted, slopes, allow_unused=True)


class Painter(nn.Module):
    """Two convolutions, and something between them."""

    def __init__(self, between):
        """Take what lies between."""
        super().__init__()
        self.first, self.second, self.last = (nn.Conv2d(3, 3, 1) for _ in range(3))
        self.between = between

    def forward(self, z):
        """Paint."""
        return self.last(self.between(self, self.first(z)))


def _checkpointed(self, h):
    run = lambda value: self.second(value).sin()  # noqa: E731
    return CheckpointFunction.apply(run, 1, h, *self.second.parameters())


def _plain(self, h):
    return self.second(h).sin()


@torch.inference_mode()
def _inferred(self, h):
    return self.second(h).sin()


def _cut(between):
    torch.manual_seed(0)
    draw = lambda count, rng: torch.randn(count, 3, 8, 8, generator=rng)  # noqa: E731
    return rp.cut(Painter(between), "first", sample_latents=draw)


def _image_and_slope(generator):
    feature = generator.head(generator.sample_latents(2, seed=1)).requires_grad_(True)
    image = generator.tail(feature)
    return image, torch.autograd.grad(image.square().sum(), feature)[0]


@pytest.mark.parametrize("between", [_checkpointed, _inferred])
def test_checkpoints_of_published_code_and_inference_mode_are_ordinary_code(between):
    generator = _cut(between)
    assert isinstance(generator.behind, RecordedTail)
    found = zip(_image_and_slope(generator), _image_and_slope(_cut(_plain)), strict=True)
    assert all(torch.equal(one, other) for one, other in found)
    names = [point.name for point in rp.layers(generator)]
    assert names == ["first", "second"]


def test_a_whole_sampler_in_inference_mode_has_a_gradient():
    class Sampler(Painter):
        @torch.inference_mode()
        def sample(self, z):
            """Paint, as published samplers do."""
            return self(z)

    torch.manual_seed(0)
    draw = lambda count, rng: torch.randn(count, 3, 8, 8, generator=rng)  # noqa: E731
    generator = rp.cut(Sampler(_plain), "first", sample_latents=draw, call="sample")
    assert isinstance(generator.behind, RecordedTail)
    assert bool(_image_and_slope(generator)[1].any())


def test_torch_is_left_as_it_was():
    before = torch.autograd.Function.__dict__["apply"], torch.inference_mode.__enter__
    _cut(_checkpointed)
    assert (torch.autograd.Function.__dict__["apply"], torch.inference_mode.__enter__) == before
    with torch.inference_mode():
        assert torch.ones(1).is_inference()


def test_a_loss_beside_the_feature_is_left_out():
    class Quantised(nn.Module):
        def forward(self, h):
            """Return values, a loss and indices, as VQ-VAEs do."""
            return h.round() - h.detach() + h, h.square().mean(), h.argmax(1)

    torch.manual_seed(0)
    network = Painter(lambda self, h: self.quantise(h)[0])
    network.quantise = Quantised()
    draw = lambda count, rng: torch.randn(count, 3, 8, 8, generator=rng)  # noqa: E731
    generator = rp.cut(network, "quantise", sample_latents=draw)
    assert generator.feature_shape == (3, 8, 8)
    assert "quantise" in [point.name for point in rp.layers(network, generator.sample_latents(1))]
