"""How long from a click in the explorer to the new picture, in a real browser.

    .venv/bin/python benchmarks/explorer.py [RUN] [--clicks 50]

Opens the explorer of a run (by default `faces`, seed 22, explained first into runs/faces-22 unless
it stands there) in Chromium without a screen and asks for sets of patches that were not asked for
before, so that no answer comes from a cache, with a quick person's pause before each. The page
itself takes the time, from the click to the decoded picture. Writes
benchmarks/results/explorer.json and docs/images/explorer.png. Set CHROMIUM to name another browser
than the one on the path.
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import shutil
import statistics
from pathlib import Path

import torch
from playwright.sync_api import Page, sync_playwright

import regional_primitives as rp
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.explore.serving import serving
from regional_primitives.runs import folder as runs
from regional_primitives.runtime.progress import progress_bar
from regional_primitives.runtime.storage import write_json

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "explorer.json"
SCREENSHOT = ROOT / "docs" / "images" / "explorer.png"
LISTEN = """
window.taken = [];
window.addEventListener("explorer:picture", ({ detail }) => window.taken.push(detail.milliseconds));
"""
PACE = 300  # milliseconds between a picture and the next click, about a quick person's
SETTLED = "body[data-settled='true']"


def clicked(page: Page, rows: int, columns: int, clicks: int) -> list[float]:
    """Click patches of the grid at random, one after the other; return the milliseconds of each."""
    rng = random.Random(0)
    box = page.locator("#patches").bounding_box()
    assert box is not None
    asked: frozenset[int] = frozenset()
    seen = {asked}
    for _ in range(clicks):
        fresh = [p for p in range(rows * columns) if asked ^ {p} not in seen]
        patch = rng.choice(fresh)
        asked = asked ^ {patch}
        seen.add(asked)
        row, column = divmod(patch, columns)
        page.mouse.click(
            box["x"] + (column + 0.5) * box["width"] / columns,
            box["y"] + (row + 0.5) * box["height"] / rows,
        )
        page.locator(SETTLED).wait_for()
        page.wait_for_timeout(PACE)
    return [float(value) for value in page.evaluate("window.taken")]


def main() -> None:
    """Click, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, default=ROOT / "runs" / "faces-22")
    parser.add_argument("--clicks", type=int, default=50)
    chosen = parser.parse_args()
    if not chosen.run.exists():
        with progress_bar() as progress:
            runs.explain_to_folder(
                rp.load_generator("faces"), 22, chosen.run, regions=rp.Regions.grid(6, 6),
                settings=rp.Structured(purpose="isolate"),
                progress=progress,
            )  # fmt: skip
    regions = rp.Decomposition.load(chosen.run).regions
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    path = next(found for name in names if name and (found := shutil.which(name)))
    with serving(chosen.run) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.add_init_script(LISTEN)
        page.goto(f"{address}#ask=14.15.20.21")
        page.locator(SETTLED).wait_for()
        page.screenshot(path=SCREENSHOT)
        page.goto("about:blank")
        page.goto(address)
        page.locator(SETTLED).wait_for()
        before = len(page.evaluate("window.taken"))
        assert regions.rows is not None, "the benchmark clicks on a grid"
        assert regions.columns is not None
        taken = clicked(page, regions.rows, regions.columns, chosen.clicks)[before:]
        browser_version = browser.version
        browser.close()
    assert len(taken) == chosen.clicks, f"{chosen.clicks} clicks gave {len(taken)} pictures"
    found = {
        "run": "faces main.5 seed 22, 6x6" if chosen.run.name == "faces-22" else chosen.run.name,
        "date": datetime.date.today().isoformat(),
        "threads": torch.get_num_threads(),
        "versions": {**current_versions(), "chromium": browser_version},
        "clicks": len(taken),
        "median_milliseconds": statistics.median(taken),
        "percentile_95_milliseconds": statistics.quantiles(taken, n=20)[-1],
        "milliseconds": taken,
    }
    write_json(RESULTS, found)
    print(
        f"{len(taken)} clicks: median {found['median_milliseconds']:.0f} ms, "
        f"95th percentile {found['percentile_95_milliseconds']:.0f} ms"
    )


if __name__ == "__main__":
    main()
