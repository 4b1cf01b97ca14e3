"""The command that edits a run's picture, tells what the edit changes where, and replays edits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from regional_primitives.apply import (
    BY,
    RULES,
    WAYS,
    CarriedEdit,
    Edit,
    EditEffects,
    carry,
    check_edit_file,
    edit_ways,
    measured_ways,
)
from regional_primitives.cli.application import app, tell
from regional_primitives.cli.options import (
    Json,
    ModelOptions,
    OwnModel,
    Run,
    is_number,
    keywords,
    patches_of,
)
from regional_primitives.cli.output import print_json, print_table
from regional_primitives.decompose import Decomposition
from regional_primitives.decompose.purpose import QUESTIONS
from regional_primitives.errors import InputError
from regional_primitives.generators.latents import concatenate
from regional_primitives.runs import folder as runs
from regional_primitives.runs.sweep import parse_seeds
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.settings import pair
from regional_primitives.show.experiment_pictures import plot_carried
from regional_primitives.show.extras import require_extra
from regional_primitives.show.figures import write_figure
from regional_primitives.show.pixels import check_picture_file, write_picture

_MOST_NUMBERS = 12
"""Patches without names up to which the table lists them."""


@app.command()
def edit(
    folder: Run,
    out: Annotated[Path, typer.Option(help="The edited picture, a PNG file.")],
    scale: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K=V", help="Scale component K by V: 0 removes it, 2 doubles it; repeatable."
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K|REGION",
            help="Switch component K off, or what a region by that name is made of; repeatable.",
        ),
    ] = None,
    amplify: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGION=V", help="Scale what a region is made of by V, such as mouth=1.5."
        ),
    ] = None,
    keep_only: Annotated[
        list[int] | None,
        typer.Option(metavar="K", help="Switch all components off but these; repeatable."),
    ] = None,
    swap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OTHER_RUN:K",
            help="Exchange component K for that of another run with the same action field; "
            "repeatable.",
        ),
    ] = None,
    nearest: Annotated[
        bool,
        typer.Option(
            "--nearest",
            help="With --swap: where the other run has no component with that field, take the one "
            "whose field overlaps it most.",
        ),
    ] = False,
    blend: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER_RUN", help="Show another run's picture in --regions, through components."
        ),
    ] = None,
    patches: Annotated[
        str | None,
        typer.Option(
            "--regions",
            "--patches",
            metavar="P,P,…",
            help="With --blend: names, or numbers; patch 0 of a grid is top left, row by row.",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(RULES),
            help="Of regions: whose a component is whose field straddles the border; by share of "
            "its pixels (shared) unless given.",
        ),
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Make the picture of an edit's file again.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="OTHER_RUN",
            help="With --replay: the run from which a swap or a blend takes components.",
        ),
    ] = None,
    save_edit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the edit as JSON, for --replay.")
    ] = None,
    carried: Annotated[
        str | None,
        typer.Option(
            "--carry",
            metavar="SEEDS",
            help="Make the edit in the pictures of these seeds too, such as 0:50: in how many it "
            "changes the part and leaves the rest, beside random units. Before and after are drawn "
            "beside --out, in …-carried.png.",
        ),
    ] = None,
    carry_by: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(BY),
            help="With --carry: scale the same units of the other pictures, or add the same "
            f"change to them; {next(iter(BY))} unless given.",
        ),
    ] = None,
    model: OwnModel = None,
    options: ModelOptions = None,
    as_json: Json = False,
) -> None:
    """Edit a run's picture through its components, and tell what changes where.

    Beside the edit stand the ways without components: pasting the region's pixels, and cropping
    the feature. Change is root mean square, in shares of the image range; share outside that of
    its energy which falls outside the region; seam how far colours jump across the region's border.
    Of a blend, error inside is what is left of the difference to the other picture.
    """
    removed = [text for text in remove or [] if not is_number(text)]
    by_region = bool(removed or amplify)
    if by_region and (scale or keep_only or len(removed) < len(remove or [])):
        raise InputError("an edit names components or regions, not both")
    kinds = {
        "--scale, --remove or --keep-only": bool(scale or remove or keep_only) and not by_region,
        "--remove REGION or --amplify": by_region,
        "--swap": bool(swap),
        "--blend": blend is not None,
        "--replay": replay is not None,
    }
    if sum(kinds.values()) != 1:
        given = "several were given" if any(kinds.values()) else "nothing is edited"
        raise InputError(f"{given}; give one of {', '.join(kinds)}")
    for option, value, owner in (
        ("--nearest", nearest, "--swap"),
        ("--regions", patches, "--blend"),
        ("--from", source, "--replay"),
    ):
        if value and not kinds[owner]:
            raise InputError(f"{option} belongs to {owner}")
    if rule and not (kinds["--blend"] or by_region):
        raise InputError("--rule belongs to --blend, and to regions that are removed or amplified")
    if out.suffix.lower() not in ("", ".png"):
        raise InputError(f"--out is written as a PNG file; name it {out.stem}.png, not {out.name}")
    seeds = None if carried is None else parse_seeds(carried)
    if carry_by is not None and seeds is None:
        raise InputError("--carry-by belongs to --carry")
    carry_by = carry_by or next(iter(BY))
    if carry_by not in BY:
        raise InputError(f"--carry-by is one of {', '.join(BY)}; not {carry_by!r}")
    places = [check_picture_file(out)]
    sheet = out.with_name(f"{out.stem}-carried.png")
    if seeds:
        places.append(check_picture_file(sheet))
    if save_edit is not None:
        places.append(check_edit_file(save_edit))
    if len(set(places)) < len(places):
        raise InputError(f"--out and --save-edit are both {places[-1]}; choose two files")
    scaled = Edit() if by_region else _scaled(scale or [], remove or [], keep_only or [])
    donor, components = _swapped(swap) if swap else (None, [])
    numbers = None if patches is None else patches_of("--regions", patches, "mouth or 14,15")
    require_extra()
    one, other = Decomposition.load(folder), None
    if replay is not None:
        wanted = Edit.read(replay)
        other = None if source is None else Decomposition.load(source)
        if wanted.taken and other is None:
            raise InputError(f"{replay} takes components from another run; name it with --from")
    elif donor is not None:
        other = Decomposition.load(donor)
        wanted = Edit.swap(one, other, components, nearest=nearest)
    elif blend is not None:
        if numbers is None:
            raise InputError("--blend needs --regions, such as --regions mouth or --regions 14,15")
        other = Decomposition.load(blend)
        wanted = Edit.blend(one, other, numbers, rule=rule or RULES[0])
    elif by_region:
        wanted = _of_regions(one, removed, amplify or [], rule or RULES[0])
    else:
        wanted = scaled
    if seeds and wanted.taken:
        raise InputError("--carry takes edits that scale; this one takes from another picture")
    generator = runs.generator_of(one, model, **keywords(options))
    pictures = edit_ways(one, generator, wanted, other)
    if not as_json and one.provenance.purpose == "generate":
        tell(
            f"{folder} answers {QUESTIONS['generate']!r}: its components bring along what belongs "
            "to them; for edits that leave the rest as it is, explain with --purpose isolate"
        )
    picture = pictures["components"]
    effects = measured_ways(one, wanted, pictures, other)
    same = wanted.made(one, picture) if replay is not None else None
    result = None
    if seeds:
        latents = concatenate([generator.sample_latents(1, seed=each) for each in seeds])
        with progress_bar() as progress:
            result = carry(wanted, one, generator, latents, by=carry_by, progress=progress)
    write_picture(out, picture[0], one.provenance.image_range)
    if result is not None:
        write_figure(sheet, plot_carried(result, [f"seed {each}" for each in seeds or ()]))
    recorded = wanted.recorded(one, picture, other)
    if save_edit is not None:
        recorded.write(save_edit)
    content = {
        "picture": str(out),
        "edit": recorded.to_dict(),
        "edit_file": None if save_edit is None else str(save_edit),
        "effects": effects.to_dict(),
        **({} if replay is None else {"same_picture": same}),
        **({} if result is None else {"carried": result.to_dict(), "carried_pictures": str(sheet)}),
    }
    if as_json:
        print_json(content)
    else:
        _print(out, save_edit, effects, one)
        if result is not None:
            _print_carried(result)
            typer.echo(f"pictures before and after: {sheet}")
    if replay is not None:
        tell(_verdict(replay, same))


def _of_regions(one: Decomposition, removed: list[str], amplify: list[str], rule: str) -> Edit:
    scales = [(name, 0.0) for name in removed] + [pair(text, str, float) for text in amplify]
    names = [name for name, _ in scales]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(f"region {twice!r} is named twice")
    return Edit.together([Edit.of_regions(one, [name], v, rule=rule) for name, v in scales])


def _scaled(scale: list[str], remove: list[str], keep_only: list[int]) -> Edit:
    if remove and keep_only:
        raise InputError("--keep-only removes all others already; leave --remove out")
    scales: dict[int, float] = {}
    named = [
        *(pair(text, int, float) for text in scale),
        *((int(k), 0.0) for k in remove),
        *((k, 1.0) for k in keep_only),
    ]
    for k, value in named:
        if k in scales:
            raise InputError(f"component {k} is named twice")
        scales[k] = value
    return replace(Edit(scales), others=0.0) if keep_only else Edit(scales)


def _swapped(texts: list[str]) -> tuple[Path, list[int]]:
    folders, components = set(), []
    for text in texts:
        folder, sign, k = text.rpartition(":")
        if not (sign and folder and k.strip().isdecimal()):
            raise InputError(f"--swap takes OTHER_RUN:K, such as runs/other:3, not {text!r}")
        folders.add(folder)
        components.append(int(k))
    if len(folders) > 1:
        raise InputError(f"--swap takes components of one other run, not {len(folders)}")
    return Path(folders.pop()), components


def _verdict(replay: Path, same: bool | None) -> str:
    if same is None:
        return f"{replay} has no digest on record to compare the picture with"
    if same:
        return f"the picture is the one that {replay} has on record, pixel by pixel"
    return (
        f"the picture is not the one that {replay} has on record; on another device or with "
        "another version of torch, rounding may move a pixel by one level"
    )


def _print(out: Path, save_edit: Path | None, effects: EditEffects, one: Decomposition) -> None:
    patches, regions = effects.patches, one.regions
    few = regions.given_names is not None or len(patches) <= _MOST_NUMBERS
    region = regions.in_words(patches) if few else f"{len(patches)} patches"
    told = f"meant to change: {region} ({effects.pixels:.0%} of the picture)"
    table = Table(title=told, title_justify="left")
    aims = any(way.target_error is not None for way in effects.ways)
    table.add_column("way")
    for name in ("change\ninside", "change\noutside", "share\noutside", "seam"):
        table.add_column(name, justify="right")
    if aims:
        table.add_column("error\ninside", justify="right")
    for way in effects.ways:
        shares = [way.outside_share, way.seam, *([way.target_error] if aims else [])]
        changes = (f"{way.inside:.1%}", f"{way.outside:.2%}")
        table.add_row(WAYS[way.way], *changes, *map(_share, shares))
    print_table(table)
    if effects.pixels == 1:
        typer.echo("components of all patches change, so nothing is outside")
    if effects.seam_before is not None:
        typer.echo(f"seam in the unedited picture: {_share(effects.seam_before)}")
    typer.echo(f"picture: {out}")
    if save_edit is not None:
        typer.echo(f"edit: {save_edit}")


def _print_carried(carried: CarriedEdit) -> None:
    table = Table(title=f"carried to {carried.count} pictures", title_justify="left")
    table.add_column("way")
    for name in ("success", "change\ninside", "share\noutside"):
        table.add_column(name, justify="right")
    for way in carried.ways:
        told = f"{way.success:.0%}", f"{way.median_inside:.1%}", _share(way.median_outside_share)
        table.add_row(way.way, *told)
    print_table(table)
    typer.echo(
        f"success: the part changes by at least {carried.least_inside:.1%} (in its own picture "
        f"{carried.own_inside:.1%}), at most {carried.most_outside:.0%} of the change outside it; "
        "changes are medians"
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
