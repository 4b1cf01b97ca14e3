"""Pipelines of diffusers as people have them, in tiny random configurations, by their own code."""

from __future__ import annotations

import functools
import inspect
import json
import math
import sys
import warnings
from types import SimpleNamespace

import diffusers
import pytest
import torch
from diffusers import schedulers
from PIL import Image
from torch import nn

import regional_primitives as rp
from regional_primitives.errors import WholeRunWarning
from regional_primitives.generators.diffusion import DiffusionSampler, adapt
from regional_primitives.generators.feature import tensors_of
from regional_primitives.generators.layers import parse_layers
from regional_primitives.generators.network import Network
from regional_primitives.generators.noise import FrozenNoise
from regional_primitives.generators.recorded import RecordedTail, tail_of
from regional_primitives.generators.twin import frozen_twin

try:
    import transformers
except ImportError as error:
    raise ImportError(
        'these tests need transformers: pip install "regional_primitives[dev]"'
    ) from error

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

PROMPT = "a cat"


@pytest.fixture(scope="module", autouse=True)
def words(tmp_path_factory):
    write_words(tmp_path_factory.mktemp("words"))


def write_words(folder):
    """Write the vocabulary of a language of two words, for all tokenizers that follow."""
    names = ["<|startoftext|>", "<|endoftext|>", "a</w>", "cat</w>", "a", "c", "t", "t</w>", "ca"]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({name: i for i, name in enumerate(names)}))
    merges.write_text("#version: 0.2\nc a\nca t</w>\n")
    _clip_tokenizer.files = str(vocabulary), str(merges)


def _clip_tokenizer():
    return transformers.CLIPTokenizer(*_clip_tokenizer.files, model_max_length=6)


def _clip(kind="CLIPTextModel"):
    torch.manual_seed(1)
    config = transformers.CLIPTextConfig(
        vocab_size=9,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=6,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        projection_dim=8,
    )
    return getattr(transformers, kind)(config).eval()


def _t5_tokenizer():
    words = ["<pad>", "</s>", "<unk>", "▁", "a", "▁a", "▁cat"]
    vocabulary = [(word, -1.0) for word in words]
    return transformers.T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=6)


def _t5():
    torch.manual_seed(1)
    config = transformers.T5Config(
        vocab_size=7, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2
    )
    return transformers.T5EncoderModel(config).eval()


def _unet(**changes):
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        **{
            "sample_size": 4,
            "block_out_channels": (4,),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D",),
            "up_block_types": ("UpBlock2D",),
            "norm_num_groups": 4,
            "cross_attention_dim": 8,
            "attention_head_dim": 2,
            **changes,
        }
    )
    return unet.eval()


def _vae(**changes):
    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        block_out_channels=(4, 4),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=8,
        latent_channels=4,
        layers_per_block=1,
        **changes,
    ).eval()


def _ddim():
    # A mild schedule: a random network leaves the noise that strong ones divide by almost nothing.
    return diffusers.DDIMScheduler(beta_end=0.002, steps_offset=1, clip_sample=False)


def _stable(**changes):
    parts = {
        "vae": _vae(),
        "text_encoder": _clip(),
        "tokenizer": _clip_tokenizer(),
        "unet": _unet(),
        "scheduler": _ddim(),
        "safety_checker": None,
        "feature_extractor": None,
    }
    return diffusers.StableDiffusionPipeline(**{**parts, **changes}, requires_safety_checker=False)


def _consistency():
    parts = {**_stable().components, "unet": _unet(time_cond_proj_dim=8)}
    parts["scheduler"] = diffusers.LCMScheduler(beta_end=0.002)
    return diffusers.LatentConsistencyModelPipeline(**parts, requires_safety_checker=False)


def _xl():
    unet = _unet(
        cross_attention_dim=16,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=8 + 6 * 4,
    )
    second = _clip("CLIPTextModelWithProjection")
    scheduler = diffusers.EulerDiscreteScheduler(beta_end=0.002)
    words = _clip_tokenizer(), _clip_tokenizer()
    return diffusers.StableDiffusionXLPipeline(_vae(), _clip(), second, *words, unet, scheduler)


