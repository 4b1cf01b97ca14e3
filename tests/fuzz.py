"""Mutants of everything that is read: each is refused by one line, or sound and of use.

`make fuzz` runs many, tests/test_fuzz.py a few. A mutant is named by seed and number, so that a
finding is made again by `--seed S --only N`. Digests and seals are made to fit in most mutants, so
that the checks behind them are reached.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import logging
import math
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load, save
from torch import Tensor

import regional_primitives as rp
from regional_primitives.compare.kept import Kept, converged
from regional_primitives.compare.vocabulary import (
    LayerVocabulary,
    Vocabulary,
    Word,
    WordChannel,
    of_picture,
)
from regional_primitives.decompose.exact.checkpoint import Checkpoint
from regional_primitives.explore.explorer import Explorer
from regional_primitives.explore.server import application
from regional_primitives.generators import baseline_feature
from regional_primitives.generators.photographs import read_photograph
from regional_primitives.generators.zoo import photos
from regional_primitives.generators.zoo.weights import filled
from regional_primitives.rivals import Comparison
from regional_primitives.runs.folder import generator_of
from regional_primitives.runs.reproduce import _Measured
from regional_primitives.runtime.cache import cache_folder
from regional_primitives.runtime.storage import read_json, typed, write_sealed
from regional_primitives.scores import Exhibits, exhibit
from regional_primitives.scores.sweep_scores import LayerScores, PictureScores, SweepScores
from regional_primitives.show.reproduce import sweep_command
from regional_primitives.show.score_table import rival_rows, score_rows
from regional_primitives.show.sweep_page import terminal_table

SECONDS = 20
"""A mutant that takes longer hangs."""
MOST_LETTERS = 1000
"""Of a line that says what is wrong."""
HOST = "127.0.0.1:8000"
SETTINGS = rp.Structured(steps=5, batch=4, trials=0, probes=1, baseline_count=16)
EVALUATION = rp.Evaluation(demands=6, components=3, contexts=2, free_demands=1, free_steps=2)

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, -0.0, 0.5, 1e-320, 1e308, -1e308, 1e30, math.nan, math.inf,
    -math.inf, 2**31, 2**63, 2**64, 10**30, -(2**63), 10**400, "", "0", "00", "a\nb", "NaN",
    "é" * 50,
    "../../x", "\x00", "planted", "faces", "x" * 5000, [], {}, [[]], [None], [0, 1], {"0": 1},
    {"": None}, [1e308, 1e308], "javascript:alert(1)", "a" * 64, "0" * 64,
)  # fmt: skip
"""What may stand where something else should."""


class Hang(BaseException):
    """A mutant took too long."""


@dataclass(frozen=True)
class Target:
    """Something that is read."""

    name: str
    weight: int
    mutate: Callable[[random.Random, Path], str]
    """Spoils the copy of the originals in a folder; says how."""
    use: Callable[[Path], None]
    """Reads and uses it; any error but the library's own is a finding."""


# Mutations of bytes, JSON and tensors


