"""Objects of diffusers as they are, in small random configurations, as no weights can be had."""

from __future__ import annotations

import functools
import subprocess
import sys
import warnings

import pytest
import torch
from PIL import Image
from torch import nn

import regional_primitives as rp
from regional_primitives.errors import WholeRunWarning
from regional_primitives.generators.diffusion import Adaptation, DiffusionSampler, adapt
from regional_primitives.generators.feature import as_units, tensors_of
from regional_primitives.generators.noise import FrozenNoise
from regional_primitives.generators.photographs import read_photograph
from regional_primitives.generators.recorded import RecordedTail

try:
    import diffusers
except ImportError as error:
    raise ImportError(
        'these tests need diffusers: pip install "regional_primitives[dev]"'
    ) from error

SIDE = 16
QUICK = rp.Structured(steps=10, batch=8, baseline_count=16)


def _noise(count, seed=0):
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def _unet(**changes):
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        **{
            "sample_size": SIDE,
            "block_out_channels": (4, 8),
            "layers_per_block": 1,
            "down_block_types": ("DownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "UpBlock2D"),
            "norm_num_groups": 4,
            "add_attention": False,
            **changes,
        }
    )
    return unet.eval()


ATTENTIVE = {"add_attention": True, "attention_head_dim": 4}


def _kl(**changes):
    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        **{
            "block_out_channels": (8, 16),
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "norm_num_groups": 4,
            "sample_size": SIDE,
            **changes,
        }
    )


def _tiny():
    torch.manual_seed(0)
    return diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )


def _consistency(**changes):
    scheduler = diffusers.CMStochasticIterativeScheduler()
    return _quiet(diffusers.ConsistencyModelPipeline(_unet(**changes), scheduler))


def _quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _ddim(**changes):
    # A mild schedule: a random network leaves the noise that strong ones divide by almost nothing.
    return diffusers.DDIMScheduler(**{"beta_end": 0.002, **changes})


def _ddpm(**changes):
    return diffusers.DDPMScheduler(**{"beta_end": 0.002, **changes})


def _euler():
    return diffusers.EulerDiscreteScheduler(prediction_type="sample", beta_end=0.002)


def _cells(count, rng):
    return torch.randn(count, 4, 8, 8, generator=rng)


CASES = {
    "kl": (_kl, {}, ("post_quant_conv", "decoder.mid_block", "decoder.up_blocks.0")),
    "tiny": (_tiny, {"sample_latents": _cells}, ("decoder.layers.0", "decoder.layers.3")),
    "ddim": (
        lambda: (_unet(**ATTENTIVE), _ddim()),
        {"steps": 2},
        ("unet.mid_block#1", ["unet.down_blocks.0#2[0]", "unet.mid_block#2"]),
    ),
    "ddpm": (lambda: (_unet(), _ddpm()), {"steps": 2}, ("unet.mid_block#1", "unet.up_blocks.0#2")),
    "euler": (lambda: (_unet(), _euler()), {"steps": 2}, ("unet#1", "unet.mid_block#2")),
    "consistency": (_consistency, {"steps": 1}, ("unet.mid_block", "unet.up_blocks.0")),
    "consistency, 3 steps": (
        lambda: _consistency(num_class_embeds=5),
        {"steps": 3},
        ("unet.mid_block#2", "unet.up_blocks.0#3"),
    ),
    "class": (
        lambda: (_unet(num_class_embeds=5), _ddim()),
        {"steps": 1},
        ("unet.mid_block", "unet.up_blocks.0"),
    ),
}
ALL = [(name, layer) for name, (_, _, layers) in CASES.items() for layer in layers]


@functools.cache
def _cut(name, place):
    """Cut a case at one of its layers, once for all tests, and hold the picture that cut held."""
    make, settings, layers = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", WholeRunWarning)
        generator = rp.cut(make(), layers[place], **settings)
        latents = generator.sample_latents(1)
        return generator, generator.at(latents), latents


