"""Checks every shape annotation in every test, keeps caches out of the home folder, shares models.

The import hook must stand before anything imports the package, so it is installed at the top of
this file, which pytest reads before it collects test modules.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from pathlib import Path

import jaxtyping
import pytest
import torch

assert "regional_primitives" not in sys.modules, "imported before its annotations could be checked"
_SOURCES = Path(__file__).parents[1] / "src"
_SHAPED = [
    ".".join(path.relative_to(_SOURCES).with_suffix("").parts)
    for path in (_SOURCES / "regional_primitives").rglob("*.py")
    if "from jaxtyping" in (text := path.read_text()) or "regional_primitives.axes" in text
]
"""Modules whose annotations tell shapes. Those of all others the type checker sees; checked while
they run they would take as long as the tests themselves."""
jaxtyping.install_import_hook(_SHAPED, "beartype.beartype")

import regional_primitives as rp  # noqa: E402

# What modules and the list of tests consist of stays to the end: a million objects, which the
# garbage collector would otherwise go through again and again, for a tenth of all time.
gc.disable()


LONG = (
    "test_sweeps.py", "test_cluster.py", "test_cli.py", "test_kills.py", "test_sanity.py",
    "test_devices.py", "test_page.py", "test_report_browser.py", "test_site.py",
    "test_pages_of_text.py", "test_exact.py",
)  # fmt: skip
"""Files that take longest: begun first, since a core would wait for one that is begun last."""


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def pytest_collection_finish():
    gc.freeze()
    gc.set_threshold(700, 10, 100)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep the session's cache in a folder of its own; returns it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGIONAL_PRIMITIVES_CACHE", str(folder))
        yield folder


@pytest.fixture
def unchecked():
    """Switch the annotation checks off, as for users, who may pass anything to the library."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(autouse=True)
def _bad_input_meets_the_library(request):
    """Let tests named `test_bad_input…` see the library's own message, not the checker's."""
    if request.node.name.startswith("test_bad_input"):
        request.getfixturevalue("unchecked")


@pytest.fixture(scope="session")
def faces():
    return rp.load_generator("faces")


@pytest.fixture(scope="session")
def planted():
    return rp.load_generator("planted")


@pytest.fixture(scope="session")
def saturating():
    """The planted network with an output that saturates, so that company matters."""
    from regional_primitives.generators.zoo.toy import PlantedNetwork, sample_latents

    class Saturating(PlantedNetwork):
        def forward(self, latent):
            return torch.tanh(30 * super().forward(latent))

    return rp.cut(Saturating(), "express", sample_latents=sample_latents, image_range=(-1.0, 1.0))


@pytest.fixture(scope="session")
def saturated(saturating):
    """A real fit: its components leak, and what they do depends on each other."""
    # Few steps: what they decide is not to depend on the defaults, which are for many.
    settings = rp.Structured(
        purpose="isolate", steps=15, batch=8, probes=2, baseline_count=64, learning_rate=0.2,
        influence_sharpness=6.0,
        consistency_weight=0.03,
    )  # fmt: skip
    latents = saturating.sample_latents(1, seed=3)
    return rp.explain(saturating, latents, rp.Regions.grid(4, 4), settings)


@pytest.fixture(scope="session")
def saturated_scores(saturating, saturated):
    return rp.evaluate(
        saturated, saturating, rp.Evaluation(demands=4, components=6, contexts=4, free_demands=0)
    )


@pytest.fixture(scope="module")
def browser():
    """Start the Chromium of this machine; set CHROMIUM to name another than the one on the path.

    A module's own, since Playwright keeps an event loop running that others would stumble over.
    """
    from playwright.sync_api import sync_playwright

    named = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    path = next((found for name in named if name and (found := shutil.which(name))), None)
    assert path, "tests of pages need Chromium; on Debian: apt-get install chromium"
    flags = [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update",
    ]  # fmt: skip
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=flags)
        yield started
        started.close()