def _from_photograph():
    return diffusers.StableDiffusionImg2ImgPipeline(
        **_stable().components, requires_safety_checker=False
    )


def _xl_from_photograph():
    return diffusers.StableDiffusionXLImg2ImgPipeline(**_xl().components)


def _third():
    torch.manual_seed(0)
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=4,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=4,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=8,
        pooled_projection_dim=16,
        pos_embed_max_size=4,
    )
    texts = [_clip("CLIPTextModelWithProjection"), _clip_tokenizer()] * 2
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    return diffusers.StableDiffusion3Pipeline(
        transformer.eval(), scheduler, _vae(shift_factor=0.1), *texts, None, None
    )


def _flux(guided=True, texts=True):
    torch.manual_seed(0)
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=1,
        joint_attention_dim=8,
        pooled_projection_dim=8,
        axes_dims_rope=(2, 2, 4),
        guidance_embeds=guided,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    parts = (_clip(), _clip_tokenizer(), _t5(), _t5_tokenizer()) if texts else [None] * 4
    vae = _vae(shift_factor=0.1)
    return diffusers.FluxPipeline(scheduler, vae, *parts, transformer.eval())


def _dit(**changes):
    torch.manual_seed(0)
    return diffusers.DiTTransformer2DModel(
        sample_size=4,
        num_layers=2,
        patch_size=2,
        attention_head_dim=4,
        num_attention_heads=2,
        in_channels=4,
        out_channels=8,
        num_embeds_ada_norm=1000,
        **changes,
    ).eval()


def _embeddings():
    torch.manual_seed(3)
    one, other = torch.randn(1, 5, 8), torch.randn(1, 8)
    return {"prompt_embeds": one, "pooled_prompt_embeds": other}


SMALL = {"height": 8, "width": 8}
TEXT = {"prompt": PROMPT, "guidance": 5.0}
CASES = {
    "stable": (_stable, {**TEXT, "fixed": {"negative_prompt": "cat"}}, "unet.mid_block#1"),
    "stable, unguided latent": (
        _stable,
        {"prompt": PROMPT, "guidance": 1.0, "image": "latent"},
        "unet.up_blocks.0#2",
    ),
    "consistency": (_consistency, TEXT, "unet.mid_block#2"),
    "XL": (_xl, TEXT, "unet.mid_block#2"),
    "photograph": (
        _from_photograph,
        {**TEXT, "steps": 4, "fixed": {"strength": 0.5, "negative_prompt": "cat"}},
        "unet.mid_block#1",
    ),
    "XL photograph, latent": (
        _xl_from_photograph,
        {**TEXT, "steps": 3, "fixed": {"strength": 0.7}, "image": "latent"},
        "unet.mid_block#2",
    ),
    "third": (_third, TEXT, "transformer.transformer_blocks.0#2"),
    "Flux": (
        _flux,
        {**TEXT, "fixed": {**SMALL, "max_sequence_length": 6}},
        "transformer.single_transformer_blocks.0#1",
    ),
    "Flux of embeddings, latent": (
        lambda: _flux(guided=False, texts=False),
        {"fixed": {**SMALL, **_embeddings()}, "image": "latent"},
        "transformer.transformer_blocks.0#2",
    ),
}
CLASSES = {
    "DiT": (
        lambda: diffusers.DiTPipeline(_dit(), _vae(), _ddim()),
        {},
        "transformer.transformer_blocks.0#2",
    ),
    "DiT, unguided latent": (
        lambda: diffusers.DiTPipeline(_dit(), _vae(), _ddim()),
        {"image": "latent", "guidance": 1.0},
        "transformer.transformer_blocks.1#1",
    ),
    "pair of a DiT": (
        lambda: (_dit(), _ddim()),
        {"fixed": {"class_labels": torch.tensor([3])}, "guidance": 3.0},
        "transformer.transformer_blocks.0#1",
    ),
    "pair of a conditional UNet": (
        lambda: (_unet(), _ddim()),
        {"fixed": {"encoder_hidden_states": _embeddings()["prompt_embeds"]}},
        "unet.mid_block#1",
    ),
}


