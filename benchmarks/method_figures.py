"""The pictures of docs/method.md: the objects on a real face, Venn diagrams, noise by order.

    .venv/bin/python benchmarks/method_figures.py

Writes docs/images/method_*.png. Takes under a minute on two cores, most of it for the fit.
"""

from __future__ import annotations

from pathlib import Path

import torch

import regional_primitives as rp
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.setfunctions import orders
from regional_primitives.show.outlines import loops, segments
from regional_primitives.show.pixels import COLOUR_MAP, ColourScale, magnitude
from regional_primitives.show.style import LIGHT, begin_axes, new_figure

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SEED = 22
DEMAND = (13, 14, 19, 20)
"""The left eye and cheek of that face: rows 2 and 3, columns 1 and 2, all counted from 0."""

TWO = {"a": "4 0 0", "b": "0 3 0", "ab": "1 0 2"}
"""The components of the document's first example, and of its second one below."""
THREE = {"a": 4, "b": 5, "c": 2, "ab": 2, "ac": 0, "bc": 1, "abc": 6}

NOISE_PATCHES, NOISE_UNITS, NOISE_SHARE = 9, 400, 0.04


def main() -> None:
    """Draw all four."""
    generator = rp.load_generator("faces")
    result = rp.explain(
        generator,
        generator.sample_latents(1, seed=SEED),
        rp.Regions.grid(6, 6),
        rp.Structured(steps=60, batch=12),
        progress=True,
    )
    drawn = {
        "objects": objects(result, generator),
        "venn": venn(),
        "signs": signs(),
        "noise": noise(),
    }
    for name, figure in drawn.items():
        path = IMAGES / f"method_{name}.png"
        figure.savefig(path, dpi=160, metadata={"Software": None})
        print(path)


def objects(result: rp.Decomposition, generator: rp.Generator):
    """Draw x, x0, a demand S, G(u(S)), and components that S wakes beside some that sleep."""
    image_range = result.provenance.image_range
    height, width = result.image.shape[-2:]
    demand = result.regions.demand(DEMAND)
    mask = result.regions.pixel_mask(demand, height, width)
    woken = (result.action_fields & demand).any(1)
    answer = generator.render(result.minimal_units(demand[None]))[0]
    explained = rp.Picture.of(result, generator)
    changes = explained.removals(range(result.count))
    seen = changes.square().sum((1, 2, 3)).argsort(descending=True).tolist()
    sizes = result.action_fields.sum(1)
    # The most visible of each size, so that fields that reach beyond S are among them.
    awake = [next(k for k in seen if woken[k] and sizes[k] == size) for size in (1, 2, 3, 4)]
    asleep = [next(k for k in seen if not woken[k] and sizes[k] == size) for size in (1, 2, 4)]
    maps = magnitude(explained.patterns(awake + asleep), image_range)
    scale = ColourScale.over([maps])
    picture = bytes_of(result.image, image_range)

    figure = new_figure((11.0, 8.1))
    upper = figure.add_gridspec(1, 4, left=0.01, right=0.99, top=0.9, bottom=0.585, wspace=0.05)
    for column, (title, pixels) in enumerate(
        (
            ("the picture  x", picture),
            ("the baseline picture  x₀", bytes_of(result.baseline_image, image_range)),
            (f"a demand S, {len(DEMAND)} patches", _faded(picture, mask)),
            ("what u(S) generates", bytes_of(answer, image_range)),
        )
    ):
        axes = figure.add_subplot(upper[0, column])
        _picture(axes, pixels)
        if column in (0, 2):
            _lines(axes, segments(result.regions.label_map(height, width)), 0.4)
        if column > 1:
            _lines(axes, _closed(mask), 1.6)
        axes.set_title(title, fontsize=12, color=LIGHT.ink, pad=6)
    lower = figure.add_gridspec(
        2, 8, left=0.01, right=0.915, top=0.46, bottom=0.075, wspace=0.08, hspace=0.16,
        width_ratios=[1, 1, 1, 1, 0.12, 1, 1, 1],
    )  # fmt: skip
    for place, k in enumerate(awake + asleep):
        colour = LIGHT.series[0 if place < len(awake) else 1]
        column = place + (place >= len(awake))
        own = result.regions.pixel_mask(result.action_fields[k], height, width)
        axes = figure.add_subplot(lower[0, column])
        _picture(axes, _faded(picture, own))
        _frame(axes, own, colour)
        _lines(axes, _closed(mask), 1.1, "--")
        axes.set_title(f"component {k}", fontsize=10.5, color=LIGHT.ink, pad=4)
        axes = figure.add_subplot(lower[1, column])
        drawn = _map(axes, maps[place], scale)
        _frame(axes, own, colour)
    bar = figure.colorbar(drawn, cax=figure.add_axes((0.928, 0.075, 0.011, 0.178)))
    bar.set_ticks([value for value, _ in scale.ticks()])
    bar.set_ticklabels([f"{100 * value:.3g}" for value, _ in scale.ticks()])
    bar.set_label("% of the image range", color=LIGHT.muted, fontsize=9)
    bar.ax.tick_params(colors=LIGHT.muted, labelsize=8.5)
    bar.outline.set_visible(False)
    for x, text, colour in (
        (0.01, f"{int(woken.sum())} of {result.count} components wake: their fields touch S", 0),
        (0.545, "… and the others sleep", 1),
    ):
        figure.text(x, 0.515, text, fontsize=12, color=LIGHT.series[colour], fontweight="bold")
    figure.text(
        0.01, 0.022, "Upper row: action fields, and S dashed. Lower row: the change that each "
        "component makes by itself, |G(f₀ + Δf) − x₀|.", fontsize=10.5, color=LIGHT.muted,
    )  # fmt: skip
    _headline(
        figure, f"What {len(DEMAND)} patches need is the sum of the components that they wake"
    )
    return figure


