"""A step of a fit as a CUDA graph: captured once, then replayed with one launch.

A step is some hundred small kernels, which a processor launches one by one, more slowly than a GPU
does them. No CUDA device was at hand to measure this: its path is tested with a stand-in, and it is
off unless asked for (docs/research/lockstep.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_WARM_UP = 3
"""Steps that are launched one by one before a capture: what runs first prepares itself."""


def replayed(advance: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
    """Return a function that does the same, replayed where the device can do that.

    `advance` takes tensors and numbers, and whatever it changes it changes in place. Where a
    capture raises, all steps are launched one by one.
    """
    return _Replayed(advance, device) if can_capture(device) else advance


def can_capture(device: torch.device) -> bool:
    """Tell whether there are graphs on such a device."""
    return device.type == "cuda"


class _Replayed:
    def __init__(self, advance: Callable[..., Tensor], device: torch.device) -> None:
        self._advance, self._device = advance, device
        self._launched = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._output: Tensor | None = None
        self._raised = False

    def __call__(self, *inputs: Tensor | float) -> Tensor:
        if self._launched < _WARM_UP:
            self._launched += 1
            return self._beside(inputs)
        if self._graph is None and not self._raised:
            self._capture(inputs)
        if self._graph is None or self._output is None:
            return self._advance(*inputs)
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given) if isinstance(given, Tensor) else mine.fill_(given)
        self._graph.replay()
        return self._output.clone()

    def _beside(self, inputs: Sequence[Tensor | float]) -> Tensor:
        """Launch a step on a stream of its own, as what is captured later has to be."""
        stream, here = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            output = self._advance(*inputs)
        here.wait_stream(stream)
        return output

    def _capture(self, inputs: Sequence[Tensor | float]) -> None:
        """Write down what a step launches; nothing is computed or changed by that."""
        graph = torch.cuda.CUDAGraph()
        # Numbers differ by step, and a graph reads what lies in its tensors then.
        self._inputs = [
            one.clone() if isinstance(one, Tensor) else torch.tensor(one, device=self._device)
            for one in inputs
        ]
        try:
            with torch.cuda.graph(graph):
                self._output = self._advance(*self._inputs)
        except RuntimeError:  # something in the tail waits for the device, or copies to it
            self._raised = True
        else:
            self._graph = graph