def of_bytes(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Spoil bytes."""
    spoiled = bytearray(data)
    at = rng.randrange(len(data)) if data else 0
    if data and rng.random() < 0.4:
        at = min(at, rng.randrange(1, 400))  # headers are at the front
    at = min(at, max(len(data) - 1, 0))
    how = rng.choice(["bit", "byte", "cut", "grow", "insert", "delete", "repeat", "empty", "zero"])
    span = rng.choice([1, 2, 8, 64])
    if how == "bit" and data:
        spoiled[at] ^= 1 << rng.randrange(8)
    elif how == "byte" and data:
        spoiled[at] = rng.choice([0, 0x22, 0x2C, 0x2D, 0x30, 0x39, 0x5B, 0x7B, 0x7F, 0x80, 0xFF])
    elif how == "cut":
        del spoiled[at:]
    elif how == "grow":
        spoiled += rng.randbytes(span)
    elif how == "insert":
        spoiled[at:at] = rng.randbytes(span)
    elif how == "delete":
        del spoiled[at : at + span]
    elif how == "repeat":
        spoiled[at:at] = spoiled[at : at + span]
    elif how == "zero":
        spoiled[at : at + span] = bytes(len(spoiled[at : at + span]))
    else:
        spoiled.clear()
    return bytes(spoiled), f"{how} at {at}, {span} long"


def of_json(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Spoil a JSON text: a value, a name, its nesting."""
    if rng.random() < 0.1:
        return of_bytes(rng, data)
    content = json.loads(data)
    places = list(_places(content))
    holder, key = rng.choice(places)
    how = rng.choice(["odd", "odd", "odd", "near", "drop", "rename", "extra", "wrap", "deep",
                      "swap", "twice"])  # fmt: skip
    old = holder[key]
    if how == "odd":
        holder[key] = rng.choice(ODD)
    elif how == "near":
        holder[key] = _near(rng, old)
    elif how == "drop":
        del holder[key]
    elif how == "rename" and isinstance(holder, dict):
        del holder[key]
        holder[rng.choice(["", f"{key}x", "é", "a\nb", str(key).upper()])] = old
    elif how == "extra" and isinstance(holder, dict):
        holder[rng.choice(["extra", "a\nb", "patches", "weights", "device", "name"])] = rng.choice(
            ODD
        )
    elif how == "wrap":
        holder[key] = rng.choice([[old], {"0": old}, [old, old]])
    elif how == "deep":
        return _nested(data, rng.choice([50, 5_000, 200_000])), "nested deeply"
    elif how == "swap":
        other, name = rng.choice(places)
        holder[key], other[name] = other[name], holder[key]
    else:
        text = json.dumps(content)
        return f'{{"{key}": {json.dumps(rng.choice(ODD[:12]))}, {text[1:]}'.encode(), f"{key} twice"
    return json.dumps(content).encode(), f"{how} at {key!r}, which was {str(old)[:40]!r}"


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(content) if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield content, key
        if isinstance(content[key], (dict, list)):
            yield from _places(content[key])


def _near(rng: random.Random, old: Any) -> Any:
    if isinstance(old, bool):
        return int(old)
    if isinstance(old, (int, float)):
        return rng.choice([-old, old + 1, old - 1, float(old), str(old), old * 1e30, old / 3])
    if isinstance(old, str) and old:
        at = rng.randrange(len(old))
        return rng.choice([old[:at] + "0" + old[at + 1 :], old[1:], old + "\n", old.upper(), [old]])
    return rng.choice(ODD)


def _nested(data: bytes, depth: int) -> bytes:
    return b'{"a": ' + b"[" * depth + b"]" * depth + b", " + data.lstrip()[1:]


DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32,
          torch.int8, torch.uint8, torch.bool)  # fmt: skip
NUMBERS = (math.nan, math.inf, -math.inf, 3e38, -3e38, 1e20, -1.0, 0.0, 1.0, 2.0, 1e-40, 127.0)


def of_tensors(rng: random.Random, tensors: dict[str, Tensor]) -> str:
    """Spoil one tensor in place: a value, its type, shape or name."""
    name = rng.choice(sorted(tensors))
    old = tensors[name].clone()
    how = rng.choice(["value", "value", "value", "value", "dtype", "flat", "axis", "fewer", "more",
                      "none", "flip", "other", "gone", "new", "bytes"])  # fmt: skip
    if how == "value" and old.numel():
        flat = old.flatten()
        at, number = rng.randrange(old.numel()), rng.choice(NUMBERS)
        if old.is_floating_point() or old.is_complex():
            flat[at] = number
        elif old.dtype == torch.bool:
            flat[at] = not bool(flat[at])
        else:
            least, most = torch.iinfo(old.dtype).min, torch.iinfo(old.dtype).max
            odd = (-1, 0, 1, -2, 2**31 - 1, least, most, int(flat[at]) + 1)
            flat[at] = min(max(rng.choice(odd), least), most)
        tensors[name] = flat.view(old.shape)
        how += f" {at} is {flat[at].item()}"
    elif how == "dtype":
        dtype = rng.choice(DTYPES)
        tensors[name], how = old.to(dtype), f"dtype {dtype}"
    elif how == "flat":
        tensors[name] = old.flatten()
    elif how == "axis":
        tensors[name] = old[None]
    elif how == "fewer" and old.ndim:
        tensors[name] = old[: max(0, len(old) - 1)].clone()
    elif how == "more" and old.ndim:
        tensors[name] = torch.cat([old, old[:1]])
    elif how == "none":
        tensors[name] = old.flatten()[:0].clone()
    elif how == "flip" and old.ndim:
        tensors[name] = old.flip(0).contiguous()
    elif how == "other":
        tensors[name] = tensors[rng.choice(sorted(tensors))].clone()
    elif how == "gone":
        del tensors[name]
    elif how == "new":
        tensors[rng.choice([f"{name}.0", "extra", "a\nb", "latents.é", "feature.7"])] = old
    elif old.numel():
        raw = old.contiguous().flatten().view(torch.uint8)
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return f"{how} of {name}"


