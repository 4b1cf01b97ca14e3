"""What the board of a page reads: facts of the run, and in a report the patterns that it adds up.

The sum x0 + Σ Δx_k is the paper's superposition of regional patterns (arXiv 2410.04421). To set it
beside what the generator gives for the same components, to lump the components without a stored
pattern with all that does not add up, and the quantum of the stored patterns, is ours.
"""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

from torch import Tensor

from regional_primitives.axes import Image, PerComponent
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.scores import Exhibits
from regional_primitives.show import form, numerals
from regional_primitives.show.packing import LEVELS, STEPS_PER_LEVEL, pack, quantum_of
from regional_primitives.show.pictures import PictureBook
from regional_primitives.show.pixels import ColourScale, data_uri


def listing(
    decomposition: Decomposition, scale: ColourScale, visible_change: PerComponent
) -> dict[str, Any]:
    """Return what every board lists of a run."""
    height, width = decomposition.image.shape[-2:]
    regions = decomposition.regions
    return {
        "height": height,
        "width": width,
        "rows": regions.rows,
        "columns": regions.columns,
        "count": regions.count,
        "names": regions.given_names,
        "fields": [row.nonzero().flatten().tolist() for row in decomposition.action_fields],
        "strengths": [finite(value) for value in decomposition.strengths],
        "visible": [finite(value) for value in visible_change],
        "remainder": decomposition.remainder,
        "bar": data_uri(scale.bar()),
        "ticks": scale.ticks(),
    }


def switchboard(book: PictureBook, exhibits: Exhibits) -> dict[str, Any] | None:
    """Pack the patterns of the shown components; None where the run shows none.

    The generated pictures are put into the book: each shown component alone and taken out, each
    step of the build-up, each demand. The page has their values too, as changes from x0 or x.
    """
    decomposition, order = book.decomposition, exhibits.visible_order
    places = {k: place for place, k in enumerate(exhibits.shown.tolist())}
    shown = [k for k in order if k in places]
    if not shown:
        return None
    x, x0 = decomposition.image, decomposition.baseline_image
    origin = decomposition.provenance
    low, high = origin.image_range
    patterns = exhibits.patterns[[places[k] for k in shown]]
    removals = exhibits.removals[[places[k] for k in shown]]
    rest = x - x0 - patterns.sum(0)
    changes = (x0 - low, patterns, rest, removals, exhibits.build_up - x0, exhibits.demanded - x0)
    quantum = quantum_of((low, high), changes)

    def held(source: str, image: Image, start: Image | None, **told: Any) -> dict[str, Any]:
        """Keep a generated picture, and as its change from a start what the page computes with."""
        book.picture(source, image, "")
        packed = {} if start is None else {"change": pack(image - start, quantum)}
        error = finite((image - x).square().sum() / (x0 - x).square().sum())
        return {"source": source, "error": error, **packed, **told}

    book.picture("x", x, "")
    book.picture("x0", x0, "")
    for k, pattern in zip(shown, patterns, strict=True):
        book.change(f"change-{k}", pattern, "")
    steps = exhibits.steps.tolist()
    complete = [n for n in steps if n <= 8 and order[:n] == shown[:n]]
    others = decomposition.count - len(shown)
    return {
        **listing(decomposition, book.scale, exhibits.visible_change),
        "title": f"{origin.generator}, {origin.cut_and_picture}",
        "channels": len(x),
        "level": LEVELS * quantum / (high - low),
        "share": quantum / (high - low),
        "limit": book.scale.limit,
        "colours": base64.b64encode(book.scale.palette()).decode("ascii"),
        "labels": pack(decomposition.regions.label_map(*book.size).float(), 1.0),
        "shown": shown,
        "others": others,
        "rounding": _rounding(quantum, high - low, len(shown) + 2),
        "start": f"first=visible:{complete[-1]}",
        "x0": pack(x0 - low, quantum),
        "changes": [pack(pattern, quantum) for pattern in patterns],
        "rest": pack(rest, quantum),
        "bounded": [finite(exhibits.boundedness[places[k]]) for k in shown],
        "alone": [
            held(f"alone-{k}", x0 + pattern, None, component=k)
            for k, pattern in zip(shown, patterns, strict=True)
        ],
        "without": [
            held(f"without-{k}", x - removal, x, component=k)
            for k, removal in zip(shown, removals, strict=True)
        ],
        "steps": [
            held(f"step-{count}", image, x0, count=count)
            for count, image in zip(steps, exhibits.build_up, strict=True)
        ],
        "demands": [
            held(
                f"given-{place}",
                exhibits.demanded[place],
                x0,
                name=name[:1].upper() + name[1:],
                patches=exhibits.demands[place].nonzero().flatten().tolist(),
                inside=finite(exhibits.inside[place]),
                leak=finite(exhibits.leak[place]),
            )
            for place, name in enumerate(
                map(
                    partial(form.demand_in_words, decomposition),
                    exhibits.demand_names,
                    exhibits.demands,
                )
            )
        ],
    }


def finite(value: Tensor) -> float | None:
    """Return a number that JSON can hold; None for what is not finite."""
    return float(value) if bool(value.isfinite()) else None


def _rounding(quantum: float, extent: float, terms: int) -> str:
    """Say how far a sum of so many packed pictures can be off, each by half a quantum."""
    if quantum * LEVELS * STEPS_PER_LEVEL <= extent * (1 + 1e-9):
        stored = "a 16th of a screen level"
    else:
        stored = f"{numerals.decimal(LEVELS * quantum / extent)} screen levels"
    most = numerals.decimal(LEVELS * terms * quantum / 2 / extent)
    return f"Patterns are stored to {stored}, so that a sum is off by {most} levels at most."
