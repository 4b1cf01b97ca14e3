"""What all trainings share: steps that go on where they stood, to the same bits, and one command.

A step draws all that is random from a stream of its own, so that nothing but the states of networks
and optimisers has to be kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from regional_primitives.errors import InputError
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.staging import staged_file
from regional_primitives.runtime.storage import write_json


class Training(Protocol):
    """One network in training."""

    states: Mapping[str, Any]
    """All that a step changes, by name; each has `state_dict` and `load_state_dict`."""
    shown: int
    """Pictures on the sheet that is written with each checkpoint."""
    columns: int
    """Of that sheet."""

    def step(self, number: int) -> float:
        """Take one step, whose randomness depends on its number alone; return a loss to watch."""

    def network(self) -> nn.Module:
        """Return the network as it is to be used."""

    def samples(self) -> Tensor:
        """Return pictures in [−1, 1] for a sheet, [count, channels, height, width]."""

    def figures(self) -> dict[str, float]:
        """Say how good it is on what it was not trained on, beside what is trivial."""


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Hold the exponential moving average of a network's weights."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def options(about: str, steps: int, batch: int) -> argparse.ArgumentParser:
    """Return what every training is asked."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("--steps", type=int, default=steps, help="in all, with those that stand")
    parser.add_argument("--batch", type=int, default=batch, help="pictures a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and result")
    parser.add_argument("--save-every", type=int, default=200, help="steps")
    parser.add_argument("--stop-after", type=int, help="stop at this step; the command goes on")
    return parser


def run(training: Training, asked: argparse.Namespace) -> None:
    """Train to the last step, from the checkpoint in `asked.out` if there is one.

    Writes there `checkpoint.pt`, a sheet of pictures `samples.png`, and at the end
    `weights.safetensors`, in half precision, and `figures.json`.

    Raises:
        InputError: the checkpoint is that of other settings.
    """
    checkpoint = asked.out / "checkpoint.pt"
    settings = {"steps": asked.steps, "batch": asked.batch, "seed": asked.seed}
    start = 0
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        if kept["settings"] != settings:
            raise InputError(f"{checkpoint} is of {kept['settings']}, not {settings}")
        for name, state in kept["states"].items():
            training.states[name].load_state_dict(state)
        start = kept["step"]
    stop = min(asked.steps, asked.stop_after or asked.steps)
    smooth = None
    with progress_bar("train") as progress:
        for number in range(start, stop):
            loss = training.step(number)
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            done = number + 1
            if done % asked.save_every == 0 or done == stop:
                states = {name: one.state_dict() for name, one in training.states.items()}
                with staged_file(checkpoint) as temporary:
                    torch.save({"settings": settings, "step": done, "states": states}, temporary)
                save_sheet(asked.out / "samples.png", training.samples(), training.columns)
                progress("train", done, asked.steps, f"loss {smooth:.4f}")
    if stop == asked.steps:
        save_weights(asked.out / "weights.safetensors", training.network())
        figures = {name: float(f"{value:.4g}") for name, value in training.figures().items()}
        write_json(asked.out / "figures.json", {**settings, **figures})
        print(json.dumps(figures, indent=2))


def save_weights(path: Path, network: nn.Module) -> None:
    """Keep a network's weights in half precision."""
    state = {name: part.half().contiguous() for name, part in network.state_dict().items()}
    with staged_file(path) as temporary:
        save_file(state, temporary)


def save_sheet(path: Path, pictures: Tensor, columns: int) -> None:
    """Write pictures in [−1, 1] side by side."""
    from PIL import Image

    missing = -len(pictures) % columns
    pictures = torch.cat([pictures, pictures.new_ones(missing, *pictures.shape[1:])])
    rows = pictures.clamp(-1, 1).unflatten(0, (-1, columns)).permute(2, 0, 3, 1, 4)
    sheet = rows.flatten(3, 4).flatten(1, 2).expand(3, -1, -1).permute(1, 2, 0)
    with staged_file(path) as temporary:
        Image.fromarray(((sheet + 1) * 127.5).round().byte().numpy()).save(temporary, "PNG")