# The originals


def originals(folder: Path) -> list[Target]:
    """Write one of everything, and say how each is spoiled and read."""
    planted = rp.load_generator("planted")
    latents = planted.sample_latents(1, seed=3)
    grid, labelled = folder / "run", folder / "labelled"
    d = rp.explain(planted, latents, rp.Regions.grid(4, 4), SETTINGS, picture_seed=3)
    d.save(grid)
    scores = rp.evaluate(d, planted, EVALUATION)
    scores.write(grid)
    exhibit(d, planted, EVALUATION, most=3).write(grid)
    rp.baselines(d, planted, ["spatial crop", "random fields"], EVALUATION).write(grid)
    run = json.loads((grid / "run.json").read_text())
    (grid / "run.json").write_text(json.dumps({**run, "evaluation": asdict(EVALUATION)}))
    exact = rp.Exact(
        patches=[0, 1], steps=3, tolerance=1.0, sparse_steps=3, joint_steps=0, starts=1,
        start_noise=0.2, baseline_count=16,
    )  # fmt: skip
    labels = rp.Regions.grid(2, 2).label_map(32, 32)
    rp.explain(planted, latents, rp.Regions.from_labels(labels), exact).save(labelled)
    checkpoint = folder / "checkpoint"
    kept = Checkpoint.of(checkpoint, "work")
    for row in range(3):
        kept.save(torch.tensor([row, row + 3]), units=torch.randn(2, 5), evaluations=torch.ones(2))
    rp.Edit({0: 0.5, 3: 0.0}, patches=(1, 2)).recorded(
        d, rp.edit(d, planted, {0: 0.5, 3: 0.0})
    ).write(folder / "edit.json")
    _sweep(scores, d).write(folder)
    channel, spoken = WordChannel(7, 8, 0.5), {"pictures": 9, "by_chance": 0.5, "share": 0.2}
    word = Word(patches=(0, 1), known=9, channels=(channel,), seed=3, **spoken)
    Vocabulary((LayerVocabulary("express", 9, 256, 0.2, (word,)),)).write(folder)
    (folder / "kept").mkdir()
    Kept.of(replace(d, regions=rp.Regions.from_labels(d.regions.label_map(32, 32)))).write(
        folder / "kept"
    )
    way = {"inside_error": 0.1, "leak": 0.2, "cost": 0.3, "deviation": 0.4}
    cost = {"evaluations": 9, "seconds": 2.0, "seconds_alone": 0.1}
    measured = {"demands": 3, "free": way, "predicted": {"sparse": way, "raw": way}}
    picture = {"key": "k", "additivity": measured, "cost": cost}
    (folder / "picture.json").write_text(json.dumps(picture))
    return [
        Target("run.json", 20, _json("run/run.json"), _loads("run")),
        Target("tensors", 26, _tensors("run", "tensors", "run.json"), _loads("run")),
        Target("exact run.json", 4, _json("labelled/run.json"), _loads("labelled")),
        Target(
            "exact tensors", 12, _tensors("labelled", "tensors", "run.json"), _loads("labelled")
        ),
        Target("scores", 8, _json("run/scores.json"), _use_scores),
        Target("exhibits", 8, _tensors("run", "exhibits", "exhibits.json"), _exhibits(d)),
        Target("exhibits.json", 2, _json("run/exhibits.json"), _exhibits(d)),
        Target("baselines", 5, _json("run/baselines.json"), _use_baselines),
        Target("sweep", 6, _json("sweep.json"), _use_sweep),
        Target("vocabulary", 4, _json("vocabulary.json"), _use_vocabulary),
        Target("kept", 8, _tensors("kept", "fields"), _use_kept("kept")),
        Target("tensors in part", 8, _tensors("run", "tensors", "run.json"), _use_kept("run")),
        Target("edit", 6, _json("edit.json"), _edits(d)),
        Target("picture.json", 3, _json("picture.json"), _use_picture),
        Target("checkpoint", 5, _checkpoints, _use_checkpoint),
        Target("cache", 5, *_cache(planted)),
        Target("photograph", 5, _photographs(folder), _use_photograph),
        Target("label map", 4, _label_maps, _use_label_map),
        Target("question", 6, *_questions(grid)),
        Target("weights", 1, *_weights(folder)),
    ]


