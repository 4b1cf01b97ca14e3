"""Cutting a network at a layer: validated once, here, so that all later stages can rely on it."""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from regional_primitives.axes import Images
from regional_primitives.errors import GeneratorError, ImageRangeWarning, InputError
from regional_primitives.generators.baseline import fit_baseline
from regional_primitives.generators.diffusion import adapt
from regional_primitives.generators.feature import Feature, map_feature
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import (
    Latents,
    batch_size,
    copied,
    items,
    refuse_not_finite,
    same_latents,
)
from regional_primitives.generators.layers import parse_layers
from regional_primitives.generators.network import ImageOf, Network, refuse_no_image
from regional_primitives.generators.precision import full_precision, relative_gap, tolerance
from regional_primitives.generators.recorded import RecordedTail
from regional_primitives.generators.twin import frozen_twin, untouched
from regional_primitives.runtime.arguments import of_kind, random_seed, whole
from regional_primitives.runtime.eight_bit import black_and_white
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.storage import tensors_digest


@ordinary()
def cut(
    module: Any,
    layer: str | Sequence[str],
    *,
    sample_latents: Callable[[int, torch.Generator], Latents] | None = None,
    image_range: tuple[float, float] | None = None,
    baseline: Feature | None = None,
    baseline_latents: Latents | None = None,
    baseline_count: int = 4096,
    fixed: Mapping[str, Any] | None = None,
    image: ImageOf = None,
    noise_seed: int = 0,
    call: str | None = None,
    count: str | None = None,
    steps: int | None = None,
    prompt: str | None = None,
    guidance: float | None = None,
    hold: str | None = None,
    name: str | None = None,
) -> Generator:
    """Cut `module` at the outputs of submodules, named as `module.named_modules()` names them.

    Whatever else flows past the cut (skips, class, styles, timestep, noise) is found and held for
    each picture. The module is left as found: what runs is a frozen twin that shares its weights.

    Args:
        module: any network that gives images. Of `diffusers` also an AutoencoderKL or
            AutoencoderTiny, which decodes; a pair of UNet2DModel, UNet2DConditionModel or
            DiTTransformer2DModel and a scheduler; a pipeline: of a UNet2DModel and a scheduler,
            DiTPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline,
            StableDiffusion3Pipeline, LatentConsistencyModelPipeline or FluxPipeline; or
            StableDiffusionImg2ImgPipeline or StableDiffusionXLImg2ImgPipeline, whose latents are
            photographs [batch, 3, height, width] in [0, 1]. Their networks are the submodules
            `unet` or `transformer`, and `vae`. Latents, range and method are filled in for them
            where they are not given here.
        layer: a submodule's dotted name, such as `main.5`; or several, whose outputs together are
            the feature. `name#3` is the third call of a submodule that is called several times,
            `name[0]` the first of several tensors that it returns.
        sample_latents: draws `count` latents, batch first, from a torch.Generator.
        image_range: the values of black and white; (−1, 1) unless given.
        baseline: the baseline feature f0, with or without its batch axis, if it is not to be the
            mean feature of many latents.
        baseline_latents: the latents whose mean feature is f0, if they are not to be drawn.
        baseline_count: how many latents are drawn for f0 where `rp.Structured` does not say.
        fixed: keyword arguments of the network that are the same for every picture; of a pipeline
            with a prompt, those of its call, such as `negative_prompt`, `height` and `width`, or
            `prompt_embeds` in the place of a prompt. With `strength`, a UNet2DModel and a scheduler
            go on from photographs [batch, channels, height, width] in [−1, 1], which are the
            latents, by that share of the steps.
        image: which of several outputs is the image: an index, a name, or a function of what the
            network returns. Unless given, the only output that is shaped like one. "latent" leaves
            the decoder of a pipeline out: its last latent is the image.
        noise_seed: seed of the network's own random draws (dropout, noise), which are frozen.
        call: the method that generates, such as `decode` of an autoencoder; a forward pass unless
            given.
        count: the argument that tells this method how many pictures to make, such as `batch_size`
            of `sample`, where it draws all that it makes them of. Latents are then seeds, int64
            [batch]: what is drawn for an item depends on its seed alone.
        steps: how many steps a sampler of `diffusers` takes.
        prompt: the text that a pipeline makes pictures of.
        guidance: the guidance scale of a pipeline or of a DiTTransformer2DModel; a pipeline's own
            default unless given.
        hold: "normalisation" lets group, layer, instance and RMS normalisations behind the cut
            (and batch normalisations by the batch's own statistics) keep the statistics that they
            have for the explained picture, so that each is a fixed scale and shift. The picture
            stays the same; what is made of any other feature, x0 too, is that network's.
        name: what reports call the generator; the class name unless given.

    Raises:
        InputError: a malformed argument.
        GeneratorError: wrong layer, weights that are not finite, a network that draws random
            numbers which cannot be frozen, or gives no image; with `hold`, none of these behind
            the cut, or a part behind it that cannot be recorded.
    """
    known = adapt(
        module,
        steps,
        prompt=prompt,
        guidance=guidance,
        fixed=fixed,
        image=image,
        call=call,
        count=count,
    )
    module = known.module
    if isinstance(module, torch.jit.ScriptModule):
        raise GeneratorError(
            "a ScriptModule hides its layers; cut the module that it was made from"
        )
    twin = frozen_twin(module)
    layers = parse_layers(layer, twin)
    image_range = black_and_white(known.image_range if image_range is None else image_range)
    sample_latents = known.sample_latents if sample_latents is None else sample_latents
    baseline_count, noise_seed = whole("baseline_count", baseline_count, 1), random_seed(noise_seed)
    _refuse_no_sampler(sample_latents)
    if sample_latents is None and baseline is None and baseline_latents is None:
        raise InputError("pass sample_latents=, baseline_latents= or baseline=: f0 is needed")
    if name is not None:
        of_kind(name, str, "name is a text")
    if hold not in (None, "normalisation"):
        raise InputError(f"hold is 'normalisation' or None, not {hold!r}")
    generator = Generator(
        name=name or known.name or type(module).__name__,
        layers=layers,
        network=Network(twin, known.fixed, known.image_of, noise_seed, known.call, known.count),
        image_range=image_range,
        network_digest=_digest(module, {**known.fixed, **known.settings}, noise_seed),
        sampler=sample_latents,
        baseline=None if baseline is None else _finite_feature(baseline),
        baseline_latents=None if baseline_latents is None else copied(baseline_latents),
        baseline_count=baseline_count,
        latents_of=known.latents_of,
        options={} if hold is None else {"hold": hold},
    )
    examples = _examples(generator)
    if not examples:
        return generator
    with untouched(module):
        return _tried(generator, examples)


