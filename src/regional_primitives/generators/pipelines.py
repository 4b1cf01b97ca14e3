"""Whole pipelines of the library `diffusers`, run by their own code from initial noise to picture.

A pipeline is no module, keeps notes on itself while it runs, and draws its own initial noise. What
runs here is a copy of it that holds a twin's networks; the prompt is encoded once, before. The
first noise that it draws becomes the latents: so all pipelines can be given them, each scales and
packs them in its own way, and their size is whatever it asks for. Of a pipeline that goes on from a
photograph, that is the latents, and all its noise is frozen.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from regional_primitives.axes import Images
from regional_primitives.errors import InputError, first_line
from regional_primitives.generators.latents import describe
from regional_primitives.generators.network import repeated_to
from regional_primitives.generators.photographs import draw_crop, read_photograph
from regional_primitives.generators.twin import frozen_twin
from regional_primitives.runtime.arguments import of_kind, real, whole
from regional_primitives.runtime.eight_bit import refuse_outside

KINDS = (
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusion3Pipeline",
    "LatentConsistencyModelPipeline",
    "FluxPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionXLImg2ImgPipeline",
)
"""Pipelines whose pictures are checked to be diffusers' own, by their classes' names."""
OF_PHOTOGRAPHS = KINDS[-2:]
"""Those that go on from a photograph."""
_OF_THE_PROMPT = ("tokenizer", "text_encoder", "image_encoder", "feature_extractor")
"""How the names of parts begin that run before the initial noise is drawn."""
_BESIDE = (*_OF_THE_PROMPT, "safety_checker")
"""How those begin that have no part in making a picture of that noise."""
_OURS = {
    "latents": "latents are what is explained",
    "image": "the photograph is what is explained; it goes where latents do",
    "prompt": "pass it as prompt=",
    "num_inference_steps": "pass it as steps=",
    "guidance_scale": "pass it as guidance=",
    "generator": "noise is frozen by noise_seed=",
    "output_type": "pass image='latent' to leave the decoder out",
    "return_dict": "the picture is taken out of what comes back",
    "num_images_per_prompt": "there are as many pictures as latents",
}
"""Arguments of a pipeline that are no caller's, and what to do instead."""
_INSTEAD_OF_A_PROMPT = ("prompt_embeds", "pooled_prompt_embeds")
"""Embeddings that a pipeline takes in the place of a prompt, never beside one."""


