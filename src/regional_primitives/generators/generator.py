"""A generator cut in two: x = G(f), f = head(z), with G the tail behind the cut."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from regional_primitives.axes import Images, Units
from regional_primitives.errors import (
    GeneratorError,
    InputError,
    RegionalPrimitivesError,
    WholeRunWarning,
    first_line,
)
from regional_primitives.generators.feature import (
    Feature,
    FeatureShape,
    describe_shape,
    joined_features,
    shape_of,
    tensors_of,
    units_as,
)
from regional_primitives.generators.latents import (
    Latents,
    batch_size,
    concatenate,
    copied,
    describe,
    items,
    map_latents,
    parts,
    refuse_not_finite,
    same_latents,
)
from regional_primitives.generators.layers import Layer, joined
from regional_primitives.generators.layout import Parts, parts_of
from regional_primitives.generators.network import Network, refuse_no_image
from regional_primitives.generators.precision import full_precision
from regional_primitives.generators.recorded import (
    RecordedTail,
    SideInput,
    Tail,
    tail_of,
)
from regional_primitives.generators.tail import WholeRunTail
from regional_primitives.generators.twin import users_code
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import (
    AnyPath,
    path_of,
    random_seed,
    refuse_too_large,
    whole,
)
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.storage import tensors_digest
from regional_primitives.runtime.streams import stream

_MEMORY_BUDGET = {"cpu": 128 * 2**20, "other": 512 * 2**20}
"""Bytes that the values of one batch through the tail may take up, by device; larger batches go in
chunks. On a CPU, tensors that the allocator can use again are faster than a larger batch is; a GPU
with more memory than most takes more (docs/research/overhead.md)."""
_SHARE_OF_GPU = 1 / 16


@dataclass(frozen=True, eq=False)
class Generator:
    """A network cut at a layer. Make one with `rp.cut` or `rp.load_generator`."""

    name: str
    layers: tuple[Layer, ...]
    network: Network
    """The whole network, frozen: a twin that shares the user's weights."""
    image_range: tuple[float, float]
    network_digest: str
    """SHA-256 over the weights and what else the network's images depend on."""
    sampler: Callable[[int, torch.Generator], Latents] | None = None
    baseline: Feature | None = None
    """The user's own baseline feature, if any."""
    baseline_latents: Latents | None = None
    baseline_count: int = 4096
    """How many latents the baseline feature is the mean of, where settings do not say."""
    latents_of: Callable[[Path], Latents] | None = None
    """Finds the latents of a picture file, for generators that can."""
    parts: Regions | None = None
    """The parts of what it shows, where its pictures are aligned and a map of them is known."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What `rp.cut` or `rp.load_generator` has to be asked for again, besides name and layer."""
    behind: Tail | None = None
    """What lies behind the cut: of `picture`, or of all where nothing of them flows past it."""
    picture: Latents | None = None
    """The picture whose side inputs are held, after `at`."""
    last: dict[str, Tail] = field(default_factory=dict, repr=False)
    """The tail of the picture that was asked for last: side inputs of one are kept, not of many."""

    def __repr__(self) -> str:
        return f"<Generator {self.name} cut at {self.layer}>"

    @property
    def layer(self) -> str:
        """Where it is cut; several layers are joined by plus signs."""
        return joined(self.layers)

    @property
    def hold(self) -> str | None:
        """What behind the cut is held at the picture's; None if the network is as it is."""
        return self.options.get("hold")

    @property
    def digest(self) -> str:
        """SHA-256 over the weights and what else the images depend on."""
        if self.hold is None:
            return self.network_digest
        return hashlib.sha256(f"{self.network_digest}/hold={self.hold}".encode()).hexdigest()

    @property
    def as_it_is(self) -> Generator:
        """The same cut of the network as it is, with nothing held, and bound to no picture."""
        options = {name: value for name, value in self.options.items() if name != "hold"}
        return replace(self, options=options, picture=None, behind=None, last={})

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.device

    # Latents

    @ordinary()
    def sample_latents(self, count: int, seed: int = 0) -> Latents:
        """Draw latents; item i is what seed + i alone would give, whatever `count` is.

        So `sample_latents(40, seed=0)[8:9]` and `sample_latents(1, seed=8)` are the same picture.

        Raises:
            InputError: a count below 1 or more than memory holds, or a seed of more than 64 bits.
            GeneratorError: the generator was cut without `sample_latents`, or that callable gives
                something else than one item.
        """
        count, seed = whole("count", count, 1), random_seed(seed)
        random_seed(seed + count - 1)
        first = self._draw(stream(seed))
        size = sum(part.numel() * part.element_size() for part in parts(first).values())
        refuse_too_large(f"{count:,} latents", 2 * count * size, "draw fewer at a time")
        return concatenate([first, *(self._draw(stream(seed + i)) for i in range(1, count))])

    @ordinary()
    def latents_of_image(self, path: AnyPath) -> Latents:
        """Find the latents from which a picture file is generated (nearly) again.

        Raises:
            InputError: a generator that cannot, or a file that is no picture.
        """
        if self.latents_of is None:
            raise InputError(
                f"{self.name} finds no latents for a picture of your own; 'latent-photos' and "
                "'photos' do"
            )
        return self.latents_of(path_of(path, "the picture file"))

    def stream_latents(self, count: int, seed: int, name: str, batch: int) -> Iterator[Latents]:
        """Yield `count` latents in batches, from streams that never meet the pictures' own."""
        for start in range(0, count, batch):
            drawn = range(start, min(start + batch, count))
            yield concatenate([self._draw(stream(seed, name, i)) for i in drawn])

    def _draw(self, rng: torch.Generator) -> Latents:
        if self.sampler is None:
            raise GeneratorError(
                "this generator was cut without sample_latents=; pass it to rp.cut, or give latents"
            )
        try:
            with users_code():
                latents = self.sampler(1, rng)
        except RegionalPrimitivesError:
            raise
        except Exception as error:
            raise GeneratorError(f"sample_latents(1, rng) fails: {first_line(error)}") from error
        try:
            count = batch_size(latents)
        except InputError as error:
            raise GeneratorError(f"sample_latents(1, rng) gave no latents: {error}") from error
        if count != 1:
            raise GeneratorError(f"sample_latents(1, rng) gave {count} items: {describe(latents)}")
        return map_latents(lambda part: part.to(self.device), latents)

    @cached_property
    def _latent_shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(part.shape[1:]) for name, part in parts(self._draw(stream(0))).items()}

    def refuse_unfit(self, latents: Latents) -> None:
        """Refuse latents of other shapes than are drawn, or with NaN or infinite values."""
        given = {name: tuple(part.shape[1:]) for name, part in parts(latents).items()}
        if self.sampler is not None and given != self._latent_shapes:
            sizes = (", ".join(map(str, ("batch", *one))) for one in self._latent_shapes.values())
            takes = ", ".join(f"[{size}]" for size in sizes)
            raise InputError(
                f"latents {describe(latents)} do not fit; this generator takes {takes}"
            )
        refuse_not_finite(latents)

    # Head, tail and image

    @ordinary()
    def at(self, latents: Latents) -> Generator:
        """Return this generator for one picture: what flows past the cut is held as it is there.

        Where nothing of a picture flows past the cut, that is the generator itself.

        Raises:
            InputError: not exactly one latent, or latents that do not fit or are not finite.
            GeneratorError: a network that draws random numbers, gives no image, lets no gradient
                through, a layer that cannot be cut at, or normalisations that cannot be held.
        """
        self.refuse_unfit(latents)
        if batch_size(latents) != 1:
            raise InputError(f"one picture at a time; got {batch_size(latents)} latents")
        if self.behind is not None and (
            self.picture is None or same_latents(self.picture, latents)
        ):
            return self
        return self.held_for(latents)

    def held_for(self, latents: Latents, picture: Images | None = None) -> Generator:
        """Do what `at` does; the network's own picture is made where it is not given."""
        latents = copied(latents)
        cut = f"{self.layer}/{self.hold}/"
        key = cut + tensors_digest(parts(latents))
        tail = self.last.get(key)
        if tail is None:
            before = (one for known, one in self.last.items() if known.startswith(cut))
            tail = tail_of(
                self.network,
                self.layers,
                latents,
                hold=self.hold is not None,
                like=next(before, None),
                picture=picture,
            )
            if isinstance(tail, WholeRunTail):
                warnings.warn(
                    f"{self.name} cannot be recorded behind {self.layer!r}: {tail.why}; the whole "
                    "network runs instead, which is slower and gives the same images",
                    WholeRunWarning,
                    stacklevel=4,
                )
            self.last.clear()
            self.last[key] = tail
        return replace(self, behind=tail, picture=latents)

    @property
    def side_inputs(self) -> tuple[SideInput, ...]:
        """What of the picture flows past the cut; empty where the whole network runs instead."""
        if not isinstance(self.behind, RecordedTail):
            return ()
        return tuple(side for side in self.behind.program.sides if side.of_the_picture)

    @property
    def runs_whole_network(self) -> bool:
        """Whether the tail could not be recorded."""
        return isinstance(self.behind, WholeRunTail)

    @ordinary()
    def head(self, latents: Latents) -> Feature:
        """Run the network up to the cut.

        Returns:
            One tensor [batch, *shape] in float32, or a tuple of them where the cut has several.

        Raises:
            InputError: latents of another shape than the network takes, or not finite.
        """
        self.refuse_unfit(latents)
        parts, batches = self._parts(latents), self.network.batches(copied(latents))
        return joined_features(
            [parts.feature(self.network.head(batch, self.layers)) for batch in batches]
        )

    def _parts(self, latents: Latents) -> Parts:
        if self.behind is not None:
            return self.behind.parts
        return parts_of(self.network, self.layers, items(latents, 0, 1))

    @ordinary(gradients=False)
    def tail(self, feature: Feature) -> Images:
        """Run only what lies behind the cut; gradients flow to `feature` and nowhere else.

        Raises:
            InputError: a feature of another shape.
            GeneratorError: something of the picture flows past the cut; `at` holds it.
        """
        if self.behind is None:
            raise GeneratorError(
                f"{self.name} behind {self.layer!r} also depends on what flows past the cut; "
                "hold it for a picture: generator.at(latents).tail(feature)"
            )
        shape = self.behind.parts.shape
        if shape_of(feature) != shape or len({len(part) for part in tensors_of(feature)}) != 1:
            found = describe_shape(shape_of(feature))
            raise InputError(
                f"a feature of shape batch × {found} does not fit behind {self.layer!r}; "
                f"expected batch × {describe_shape(shape)}"
            )
        return self.behind(feature)

    @ordinary()
    def image(self, latents: Latents) -> Images:
        """Run the whole network, uncut.

        Raises:
            InputError: latents of another shape than the network takes, or not finite.
        """
        self.refuse_unfit(latents)
        with torch.no_grad():
            return self.network.images(copied(latents))

    @property
    @ordinary()
    def feature_shape(self) -> FeatureShape:
        """The shape of the feature without its batch axis; of a bundle, one shape a tensor."""
        if self.behind is not None:
            return self.behind.parts.shape
        if self.baseline_latents is not None:
            return self._parts(self.baseline_latents).shape
        return self._parts(self._draw(stream(0))).shape

    @property
    def bytes_per_item(self) -> int:
        """Memory between feature and image, an item; 0 before it is known."""
        return self.behind.bytes_per_item if self.behind is not None else 0

    @property
    def chunk(self) -> int:
        """How many items go through the tail at once, so that memory stays bounded."""
        return chunk_of(self.bytes_per_item, self.device)

    @ordinary()
    @torch.no_grad()
    @full_precision()
    def render(self, units: Units) -> Images:
        """Generate pictures from flat features, on the CPU, in chunks that bound memory."""
        shape = self.feature_shape
        chunks = [
            self.tail(units_as(chunk.to(self.device), shape)).float().cpu()
            for chunk in units.split(min(self.chunk, 64))
        ]
        return torch.cat(chunks)

    @ordinary()
    @torch.no_grad()
    @full_precision()
    def verify_network(self, latents: Latents) -> Images:
        """Return the uncut network's images; they are finite, and the same for the same latents.

        Raises:
            InputError: latents that do not fit.
            GeneratorError: two runs differ, or the output is no image or not finite.
        """
        image = self.image(latents)
        refuse_no_image(image, batch_size(latents))
        self.network.refuse_random(latents, image)
        return image


def chunk_of(bytes_per_item: int, device: torch.device) -> int:
    """Return how many items of such a size go through a tail at once."""
    return max(1, _memory_budget(device) // max(bytes_per_item, 1))


def _memory_budget(device: torch.device) -> int:
    least = _MEMORY_BUDGET.get(device.type, _MEMORY_BUDGET["other"])
    if device.type != "cuda":
        return least
    return max(least, int(_SHARE_OF_GPU * torch.cuda.get_device_properties(device).total_memory))