@full_precision()
def _tried(generator: Generator, examples: list[Latents]) -> Generator:
    """Try the network on examples, and find out whether one tail serves every picture."""
    first, *_ = pictures = [generator.image(items(latents, 0, 1)) for latents in examples]
    for picture in pictures:
        refuse_no_image(picture, 1)
    _warn_of_another_range(generator, first)
    count = batch_size(examples[0])
    bound = generator.held_for(items(examples[0], 0, 1), first)
    if bound.baseline is not None:
        bound = replace(bound, baseline=fit_baseline(bound.baseline, bound.feature_shape))
    if _serves(bound, items(examples[0], count - 1, count)):
        return replace(bound, picture=None)
    return replace(bound, picture=None, behind=None)


@full_precision()
def _serves(bound: Generator, other: Latents) -> bool:
    """Tell whether the tail of one picture serves another, since nothing flows past the cut."""
    if not isinstance(bound.behind, RecordedTail) or bound.behind.program.reads_latents:
        return False
    if bound.side_inputs:
        return False
    with torch.no_grad():
        gap = relative_gap(bound.tail(bound.head(other)), bound.image(other))
    return gap <= tolerance(bound.behind.parts.dtypes)


def _refuse_no_sampler(sample_latents: Any) -> None:
    """Refuse what cannot be called with a count and a random generator."""
    if sample_latents is None:
        return
    wanted = "sample_latents is a function (count, rng) of latents"
    if not callable(sample_latents):
        raise InputError(f"{wanted}, not {type(sample_latents).__name__}")
    try:
        inspect.signature(sample_latents).bind(1, None)
    except TypeError as error:
        raise InputError(f"{wanted}; given one cannot be called so: {error}") from error
    except ValueError:
        return  # built in, without a signature that Python knows