class PipelineSampler(nn.Module):
    """Noise, or a photograph, becomes a picture as a pipeline makes it, by its networks' names.

    Safety checker and watermark, which make no picture, are left out.

    Args:
        pipeline: one of `KINDS`, left as it is.
        steps: how many steps it takes.
        prompt: the text, where `arguments` holds no embeddings.
        guidance: its guidance scale; its own default unless given.
        arguments: further arguments of its call, such as `negative_prompt`, `height` or
            `prompt_embeds`; those with a batch axis have one item.
        decoded: whether the picture is the decoder's; else it is the last latent.

    Raises:
        InputError: an argument that is missing, or that the pipeline does not take.
    """

    def __init__(
        self,
        pipeline: Any,
        steps: int | None,
        prompt: str | None = None,
        guidance: float | None = None,
        arguments: Mapping[str, Any] | None = None,
        *,
        decoded: bool = True,
    ) -> None:
        super().__init__()
        if steps is None:
            raise InputError("pass steps=, how many steps the pipeline takes")
        given = dict(arguments or {})
        _refuse_wrong_arguments(pipeline, prompt, guidance, given)
        given["num_inference_steps"] = whole("steps", steps, 1)
        if guidance is not None:
            given["guidance_scale"] = real("guidance", guidance, 0)
        self.decoded = decoded
        self.of_photographs = is_of(pipeline, *OF_PHOTOGRAPHS)
        self.encoded, self.latent_shape, self.dtype = _before_the_latents(
            pipeline, given if prompt is None else {**given, "prompt": prompt}
        )
        if self.of_photographs:
            default = inspect.signature(type(pipeline).__call__).parameters["strength"].default
            refuse_no_step(steps, given.get("strength", default))
        self.arguments = {
            name: value for name, value in given.items() if name not in _INSTEAD_OF_A_PROMPT
        }
        self.pipeline = copy.copy(pipeline)
        own: dict[str, Any] = vars(self.pipeline)
        for name, part in pipeline.components.items():
            if isinstance(part, nn.Module) and not name.startswith(_BESIDE):
                self.add_module(name, unsliced(part))
            if name != "scheduler":
                own[name] = None
        self.scheduler_settings = scheduler_settings(pipeline.scheduler)
        own.update(watermark=None, _all_hooks=[])

    def forward(self, latents: Tensor) -> Images:
        """Generate pictures, or last latents, from standard normal noise or from photographs.

        Photographs are [batch, 3, height, width] in [0, 1].
        """
        if self.of_photographs:
            refuse_outside(latents, (0.0, 1.0), "a photograph")
            latents = latents.clamp(0, 1)  # diffusers takes one below 0 to lie in [-1, 1]
        count = len(latents)
        run = _fresh(self.pipeline)
        encoded = iter(self.encoded)
        processor = run.image_processor
        vars(run).update(
            self._modules,
            encode_prompt=lambda *_, **__: repeated_to(count, next(encoded)),
            # Whoever has no safety checker has nothing to decide for each picture.
            image_processor=SimpleNamespace(
                preprocess=processor.preprocess,
                postprocess=lambda image, output_type, **_: processor.postprocess(
                    image, output_type
                ),
            ),
        )
        photographs = {"image": latents} if self.of_photographs else {}
        with nullcontext() if self.of_photographs else _InitialNoise(latents):
            images: Tensor = run(
                **repeated_to(count, self.arguments),
                **photographs,
                prompt=[""] * count,  # encoded already: only how many they are counts
                output_type="pt" if self.decoded else "latent",
                return_dict=False,
            )[0]
        if images.ndim == 3:  # patches in a row
            height, width = (side * run.vae_scale_factor for side in latents.shape[-2:])
            images = run._unpack_latents(images, height, width, run.vae_scale_factor)
        return images

    def sample_latents(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw standard normal noise, or crops of photographs, of the pipeline's size."""
        if self.of_photographs:
            return torch.cat([draw_crop(rng, self.latent_shape[-1]) for _ in range(count)])
        return torch.randn(count, *self.latent_shape, generator=rng).to(self.dtype)

    def latents_of(self, path: Path) -> Tensor:
        """Read a photograph: its middle square, as large as the pipeline's pictures."""
        return read_photograph(path, self.latent_shape[-1])

    @property
    def settings(self) -> dict[str, Any]:
        """What the pictures depend on besides the weights."""
        return {
            "pipeline": type(self.pipeline).__name__,
            "scheduler": self.scheduler_settings,
            "arguments": dict(sorted(self.arguments.items())),
            "encoded": self.encoded,
            "decoded": self.decoded,
        }


def _refuse_wrong_arguments(
    pipeline: Any, prompt: Any, guidance: Any, given: Mapping[str, Any]
) -> None:
    """Refuse arguments that the pipeline's call does not have, or that contradict each other."""
    kind, known = type(pipeline).__name__, inspect.signature(type(pipeline).__call__).parameters
    for name, value in given.items():
        if name in _OURS:
            raise InputError(f"fixed= does not take {name!r} of a pipeline: {_OURS[name]}")
        if name not in known or name == "self" or name == "kwargs":
            raise InputError(f"fixed= names {name!r}, which {kind} does not take")
        if name.endswith("embeds") and isinstance(value, Tensor) and value.shape[:1] != (1,):
            raise InputError(
                f"{name!r} in fixed= is of one picture, [1, …], not {list(value.shape)}"
            )
    if prompt is not None:
        of_kind(prompt, str, "prompt is a text")
        if "prompt_embeds" in given:
            raise InputError("pass prompt= or 'prompt_embeds' in fixed=, not both")
        parts = {name: part for name, part in pipeline.components.items() if part is not None}
        for needed in ("tokenizer", "text_encoder"):
            if not any(name.startswith(needed) for name in parts):
                raise InputError(
                    f"prompt= needs a {needed}, which this {kind} is without; pass "
                    "fixed={'prompt_embeds': …}"
                )
    elif "prompt_embeds" not in given:
        raise InputError(f"pass prompt=, the text that {kind} makes a picture of")
    transformer = pipeline.components.get("transformer")
    if guidance is not None and not getattr(transformer, "config", {}).get("guidance_embeds", True):
        raise InputError(
            f"guidance= has no effect: the transformer of this {kind} takes none "
            "(guidance_embeds=False)"
        )


def refuse_no_step(steps: int, strength: float) -> None:
    """Refuse a strength that leaves no step."""
    if not steps * strength >= 1:
        raise InputError(
            f"of {steps} steps, strength {strength:g} leaves none; pass more steps=, or more "
            f"strength as fixed={{'strength': …}}, at most 1"
        )


def _before_the_latents(
    pipeline: Any, given: Mapping[str, Any]
) -> tuple[list[Any], tuple[int, ...], torch.dtype]:
    """Run a pipeline up to its first noise, or to where it takes a photograph.

    Returns what prompts became, and shape and precision of that.
    """
    run, encoded = _fresh(pipeline), []
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module) and name.startswith(_OF_THE_PROMPT):
            vars(run)[name] = frozen_twin(part)
    encode = run.encode_prompt

    def noted(*args: Any, **kwargs: Any) -> Any:
        encoded.append(encode(*args, **kwargs))
        return encoded[-1]

    vars(run)["encode_prompt"] = noted
    if is_of(pipeline, *OF_PHOTOGRAPHS):
        vars(run)["image_processor"] = SimpleNamespace(preprocess=partial(_ask_photograph, run))
    kind = type(pipeline).__name__
    try:
        with _InitialNoise():
            run(**given)
    except _Asked as asked:
        return encoded, asked.size[1:], asked.dtype
    except Exception as error:  # each pipeline refuses in its own way
        absent = [
            name
            for name, part in pipeline.components.items()
            if part is None and name.startswith(("tokenizer", "text_encoder"))
        ]
        embeddings = (
            f"; without {' and '.join(absent)}, fixed= has to hold all embeddings, of a guided "
            "picture negative_prompt_embeds too"
        )
        raise InputError(
            f"{kind} does not run with these arguments: {first_line(error)}"
            f"{embeddings if absent else ''}"
        ) from error
    raise InputError(f"{kind} draws no noise that latents could take the place of")