def venn():
    """Draw both examples: a component is the part that lies in the circles of its field only."""
    figure = new_figure((11.0, 4.9))
    one = figure.add_axes((0.01, 0.02, 0.47, 0.84))
    two = figure.add_axes((0.52, 0.02, 0.47, 0.84))
    for axes, x, title in (
        (one, 0.012, "Two patches, three units"),
        (two, 0.53, "Three patches, one unit"),
    ):
        axes.set_aspect("equal")
        axes.axis("off")
        figure.text(x, 0.85, title, fontsize=12, color=LIGHT.ink)
    _circles(one, {"a": (-0.62, 0.0), "b": (0.62, 0.0)}, 1.15)
    places = {"a": (-1.05, 0.0), "ab": (0.0, 0.0), "b": (1.05, 0.0)}
    for field, (x, y) in places.items():
        _cell(one, x, y, _name(field), f"({', '.join(TWO[field].split())})")
    for x, patch, colour in ((-1.1, "a", LIGHT.series[0]), (1.1, "b", LIGHT.series[1])):
        one.text(x, 1.24, f"all that {patch} keeps on", ha="center", fontsize=11, color=colour)
    one.text(0, -1.46, "outside: f₀ = (1, 1, 1)", ha="center", fontsize=11, color=LIGHT.muted)
    one.set(xlim=(-2.4, 2.4), ylim=(-1.75, 1.6))
    _circles(two, _THREE_CIRCLES, 1.1)
    for field, (x, y) in _THREE_PLACES.items():
        _cell(two, x, y, _name(field), str(THREE[field]))
    _patch_names(two)
    two.text(-1.5, -1.62, "outside: f₀ = 10", ha="center", fontsize=11, color=LIGHT.muted)
    two.set(xlim=(-2.5, 2.5), ylim=(-1.85, 1.6))
    _headline(
        figure, "A circle: what its patch keeps on. A component: what exactly its patches share"
    )
    return figure


