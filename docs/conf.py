"""How the documentation is built: `make docs`."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.testing import CliRunner

from regional_primitives import cli

about = metadata("regional_primitives")
SCROLLED = """addEventListener("DOMContentLoaded", () =>
  document.querySelectorAll("pre, .table-wrapper").forEach(wide => { wide.tabIndex = 0 }))"""
"""What is wider than its column scrolls, also by keyboard."""
WIDE = {"COLUMNS": "100", "TERM": "dumb"}
project = about["Name"]
release = about["Version"]
author = "The regional_primitives authors"
project_copyright = author

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [  # what others document, elsewhere
    ("py:.*", r"(collections|jaxtyping|matplotlib|msgspec|os|pandas|pathlib|torch)\..*"),
    ("py:.*", r"Count|Network|Path|PathLike|Real|Should|Tensor"),
    ("py:.*", r"regional_primitives\.(\w+\.)+\w+"),  # and what only our own code makes
]
default_role = "code"

# Pages: the same Markdown that code hosts show.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks keep what they printed; a test runs them

# The API, from the docstrings.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {
    **{name: name for name in ("AnyPath", "Feature", "Latents", "Network", "Progress", "Tail")},
    **dict.fromkeys(("AtLeastZero", "Real"), "float"),
    "Count": "int",
    "Should": "str",
}
python_display_short_literal_types = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"regional primitives {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False


def _visit_math(translator: Any, node: nodes.Element) -> None:
    """Write MathML, which browsers draw without a script or a font from elsewhere."""
    block = isinstance(node, nodes.math_block)
    translator.body.append(convert(node.astext(), display="block" if block else "inline"))
    raise nodes.SkipNode


class Verbs(SphinxDirective):
    """What `primitives VERB --help` prints, a section a verb."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        sections = []
        for verb in [command.callback.__name__ for command in cli.app.registered_commands]:
            words = f"primitives {verb}"
            text = CliRunner().invoke(cli.app, [verb, "--help"], prog_name="primitives", env=WIDE)
            printed = nodes.literal_block(text.output, text.output, language="text")
            sections.append(nodes.section("", nodes.title(words, words), printed, ids=[verb]))
        return sections


def _keep(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Take stars, bars and options as they are; remember attributes, which napoleon misreads."""
    escaped = (re.sub(r"[*|]", r"\\\g<0>", line) for line in lines)
    lines[:] = [re.sub(r"(?<![\w`-])--[a-z-]+", r"`\g<0>`", line) for line in escaped]
    app.env.temp_data["docstring"] = list(lines)


def _restore(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in ("attribute", "data", "property"):
        lines[:] = app.env.temp_data["docstring"]


def _sign(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returned: str
) -> tuple[str | None, str | None]:
    """Leave classes to the fields that are listed below them, and write aliases as in the code."""
    if what in ("class", "exception"):
        return "", None
    signature, returned = (
        text and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text)
        for text in (signature, returned)
    )
    return signature, returned


def _captions(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Tell screen readers how deep the captions of the navigation are; Sphinx does not."""
    known = context["furo_navigation_tree"]
    context["furo_navigation_tree"] = known.replace('"heading"', '"heading" aria-level="2"')


def setup(app: Sphinx) -> None:
    """Hang in what Sphinx does not bring."""
    app.add_directive("verbs", Verbs)
    app.add_js_file(None, body=SCROLLED, loading_method="defer")
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math, None))
    app.config.html_math_renderer = "mathml"
    app.connect("html-page-context", _captions, priority=900)  # after furo's
    app.connect("autodoc-process-signature", _sign)
    app.connect("autodoc-process-docstring", _keep, priority=400)  # napoleon's is 500
    app.connect("autodoc-process-docstring", _restore, priority=600)