def _fresh(pipeline: Any) -> Any:
    """Copy a pipeline for one run: what it notes down, and its scheduler, are the copy's own."""
    run = copy.copy(pipeline)
    with torch._C.DisableTorchFunction():  # a copy is no calculation that a tail could hold
        scheduler = copy.deepcopy(pipeline.scheduler)
    vars(run).update(scheduler=scheduler, _progress_bar_config={"disable": True})
    return run


def _ask_photograph(pipeline: Any, *_: Any) -> None:
    size = pipeline.unet.config.sample_size
    side = (size if isinstance(size, int) else min(size)) * pipeline.vae_scale_factor
    raise _Asked((1, 3, side, side), torch.float32)


class _Asked(BaseException):
    """A pipeline draws its initial noise, or takes a photograph."""

    def __init__(self, size: tuple[int, ...], dtype: torch.dtype) -> None:
        super().__init__()
        self.size, self.dtype = size, dtype


class _InitialNoise(TorchFunctionMode):
    """Within this context the first normal noise that is drawn is the one that is given.

    Without one, `_Asked` says what is drawn.
    """

    def __init__(self, noise: Tensor | None = None) -> None:
        super().__init__()
        self.noise = noise
        self.drawn = False

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Hand the noise out once; call every other function."""
        kwargs = kwargs or {}
        if func is not torch.randn or self.drawn:
            return func(*args, **kwargs)
        self.drawn = True
        size = kwargs.get("size", args)
        size = tuple(size[0] if len(size) == 1 and not isinstance(size[0], int) else size)
        dtype = kwargs.get("dtype") or torch.get_default_dtype()
        if self.noise is None:
            raise _Asked(size, dtype)
        if self.noise.shape != size:
            raise InputError(
                f"latents {describe(self.noise)} do not fit: the pipeline draws {list(size)}; "
                "height and width in fixed= ask for another size"
            )
        return self.noise.to(dtype)


# For all samplers


def unsliced(module: nn.Module) -> nn.Module:
    """Return an autoencoder that decodes whole batches, not item by item; all else as it is."""
    if not getattr(module, "use_slicing", False):
        return module
    unsliced: Any = copy.copy(module)
    unsliced.use_slicing = False
    return unsliced


def scheduler_settings(scheduler: Any) -> str:
    """Name a scheduler and its configuration alike in every process."""
    public = {
        key: value.tolist() if hasattr(value, "tolist") else value
        for key, value in dict(getattr(scheduler, "config", {})).items()
        if not key.startswith("_")
    }
    return f"{type(scheduler).__name__}{sorted(public.items())!r}"


def is_of(subject: Any, *names: str) -> bool:
    """Whether an object is of one of diffusers' classes, or of one derived from it."""
    return any(
        kind.__module__.partition(".")[0] == "diffusers" and kind.__name__ in names
        for kind in type(subject).__mro__
    )