def signs():
    """Draw how often each part has been counted, after each order of inclusion–exclusion."""
    pairs = ("ab", "ac", "bc")
    stages = (
        ("w({a,b,c})", "everything once", lambda T: 1),
        ("− w of the three pairs", "single parts: now once too few",
         lambda T: 1 - sum(set(T) <= set(pair) for pair in pairs)),
        ("+ w of the three singles", "only the middle is left: Δ{a,b,c}",
         lambda T: 1 - sum(set(T) <= set(pair) for pair in pairs) + (len(T) == 1)),
    )  # fmt: skip
    figure = new_figure((11.0, 4.3))
    for column, (title, meaning, count) in enumerate(stages):
        axes = figure.add_axes((0.01 + 0.33 * column, 0.0, 0.32, 0.77))
        axes.set_aspect("equal")
        axes.axis("off")
        middle = 0.17 + 0.33 * column
        figure.text(middle, 0.835, title, ha="center", fontsize=13, color=LIGHT.ink)
        figure.text(middle, 0.775, meaning, ha="center", fontsize=11, color=LIGHT.muted)
        _circles(axes, _THREE_CIRCLES, 1.1)
        for field, (x, y) in _THREE_PLACES.items():
            times = count(field)
            axes.text(
                x, y, f"{times:+d}".replace("-", "−") if times else "0", ha="center", va="center",
                fontsize=17 if times else 13, fontweight="bold" if times else "normal",
                color=LIGHT.ink if times else LIGHT.muted,
            )  # fmt: skip
        _patch_names(axes)
        axes.set(xlim=(-2.1, 2.1), ylim=(-1.8, 1.6))
    _headline(figure, "Why the signs alternate: how often each part has been counted so far")
    return figure


def noise():
    """Draw strengths by order: planted components, and what the plain transform makes of them."""
    n, share = NOISE_PATCHES, NOISE_SHARE
    rng = torch.Generator().manual_seed(0)
    order = orders(n)
    planted = torch.zeros(2**n, NOISE_UNITS, dtype=torch.float64)
    for size, count in ((1, 9), (2, 8), (3, 3)):
        fields = (order == size).nonzero().flatten()
        for T in fields[torch.randperm(len(fields), generator=rng)[:count]].tolist():
            planted[T] = torch.randn(NOISE_UNITS, generator=rng, dtype=torch.float64)
    exact = rp.or_values(planted)
    sigma = share * exact[-1].norm() / NOISE_UNITS**0.5
    errors = torch.randn(exact.shape, generator=rng, dtype=torch.float64)
    errors[0] = 0  # f0 is known
    found = rp.or_harsanyi(exact + sigma * errors)
    whole = exact[-1].norm()

    def strength(components, size):
        return float(100 * (components[order == size].norm(dim=1) / whole).mean())

    figure, axes = begin_axes(
        new_figure((7.4, 4.3)).add_axes((0.11, 0.14, 0.86, 0.73)),
        f"Errors of {share:.0%} in every u(S), simulated: strength by order",
    )
    sizes = list(range(1, n + 1))
    law = [100 * float(sigma * (2**k * NOISE_UNITS) ** 0.5 / whole) for k in sizes]
    true = [strength(planted, k) for k in sizes]
    axes.plot(sizes, law, "--", color=LIGHT.muted, linewidth=1.6)
    axes.plot(sizes, [strength(found, k) for k in sizes], "-o", color=LIGHT.series[1], linewidth=2)
    axes.plot(sizes[:3], true[:3], "-o", color=LIGHT.series[0], linewidth=2)
    axes.set_yscale("log")
    axes.set_ylim(0.6, 130)
    axes.set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.set_yticks([], minor=True)
    axes.set_xticks(sizes)
    axes.set_xlabel("order |T|, patches in the action field")
    axes.set_ylabel("mean strength ‖Δf‖ (% of ‖u(N) − f₀‖, log)")
    return _labelled(figure, axes, law, true)