def _sweep(scores: rp.Scores, d: rp.Decomposition) -> SweepScores:
    pictures = tuple(
        PictureScores(seed, f"express/{seed}", f"express/{seed}/report.html", True, 1.5, scores)
        for seed in (0, 1)
    )
    return SweepScores(
        generator="planted",
        weights_digest="0" * 64,
        options={},
        regions={"kind": "grid", "rows": 4, "columns": 4},
        patches=16,
        seeds=(0, 1),
        settings=asdict(SETTINGS),
        evaluation=asdict(EVALUATION),
        versions={"torch": "2"},
        machine={"cores": 2},
        date="2026-01-01",
        layers=(LayerScores("express", (60,), 16, pictures), LayerScores("b", ((3, 2), (4,)), 16,
                                                                          pictures)),
    )  # fmt: skip


def _json(name: str) -> Callable[[random.Random, Path], str]:
    def mutate(rng: random.Random, place: Path) -> str:
        data, how = of_json(rng, (place / name).read_bytes())
        (place / name).write_bytes(data)
        return how

    return mutate


def _tensors(
    folder: str, name: str, manifest: str | None = None
) -> Callable[[random.Random, Path], str]:
    def mutate(rng: random.Random, place: Path) -> str:
        path = place / folder / f"{name}.safetensors"
        if rng.random() < 0.15:
            data, how = of_bytes(rng, path.read_bytes())
        else:
            tensors = load(path.read_bytes())
            how = ", ".join(of_tensors(rng, tensors) for _ in range(rng.choice([1, 1, 1, 2])))
            data = save(tensors)
        path.write_bytes(data)
        if manifest is not None and rng.random() < 0.95:
            told = place / folder / manifest
            content = json.loads(told.read_text())
            content[f"{name}_digest"] = hashlib.sha256(data).hexdigest()
            told.write_text(json.dumps(content))
        return how

    return mutate


def _sealed(rng: random.Random, path: Path, key: str) -> str:
    if rng.random() < 0.3:
        data, how = of_bytes(rng, path.read_bytes())
        path.write_bytes(data)
        return how
    tensors = load(path.read_bytes())
    how = of_tensors(rng, tensors)
    write_sealed(path, key, tensors)
    return f"{how}, sealed"


def _checkpoints(rng: random.Random, place: Path) -> str:
    if rng.random() < 0.1:
        return _json("checkpoint/checkpoint.json")(rng, place)
    return _sealed(rng, rng.choice(sorted((place / "checkpoint").glob("*.safetensors"))), "work")


# What is done with what was read


def expect(sound: bool, what: str) -> None:
    if not sound:
        raise AssertionError(what)


def finite(value: Any) -> bool:
    """Tell whether no number in a result is NaN or infinite; latents may hold infinities."""
    if isinstance(value, Tensor):
        return bool(value.isfinite().all()) if value.is_floating_point() else True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(finite(v) for v in value.values())
    if isinstance(value, (tuple, list)):
        return all(map(finite, value))
    if is_dataclass(value):
        return all(
            finite(getattr(value, f.name)) for f in fields(value) if f.name not in ("latents",)
        )
    return True


def _loads(folder: str) -> Callable[[Path], None]:
    seen: set[Any] = set()

    def use(place: Path) -> None:
        d = rp.Decomposition.load(place / folder)
        expect(finite(d), "a number that is none in the decomposition")
        expect(finite(vars(d.provenance)), "a number that is none in the provenance")
        expect(len(repr(d)) > 0, "no words")
        for feature in (d.component(0), d.component(d.count - 1), d.minimal_feature([0])):
            expect(finite(feature), "a number that is none in a feature")
        expect(finite(d.regions.masks(*d.image.shape[1:])), "masks")
        with tempfile.TemporaryDirectory() as again:
            d.save(Path(again) / "again")
            other = rp.Decomposition.load(Path(again) / "again")
        expect(other.provenance == d.provenance, "another provenance when saved again")
        expect(torch.equal(other.values, d.values), "other values when saved again")
        origin = d.provenance
        told = (origin.generator, origin.layer, repr(origin.options))
        if told not in seen and origin.generator == "planted":
            seen.add(told)
            generator_of(d)

    return use