def _examples(generator: Generator) -> list[Latents]:
    """Draw or take the latents on which the network is tried."""
    examples: list[Latents] = []
    if generator.sampler is not None:
        examples.append(generator.sample_latents(2))
        refuse_not_finite(examples[0])
        if not same_latents(examples[0], generator.sample_latents(2)):
            raise InputError("sample_latents(count, rng) must draw from rng and nothing else")
    if generator.baseline_latents is not None:
        if batch_size(generator.baseline_latents) < 1:
            raise InputError("baseline_latents is empty")
        generator.refuse_unfit(generator.baseline_latents)
        examples.append(items(generator.baseline_latents, 0, 2))
    return examples


def _digest(module: nn.Module, fixed: Mapping[str, Any], noise_seed: int) -> str:
    """Name all that the images depend on besides latents and code."""
    weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    digest = tensors_digest(weights)
    if not fixed and noise_seed == 0:
        return digest
    leaves, structure = pytree.tree_flatten(dict(sorted(fixed.items())))
    text = f"{digest}/{list(map(_told, leaves))}/{structure}/{noise_seed}"
    return hashlib.sha256(text.encode()).hexdigest()


def _told(value: Any) -> str:
    """Name a value alike in every process."""
    if isinstance(value, Tensor):
        return tensors_digest({"": value})
    text = repr(value)
    if " at 0x" not in text:
        return text
    kind = value if callable(value) else type(value)
    name = getattr(kind, "__qualname__", type(value).__name__)
    return f"{getattr(kind, '__module__', '')}.{name}"


def _finite_feature(baseline: Feature) -> Feature:
    """Check a baseline for what can be wrong with it before its layer is known."""
    tensors = baseline if isinstance(baseline, (tuple, list)) else (baseline,)
    for tensor in tensors:
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = str(tensor.dtype) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise InputError(f"baseline is a tensor of real numbers, not {kind}")
        if not bool(tensor.isfinite().all()):
            raise InputError("baseline holds NaN or infinite values")
    return map_feature(lambda tensor: tensor.detach().float().clone(), baseline)


_BRIGHTER_THAN_WHITE = 1.5
"""Pictures from 0 to 1 may overshoot, but not by so much."""


def _warn_of_another_range(generator: Generator, pixels: Images) -> None:
    """Warn where a picture leaves half of its range empty, or lies mostly far outside of it."""
    low, high = generator.image_range
    far = (pixels - low).abs().minimum((pixels - high).abs()) > high - low
    outside = (pixels < low) | (pixels > high)
    least, most = float(pixels.min()), float(pixels.max())
    if low < 0 <= least and least < most:
        fitting = "(0, 1)" if most <= _BRIGHTER_THAN_WHITE else "(black, white)"
        wrong = f"no pixel is below 0; pass image_range={fitting}"
    elif float((far & outside).float().mean()) > 0.5:
        wrong = "most lie far outside; pass image_range=(black, white)"
    else:
        return
    warnings.warn(
        f"{generator.name} gives pixels from {least:.3g} to {most:.3g}, where image_range says "
        f"{low:g} (black) to {high:g} (white): {wrong}",
        ImageRangeWarning,
        stacklevel=5,
    )