def _gap(image, expected):
    return float((image - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("name", "layer"), ALL, ids=[f"{name}-{layer}" for name, layer in ALL])
def test_recorded_tail_is_full_model(name, layer):
    generator, bound, latents = _cut(name, CASES[name][2].index(layer))
    assert isinstance(bound.behind, RecordedTail)
    image = generator.image(latents)
    feature = bound.head(latents)
    assert _gap(bound.tail(feature), image) <= 1e-5
    assert 0.05 < image.std() < 2, "a picture on which nothing can be seen"

    rng = torch.Generator().manual_seed(1)
    tensors = [t + t.std() * torch.randn(t.shape, generator=rng) for t in tensors_of(feature)]
    other = tensors[0] if isinstance(feature, torch.Tensor) else tuple(tensors)
    layers = bound.behind.parts.by_layer(other)
    expected = generator.network.substituted(latents, generator.layers, layers)
    assert _gap(expected, image) > 1e-3
    assert _gap(bound.tail(other), expected) <= 1e-5


@pytest.mark.parametrize("name", CASES)
def test_decomposed_completely(name):
    generator, bound, latents = _cut(name, len(CASES[name][2]) - 1)
    result = rp.explain(generator, latents, rp.Regions.grid(2, 2), QUICK)
    assert result.count >= 2
    everywhere, feature = result.minimal_feature([0, 1, 2, 3]), bound.head(latents)
    assert _gap(as_units(everywhere), as_units(feature)) <= 1e-5
    assert _gap(bound.tail(everywhere), generator.image(latents)) <= 1e-4
    components = sum(as_units(result.component(k)) for k in range(result.count))
    assert _gap(as_units(result.baseline) + components, as_units(feature)) <= 1e-5


# The pictures are those of diffusers


@pytest.fixture
def same_noise(monkeypatch):
    """Let schedulers draw the same pattern in each step, whoever runs them."""
    pattern = _noise(1, seed=9)
    for kind in ("ddpm", "consistency_models"):
        monkeypatch.setattr(
            f"diffusers.schedulers.scheduling_{kind}.randn_tensor",
            lambda shape, **_: pattern.expand(shape).clone(),
        )


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("classes", [None, 5])
def test_picture_of_the_consistency_pipeline(same_noise, steps, classes):
    pipeline = _consistency(num_class_embeds=classes)
    latents = {"noise": _noise(2)}
    if classes:
        latents["class_labels"] = torch.tensor([4, 1])
    known = adapt(pipeline, steps)
    with torch.no_grad():
        image = known.module(**latents)
    expected = pipeline(
        batch_size=2,
        latents=latents["noise"],
        class_labels=latents.get("class_labels"),
        num_inference_steps=steps,
        output_type="pt",
    ).images
    assert _gap(image / 2 + 0.5, expected) <= 1e-5


def test_picture_of_the_consistency_pipeline_at_timesteps_of_ones_own(same_noise):
    pipeline = _consistency()
    sampler = DiffusionSampler(pipeline.unet, pipeline.scheduler, timesteps=[22, 0])
    assert adapt(sampler).module is sampler
    with torch.no_grad():
        image = sampler(_noise(1))
    expected = pipeline(
        latents=_noise(1), num_inference_steps=None, timesteps=[22, 0], output_type="pt"
    ).images
    assert _gap(image / 2 + 0.5, expected) <= 1e-5


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("DDIM", {}),
        ("DDIM", {"clip_sample": False}),
        ("DDPM", {}),
        ("DDPM", {"variance_type": "learned_range"}),
    ],
)
def test_picture_of_the_other_pipelines(same_noise, monkeypatch, kind, settings):
    scheduler = getattr(diffusers, f"{kind}Scheduler")(**settings)
    unet = _unet(out_channels=6 if "variance_type" in settings else 3)
    pipeline = _quiet(getattr(diffusers, f"{kind}Pipeline")(unet, scheduler))
    place = f"diffusers.pipelines.{kind.lower()}.pipeline_{kind.lower()}.randn_tensor"
    monkeypatch.setattr(place, lambda *_, **__: _noise(2))
    expected = pipeline(batch_size=2, num_inference_steps=4, output_type="pt").images
    with torch.no_grad():
        image = adapt(pipeline, 4).module(_noise(2))
    assert _gap(image / 2 + 0.5, expected) <= 1e-5
    assert float(image.std()) > 0.05
    assert ((image.abs() == 1).float().mean() > 0.01) or settings.get("clip_sample", True)