def _use_scores(place: Path) -> None:
    scores = rp.Scores.read(place / "run")
    expect(finite(scores), "a score that is none")
    json.dumps(scores.to_dict(), allow_nan=False)
    score_rows(scores)
    repr(scores)


def _exhibits(d: rp.Decomposition) -> Callable[[Path], None]:
    def use(place: Path) -> None:
        exhibits = Exhibits.read(place / "run", d)
        expect(finite(exhibits), "a number that is none in a picture")
        expect(sorted(exhibits.visible_order) == list(range(d.count)), "an order that is none")
        exhibits.write(place / "run")

    return use


def _use_baselines(place: Path) -> None:
    comparison = Comparison.read(place / "run")
    if comparison is not None:
        expect(finite(comparison), "a number that is none")
        json.dumps(comparison.to_dict(), allow_nan=False)
        rival_rows(comparison)
        for one in (comparison.own, *comparison.baselines):
            expect(one.best in one.points and len(one.frontier) > 0, "no best point")


def _use_sweep(place: Path) -> None:
    sweep = SweepScores.read(place)
    expect(finite(sweep), "a number that is none")
    json.dumps(sweep.to_dict(), allow_nan=False)
    sweep_command(sweep)
    terminal_table(sweep)
    pictures = [picture for layer in sweep.layers for picture in layer.pictures]
    links = [link for one in pictures for link in (one.run, one.report)]
    expect(not any(":" in (link or "") for link in links), "a link that leads elsewhere")


def _use_vocabulary(place: Path) -> None:
    vocabulary = Vocabulary.read(place)
    expect(finite(vocabulary), "a number that is none")
    vocabulary.write(place)
    expect(Vocabulary.read(place) == vocabulary, "another vocabulary when written again")


def _use_kept(folder: str) -> Callable[[Path], None]:
    def use(place: Path) -> None:
        kept = Kept.read(place / folder)
        expect(finite(vars(kept)), "a number that is none")
        expect(finite(kept.shares), "a share that is none")
        of_picture(0, kept, 60, rp.Regions.grid(4, 4), 1)
        converged(place / folder)

    return use


def _edits(d: rp.Decomposition) -> Callable[[Path], None]:
    def use(place: Path) -> None:
        edit = rp.Edit.read(place / "edit.json")
        expect(finite(edit), "a number that is none")
        edit.write(place / "again.json")
        expect(rp.Edit.read(place / "again.json") == edit, "another edit when written again")
        expect(finite(edit.units(d)), "a number that is none in the edited feature")
        edit.region(d)

    return use


def _use_picture(place: Path) -> None:
    try:
        measured = typed(read_json(place / "picture.json"), _Measured)
    except ValueError as error:
        raise rp.StorageError(str(error)) from error
    expect(finite(measured), "a number that is none")
    json.dumps([measured.additivity.to_dict(), measured.cost.to_dict()], allow_nan=False)


def _use_checkpoint(place: Path) -> None:
    kept = Checkpoint.of(place / "checkpoint", "work")
    for rows, tensors in kept.saved(6, {"units": (5,), "evaluations": ()}):
        expect(finite(tensors), "a number that is none")
        target = torch.zeros(6, 5)
        target[rows] = tensors["units"]


def _cache(
    planted: rp.Generator,
) -> tuple[Callable[[random.Random, Path], str], Callable[[Path], None]]:
    true = baseline_feature(planted, 16)
    (entry,) = (cache_folder() / "baseline").glob("*")
    original = entry.read_bytes()

    def mutate(rng: random.Random, place: Path) -> str:
        entry.write_bytes(original)
        if rng.random() < 0.6:
            data, how = of_bytes(rng, original)
            entry.write_bytes(data)
            return how
        tensors = load(original)
        how = of_tensors(rng, tensors)
        save_in = {"seal": "0" * 64} if rng.random() < 0.5 else None
        entry.write_bytes(save(tensors, save_in))
        return how

    def use(place: Path) -> None:
        found = baseline_feature(planted, 16)
        expect(isinstance(found, Tensor) and torch.equal(found, true), "another baseline")

    return mutate, use


