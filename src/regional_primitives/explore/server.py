"""What can be asked of the explorer: the page's own files, and questions about open runs.

Every field of a question is named, typed and bounded; anything else is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Annotated, Any

import torch
from fastapi import Body, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from regional_primitives.decompose.purpose import Purpose
from regional_primitives.errors import InputError, RegionalPrimitivesError
from regional_primitives.explore.explorer import Explorer
from regional_primitives.explore.guard import Guard
from regional_primitives.explore.session import Asked, Number, Run, Session, State
from regional_primitives.regions import Regions
from regional_primitives.show.page import TEMPLATES, fill_template

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_MOST_PATTERNS = 64
MOST_DRAWN = 100
"""Regions that are drawn at once."""


class PictureRequest(Asked):
    """A question for the picture of a state."""

    state: State
    page: Annotated[str, Field(pattern=r"^[0-9a-f-]{8,40}$")]
    """Names the asking page: its newer question drops an older one that still waits."""


class Drawn(Asked):
    """Regions that were drawn over a picture."""

    names: Annotated[list[str], Field(min_length=1, max_length=MOST_DRAWN)]
    runs: Annotated[
        list[Annotated[int, Field(ge=-1, le=10**9)]], Field(min_length=2, max_length=200_000)
    ]
    """Region, how many pixels, region, how many pixels, …, row by row; −1 is no region."""

    def over(self, height: int, width: int) -> Regions:
        """Return the regions of a picture; raises an InputError where they do not fit it."""
        numbers, counts = self.runs[::2], self.runs[1::2]
        if len(numbers) != len(counts) or min(counts) < 1 or sum(counts) != height * width:
            raise InputError(f"the regions drawn do not cover {height} × {width} pixels")
        if max(numbers) >= len(self.names):
            raise InputError("a region was drawn that has no name")
        for number, name in enumerate(self.names):
            if number not in numbers:
                raise InputError(f"nothing was drawn of {name[:60]!r}")
        labels = torch.tensor(numbers).repeat_interleave(torch.tensor(counts))
        return Regions.from_labels(labels.view(height, width), self.names)


class Explain(Asked):
    """A question for a new explanation by the same generator."""

    run: Run
    """The run whose generator and kind of settings it shares."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None
    """None: the picture of the run."""
    regions: Drawn | None = None
    """None: those of the run."""
    layer: Annotated[str, Field(min_length=1, max_length=200)]
    quality: Annotated[str, Field(max_length=20)]
    purpose: Purpose


def application(explorer: Explorer, hosts: frozenset[str]) -> Guard:
    """Make the application, which may be reached under these names with their port."""
    app = FastAPI(
        title="primitives explore",
        docs_url=None,  # its pages load scripts from other hosts
        redoc_url=None,
        openapi_url=None,
        # FastAPI sends measurements where the environment asks for it; this page sends none.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _add_page(app)
    _add_questions(app, explorer)
    _add_errors(app)
    return Guard(app, hosts)


def _add_page(app: FastAPI) -> None:
    """Serve the page's files, read once; a name that is none of theirs finds nothing."""
    index = fill_template("board/explorer.html")
    places = [TEMPLATES / "report.css", *(TEMPLATES / "board").iterdir()]
    files = {path.name: path.read_bytes() for path in places if path.suffix in _KINDS}

    @app.get("/")
    def start() -> Response:
        return Response(index, media_type="text/html")

    @app.get("/page/{name}")
    def page(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "the page has no such file")
        return Response(files[name], media_type=_KINDS[Path(name).suffix])


def _add_questions(app: FastAPI, explorer: Explorer) -> None:
    def found(run: str) -> Session:
        session = explorer.session(run)
        if session is None:
            raise HTTPException(404, "no run of that name is open here")
        return session

    def rendered(work: Callable[[], Any], lane: object, *, later: bool = False) -> JSONResponse:
        return JSONResponse(explorer.renderer.submit(work, lane, later=later).result())

    @app.get("/api/runs")
    def listing() -> dict[str, Any]:
        return explorer.listing()

    @app.get("/api/runs/{run}")
    def describe(run: str) -> dict[str, Any]:
        return explorer.describe(found(run))

    @app.post("/api/runs/{run}/picture")
    def picture(run: str, asked: PictureRequest) -> Response:
        session = found(run)
        other = explorer.other(asked.state)
        return rendered(lambda: session.show(asked.state, other), ("picture", asked.page))

    @app.post("/api/runs/{run}/effects")
    def effects(run: str, asked: PictureRequest) -> Response:
        session, other = found(run), explorer.other(asked.state)
        lane = ("effects", asked.page)
        return rendered(lambda: session.effects(asked.state, other), lane, later=True)

    @app.post("/api/runs/{run}/edit")
    def edit(run: str, state: Annotated[State, Body()]) -> Response:
        session, other = found(run), explorer.other(state)
        return rendered(lambda: session.edit_file(state, other), object())

    @app.get("/api/runs/{run}/patterns")
    def patterns(
        run: str,
        component: Annotated[list[Number], Query(min_length=1, max_length=_MOST_PATTERNS)],
    ) -> Response:
        session = found(run)
        return rendered(lambda: session.patterns(*map(int, component)), object(), later=True)

    @app.get("/api/runs/{run}/build-up")
    def build_up(
        run: str, order: Annotated[str, Query(pattern=r"^(strength|visible)$")]
    ) -> Response:
        session = found(run)
        return rendered(lambda: session.build_up(order), object(), later=True)

    @app.post("/api/explanation")
    def explain(asked: Explain) -> Any:
        session = found(asked.run)
        height, width = session.run.image.shape[-2:]
        drawn = None if asked.regions is None else asked.regions.over(height, width)
        wanted = (asked.seed, asked.layer, asked.quality, asked.purpose, drawn)
        explorer.explain(session, *wanted)
        return explorer.status()

    @app.get("/api/explanation")
    def progress() -> Any:
        return explorer.status()

    @app.post("/api/explanation/cancel")
    def cancel() -> Any:
        explorer.cancel()
        return explorer.status()


def _add_errors(app: FastAPI) -> None:
    """Answer every failure with one clear line; a question's own words stay out of it."""

    def told(status: int, why: str) -> JSONResponse:
        return JSONResponse({"error": why}, status_code=status)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        parts = [str(part) for part in first["loc"] if part != "body"]
        # A name may be the question's own; only plain ones are said again.
        place = ".".join(part for part in parts if part.replace("_", "").isalnum())
        where = f"{place[:100]}: " if place else ""
        said = " ".join(first["msg"].split())  # one line, whatever the question's own words
        return told(422, f"{where}{said[:300]}")

    @app.exception_handler(RegionalPrimitivesError)
    async def refused(_: Request, error: RegionalPrimitivesError) -> JSONResponse:
        return told(422, str(error))

    @app.exception_handler(StarletteHTTPException)
    async def failed(_: Request, error: StarletteHTTPException) -> JSONResponse:
        return told(error.status_code, str(error.detail))

    @app.exception_handler(CancelledError)
    async def superseded(_: Request, __: Exception) -> JSONResponse:
        return told(409, "a newer question of the same page took this one's place")