def test_picture_of_euler_steps():
    """No unconditional pipeline has this scheduler; the oracle is its equation."""
    unet = _unet()
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    signal = torch.cumprod(1 - betas, 0)
    sigmas = ((1 - signal) / signal).sqrt()
    sampler = DiffusionSampler(unet, diffusers.EulerDiscreteScheduler(prediction_type="sample"), 3)
    times = [999.0, 499.5, 0.0]
    levels = [float(sigmas[999]), float((sigmas[499] + sigmas[500]) / 2), float(sigmas[0]), 0.0]
    with torch.no_grad():
        x = _noise(2).double() * levels[0]
        for time, sigma, lower in zip(times, levels, levels[1:], strict=False):
            scaled = x / (sigma**2 + 1) ** 0.5
            denoised = unet(scaled.float(), torch.tensor(time)).sample.double()
            x = x + (x - denoised) / sigma * (lower - sigma)
        assert _gap(sampler(_noise(2)), x.clamp(-1, 1).float()) <= 1e-4


# Photographs


def _of_photographs(scheduler, **fixed):
    fixed = {"strength": 0.5, **fixed}
    unet = _unet(num_class_embeds=5 if "class_labels" in fixed else None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", WholeRunWarning)
        return unet, rp.cut((unet, scheduler), "unet.mid_block#1", steps=4, fixed=fixed)


def test_picture_of_a_photograph():
    """No unconditional pipeline goes on from one; the oracle is DDIM's equation."""
    unet, generator = _of_photographs(_ddim(clip_sample=False))
    signal = torch.cumprod(1 - torch.linspace(1e-4, 0.002, 1000), 0)
    photographs = generator.sample_latents(2)
    with torch.no_grad(), FrozenNoise(2):
        x = signal[250].sqrt() * photographs + (1 - signal[250]).sqrt() * torch.randn_like(
            photographs
        )
        for time, later in ((250, signal[0]), (0, torch.tensor(1.0))):
            noise, now = unet(x, time).sample, signal[time]
            clean = (x - (1 - now).sqrt() * noise) / now.sqrt()
            x = later.sqrt() * clean + (1 - later).sqrt() * noise
    assert _gap(generator.image(photographs), x.clamp(-1, 1)) <= 1e-5


SCHEDULERS = ["DDPM", "EulerAncestralDiscrete", "HeunDiscrete", "PNDM", "DPMSolverMultistep", "LCM"]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_photographs_are_recorded_with_every_scheduler(name):
    _, generator = _of_photographs(getattr(diffusers, f"{name}Scheduler")())
    latents = generator.sample_latents(1)
    bound = generator.at(latents)
    other = 1.5 * bound.head(latents)
    layers = bound.behind.parts.by_layer(other)
    expected = generator.network.substituted(latents, generator.layers, layers)
    assert _gap(bound.tail(other), expected) <= 1e-5
    assert _gap(generator.image(latents), expected) > 1e-4


def _photograph(folder):
    rows = torch.arange(20, dtype=torch.uint8)[:, None, None].expand(20, 40, 3) * 12
    Image.fromarray(rows.numpy()).save(folder / "photo.png")
    return folder / "photo.png"


def test_photographs_of_files(tmp_path):
    file = _photograph(tmp_path)
    _, generator = _of_photographs(_ddim(), class_labels=torch.tensor([3]))
    latents = generator.latents_of_image(file)
    assert latents.shape == (1, 3, SIDE, SIDE)
    assert (latents.diff(dim=2) > 0).all()
    assert latents.aminmax() == pytest.approx((-1, 0.79), abs=0.1)
    assert generator.image(latents).shape == latents.shape
    assert generator.sample_latents(8).aminmax() == pytest.approx((-1, 1), abs=0.5)
    for value in (float("nan"), 255.0):
        with pytest.raises(rp.InputError, match=r"NaN or infinite|in \[-1, 1\], not in"):
            generator.at(latents.index_fill(2, torch.tensor([1]), value))


@pytest.mark.parametrize(("name", "make"), [("kl", _kl), ("tiny", _tiny)])
def test_latents_of_a_decoder_are_those_of_a_photograph(tmp_path, name, make):
    file, coder = _photograph(tmp_path), make()
    generator = rp.cut(coder, CASES[name][2][0])
    latents = generator.latents_of_image(file)
    pixels = 2 * read_photograph(file, SIDE if name == "kl" else 512) - 1
    with torch.no_grad():
        found = coder.encode(pixels)
        expected = found.latent_dist.mean if name == "kl" else found.latents
    assert torch.equal(latents, expected)
    assert generator.image(latents).shape == pixels.shape


NO_PHOTOGRAPHS = {
    "too weak": (lambda: (_unet(), _ddim()), {"strength": 0.2}, "of 4 steps, strength 0.2 leaves"),
    "too strong": (lambda: (_unet(), _ddim()), {"strength": 2}, "strength must be a number from 0"),
    "a word": (lambda: (_unet(), _ddim()), {"strength": "much"}, "strength must be a number"),
    "adding no noise": (
        lambda: (_unet(), diffusers.FlowMatchEulerDiscreteScheduler()),
        {"strength": 0.5},
        "a scheduler that adds noise, not UNet2DModel and FlowMatchEulerDiscreteScheduler; other",
    ),
}


@pytest.mark.parametrize("name", NO_PHOTOGRAPHS)
def test_bad_input_photographs(name):
    make, fixed, message = NO_PHOTOGRAPHS[name]
    with pytest.raises(rp.InputError, match=message):
        rp.cut(make(), "unet.mid_block#1", steps=4, fixed=fixed)


@pytest.mark.parametrize(("name", "make"), [("kl", _kl), ("tiny", _tiny)])
def test_picture_of_the_autoencoders(name, make):
    generator, _, _ = _cut(name, 0)
    latents = generator.sample_latents(2)
    with torch.no_grad():
        expected = make().eval().decode(latents).sample
    assert _gap(generator.image(latents), expected) <= 1e-5
    assert generator.image_range == (-1.0, 1.0)


# What is filled in


def test_latents_have_the_size_of_the_configuration():
    drawn = adapt(_kl(sample_size=24)).sample_latents
    assert drawn(3, torch.Generator()).shape == (3, 4, 12, 12)
    drawn = adapt(_kl(sample_size=(24, 16))).sample_latents(400, torch.Generator().manual_seed(0))
    assert drawn.shape == (400, 4, 12, 8)
    assert abs(float(drawn.std()) - 1) < 0.02
    assert adapt(_tiny()).sample_latents(1, torch.Generator()).shape == (1, 4, 256, 256)
    assert adapt(_kl().bfloat16()).sample_latents(1, torch.Generator()).dtype == torch.bfloat16
    unet = _unet(sample_size=(8, 16), in_channels=1, out_channels=1)
    drawn = adapt((unet, _ddim()), 2).sample_latents
    assert drawn(2, torch.Generator()).shape == (2, 1, 8, 16)


def test_latents_of_a_class_conditional_network_hold_every_class():
    drawn = adapt((_unet(num_class_embeds=5), _ddim()), 2).sample_latents
    latents = drawn(200, torch.Generator().manual_seed(0))
    assert latents["noise"].shape == (200, 3, SIDE, SIDE)
    assert set(latents["class_labels"].tolist()) == set(range(5))


def test_what_the_user_passes_wins():
    def smaller(count, rng):
        return torch.randn(count, 4, 4, 4, generator=rng)

    generator = rp.cut(
        _kl(),
        "decoder.mid_block",
        sample_latents=smaller,
        image_range=(0.0, 2.0),
        image=lambda output: output.sample + 1,
        name="mine",
    )
    latents = generator.sample_latents(1)
    assert latents.shape == (1, 4, 4, 4)
    assert (generator.image_range, generator.name) == ((0.0, 2.0), "mine")
    assert _cut("kl", 0)[0].name == "AutoencoderKL"
    with torch.no_grad():
        expected = _kl().eval().decode(latents).sample + 1
    assert _gap(generator.image(latents), expected) <= 1e-5


def test_the_users_method_wins():
    generator = rp.cut(
        _kl(), "decoder.mid_block", call="forward", sample_latents=lambda count, rng: _noise(count)
    )
    with torch.no_grad():
        expected = _kl().eval()(_noise(1)).sample
    assert _gap(generator.image(_noise(1)), expected) <= 1e-5


def test_slicing_does_not_keep_a_decoder_from_being_recorded():
    autoencoder = _kl()
    autoencoder.enable_slicing()
    generator = rp.cut(autoencoder, "decoder.mid_block")
    assert isinstance(generator.at(generator.sample_latents(1)).behind, RecordedTail)
    assert autoencoder.use_slicing


def test_digest_names_steps_and_scheduler():
    unet = _unet()

    def described(scheduler, steps=2):
        settings = adapt((unet, scheduler), steps).settings
        return settings["scheduler"], tuple(settings["timesteps"].tolist())

    used = _ddim()
    used.set_timesteps(7)
    first = described(_ddim())
    assert described(used) == first
    others = described(_ddim(), 3), described(_ddim(beta_end=0.003)), described(_ddpm())
    assert len({first, *others}) == 4
    assert len({_cut(name, 0)[0].digest for name in ("ddpm", "euler")}) == 2  # of the same network


# Left as found, and the same every time


def _state(module):
    return [
        (
            name,
            part.training,
            len(part._forward_hooks),
            len(part._forward_pre_hooks),
            vars(part).keys(),
        )
        for name, part in module.named_modules()
    ], {
        name: (id(one), one._version, one.requires_grad, one.grad, one.detach().clone())
        for name, one in module.named_parameters()
    }


def _equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one is other or one == other)


