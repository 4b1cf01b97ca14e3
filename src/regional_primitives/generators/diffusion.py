"""Objects of the library `diffusers` as generators: autoencoders, and networks with a scheduler.

They are recognised by the names of their classes, so that nothing is imported which the user has
not. Networks and schedulers stay diffusers' own. Ours is the module that runs a scheduler's steps,
checked to give the pictures of DDPMPipeline, DDIMPipeline and ConsistencyModelPipeline, and what is
filled in: latents, the method that generates, and the range of its pictures.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regional_primitives.axes import Images
from regional_primitives.errors import GeneratorError, InputError, first_line
from regional_primitives.generators.latents import Latents
from regional_primitives.generators.network import ImageOf
from regional_primitives.generators.twin import uncompiled
from regional_primitives.runtime.arguments import whole

_SUPPORTED = (
    "supported are an AutoencoderKL or AutoencoderTiny, a pair (UNet2DModel, scheduler), and "
    "pipelines of these two alone, such as DDPMPipeline, DDIMPipeline and ConsistencyModelPipeline"
)
_TINY_PIXELS = 512
"""Side of the pictures of an AutoencoderTiny, whose configuration names none."""


@dataclass(frozen=True)
class Adaptation:
    """What a generator is made of where the user does not say."""

    module: nn.Module
    call: str = "forward"
    """The method that generates."""
    sample_latents: Callable[[int, torch.Generator], Latents] | None = None
    image_range: tuple[float, float] = (-1.0, 1.0)
    image_of: ImageOf = None
    name: str = ""
    """What reports call it; empty for the module's class name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else the images depend on besides the module's weights, for the digest."""


class DiffusionSampler(nn.Module):
    """Noise becomes a picture in [−1, 1] by a scheduler's steps, each a call of `unet`.

    Cut it at `unet.mid_block#2` to explain the second call; the rest is the tail. A scheduler of
    second order, such as Heun's, calls the network more than once a step. All calls are recorded,
    so that memory grows with them.

    Args:
        unet: a UNet2DModel, held as it is.
        scheduler: any diffusers scheduler; it is copied, and each run copies it anew.
        steps: how many steps it is asked for.
        timesteps: the timesteps themselves, of schedulers whose `set_timesteps` takes them.

    Raises:
        InputError: no network, no scheduler, or steps that it does not take.
        GeneratorError: the network predicts other channels than the scheduler takes.
    """

    def __init__(
        self,
        unet: nn.Module,
        scheduler: Any,
        steps: int | None = None,
        timesteps: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if not _is(unet, "UNet2DModel") or not _steps_samples(scheduler):
            raise InputError(
                "a sampler is a pair (UNet2DModel, scheduler) of diffusers, "
                f"not ({_kind(unet)}, {_kind(scheduler)})"
            )
        _refuse_other_channels(unet, scheduler)
        self.unet = unet
        self.scheduler = _started(scheduler, steps, timesteps)

    def forward(self, noise: Images, class_labels: Tensor | None = None) -> Images:
        """Generate pictures from standard normal noise."""
        with torch._C.DisableTorchFunction():  # a copy is no calculation that a tail could hold
            scheduler = copy.deepcopy(self.scheduler)
        scaled = getattr(scheduler, "scale_model_input", lambda sample, t: sample)
        condition = {} if class_labels is None else {"class_labels": class_labels}
        sample = noise.to(next(self.unet.parameters()).dtype)
        sample = sample * getattr(scheduler, "init_noise_sigma", 1.0)
        for t in scheduler.timesteps:
            predicted = self.unet(scaled(sample, t), t, **condition).sample
            sample = scheduler.step(predicted, t, sample).prev_sample
        return sample.clamp(-1, 1)

    @property
    def settings(self) -> dict[str, Any]:
        """What the pictures depend on besides the weights."""
        public = {
            key: value.tolist() if hasattr(value, "tolist") else value
            for key, value in dict(getattr(self.scheduler, "config", {})).items()
            if not key.startswith("_")
        }
        kind = type(self.scheduler).__name__
        return {
            "scheduler": f"{kind}{sorted(public.items())!r}",
            "timesteps": self.scheduler.timesteps,
        }


def adapt(subject: Any, steps: int | None = None) -> Adaptation:
    """Turn a module, or an object of diffusers, into a generator's parts.

    Raises InputError and GeneratorError for what cannot be cut.
    """
    subject = uncompiled(subject)
    if _is(subject, "DiffusionPipeline"):
        return _of_sampler(DiffusionSampler(*_parts(subject), steps), _kind(subject))
    if isinstance(subject, (tuple, list)):
        if len(subject) != 2:
            raise InputError(f"a {_kind(subject)} of {len(subject)} cannot be cut; {_SUPPORTED}")
        unet, scheduler = subject
        return _of_sampler(DiffusionSampler(unet, scheduler, steps), _kind(unet))
    if steps is not None:
        raise InputError(
            "steps= is for samplers: a pair (UNet2DModel, scheduler) or a pipeline of diffusers, "
            f"not {_kind(subject)}"
        )
    if isinstance(subject, DiffusionSampler):
        return _of_sampler(subject, _kind(subject))
    if _is(subject, "AutoencoderKL", "AutoencoderTiny"):
        return _of_autoencoder(subject)
    if not isinstance(subject, nn.Module):
        raise InputError(f"a torch.nn.Module is cut, not {_kind(subject)}")
    return Adaptation(subject)


def _of_sampler(sampler: DiffusionSampler, name: str) -> Adaptation:
    """Fill in noise, and a class where the network takes one, as drawn for its own resolution."""
    config: Any = sampler.unet.config
    sides, classes = _sides(config.sample_size), config.num_class_embeds

    def sample_latents(count: int, rng: torch.Generator) -> Latents:
        """Draw standard normal noise and a class, each as likely."""
        noise = torch.randn(count, config.in_channels, *sides, generator=rng)
        if classes is None:
            return noise
        return {"noise": noise, "class_labels": torch.randint(classes, (count,), generator=rng)}

    # Other embeddings take numbers or vectors, whose distribution no configuration tells.
    drawable = bool(sides) and config.class_embed_type is None
    return Adaptation(
        sampler,
        sample_latents=sample_latents if drawable else None,
        name=name,
        settings=sampler.settings,
    )


def _of_autoencoder(autoencoder: nn.Module) -> Adaptation:
    """Fill in standard normal latents of the size of the pictures that it is made for.

    Both kinds give pictures in (−1, 1): the tiny one's decoder ends with 2x − 1.
    """
    config: Any = autoencoder.config
    if _is(autoencoder, "AutoencoderTiny"):
        doublings = len(config.decoder_block_out_channels) - 1
        sides, factor = _sides(_TINY_PIXELS), config.upsampling_scaling_factor**doublings
    else:
        sides, factor = _sides(config.sample_size), 2 ** (len(config.block_out_channels) - 1)
    dtype = next(autoencoder.parameters()).dtype

    def sample_latents(count: int, rng: torch.Generator) -> Tensor:
        """Draw from a standard normal distribution, the prior of such latents."""
        shape = (count, config.latent_channels, *(side // factor for side in sides))
        return torch.randn(shape, generator=rng).to(dtype)

    whole: Any = copy.copy(autoencoder)
    whole.use_slicing = False  # decodes a batch item by item, which is another path a batch size
    return Adaptation(
        whole,
        call="decode",
        sample_latents=sample_latents if sides else None,
        image_of="sample",
        name=_kind(autoencoder),
    )


def _parts(pipeline: Any) -> tuple[nn.Module, Any]:
    """Take network and scheduler out of a pipeline that has nothing else."""
    found = {name: part for name, part in pipeline.components.items() if part is not None}
    others = sorted(found.keys() - {"unet", "scheduler"})
    if others or len(found) < 2 or not _is(found["unet"], "UNet2DModel"):
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


def _is(subject: Any, *names: str) -> bool:
    """Whether an object is of one of diffusers' classes, or of one derived from it."""
    return any(
        kind.__module__.partition(".")[0] == "diffusers" and kind.__name__ in names
        for kind in type(subject).__mro__
    )


def _kind(subject: Any) -> str:
    return type(subject).__name__