def _labelled(figure, axes, law, true):
    for text, place, colour, where in (
        ("found by the plain transform", (6.9, law[6] * 1.3), LIGHT.series[1], "right"),
        ("the error alone: ×√2 per order", (6.05, 15.5), LIGHT.muted, "left"),
        ("planted; none above order 3", (3.15, true[2]), LIGHT.series[0], "left"),
    ):
        axes.text(*place, text, ha=where, va="center", color=colour, fontsize=10.5)
    return figure


_THREE_CIRCLES = {"a": (-0.62, 0.42), "b": (0.62, 0.42), "c": (0.0, -0.62)}
_THREE_PLACES = {
    "a": (-1.1, 0.68),
    "b": (1.1, 0.68),
    "c": (0.0, -1.22),
    "ab": (0.0, 0.88),
    "ac": (-0.68, -0.38),
    "bc": (0.68, -0.38),
    "abc": (0.0, 0.07),
}


def _headline(figure, text: str) -> None:
    figure.suptitle(
        text, x=0.012, y=0.975, ha="left", fontsize=13.5, fontweight="bold", color=LIGHT.ink
    )


def _name(field: str) -> str:
    return "Δ{" + ",".join(field) + "}"


def _cell(axes, x: float, y: float, name: str, value: str) -> None:
    axes.text(x, y + 0.13, name, ha="center", va="center", fontsize=10, color=LIGHT.muted)
    axes.text(
        x, y - 0.12, value, ha="center", va="center", fontsize=13, fontweight="bold",
        color=LIGHT.ink,
    )  # fmt: skip


def _circles(axes, centres, radius: float) -> None:
    from matplotlib.patches import Circle

    for colour, centre in zip(LIGHT.series, centres.values(), strict=False):
        axes.add_patch(Circle(centre, radius, facecolor=colour, alpha=0.14))
        axes.add_patch(Circle(centre, radius, fill=False, edgecolor=colour, linewidth=2.2))


def _patch_names(axes) -> None:
    for patch, place in {"a": (-1.75, 1.2), "b": (1.75, 1.2), "c": (1.25, -1.4)}.items():
        colour = LIGHT.series["abc".index(patch)]
        axes.text(*place, patch, ha="center", fontsize=14, fontweight="bold", color=colour)


def _faded(pixels, mask):
    return torch.where(mask[..., None], pixels.float(), 0.3 * pixels.float() + 0.7 * 255)


def _picture(axes, pixels) -> None:
    _shown(axes, pixels.round().byte())


def _map(axes, values, scale: ColourScale):
    from matplotlib.colors import PowerNorm

    norm = PowerNorm(0.5, vmin=0.0, vmax=scale.limit, clip=True)
    return _shown(axes, values, cmap=COLOUR_MAP, norm=norm)


def _shown(axes, content, **colours):
    height, width = content.shape[:2]
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes.imshow(
        content.numpy(), interpolation="nearest", extent=(0, width, height, 0), **colours
    )


def _closed(mask):
    return [[*loop, loop[0]] for loop in loops(mask)]


def _lines(axes, lines, width: float, style: str = "-") -> None:
    from matplotlib.collections import LineCollection

    for colour, extra in (("#000000", 1.2), ("#ffffff", 0.0)):
        drawn = LineCollection(
            lines, colors=colour, linewidths=width + extra, linestyles=style, clip_on=False
        )
        axes.add_collection(drawn, autolim=False)


def _frame(axes, mask, colour: str) -> None:
    """Outline an action field in a colour, rimmed so that it shows on any picture."""
    from matplotlib.collections import LineCollection

    for edge, width in (("#ffffff", 4.0), (colour, 2.4)):
        drawn = LineCollection(_closed(mask), colors=edge, linewidths=width, clip_on=False)
        axes.add_collection(drawn, autolim=False)


if __name__ == "__main__":
    main()
