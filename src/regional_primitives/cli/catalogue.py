"""Commands that list: generators known by name, and where each can be cut."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from regional_primitives.cli.application import app, tell
from regional_primitives.cli.options import Json, Model, ModelOptions, Size, Weights, keywords
from regional_primitives.cli.output import print_json, print_table
from regional_primitives.decompose import forecast
from regional_primitives.generators import ZOO, load_generator
from regional_primitives.generators import layers as cut_points
from regional_primitives.generators.factory import registered
from regional_primitives.generators.feature import describe_shape, unit_count


@app.command()
def layers(
    model: Model,
    every: Annotated[
        bool, typer.Option("--all", help="Every layer, not only those worth using.")
    ] = False,
    options: ModelOptions = None,
    weights: Weights = None,
    size: Size = None,
    as_json: Json = False,
) -> None:
    """List where a generator can be cut, what lies behind, and what a fit takes at the most."""
    generator = load_generator(model, weights=weights, size=size, **keywords(options))
    worth = None if every or model not in ZOO else ZOO[model].layers
    points = [point for point in cut_points(generator) if worth is None or point.name in worth]
    if as_json:
        print_json([{**asdict(point), "forecast": asdict(forecast(point))} for point in points])
        return
    table = Table("layer", "feature", "units", "run time behind", "a fit takes", "flows past")
    for point in points:
        expected = forecast(point)
        past = ", ".join(point.flows_past[:3]) + (" …" if len(point.flows_past) > 3 else "")
        table.add_row(
            point.name,
            describe_shape(point.feature_shape),
            f"{unit_count(point.feature_shape):,}",
            f"{point.time_share:.1%}",
            expected.in_short,
            f"{len(point.flows_past)}: {past}" if past else "nothing",
        )
    print_table(table)
    if worth is not None:
        tell("these are the layers worth using; --all lists every one")


@app.command()
def models(as_json: Json = False) -> None:
    """List the generators that are known by name."""
    rows = [
        {
            "name": entry.name,
            "family": entry.family,
            "resolution": ", ".join(f"{size} × {size}" for size in entry.sizes),
            "layers": ", ".join(entry.layers),
            "licence": entry.licence,
            "installed": "yes" if entry.installed() else f"no; {entry.how_to_get}",
        }
        for entry in ZOO.values()
    ] + [
        {
            "name": name,
            "family": f"registered by {getattr(point.dist, 'name', 'a package')}",
            "resolution": "",
            "layers": "",
            "licence": "",
            "installed": "yes",
        }
        for name, point in registered().items()
    ]
    if as_json:
        print_json(rows)
        return
    table = Table(*(name for name in rows[0] if name != "layers"))
    for row in rows:
        told = {**row, "installed": row["installed"].split(";")[0]}
        table.add_row(*(value for name, value in told.items() if name != "layers"))
    print_table(table)
    for row in rows:  # in lines of their own, so that no name is broken
        if row["layers"]:
            typer.echo(f"layers of {row['name']}: {row['layers']}")
    for entry in ZOO.values():
        if not entry.installed():
            typer.echo(f"{entry.name}: {entry.how_to_get}")
