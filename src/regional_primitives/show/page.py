"""Pages from templates: results go in as they are, and filters write numbers and figures."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from regional_primitives.show import numerals
from regional_primitives.show.extras import report_extra
from regional_primitives.show.pixels import data_uri
from regional_primitives.show.style import darkened, svg

TEMPLATES = Path(__file__).parent / "templates"


def _of(kind: type, write: Callable[[Any], str]) -> Callable[[Any], str]:
    """Let a filter take tensors of one number as well."""
    return lambda value: write(kind(value))


_FILTERS: dict[str, Callable[..., str]] = {
    "percent": _of(float, numerals.percent),
    "decimal": _of(float, numerals.decimal),
    "seconds": numerals.seconds,
    "count": numerals.count,
    "ordinal": numerals.ordinal,
    "patches": _of(int, numerals.patches),
    "unbroken": numerals.unbroken,
    "plain": numerals.plain,
    "svg": svg,
    "darkened": darkened,
    "svg_uri": lambda drawing: data_uri(drawing.encode("utf-8"), "image/svg+xml"),
}
"""What a template may put behind a value."""


@cache
def _environment(jinja: Any) -> Any:
    """Return what holds the templates, each of which is compiled once a process."""
    environment = jinja.Environment(
        loader=jinja.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    return environment


def fill_template(
    name: str, view: object = None, *styles: str, scripts: tuple[str, ...] = (), **context: Any
) -> str:
    """Fill a page's template with its results, style sheets and scripts; all text is escaped.

    The template gets `style`, `script`, and `script_source`: what its policy has to allow, by
    digest, so that no other script can run.
    """
    with report_extra():
        import jinja2
    style = "".join((TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in styles)
    modules = ((TEMPLATES / name).read_text(encoding="utf-8") for name in scripts)
    # One file has one scope: names are there without being imported.
    script = "".join(re.sub(r"^(import .*\n|export )", "", text, flags=re.M) for text in modules)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    source = f"script-src 'sha256-{digest}'" if script else "script-src 'none'"
    return (
        _environment(jinja2)
        .get_template(name)
        .render(view=view, style=style, script=script, script_source=source, **context)
    )