@pytest.mark.parametrize("name", ["kl", "ddpm", "consistency"])
def test_objects_are_left_as_found(name):
    make, settings, layers = CASES[name]
    subject = make()
    scheduler = None
    if isinstance(subject, tuple):
        module, scheduler = subject
    elif isinstance(subject, nn.Module):
        module = subject
    else:
        module, scheduler = subject.unet, subject.scheduler
    module.train()
    module.decoder.eval() if scheduler is None else module.mid_block.eval()
    next(module.parameters()).requires_grad_(False)
    if scheduler is not None:
        scheduler.set_timesteps(5)
    modules, parameters = _state(module)
    kept = {key: _copied(value) for key, value in vars(scheduler or module).items()}
    generator = rp.cut(subject, layers[0], **settings)
    latents = generator.sample_latents(1)
    bound = generator.at(latents)
    feature = bound.head(latents).requires_grad_(True)
    bound.tail(feature).sum().backward()
    modules_after, parameters_after = _state(module)
    assert modules_after == modules
    assert _equal(parameters_after, parameters)
    if scheduler is not None:
        assert _equal(vars(scheduler), kept)


def _copied(value):
    return value.clone() if isinstance(value, torch.Tensor) else value


def test_noise_of_the_steps_is_frozen():
    generator, bound, latents = _cut("ddpm", 0)
    image = generator.image(latents)
    torch.manual_seed(123)
    assert torch.equal(generator.image(latents), image)
    three = torch.cat([latents, _noise(1), latents])
    assert _gap(generator.image(three)[2:], image) <= 1e-5
    feature = bound.head(latents)
    assert torch.equal(bound.tail(feature), bound.tail(feature))
    for seed in (0, 1):
        with torch.no_grad(), FrozenNoise(1, seed):
            other = generator.network.module(latents)
        assert torch.equal(other, image) == (seed == generator.network.noise_seed)


