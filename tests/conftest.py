"""Checks every shape annotation in every test, keeps caches out of the home folder, shares models.

The import hook must stand before anything imports the package, so it is installed at the top of
this file, which pytest reads before it collects test modules.
"""

from __future__ import annotations

import os
import shutil
import sys

import jaxtyping
import pytest

assert "regional_primitives" not in sys.modules, "imported before its annotations could be checked"
jaxtyping.install_import_hook("regional_primitives", "beartype.beartype")

import regional_primitives as rp  # noqa: E402


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
