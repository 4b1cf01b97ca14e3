"""Objects of the library `diffusers` as generators: autoencoders, samplers and pipelines.

They are recognised by the names of their classes, so that nothing is imported which the user has
not. Networks and schedulers stay diffusers' own, and pipelines of a prompt run their own code
(pipelines.py). Ours is the module that runs a scheduler's steps, checked to give the pictures of
DDPMPipeline, DDIMPipeline, ConsistencyModelPipeline and DiTPipeline, and what is filled in:
latents, the method that generates, and the range of its pictures.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regional_primitives.axes import Images
from regional_primitives.errors import GeneratorError, InputError, first_line
from regional_primitives.generators.latents import Latents
from regional_primitives.generators.network import ImageOf, held, of_image, repeated_to
from regional_primitives.generators.photographs import draw_crop, read_photograph
from regional_primitives.generators.pipelines import (
    KINDS,
    PipelineSampler,
    is_of,
    refuse_no_step,
    scheduler_settings,
    unsliced,
)
from regional_primitives.generators.twin import frozen_twin, uncompiled
from regional_primitives.runtime.arguments import of_kind, real, whole
from regional_primitives.runtime.eight_bit import refuse_outside

_NETWORKS = {
    "UNet2DModel": "unet",
    "UNet2DConditionModel": "unet",
    "DiTTransformer2DModel": "transformer",
}
"""Networks that a scheduler's steps are run with, and their name as a submodule."""
_SUPPORTED = (
    f"supported are an AutoencoderKL or AutoencoderTiny; a pair of {', '.join(_NETWORKS)} and a "
    "scheduler; pipelines of a UNet2DModel and a scheduler alone, such as DDPMPipeline, "
    f"DDIMPipeline and ConsistencyModelPipeline; DiTPipeline, {', '.join(KINDS)}; any "
    "other in a torch.nn.Module that holds its networks, takes noise and calls the pipeline"
)
_LATENT_RANGE = (-3.0, 3.0)
"""Black and white of latents, whose standard deviation is about 1."""
_TINY_PIXELS = 512
"""Side of the pictures of an AutoencoderTiny, whose configuration names none."""


@dataclass(frozen=True)
class Adaptation:
    """What a generator is made of where the user does not say."""

    module: nn.Module
    call: str = "forward"
    """The method that generates."""
    count: str | None = None
    """Its argument for how many, where it draws all by itself."""
    sample_latents: Callable[[int, torch.Generator], Latents] | None = None
    latents_of: Callable[[Path], Latents] | None = None
    """Finds the latents of a picture file, where that can be."""
    image_range: tuple[float, float] = (-1.0, 1.0)
    image_of: ImageOf = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """The method's keyword arguments that are the same for every picture."""
    name: str = ""
    """What reports call it; empty for the module's class name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else the images depend on besides the module's weights, for the digest."""