# Refusals


class LatentPipeline(diffusers.DiffusionPipeline):
    def __init__(self, vae, unet, scheduler):
        super().__init__()
        self.register_modules(vae=vae, unet=unet, scheduler=scheduler)


class OtherPipeline(diffusers.DiffusionPipeline):
    def __init__(self, unet, scheduler):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)


REFUSED = {
    "text or latents": (
        lambda: LatentPipeline(_tiny(), _unet(), _ddim()),
        2,
        r"LatentPipeline cannot be cut: it also has vae; supported are an AutoencoderKL or "
        r"AutoencoderTiny; a pair of UNet2DModel, .* and a scheduler; pipelines of a UNet2DModel ",
    ),
    "another network": (
        lambda: OtherPipeline(_tiny(), _ddim()),
        2,
        "OtherPipeline cannot be cut: its network is no UNet2DModel; supported are",
    ),
    "no scheduler": (
        lambda: (_unet(), "DDIM"),
        2,
        r"a sampler is a pair \(UNet2DModel or .*, scheduler\) .*, not \(UNet2DModel, str\)",
    ),
    "a scheduler's class": (lambda: (_unet(), diffusers.DDIMScheduler), 2, r"not \(UNet2DModel, "),
    "a scheduler of another loop": (
        lambda: (_unet(), diffusers.RePaintScheduler()),
        2,
        r"not \(UNet2DModel, RePaintScheduler\)",
    ),
    "the wrong way round": (
        lambda: (_ddim(), _unet()),
        2,
        r"not \(DDIMScheduler, UNet2DModel\)",
    ),
    "three things": (lambda: (_unet(), _ddim(), 3), 2, "a tuple of 3 cannot be cut; supported are"),
    "steps missing": (lambda: (_unet(), _ddim()), None, "pass steps=, how many steps the sampler"),
    "pipeline without steps": (_consistency, None, "pass steps=, how many steps the sampler takes"),
    "no steps": (
        lambda: (_unet(), _ddim()),
        0,
        "steps must be a whole number of at least 1, not 0",
    ),
    "half steps": (lambda: (_unet(), _ddim()), 1.5, "steps must be a whole number of at least 1"),
    "true steps": (lambda: (_unet(), _ddim()), True, "steps must be a whole number of at least 1"),
    "too many steps": (
        lambda: (_unet(), diffusers.CMStochasticIterativeScheduler()),
        41,
        r"CMStochasticIterativeScheduler does not take 41 steps: `num_inference_steps`: 41 cannot",
    ),
    "steps of an autoencoder": (
        _kl,
        2,
        r"steps= is for samplers: a pair \(UNet2DModel, scheduler\) or a pipeline of diffusers, "
        "not AutoencoderKL",
    ),
    "steps of a network": (lambda: nn.Linear(2, 2), 2, "steps= is for samplers: .* not Linear"),
    "steps without scheduler": (_unet, 2, "steps= is for samplers: .* not UNet2DModel"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input(name):
    make, steps, message = REFUSED[name]
    with pytest.raises(rp.InputError, match=message):
        rp.cut(make(), "unet.mid_block", steps=steps)


@pytest.mark.parametrize(
    ("channels", "scheduler", "message"),
    [
        (
            6,
            _ddim,
            "takes 3 channels and predicts 6, which DDIMScheduler does not take; a learned",
        ),
        (6, _ddpm, "which DDPMScheduler does not take; a learned variance needs a DDPM"),
        (4, _ddim, "takes 3 channels and predicts 4, which DDIMScheduler does not take$"),
    ],
)
def test_other_channels_than_the_scheduler_takes(channels, scheduler, message):
    with pytest.raises(rp.GeneratorError, match=message):
        rp.cut((_unet(out_channels=channels), scheduler()), "unet.mid_block", steps=1)


def test_bad_input_timesteps():
    with pytest.raises(rp.InputError, match="pass steps= or timesteps=, not both"):
        DiffusionSampler(_unet(), _ddpm(), 2, [3, 1])
    with pytest.raises(rp.InputError, match=r"does not take timesteps \[1, 3\]: .*descending"):
        DiffusionSampler(_unet(), _ddpm(), timesteps=[1, 3])


def test_labels_that_are_no_class_are_the_users_to_draw():
    unet = _unet(class_embed_type="timestep")
    with pytest.raises(rp.InputError, match="pass sample_latents="):
        rp.cut((unet, _ddim()), "unet.mid_block", steps=1)


def test_plain_modules_stay_as_they_are():
    for module in (nn.Linear(2, 2), _unet()):
        assert adapt(module) == Adaptation(module)
    with pytest.raises(rp.InputError, match=r"a torch\.nn\.Module is cut, not str"):
        adapt("faces")


def test_diffusers_is_not_imported():
    code = (
        "import sys, torch, regional_primitives as rp\n"
        "network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Conv2d(2, 3, 3))\n"
        "def drawn(count, rng): return torch.randn(count, 1, 8, 8, generator=rng)\n"
        "rp.cut(network, '0', sample_latents=drawn)\n"
        "assert not [name for name in sys.modules if name.startswith('diffusers')]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
