"""One answer to "is this the same work?": all that a fit depends on, compared or digested."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from msgspec import to_builtins

from regional_primitives.decompose import Exact, Structured
from regional_primitives.decompose.stored import Manifest
from regional_primitives.generators import Generator
from regional_primitives.regions import Regions, described


def content_key(*told: Any) -> str:
    """Digest everything that a result depends on; equal keys mean the same work."""
    return hashlib.sha256(repr(told).encode()).hexdigest()


@dataclass(frozen=True)
class Work:
    """What a fit depends on, as far as run.json tells it."""

    hold: str | None
    weights_digest: str
    layer: str
    picture_seed: int | None
    """None for pictures that only their latents tell."""
    regions: dict[str, Any]
    settings: dict[str, Any]

    @staticmethod
    def asked(
        generator: Generator, seed: int | None, regions: Regions, settings: Structured | Exact
    ) -> Work:
        """Tell the work that is asked for; the settings are settled ones."""
        return Work(
            generator.hold,
            generator.digest,
            generator.layer,
            seed,
            regions.to_dict(),
            asdict(settings),
        )

    @staticmethod
    def done(manifest: Manifest) -> Work:
        """Tell the work that a run folder holds."""
        origin = manifest.provenance
        return Work(
            origin.hold,
            origin.weights_digest,
            origin.layer,
            origin.picture_seed,
            to_builtins(manifest.regions),
            origin.settings,
        )

    def differences(self, done: Work) -> Iterator[str]:
        """Say in what ways stored work is not the work that is asked for."""
        for name, (what, in_words) in _DIFFERENT.items():
            found, wanted = getattr(done, name), getattr(self, name)
            if found == wanted:
                continue
            texts = tuple(map(in_words, (found, wanted)))
            yield what if texts[0] == texts[1] else f"{what} ({texts[0]}, not {texts[1]})"
        if done.settings.keys() != self.settings.keys():
            yield "settings of another form or of another release"
        elif done.settings != self.settings:
            listed = (
                f"{name}={done.settings[name]}, not {value}"
                for name, value in self.settings.items()
                if done.settings[name] != value
            )
            yield f"other settings ({', '.join(listed)})"


def _plainly(value: Any) -> str:
    return "none" if value is None else str(value)


_DIFFERENT: dict[str, tuple[str, Callable[[Any], str]]] = {
    "hold": ("another hold", _plainly),
    "weights_digest": ("other generator weights", lambda digest: ""),
    "layer": ("another layer", _plainly),
    "picture_seed": ("another picture seed", _plainly),
    "regions": ("other patches", described),
}
"""What may differ, and how its values are told; equal words are left out."""
