"""What a benchmark ran on, by name."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

__all__ = ["device_name", "processor"]


def processor() -> str:
    """Name the processor as the system does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def device_name(device: str) -> str:
    """Name what torch's device is."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor()
