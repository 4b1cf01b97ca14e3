"""Where a decomposition comes from: all that is needed to make it again, and what it cost."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from regional_primitives.decompose.purpose import Purpose
from regional_primitives.runtime.storage import AtLeastZero, Count


@dataclass(frozen=True)
class Provenance:
    """Where a decomposition comes from: all that is needed to make it again, and what it cost."""

    generator: Annotated[str, Meta(min_length=1)]
    layer: Annotated[str, Meta(min_length=1, max_length=2000)]
    weights_digest: str
    """SHA-256 over the network's weights and what else its images depend on."""
    image_range: tuple[float, float]
    method: str
    settings: dict[str, Any]
    picture_seed: int | None
    """The seed that `sample_latents` drew the picture with, where it is known."""
    evaluations: Count
    """Forward-and-backward evaluations of the tail."""
    wall_seconds: AtLeastZero
    tail_seconds: AtLeastZero
    converged: bool
    versions: dict[str, str]
    picture_file: str | None = None
    """The picture file that the latents were found for, where there is one."""
    options: dict[str, Any] = field(default_factory=dict)
    """What `rp.cut` or `rp.load_generator` has to be asked for again, besides name and layer."""
    flows_past: tuple[str, ...] = ()
    """Submodules and inputs from which something of the picture flows past the cut."""
    whole_network: bool = False
    """Whether every evaluation had to run the whole network."""

    @property
    def purpose(self) -> Purpose:
        """Which question the run answers, see `purpose_of`."""
        return purpose_of(self.settings)

    @property
    def fitted(self) -> bool:
        """Whether the components were fitted here, and not given by another method."""
        return self.method != "given"

    @property
    def maker(self) -> str:
        """The name of the method whose components these are, where it is on record."""
        return str(self.settings.get("name", "another method"))

    @property
    def picture_in_words(self) -> str:
        """Say which picture it is: `picture seed 8`, or `picture cat.png`; empty if not known."""
        if self.picture_file is not None:
            return f"picture {Path(self.picture_file).name}"
        return "" if self.picture_seed is None else f"picture seed {self.picture_seed}"

    @property
    def hold(self) -> Any:
        """What behind the cut was held at the picture's, a text; None: the network as it is."""
        return self.options.get("hold")

    @property
    def cut_and_picture(self) -> str:
        """Say the layer and which picture it is, for titles: `layer main.5, picture seed 8`.

        Components that another method made are told by its name.
        """
        held = f"{self.hold} held" if self.hold else ""
        whose = "" if self.fitted else f"components of {self.maker}"
        return ", ".join(filter(None, (f"layer {self.layer}", held, self.picture_in_words, whose)))

    @property
    def overhead_ratio(self) -> float:
        """Wall time over the time of the tail's evaluations in the same run; 1 is the limit."""
        return self.wall_seconds / max(self.tail_seconds, 1e-12)


def purpose_of(settings: Mapping[str, Any]) -> Purpose:
    """Return which question a fit answers; before purposes had names, all isolated."""
    return "generate" if settings.get("purpose") == "generate" else "isolate"


def current_versions() -> dict[str, str]:
    """Name the versions that a result may depend on."""
    packages = ("regional_primitives", "torch", "numpy")
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
