"""A run folder becomes one self-contained page, report.html, without model, GPU or network."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import StorageError
from regional_primitives.evaluate import Comparison, Exhibits, Scores
from regional_primitives.runtime.staging import MANIFEST, staged_file
from regional_primitives.runtime.storage import read_json
from regional_primitives.show.extras import report_extra, require_report_extra
from regional_primitives.show.figures import write_figures
from regional_primitives.show.view import ReportView, report_view

__all__ = ["REPORT", "fill_template", "render", "write_report"]

REPORT = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"


def write_report(folder: Path) -> Path:
    """Read a run folder; write its figures and then its report.html, whole or not at all.

    Raises:
        StorageError: the folder is no run folder, is incomplete or corrupt, or cannot be written.
        MissingExtraError: packages that only the report needs are not installed.
    """
    require_report_extra()
    decomposition = Decomposition.load(folder)
    scores = Scores.read(folder)
    exhibits = Exhibits.read(folder)
    _refuse_strangers(folder, decomposition, exhibits)
    comparison = Comparison.read(folder)
    manifest = read_json(folder / MANIFEST)
    page = render(report_view(decomposition, scores, exhibits, manifest, comparison))
    write_figures(folder, decomposition, scores, exhibits, comparison)
    report = folder / REPORT
    with staged_file(report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return report


def render(view: ReportView) -> str:
    """Fill the template; everything that a run brings along is escaped."""
    return fill_template(
        REPORT, view, "report.css", "switchboard.css", scripts=("sums.js", "switchboard.js")
    )


def fill_template(name: str, view: object, *styles: str, scripts: tuple[str, ...] = ()) -> str:
    """Fill a page's template with its view, style sheets and scripts; all text is escaped.

    The template gets `style`, `script`, and `script_source`: what its policy has to allow, by
    digest, so that no other script can run.
    """
    with report_extra():
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = "".join((_TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in styles)
    script = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in scripts)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    source = f"script-src 'sha256-{digest}'" if script else "script-src 'none'"
    return environment.get_template(name).render(
        view=view, style=style, script=script, script_source=source
    )


def _refuse_strangers(folder: Path, decomposition: Decomposition, exhibits: Exhibits) -> None:
    """Refuse pictures that another run has left."""
    shown, demands = len(exhibits.shown), len(exhibits.demand_names)
    picture = decomposition.image.shape
    fitting = (
        exhibits.visible_change.shape == (decomposition.count,)
        and exhibits.patterns.shape == exhibits.removals.shape == (shown, *picture)
        and exhibits.boundedness.shape == (shown,)
        and (shown == 0 or int(exhibits.shown.max()) < decomposition.count)
        and exhibits.build_up.shape == (len(exhibits.steps), *picture)
        and exhibits.build_up_error.shape == exhibits.steps.shape
        and exhibits.demands.shape == (demands, decomposition.regions.count)
        and exhibits.demanded.shape == (demands, *picture)
        and exhibits.inside.shape == exhibits.leak.shape == (demands,)
    )
    if not fitting:
        raise StorageError(f"{folder} is corrupt: its pictures do not belong to its components")