class DiffusionSampler(nn.Module):
    """Noise becomes a picture in [−1, 1], or a latent, by a scheduler's steps.

    With a strength, a photograph in [−1, 1] becomes one instead: the scheduler adds noise, which is
    frozen, as at the step from which that share of all steps is left, and goes on from there.

    Each step is a call of the network, `unet` or `transformer`. Cut it at `unet.mid_block#2` to
    explain the second call; the rest is the tail. A scheduler of second order, such as Heun's,
    calls the network more than once a step. All calls are recorded, so that memory grows with them.

    Args:
        network: a UNet2DModel, UNet2DConditionModel or DiTTransformer2DModel, held as it is.
        scheduler: any diffusers scheduler; it is copied, and each run copies it anew.
        steps: how many steps it is asked for.
        timesteps: the timesteps themselves, of schedulers whose `set_timesteps` takes them.
        guidance: of a DiTTransformer2DModel, how far to go from what it predicts without a class
            to what it predicts with one and beyond; 1 unless given, which is the latter.
        vae: what decodes the last latent; without one, that is the picture of a network other than
            a UNet2DModel, whose pictures are pixels.
        strength: of a UNet2DModel, the share of the steps that goes on from a photograph.

    Raises:
        InputError: no pair of these, steps that the scheduler does not take, or a strength that
            leaves none.
        GeneratorError: the network predicts other channels than the scheduler takes.
    """

    def __init__(
        self,
        network: nn.Module,
        scheduler: Any,
        steps: int | None = None,
        timesteps: Sequence[int] | None = None,
        *,
        guidance: float | None = None,
        vae: nn.Module | None = None,
        strength: float | None = None,
    ) -> None:
        super().__init__()
        if not is_of(network, *_NETWORKS) or not _steps_samples(scheduler):
            raise InputError(
                f"a sampler is a pair ({' or '.join(_NETWORKS)}, scheduler) of diffusers, "
                f"not ({_kind(network)}, {_kind(scheduler)})"
            )
        self.part = next(name for kind, name in _NETWORKS.items() if is_of(network, kind))
        self.of_classes = is_of(network, "DiTTransformer2DModel")
        self.of_pixels = is_of(network, "UNet2DModel")
        if guidance is not None and not self.of_classes:
            raise InputError(
                f"guidance= leads away from a picture without prompt or class, which this "
                f"{_kind(network)} alone does not tell; it is for pipelines with a prompt and for "
                "a DiTTransformer2DModel"
            )
        self.guidance = 1.0 if guidance is None else real("guidance", guidance, 0)
        if not self.of_classes:  # of what that one predicts, its pipeline drops the variance
            _refuse_other_channels(network, scheduler)
        self.add_module(self.part, network)
        self.vae = None if vae is None else unsliced(vae)
        self.scheduler = _started(scheduler, steps, timesteps)
        self.strength = strength
        self.begins = 0 if strength is None else self._begin(strength)

    def forward(
        self, noise: Tensor, class_labels: Tensor | None = None, **conditions: Any
    ) -> Images:
        """Generate pictures from standard normal noise or photographs.

        Conditions of one item are for all.
        """
        with torch._C.DisableTorchFunction():  # a copy is no calculation that a tail could hold
            scheduler = copy.deepcopy(self.scheduler)
        scaled = getattr(scheduler, "scale_model_input", lambda sample, t: sample)
        if class_labels is not None:
            conditions["class_labels"] = class_labels
        conditions = repeated_to(len(noise), conditions)
        sample = noise.to(next(self.network.parameters()).dtype)
        timesteps = scheduler.timesteps[self.begins :]
        if self.strength is None:
            sample = sample * getattr(scheduler, "init_noise_sigma", 1.0)
        else:
            refuse_outside(sample, (-1.0, 1.0), "a photograph")
            if hasattr(scheduler, "set_begin_index"):
                scheduler.set_begin_index(self.begins)
            times = timesteps[:1].repeat(len(sample))
            sample = scheduler.add_noise(sample, torch.randn_like(sample), times)
        for t in timesteps:
            predicted = self._predicted(scaled(sample, t), t, conditions)
            try:
                sample = scheduler.step(predicted, t, sample).prev_sample
            except (RuntimeError, TypeError, ValueError, IndexError) as error:
                raise InputError(
                    f"{_kind(scheduler)} does not step from {_kind(self.network)}'s prediction "
                    f"{list(predicted.shape)}: {first_line(error)}"
                ) from error
        vae: Any = self.vae
        if vae is not None:
            sample = vae.decode(sample / vae.config.scaling_factor).sample
        return sample.clamp(-1, 1) if self.decoded else sample

    def _begin(self, strength: float) -> int:
        """Find the step from which so large a share of all is left."""
        real("strength", strength, 0, 1)
        if not self.of_pixels or not hasattr(self.scheduler, "add_noise"):
            raise InputError(
                f"a photograph is what a UNet2DModel goes on from, by a scheduler that adds noise, "
                f"not {_kind(self.network)} and {_kind(self.scheduler)}; other networks do so in "
                "a pipeline"
            )
        order = getattr(self.scheduler, "order", 1)
        steps = -(-len(self.scheduler.timesteps) // order)  # the last may call the network once
        left = int(steps * strength)
        refuse_no_step(steps, strength)
        return (steps - left) * order

    def _predicted(self, sample: Tensor, t: Any, conditions: Mapping[str, Any]) -> Tensor:
        """Ask the network what the scheduler steps by, guided where a DiT is to be."""
        if not self.of_classes:
            return self.network(sample, t, **conditions).sample
        count, channels, labels = len(sample), sample.shape[1], conditions["class_labels"]
        if self.guidance > 1:
            none = torch.full_like(labels, self.network.config.num_embeds_ada_norm)
            sample, labels = torch.cat([sample, sample]), torch.cat([labels, none])
        times = torch.as_tensor(t).to(sample.device).expand(len(sample))
        predicted: Tensor = self.network(sample, timestep=times, class_labels=labels).sample
        predicted = predicted[:, :channels]  # without the variance, as its pipeline has it
        if self.guidance > 1:
            of_class, of_none = predicted.split(count)
            return of_none + self.guidance * (of_class - of_none)
        return predicted

    @property
    def network(self) -> Any:
        """What predicts."""
        return self.get_submodule(self.part)

    @property
    def decoded(self) -> bool:
        """Whether the picture is one of pixels, in [−1, 1], not the last latent."""
        return self.of_pixels or self.vae is not None

    @property
    def settings(self) -> dict[str, Any]:
        """What the pictures depend on besides the weights."""
        told = {
            "scheduler": scheduler_settings(self.scheduler),
            "timesteps": self.scheduler.timesteps,
        }
        if self.guidance != 1:
            told["guidance"] = self.guidance
        return told if self.strength is None else {**told, "strength": self.strength}


def adapt(
    subject: Any,
    steps: int | None = None,
    *,
    prompt: str | None = None,
    guidance: float | None = None,
    fixed: Mapping[str, Any] | None = None,
    image: ImageOf = None,
    call: str | None = None,
    count: str | None = None,
) -> Adaptation:
    """Turn a module, or an object of diffusers, into a generator's parts, as `rp.cut` takes them.

    Raises InputError and GeneratorError for what cannot be cut.
    """
    latent = isinstance(image, str) and image == "latent"
    asked = _Asked(steps, prompt, guidance, _fixed_arguments(fixed), decoded=not latent)
    known = _adapted(uncompiled(subject), asked)
    if call is not None:
        of_kind(call, str, "call is a method's name")
        if not callable(getattr(known.module, call, None)):
            raise InputError(f"call={call!r} is no method of {_kind(known.module)}")
        known = replace(known, call=call)
    if count is not None:
        known = _counted(known, count)
    sampler = isinstance(known.module, (PipelineSampler, DiffusionSampler))
    if image is None or (latent and sampler and not known.module.decoded):
        return known
    return replace(known, image_of=of_image(image))


@dataclass(frozen=True)
class _Asked:
    """What a caller of `adapt` asks for."""

    steps: int | None
    prompt: str | None
    guidance: float | None
    fixed: dict[str, Any]
    decoded: bool
    """Whether a pipeline's picture is its decoder's, where it has one."""

    def sampler(
        self, network: Any, scheduler: Any, guidance: float | None = None, vae: Any = None
    ) -> DiffusionSampler:
        """Put a sampler together."""
        guidance = guidance if self.guidance is None else self.guidance
        vae = vae if self.decoded else None
        strength = self.fixed.pop("strength", None)
        return DiffusionSampler(
            network, scheduler, self.steps, guidance=guidance, vae=vae, strength=strength
        )


def _counted(known: Adaptation, count: str) -> Adaptation:
    """Let latents be seeds of what a method draws that is told how many are wanted."""
    of_kind(count, str, "count is the name of an argument")
    run = getattr(known.module, known.call)
    taken = inspect.signature(run).parameters.values()
    if not any(count == one.name or one.kind == one.VAR_KEYWORD for one in taken):
        raise InputError(
            f"count={count!r} is no argument of {_kind(known.module)}.{known.call}, which takes "
            f"{', '.join(one.name for one in taken) or 'none'}"
        )
    if count in known.fixed:
        raise InputError(f"{count!r} is how many are wanted, and cannot be in fixed=")

    def sample_latents(count: int, rng: torch.Generator) -> Tensor:
        """Draw a seed for each item."""
        return torch.randint(2**63 - 1, (count,), generator=rng)

    settings = {**known.settings, "count": count}
    return replace(known, count=count, sample_latents=sample_latents, settings=settings)


def _adapted(subject: Any, asked: _Asked) -> Adaptation:
    """Tell the kinds of subjects apart."""
    kind = _kind(subject)
    if is_of(subject, *KINDS):
        return _of_pipeline(subject, asked)
    if asked.prompt is not None:
        if is_of(subject, "DiffusionPipeline") and not is_of(subject, "DiTPipeline"):
            _parts(subject)  # one that cannot be cut is refused for that, whatever it takes
        raise InputError(f"prompt= is for pipelines of diffusers that take a text, not {kind}")
    if is_of(subject, "DiTPipeline"):
        own = inspect.signature(subject.__call__).parameters["guidance_scale"].default
        sampler = asked.sampler(subject.transformer, subject.scheduler, own, subject.vae)
        return _of_sampler(sampler, kind, asked.fixed)
    if is_of(subject, "DiffusionPipeline"):
        return _of_sampler(asked.sampler(*_parts(subject)), kind, asked.fixed)
    if isinstance(subject, (tuple, list)):
        if len(subject) != 2:
            raise InputError(f"a {kind} of {len(subject)} cannot be cut; {_SUPPORTED}")
        return _of_sampler(asked.sampler(*subject), _kind(subject[0]), asked.fixed)
    for name, value in (("steps", asked.steps), ("guidance", asked.guidance)):
        if value is not None:
            raise InputError(
                f"{name}= is for samplers: a pair (UNet2DModel, scheduler) or a pipeline of "
                f"diffusers, not {kind}"
            )
    if isinstance(subject, DiffusionSampler):
        return _of_sampler(subject, kind, asked.fixed)
    if is_of(subject, "AutoencoderKL", "AutoencoderTiny"):
        return replace(_of_autoencoder(subject), fixed=asked.fixed)
    if not isinstance(subject, nn.Module):
        raise InputError(f"a torch.nn.Module is cut, not {kind}")
    return Adaptation(subject, fixed=asked.fixed)


def _of_pipeline(pipeline: Any, asked: _Asked) -> Adaptation:
    """Fill in the noise that a pipeline asks for; what is fixed goes to its own call."""
    sampler = PipelineSampler(
        pipeline, asked.steps, asked.prompt, asked.guidance, asked.fixed, decoded=asked.decoded
    )
    return Adaptation(
        sampler,
        sample_latents=sampler.sample_latents,
        latents_of=sampler.latents_of if sampler.of_photographs else None,
        image_range=(0.0, 1.0) if asked.decoded else _LATENT_RANGE,
        name=_kind(pipeline),
        settings=sampler.settings,
    )


def _of_sampler(sampler: DiffusionSampler, name: str, fixed: dict[str, Any]) -> Adaptation:
    """Fill in noise, and a class where the network takes one, as drawn for its own resolution."""
    network, config = sampler.network, sampler.network.config
    if is_of(network, "UNet2DConditionModel") and "encoder_hidden_states" not in fixed:
        raise InputError(
            "pass fixed={'encoder_hidden_states': …}, the prompt as this UNet2DConditionModel "
            "takes it, or its whole pipeline and prompt="
        )
    classes = config.num_embeds_ada_norm if sampler.of_classes else config.num_class_embeds
    classes = None if "class_labels" in fixed else classes
    sides = _sides(config.sample_size)
    of_photographs = sampler.strength is not None

    def photograph(pixels: Tensor) -> Tensor:
        return 2 * pixels - 1

    def sample_latents(count: int, rng: torch.Generator) -> Latents:
        """Draw standard normal noise, or crops of photographs, and a class, each as likely."""
        if of_photographs:
            noise = torch.cat([photograph(draw_crop(rng, sides[0])) for _ in range(count)])
        else:
            noise = torch.randn(count, config.in_channels, *sides, generator=rng)
        if classes is None:
            return noise
        return {"noise": noise, "class_labels": torch.randint(classes, (count,), generator=rng)}

    def latents_of(path: Path) -> Tensor:
        return photograph(read_photograph(path, sides[0]))

    # Other embeddings take numbers or vectors, whose distribution no configuration tells.
    of_other = getattr(config, "class_embed_type", None) is not None
    drawable = bool(sides) and (not of_other or "class_labels" in fixed)
    colours = (config.in_channels, len(set(sides))) == (3, 1)  # as photographs are read
    drawable = drawable and (colours or not of_photographs)
    return Adaptation(
        sampler,
        sample_latents=sample_latents if drawable else None,
        latents_of=latents_of if of_photographs and drawable and classes is None else None,
        image_range=(-1.0, 1.0) if sampler.decoded else _LATENT_RANGE,
        fixed=fixed,
        name=name,
        settings=sampler.settings,
    )


def _of_autoencoder(autoencoder: nn.Module) -> Adaptation:
    """Fill in standard normal latents of the size of the pictures that it is made for.

    Both kinds give pictures in (−1, 1): the tiny one's decoder ends with 2x − 1.
    """
    config: Any = autoencoder.config
    if is_of(autoencoder, "AutoencoderTiny"):
        doublings = len(config.decoder_block_out_channels) - 1
        sides, factor = _sides(_TINY_PIXELS), config.upsampling_scaling_factor**doublings
    else:
        sides, factor = _sides(config.sample_size), 2 ** (len(config.block_out_channels) - 1)
    dtype = next(autoencoder.parameters()).dtype

    def sample_latents(count: int, rng: torch.Generator) -> Tensor:
        """Draw from a standard normal distribution, the prior of such latents."""
        shape = (count, config.latent_channels, *(side // factor for side in sides))
        return torch.randn(shape, generator=rng).to(dtype)

    @torch.no_grad()
    def latents_of(path: Path) -> Tensor:
        """Encode a photograph; of a distribution of latents, take the most likely."""
        pixels = 2 * read_photograph(path, sides[0]) - 1
        weight = next(autoencoder.parameters())
        twin: Any = frozen_twin(autoencoder)
        found = twin.encode(pixels.to(weight))
        return found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents

    return Adaptation(
        unsliced(autoencoder),
        call="decode",
        sample_latents=sample_latents if sides else None,
        latents_of=latents_of if config.in_channels == 3 and len(set(sides)) == 1 else None,
        image_of="sample",
        name=_kind(autoencoder),
    )


def _parts(pipeline: Any) -> tuple[nn.Module, Any]:
    """Take network and scheduler out of a pipeline that has nothing else."""
    found = {name: part for name, part in pipeline.components.items() if part is not None}
    others = sorted(found.keys() - {"unet", "scheduler"})
    if others or len(found) < 2 or not is_of(found["unet"], "UNet2DModel"):
        fault = f"it also has {', '.join(others)}" if others else "its network is no UNet2DModel"
        raise InputError(f"{_kind(pipeline)} cannot be cut: {fault}; {_SUPPORTED}")
    return found["unet"], found["scheduler"]


def _started(scheduler: Any, steps: int | None, timesteps: Sequence[int] | None) -> Any:
    """Copy a scheduler and set its timesteps."""
    if steps is None and timesteps is None:
        raise InputError("pass steps=, how many steps the sampler takes")
    if steps is not None and timesteps is not None:
        raise InputError("pass steps= or timesteps=, not both")
    started = copy.deepcopy(scheduler)
    if timesteps is None:
        whole("steps", steps, 1)
    try:
        if timesteps is not None:
            started.set_timesteps(timesteps=list(timesteps))
        else:
            started.set_timesteps(steps)
    except Exception as error:  # each scheduler refuses in its own way
        asked = f"timesteps {timesteps}" if timesteps is not None else f"{steps} steps"
        raise InputError(
            f"{_kind(scheduler)} does not take {asked}: {first_line(error)}"
        ) from error
    return started


def _steps_samples(scheduler: Any) -> bool:
    """Whether an object steps from one sample to the next, as a sampling loop asks it to."""
    step = getattr(scheduler, "step", None)
    if not callable(step) or not callable(getattr(scheduler, "set_timesteps", None)):
        return False
    given = inspect.signature(step).parameters.values()
    needed = [one.name for one in given if one.default is one.empty and one.kind != one.VAR_KEYWORD]
    return needed == ["model_output", "timestep", "sample"]


def _refuse_other_channels(unet: nn.Module, scheduler: Any) -> None:
    """Refuse a network that predicts what the scheduler does not take, such as a variance."""
    config: Any = unet.config
    taken, given = config.in_channels, config.out_channels
    variance = dict(getattr(scheduler, "config", {})).get("variance_type")
    if given == taken or (given == 2 * taken and variance in ("learned", "learned_range")):
        return
    learned = (
        "; a learned variance needs a DDPMScheduler(variance_type='learned_range') or the like"
    )
    raise GeneratorError(
        f"the network takes {taken} channels and predicts {given}, which {_kind(scheduler)} "
        f"does not take{learned if given == 2 * taken else ''}"
    )


def _sides(size: Any) -> tuple[int, ...]:
    """Return height and width of a configuration's `sample_size`; nothing where it has none."""
    if size is None:
        return ()
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _kind(subject: Any) -> str:
    return type(subject).__name__


def _fixed_arguments(fixed: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a caller's keyword arguments of the network as copies; refuse what is no such."""
    if fixed is None:
        return {}
    of_kind(fixed, Mapping, "fixed is a dictionary of the network's keyword arguments")
    for name in fixed:
        of_kind(name, str, "fixed names the network's keyword arguments by texts")
    return held(dict(fixed))
