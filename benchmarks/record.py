"""What benchmarks found, and on what: benchmarks/results/NAME.json, a picture or a case a line."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from regional_primitives.decompose.provenance import current_versions
from regional_primitives.runtime.staging import staged_file

FOLDER = Path(__file__).parent / "results"
_DIGITS = 6
"""That are kept of a number: more than any spread allows to tell apart."""


def read(name: str) -> dict[str, Any]:
    """Return what was found before; empty where nothing was."""
    path = FOLDER / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def keep(name: str, content: Mapping[str, Any]) -> None:
    """Write what was found so far, whole or not at all; NaN is refused, since JSON has none."""
    lines = ",\n".join(
        f"{json.dumps(key)}: {_laid_out(value)}" for key, value in _rounded(content).items()
    )
    FOLDER.mkdir(exist_ok=True)
    with staged_file(FOLDER / f"{name}.json") as temporary:
        temporary.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def agree(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Tell whether stored settings are those asked for, but for names that came later."""
    return bool(stored) and all(asked.get(name) == value for name, value in stored.items())


def ran_on(device: str = "cpu") -> dict[str, Any]:
    """Name the device, the threads and the versions that figures come from, and the day."""
    return {
        "date": datetime.date.today().isoformat(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "versions": current_versions(),
    }


def device_name(device: str = "cpu") -> str:
    """Name torch's device; the processor as the system does."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _laid_out(value: Any) -> str:
    """Write a list or an object of such an item a line, all else in one."""
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return "[\n" + ",\n".join(map(_line, value)) + "\n]"
    if isinstance(value, dict) and any(isinstance(item, (dict, list)) for item in value.values()):
        items = (f"{json.dumps(key)}: {_line(item)}" for key, item in value.items())
        return "{\n" + ",\n".join(items) + "\n}"
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value