def _photographs(folder: Path) -> Callable[[random.Random, Path], str]:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 15, 3), dtype=np.uint8)
    pictures = {}
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        pictures[kind] = buffer.getvalue()

    def mutate(rng: random.Random, place: Path) -> str:
        kind = rng.choice(list(pictures))
        data, how = of_bytes(rng, pictures[kind])
        if kind == "PNG" and rng.random() < 0.7:
            data, how = _png(rng, pictures[kind])
        (place / "picture.png").write_bytes(data)
        return f"{kind}: {how}"

    return mutate


def _png(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Spoil a chunk and let its checksum fit."""
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    which = rng.randrange(len(chunks))
    kind, body = chunks[which]
    if kind == b"IHDR":
        sides = [rng.choice([0, 1, 8, 12, 2**15, 2**20, 2**31 - 1, 2**32 - 1]) for _ in range(2)]
        body = struct.pack(">II", *sides) + bytes(
            rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255]) for _ in body[8:]
        )
    else:
        body, _ = of_bytes(rng, body)
    chunks[which] = (kind, body)
    spoiled = data[:8]
    for name, content in chunks:
        crc = zlib.crc32(name + content)
        spoiled += struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)
    return spoiled, f"chunk {kind.decode('latin-1')}"


def _use_photograph(place: Path) -> None:
    found = read_photograph(place / "picture.png", 32)
    expect(found.shape == (1, 3, 32, 32) and finite(found), "no picture")
    expect(float(found.min()) >= 0 and float(found.max()) <= 1, "values out of range")


def _label_maps(rng: random.Random, place: Path) -> str:
    tensors = {"labels": rp.Regions.grid(2, 3).label_map(8, 9)}
    how = ", ".join(of_tensors(rng, tensors) for _ in range(2) if "labels" in tensors)
    labels: Any = tensors.get("labels")
    if rng.random() < 0.2:
        labels = rng.choice([*ODD, np.zeros((2, 2)), np.array([["a"]]), [[0, 1], [2]]])
        how = repr(labels)[:60]
    elif rng.random() < 0.2 and isinstance(labels, Tensor):
        labels = labels.numpy() if labels.dtype != torch.bfloat16 else labels
    torch.save(labels, place / "labels.pt")
    return how


def _use_label_map(place: Path) -> None:
    regions = rp.Regions.from_labels(torch.load(place / "labels.pt", weights_only=False))
    height, width = regions.labels.shape  # type: ignore[union-attr]
    masks = regions.masks(height, width)
    expect(bool(masks.flatten(1).any(1).all()), "a patch without a pixel")
    regions.demand([0])
    expect(len(regions.description) > 0, "no words")


def _questions(
    folder: Path,
) -> tuple[Callable[[random.Random, Path], str], Callable[[Path], None]]:
    explorer = Explorer.of(folder)
    app = application(explorer, frozenset({HOST}))
    loop = asyncio.new_event_loop()
    run, page = explorer.first, "0123456789abcdef"
    state = {"base": {"kind": "demand", "patches": [1, 2]}, "scales": {"0": 0.5, "1": -2}}
    first = {"base": {"kind": "first", "order": "strength", "count": 2}, "scales": {}}
    questions = (
        (f"/api/runs/{run}/picture", {"state": state, "page": page}),
        (f"/api/runs/{run}/picture", {"state": first, "page": page}),
        (f"/api/runs/{run}/edit", state),
        ("/api/explanation", {"run": "0" * 12, "seed": 1, "layer": "express", "quality": "fast"}),
    )

    def mutate(rng: random.Random, place: Path) -> str:
        where, content = rng.choice(questions)
        data, how = of_json(rng, json.dumps(content).encode())
        if rng.random() < 0.1:
            query = rng.choice(
                ["component=0", "component=-1", "component=1e9", f"component={10**20}",
                 "component=x", "component=", "order=strength", "order=x\n", ""]
            )  # fmt: skip
            where = f"/api/runs/{run}/{rng.choice(['patterns', 'build-up'])}?{query}"
            data, how = b"", query
        (place / "question").write_text(where)
        (place / "question.json").write_bytes(data)
        return f"{where}: {how}"

    async def asked(where: str, body: bytes) -> tuple[int, bytes]:
        path, _, query = where.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
            "method": "POST" if body else "GET", "path": path, "raw_path": path.encode(),
            "root_path": "", "query_string": query.encode(), "client": ("127.0.0.1", 1),
            "headers": [(b"host", HOST.encode()), (b"content-type", b"application/json")],
            "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        sent: list[Any] = []
        got = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if got:
                return got.pop()
            await asyncio.sleep(3600)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        answer = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], answer

    def use(place: Path) -> None:
        where, body = (place / "question").read_text(), (place / "question.json").read_bytes()
        status, answer = loop.run_until_complete(asked(where, body))
        content = json.loads(answer)
        expect(finite(content), "an answer with a number that is none")
        if status >= 500:
            raise AssertionError(f"answer {status}")
        if status >= 400:
            raise rp.InputError(str(content["error"]))

    return mutate, use


def _weights(
    folder: Path,
) -> tuple[Callable[[random.Random, Path], str], Callable[[Path], None]]:
    torch.manual_seed(0)
    state = photos.PhotoEncoder().state_dict()
    originals = {}
    for suffix in (".safetensors", ".pth"):
        buffer = io.BytesIO()
        torch.save(state, buffer)
        originals[suffix] = save(state) if suffix == ".safetensors" else buffer.getvalue()

    def mutate(rng: random.Random, place: Path) -> str:
        suffix = rng.choice(list(originals))
        for old in place.glob("weights.*"):
            old.unlink()
        if suffix == ".safetensors" and rng.random() < 0.6:
            tensors = dict(state)
            how = of_tensors(rng, tensors)
            data = save(tensors)
        else:
            data, how = of_bytes(rng, originals[suffix])
        (place / f"weights{suffix}").write_bytes(data)
        return f"{suffix}: {how}"

    def use(place: Path) -> None:
        (path,) = place.glob("weights.*")
        network = filled(photos.PhotoEncoder, path, "curl")
        expect(all(finite(part) for part in network.state_dict().values()), "weights that are none")

    return mutate, use


# The run


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise Hang after SECONDS; without a limit where the system has no such alarm."""

    def late(*_: Any) -> None:
        raise Hang(f"still at work after {SECONDS} seconds")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(
    count: int, seed: int, folder: Path, only: int | None = None
) -> tuple[Counter[str], list[str]]:
    """Try mutants; return how many of each target were refused and accepted, and the findings."""
    kept, place = folder / "originals", folder / "mutant"
    kept.mkdir(parents=True)
    targets = originals(kept)
    whole = {
        path.relative_to(kept): path.read_bytes() for path in kept.rglob("*") if path.is_file()
    }
    shutil.copytree(kept, place)
    counts: Counter[str] = Counter()
    findings: list[str] = []
    for number in range(count) if only is None else [only]:
        rng = random.Random(f"{seed}/{number}")
        target = rng.choices(targets, [one.weight for one in targets])[0]
        for path, data in whole.items():
            (place / path).write_bytes(data)
        how, outcome = "", "accepted"
        try:
            how = target.mutate(rng, place)
            with time_limit():
                target.use(place)
        except rp.RegionalPrimitivesError as error:
            outcome, text = "refused", str(error)
            if len(text.splitlines()) != 1 or len(text) > MOST_LETTERS:
                outcome = "finding"
                findings.append(f"mutant {number}, {target.name}, {how}: no line: {text[:200]!r}")
        except (Exception, Hang) as error:
            outcome = "finding"
            told = traceback.format_exception(error)
            findings.append(f"mutant {number}, {target.name}, {how}:\n{''.join(told[-4:])}")
        counts[f"{target.name}: {outcome}"] += 1
    return counts, findings


def limit_memory(gigabytes: float) -> None:
    """Let this process take no more than it has and so much, where Linux can say what it has."""
    mapped = Path("/proc/self/statm")
    if mapped.exists():
        import resource

        pages = int(mapped.read_text().split()[0])
        most = pages * resource.getpagesize() + int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one mutant")
    parser.add_argument("--gigabytes", type=float, default=6.0, help="memory that mutants may take")
    asked = parser.parse_args()
    limit_memory(asked.gigabytes)
    logging.disable(logging.WARNING)  # of every entry that is computed anew
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        os.environ["REGIONAL_PRIMITIVES_CACHE"] = str(Path(name) / "cache")
        counts, findings = fuzz(asked.mutants, asked.seed, Path(name) / "work", asked.only)
    for text in findings:
        print(text)
    for outcome, number in sorted(counts.items()):
        print(f"{number:6d}  {outcome}")
    print(f"{sum(counts.values())} mutants, {len(findings)} findings, "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