@functools.cache
def _cut(name):
    """Cut a case once for all tests, and hold the picture that cut held."""
    make, settings, layer = {**CASES, **CLASSES}[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", WholeRunWarning)
        generator = rp.cut(make(), layer, **{"steps": 2, **settings})
        latents = generator.sample_latents(1)
        return generator, generator.at(latents), latents


def _gap(image, expected):
    return float((image - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", [*CASES, *CLASSES])
def test_recorded_tail_is_full_model(name):
    generator, bound, latents = _cut(name)
    assert isinstance(bound.behind, RecordedTail)
    image, feature = generator.image(latents), bound.head(latents)
    assert _gap(bound.tail(feature), image) <= 1e-5
    assert image.std() > 0.01, "a picture on which nothing can be seen"

    rng = torch.Generator().manual_seed(1)
    tensors = [t + t.std() * torch.randn(t.shape, generator=rng) for t in tensors_of(feature)]
    other = tensors[0] if isinstance(feature, torch.Tensor) else tuple(tensors)
    layers = bound.behind.parts.by_layer(other)
    expected = generator.network.substituted(latents, generator.layers, layers)
    assert _gap(expected, image) > 1e-4
    assert _gap(bound.tail(other), expected) <= 1e-5
    leaves = [tensor.requires_grad_(True) for tensor in tensors]
    bound.tail(leaves[0] if isinstance(feature, torch.Tensor) else tuple(leaves)).sum().backward()
    assert any(leaf.grad is not None and bool(leaf.grad.any()) for leaf in leaves)


# The pictures are those of diffusers


@pytest.mark.parametrize("name", CASES)
def test_picture_of_the_pipeline(name):
    make, settings, _ = CASES[name]
    generator, _, _ = _cut(name)
    latents = generator.sample_latents(3)
    fixed = {
        key: value.repeat(3, *[1] * (value.ndim - 1)) if isinstance(value, torch.Tensor) else value
        for key, value in settings["fixed"].items()
    } if "fixed" in settings else {}  # fmt: skip
    for text in ("prompt", "negative_prompt"):
        value = settings.get(text, fixed.pop(text, None))
        if value is not None:
            fixed[text] = [value] * 3
    if "guidance" in settings:
        fixed["guidance_scale"] = settings["guidance"]
    pipeline = make()
    packs = hasattr(pipeline, "_pack_latents")
    given = pipeline._pack_latents(latents, 3, 4, 4, 4) if packs else latents
    start = {"image" if "photograph" in name else "latents": given}
    steps = settings.get("steps", 2)
    kind = "latent" if "image" in settings else "pt"
    pipeline.set_progress_bar_config(disable=True)
    with FrozenNoise(3, 0, generator.network.draws[1]):
        expected = pipeline(
            **start, num_inference_steps=steps, output_type=kind, return_dict=False, **fixed
        )[0]
    image = generator.image(latents)
    if packs and kind == "latent":
        image = pipeline._pack_latents(image, 3, 4, 4, 4)
    assert _gap(image, expected) <= 1e-5
    assert generator.image_range == ((-3.0, 3.0) if kind == "latent" else (0.0, 1.0))


def test_photograph_is_that_of_a_file(tmp_path):
    generator = _cut("photograph")[0]
    rows = torch.arange(20, dtype=torch.uint8)[:, None, None].expand(20, 40, 3) * 12
    Image.fromarray(rows.numpy()).save(tmp_path / "photo.png")
    latents = generator.latents_of_image(tmp_path / "photo.png")
    assert latents.shape == (1, 3, 8, 8)
    assert (latents.diff(dim=2) > 0).all()
    assert generator.sample_latents(2).aminmax() == pytest.approx((0, 1), abs=0.5)
    bound = generator.at(latents)
    assert bound.side_inputs
    assert torch.allclose(bound.tail(bound.head(latents)), generator.image(latents), atol=1e-5)
    with pytest.raises(rp.InputError, match="finds no latents for a picture of your own"):
        _cut("stable")[0].latents_of_image(tmp_path / "photo.png")


def _spoilt(value):
    pictures = torch.full((1, 3, 8, 8), 0.5)
    pictures[0, 1, 2, 3] = value
    return pictures


BAD_PHOTOGRAPHS = [
    (_spoilt(math.nan), "latents hold NaN or infinite values"),
    (_spoilt(math.inf), "latents hold NaN or infinite values"),
    (_spoilt(-0.3), r"a photograph holds real numbers in \[0, 1\], not in \[-0.3, 0.5\]; scale"),
    (
        255 * _spoilt(0.2),
        r"a photograph holds real numbers in \[0, 1\], not in \[\d+, 128\]; scale",
    ),
    ((255 * _spoilt(0.2)).byte(), r"real numbers in \[0, 1\], not torch.uint8"),
]


@pytest.mark.parametrize(("pictures", "message"), BAD_PHOTOGRAPHS)
def test_bad_photographs(pictures, message):
    generator = _cut("photograph")[0]
    uses = [
        generator.at,
        generator.image,
        generator.head,
        lambda latents: rp.explain(generator, latents, rp.Regions.grid(2, 2)),
    ]
    for use in uses:
        with pytest.raises(rp.InputError, match=message):
            use(pictures)


def test_bad_photographs_of_a_baseline():
    make, settings, layer = CASES["photograph"]

    def explained(several):
        generator = rp.cut(make(), layer, **settings, baseline_latents=several)
        rp.explain(generator, generator.sample_latents(1), rp.Regions.grid(2, 2))

    for pictures, message in BAD_PHOTOGRAPHS:
        with pytest.raises(rp.InputError, match=message):
            explained(torch.cat([torch.zeros_like(pictures).expand(2, -1, -1, -1), pictures]))


def test_photograph_that_overshoots_is_clamped():
    generator = _cut("photograph")[0]
    pictures = generator.sample_latents(1)
    resized = torch.where(pictures < pictures.median(), -0.01, 1.02)
    assert torch.equal(generator.image(resized), generator.image(resized.clamp(0, 1)))


def test_picture_of_embeddings_alone():
    pipeline = _stable(tokenizer=None, text_encoder=None)
    pipeline.set_progress_bar_config(disable=True)
    torch.manual_seed(3)
    given = {f"{sign}prompt_embeds": torch.randn(1, 6, 8) for sign in ("", "negative_")}
    noise = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = pipeline(
        latents=noise,
        num_inference_steps=2,
        output_type="pt",
        **{name: one.repeat(2, 1, 1) for name, one in given.items()},
    ).images
    with torch.no_grad():
        assert _gap(adapt(pipeline, 2, fixed=given).module(noise), expected) <= 1e-5


@pytest.mark.parametrize("guidance", [None, 1.0])
def test_picture_of_the_dit_pipeline(monkeypatch, guidance):
    pipeline = diffusers.DiTPipeline(_dit(), _vae(), _ddim())
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    place = "diffusers.pipelines.dit.pipeline_dit.randn_tensor"
    monkeypatch.setattr(place, lambda **_: noise)
    own = {} if guidance is None else {"guidance_scale": guidance}
    expected = pipeline([3, 5], num_inference_steps=2, output_type="pt", **own).images
    with torch.no_grad():
        image = adapt(pipeline, 2, guidance=guidance).module(noise, torch.tensor([3, 5]))
    assert _gap(image / 2 + 0.5, expected) <= 1e-5


def test_noise_is_as_the_pipeline_draws_it():
    pipeline = _stable()
    known = adapt(pipeline, 2, prompt=PROMPT, fixed={"height": 8, "width": 16})
    drawn = known.sample_latents(300, torch.Generator().manual_seed(0))
    assert drawn.shape == (300, 4, 4, 8)
    assert abs(float(drawn.std()) - 1) < 0.02
    assert known.module(drawn[:1]).shape == (1, 3, 8, 16)
    with pytest.raises(rp.InputError, match=r"latents \[1, 4, 4, 4\] do not fit: the pipeline dra"):
        known.module(drawn[:1, :, :, :4])
    pipeline.unet.bfloat16(), pipeline.text_encoder.bfloat16(), pipeline.vae.bfloat16()
    known = adapt(pipeline, 2, prompt=PROMPT)
    assert known.sample_latents(1, torch.Generator()).dtype == torch.bfloat16
    latents = adapt((_dit(), _ddim()), 1).sample_latents(400, torch.Generator().manual_seed(0))
    assert set(latents) == {"noise", "class_labels"}
    assert 900 < latents["class_labels"].max() < 1000


def test_layers_are_those_that_make_the_picture(unchecked):
    make, settings, layer = CASES["Flux of embeddings, latent"]
    found = {point.name: point for point in rp.layers(make(), steps=2, **settings)}
    assert found[layer].feature_shape == _cut("Flux of embeddings, latent")[0].feature_shape
    with pytest.raises(rp.GeneratorError, match="layer 'text_encoder' is not in this network"):
        rp.cut(_stable(), "text_encoder", steps=2, **TEXT)
    guided = _cut("stable")[0]
    assert guided.feature_shape == (2, 4, 4, 4), "without prompt, with prompt"


def test_layers_of_a_method():
    latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = _vae()

        def decode(self, latents):
            return self.vae.decode(latents).sample

    found = rp.layers(Wrapped(), latents, call="decode")
    assert "vae.decoder.mid_block" in [point.name for point in found]
    with pytest.raises(rp.InputError, match="call='paint' is no method of Wrapped"):
        rp.layers(Wrapped(), latents, call="paint")


def test_latents_may_be_a_list():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Conv2d(1, 2, 3)
            self.head = nn.Conv2d(2, 1, 1)

        def forward(self, one, other):
            return self.head(self.body(one + other))

    def drawn(count, rng):
        return [torch.randn(count, 1, 8, 8, generator=rng) for _ in range(2)]

    generator = rp.cut(Sum(), "body", sample_latents=drawn)
    latents = generator.sample_latents(2)
    assert torch.equal(generator.image(list(latents)), generator.image(tuple(latents)))
    assert rp.layers(Sum(), drawn(1, None))[0].name == "body"


# Left as found


def test_pipelines_are_left_as_found():
    pipeline = _stable()
    pipeline.set_progress_bar_config(desc="mine")
    pipeline.vae.enable_slicing()
    pipeline.unet.train()
    pipeline.scheduler.set_timesteps(7)
    notes = {key: value for key, value in vars(pipeline).items() if key != "scheduler"}
    times, config = pipeline.scheduler.timesteps.clone(), dict(pipeline.config)
    parts = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    weights = {id(one): one.detach().clone() for part in parts for one in part.parameters()}
    generator = rp.cut(pipeline, "vae.decoder.mid_block", steps=2, **TEXT)
    latents = generator.sample_latents(1)
    bound = generator.at(latents)
    bound.tail(bound.head(latents).requires_grad_(True)).sum().backward()
    after = {key: value for key, value in vars(pipeline).items() if key != "scheduler"}
    assert after.keys() == notes.keys()
    assert all(after[key] is notes[key] for key in notes)
    assert dict(pipeline.config) == config
    assert torch.equal(pipeline.scheduler.timesteps, times)
    assert pipeline.scheduler.num_inference_steps == 7
    assert pipeline.unet.training
    assert pipeline.unet.mid_block.training
    assert pipeline.vae.use_slicing
    assert not pipeline.vae.training
    for part in parts:
        for one in part.parameters():
            assert one.grad is None
            assert one.requires_grad
            assert torch.equal(one, weights[id(one)])
        assert not any(inner._forward_hooks for inner in part.modules())


def test_digest_names_prompt_and_settings():
    pipeline = _stable()

    def digest(**changes):
        asked = {**TEXT, "steps": 2, "baseline": torch.zeros(2, 4, 4, 4), **changes}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules[rp.cut.__module__], "_tried", lambda one, _: one)
            return rp.cut(pipeline, "unet.mid_block#1", **asked).digest

    first = digest()
    assert digest() == first
    others = [
        digest(prompt="cat"),
        digest(steps=3),
        digest(guidance=4.0),
        digest(image="latent"),
        digest(fixed={"negative_prompt": "a"}),
        digest(fixed={"height": 8, "width": 16}),
    ]
    assert len({first, *others}) == 7


def test_any_pipeline_inside_a_module():
    class Mine(nn.Module):
        def __init__(self, pipeline):
            super().__init__()
            self.pipeline, self.unet, self.vae = pipeline, pipeline.unet, pipeline.vae

        def forward(self, noise):
            texts = [PROMPT] * len(noise)
            return self.pipeline(texts, latents=noise, num_inference_steps=2, output_type="pt")[0]

    pipeline = _stable()
    pipeline.set_progress_bar_config(disable=True)
    generator = rp.cut(
        Mine(pipeline),
        "unet.mid_block#1",
        sample_latents=lambda count, rng: torch.randn(count, 4, 4, 4, generator=rng),
        image_range=(0.0, 1.0),
    )
    latents = generator.sample_latents(1)
    bound = generator.at(latents)
    assert isinstance(bound.behind, RecordedTail)
    expected = pipeline(PROMPT, latents=latents, num_inference_steps=2, output_type="pt")[0]
    assert _gap(bound.tail(bound.head(latents)), expected) <= 1e-5


# Refusals


class OtherPipeline(diffusers.DiffusionPipeline):
    def __init__(self, vae, unet, scheduler):
        super().__init__()
        self.register_modules(vae=vae, unet=unet, scheduler=scheduler)


REFUSED = {
    "unknown": (
        lambda: OtherPipeline(_vae(), _unet(), _ddim()),
        {"steps": 2},
        "OtherPipeline cannot be cut: it also has vae; supported are .*StableDiffusionPipeline"
        ".*; any other in a torch.nn.Module that holds its networks, takes noise and calls the pi",
    ),
    "unknown, of a prompt": (
        lambda: OtherPipeline(_vae(), _unet(), _ddim()),
        {"steps": 2, "prompt": PROMPT},
        "OtherPipeline cannot be cut: it also has vae; supported are .*StableDiffusionPipeline",
    ),
    "steps missing": (_stable, {"prompt": PROMPT}, "pass steps=, how many steps the pipeline"),
    "no steps": (_stable, {"prompt": PROMPT, "steps": 0}, "steps must be a whole number of at l"),
    "prompt missing": (_stable, {"steps": 2}, "pass prompt=, the text that StableDiffusionPipel"),
    "two prompts": (_stable, {"steps": 2, "prompt": [PROMPT] * 2}, "prompt is a text, not list"),
    "prompt twice": (
        _stable,
        {"steps": 2, "prompt": PROMPT, "fixed": _embeddings()},
        "pooled_prompt_embeds', which StableDiffusionPipeline does not take",
    ),
    "prompt and embeddings": (
        _xl,
        {"steps": 2, "prompt": PROMPT, "fixed": _embeddings()},
        "pass prompt= or 'prompt_embeds' in fixed=, not both",
    ),
    "no tokenizer": (
        lambda: _stable(tokenizer=None),
        {"steps": 2, "prompt": PROMPT},
        "prompt= needs a tokenizer, which this StableDiffusionPipeline is without; pass fixed=",
    ),
    "no text encoder": (
        lambda: _stable(text_encoder=None),
        {"steps": 2, "prompt": PROMPT},
        "prompt= needs a text_encoder, which this StableDiffusionPipeline is without",
    ),
    "negative embeddings missing": (
        lambda: _stable(tokenizer=None, text_encoder=None),
        {"steps": 2, "fixed": {"prompt_embeds": torch.zeros(1, 6, 8)}},
        "does not run with these arguments: .*; without text_encoder and tokenizer, fixed= has",
    ),
    "embeddings of two": (
        _stable,
        {"steps": 2, "fixed": {"prompt_embeds": torch.zeros(2, 6, 8)}},
        r"'prompt_embeds' in fixed= is of one picture, \[1, …\], not \[2, 6, 8\]",
    ),
    "latents": (
        _stable,
        {"steps": 2, "prompt": PROMPT, "fixed": {"latents": torch.zeros(1, 4, 4, 4)}},
        "fixed= does not take 'latents' of a pipeline: latents are what is explained",
    ),
    "unknown argument": (
        _stable,
        {"steps": 2, "prompt": PROMPT, "fixed": {"negativ_prompt": "cat"}},
        "fixed= names 'negativ_prompt', which StableDiffusionPipeline does not take",
    ),
    "height": (
        _stable,
        {"steps": 2, "prompt": PROMPT, "fixed": {"height": 12, "width": 12}},
        "StableDiffusionPipeline does not run with these arguments: `height` and `width` have",
    ),
    "photograph as an argument": (
        _from_photograph,
        {"steps": 2, "prompt": PROMPT, "fixed": {"image": torch.zeros(1, 3, 8, 8)}},
        "fixed= does not take 'image' of a pipeline: the photograph is what is explained; it goes",
    ),
    "no step": (
        _from_photograph,
        {"steps": 4, "prompt": PROMPT, "fixed": {"strength": 0.2}},
        "of 4 steps, strength 0.2 leaves none; pass more steps=, or more strength",
    ),
    "strength is no number": (
        _from_photograph,
        {"steps": 4, "prompt": PROMPT, "fixed": {"strength": float("nan")}},
        "of 4 steps, strength nan leaves none; pass more steps=, or more strength",
    ),
    "too strong": (
        _from_photograph,
        {"steps": 4, "prompt": PROMPT, "fixed": {"strength": 1.2}},
        "does not run with these arguments: The value of strength should in",
    ),
    "guidance of none": (
        lambda: _flux(guided=False, texts=False),
        {"steps": 2, "guidance": 3.0, "fixed": {**SMALL, **_embeddings()}},
        r"guidance= has no effect: .* FluxPipeline takes none \(guidance_embeds=False\)",
    ),
    "guidance as text": (
        _stable,
        {"steps": 2, "prompt": PROMPT, "guidance": "5"},
        "guidance must be a number of at least 0, not '5'",
    ),
    "guidance of a pair": (
        lambda: (_unet(), _ddim()),
        {"steps": 2, "guidance": 3.0, "fixed": {"encoder_hidden_states": torch.zeros(1, 5, 8)}},
        "guidance= leads away from a picture without prompt or class, which this UNet2DCond",
    ),
    "guidance of a network": (
        lambda: nn.Linear(2, 2),
        {"guidance": 3.0},
        "guidance= is for samplers: .*, not Linear",
    ),
    "prompt of a network": (
        lambda: nn.Linear(2, 2),
        {"prompt": PROMPT},
        "prompt= is for pipelines of diffusers that take a text, not Linear",
    ),
    "prompt of a class": (
        lambda: diffusers.DiTPipeline(_dit(), _vae(), _ddim()),
        {"prompt": PROMPT, "steps": 2},
        "prompt= is for pipelines of diffusers that take a text, not DiTPipeline",
    ),
    "condition missing": (
        lambda: (_unet(), _ddim()),
        {"steps": 2},
        r"pass fixed=\{'encoder_hidden_states': …\}, the prompt as this UNet2DConditionModel",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input(name):
    make, settings, message = REFUSED[name]
    with pytest.raises(rp.InputError, match=message) as refusal:
        rp.cut(make(), "unet.mid_block#1", **settings)
    assert "\n" not in str(refusal.value)


# All schedulers

_TOKENS = "does not step from SmallUNet's prediction "
_OTHER_LOOP = r"a sampler is a pair .* not \(SmallUNet, "
SCHEDULERS_REFUSED = {
    "BlockRefinementScheduler": _TOKENS,
    "CogVideoXDPMScheduler": _OTHER_LOOP,
    "ConsistencyDecoderScheduler": "does not take 4 steps: Currently more than 2",
    "DDPMWuerstchenScheduler": _TOKENS,
    "DiscreteDDIMScheduler": _TOKENS,
    "EntropyBoundScheduler": _TOKENS,
    "HeliosDMDScheduler": _OTHER_LOOP,
    "HeliosScheduler": _OTHER_LOOP,
    "KarrasVeScheduler": _OTHER_LOOP,
    "PiflowScheduler": _TOKENS,
    "RePaintScheduler": _OTHER_LOOP,
    "SCMScheduler": "does not take 4 steps: Intermediate timesteps for SCM is not supported",
    "ScoreSdeVeScheduler": _OTHER_LOOP,
    "ScoreSdeVpScheduler": _OTHER_LOOP,
}
"""Those of other networks and loops (tokens, videos, gradients), each by what is said of it."""
NEEDS_ARGUMENTS = {"AmusedScheduler", "RFD4ProteinaScheduler", "VQDiffusionScheduler"}
"""Of tokens and proteins."""
PREDICTS = {
    **dict.fromkeys(["DDIMInverseScheduler", "DPMSolverMultistepInverseScheduler"], "epsilon"),
    **dict.fromkeys(["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"], "v_prediction"),
    **dict.fromkeys(["KDPM2DiscreteScheduler", "PNDMScheduler"], "v_prediction"),
    **dict.fromkeys(["CosineDPMSolverMultistepScheduler", "DPMSolverSDEScheduler"], "v_prediction"),
    "EulerAncestralDiscreteScheduler": "v_prediction",
    "KDPM2AncestralDiscreteScheduler": "v_prediction",
}
"""What a network predicts where it may not be the picture itself."""
SCHEDULERS = sorted(name for name in dir(schedulers) if name.endswith("Scheduler"))


class SmallUNet(diffusers.UNet2DModel):
    """Predicts by two convolutions: what matters here are the schedulers' own operations."""

    def __init__(self):
        super().__init__(8, 3, 3, block_out_channels=(4,), layers_per_block=1, **SHALLOW)
        self.mid_block, self.conv_out = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 1)

    def forward(self, sample, timestep):
        hidden = self.mid_block(sample) * (1 + timestep / 1000)
        return SimpleNamespace(sample=self.conv_out(torch.tanh(hidden)))


SHALLOW = {
    "down_block_types": ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",),
    "norm_num_groups": 4,
    "add_attention": False,
}


@functools.cache
def _pixels():
    torch.manual_seed(0)
    return SmallUNet().eval()


@pytest.mark.parametrize("name", [one for one in SCHEDULERS if one not in NEEDS_ARGUMENTS])
def test_every_scheduler_is_recorded_or_refused(unchecked, name):
    kind = getattr(schedulers, name)
    mild = {"beta_end": 0.002, "prediction_type": PREDICTS.get(name, "sample")}
    taken = inspect.signature(kind.__init__).parameters
    try:
        scheduler = kind(**{key: value for key, value in mild.items() if key in taken})
    except ImportError as error:
        pytest.skip(" ".join(str(error).split()))
    if name in SCHEDULERS_REFUSED:
        with pytest.raises(rp.InputError, match=SCHEDULERS_REFUSED[name]) as refusal:
            rp.cut((_pixels(), scheduler), "unet.mid_block#2", steps=4)
        assert "\n" not in str(refusal.value)
        return
    twin = frozen_twin(DiffusionSampler(_pixels(), scheduler, 4))
    network, noise = Network(twin), torch.randn(1, 3, 8, 8, generator=torch.Generator())
    with torch.no_grad():
        assert network.run(noise).std() > 0.01
    tail = tail_of(network, parse_layers("unet.mid_block#2", twin), noise)
    assert isinstance(tail, RecordedTail), tail.why
