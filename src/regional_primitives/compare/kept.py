"""What is told of a run among many: fields, strengths, leading channels, a thumbnail; all small.

A sweep that keeps scores alone stores it as fields.safetensors; of a whole run it is read out of
the tensors, of which most stay on the disk. Both give the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from regional_primitives.axes import Fields, Image, PerComponent
from regional_primitives.compare.channels import channel_energies, channel_of_unit, leading
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.stored import LabelMap, Manifest, read_manifest
from regional_primitives.errors import StorageError, first_line
from regional_primitives.generators.feature import FeatureShape
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.runtime.run_files import FIELDS, TENSORS
from regional_primitives.runtime.storage import read_beginnings, read_tensors, write_tensors
from regional_primitives.scores.effort import still_falling, unfinished
from regional_primitives.scores.sparsity import count_for

CARRIED = 0.9
"""Only the strongest components, which hold this share of the energy, have a say."""
_MOST_CHANNELS = 16
_MOST_ENTRIES = 2**26
"""Components times channels; of more, no channels are told."""
_MOST_PIXELS = 64
"""The longer side of a thumbnail."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What is small of one run."""

    fields: Fields
    """A_k of all components."""
    strengths: PerComponent
    """‖Δf_k‖, descending."""
    channels: Int[Tensor, "strongest most"]
    """Of each of the `strongest` components its leading channels, the strongest first, at most 16;
    −1 where it has fewer. Nothing in runs of which they are not known."""
    thumbnail: UInt8[Tensor, "height width bands"] | None
    """The picture, at most 64 pixels wide and high; None in runs that earlier releases kept."""
    labels: Int[Tensor, "height width"] | None
    """The label map at the thumbnail's size; None of grids."""
    converged: bool
    """Whether more steps would hardly have changed the fit."""

    @staticmethod
    def of(d: Decomposition) -> Kept:
        """Take it from a decomposition."""
        return Kept(
            d.action_fields,
            d.strengths,
            _channels(d.action_fields, d.strengths, d.feature_shape, d.offsets, d.units, d.values),
            _thumbnail(d.image, d.provenance.image_range),
            None if d.regions.labels is None else thinned(d.regions.labels, _MOST_PIXELS),
            not unfinished(d),
        )

    def write(self, folder: Path) -> None:
        """Write fields.safetensors into an existing folder."""
        small = {
            "fields": self.fields,
            "strengths": self.strengths,
            "channels": self.channels,
            "converged": torch.tensor(self.converged),
        }
        if self.thumbnail is not None:
            small["thumbnail"] = self.thumbnail
        if self.labels is not None:
            few = self.fields.shape[1] < 255
            small["labels"] = (self.labels + 1).to(torch.uint8 if few else torch.int32)
        write_tensors(folder / FIELDS, small)

    @staticmethod
    def read(folder: Path) -> Kept:
        """Read it from a run folder of either kind.

        Raises:
            StorageError: no run, or a corrupt one.
        """
        file = folder / FIELDS if (folder / FIELDS).is_file() else folder / TENSORS
        try:
            kept = _of_scores(folder) if file.name == FIELDS else _of_run(folder)
            sound = kept._sound()
        except (IndexError, RuntimeError, ValueError) as error:  # tensors of shapes that cannot be
            raise StorageError(f"{file} is corrupt: {first_line(error)}") from error
        if not sound:
            raise StorageError(f"{file} is corrupt: its tensors do not belong together")
        return kept

    def _sound(self) -> bool:
        picture, labels = self.thumbnail, self.labels
        return (
            (self.fields.ndim, self.strengths.ndim, self.channels.ndim) == (2, 1, 2)
            and self.fields.dtype == torch.bool
            and len(self.fields) == len(self.strengths)
            and bool(self.strengths.isfinite().all())
            and len(self.channels) == len(self.strongest)
            and not self.channels.is_floating_point()
            and (picture is None or (picture.ndim == 3 and picture.dtype == torch.uint8))
            and (picture is None or labels is None or labels.shape == picture.shape[:2])
            and (labels is None or int(labels.max()) < self.fields.shape[1])
        )

    @property
    def strongest(self) -> Int[Tensor, " strongest"]:
        """The components that have a say."""
        return _strongest(self.fields, self.strengths)

    @property
    def shares(self) -> Float[Tensor, " strongest"]:
        """The shares of ‖Δf_k‖² that these hold in the sum over all components with a patch."""
        energy = self.strengths.double().square()
        return energy[self.strongest] / energy[self.fields.any(1)].sum()


def converged(folder: Path) -> bool:
    """Tell whether the fit of a run has converged, whatever is kept of it.

    Raises:
        StorageError: no run, or a corrupt one.
    """
    if (folder / FIELDS).is_file():
        return bool(read_beginnings(folder / FIELDS, converged=None)["converged"])
    return _converged(folder, read_manifest(folder))


def thinned(labels: Int[Tensor, "height width"], most: int) -> Int[Tensor, "rows columns"]:
    """Thin a label map out to at most so many pixels on its longer side."""
    height, width = labels.shape
    rows, columns = _small(height, width, most)
    y = torch.arange(rows) * height // rows
    x = torch.arange(columns) * width // columns
    return labels[y][:, x]


def _small(height: int, width: int, most: int) -> tuple[int, int]:
    shrink = max(1.0, max(height, width) / most)
    return max(1, round(height / shrink)), max(1, round(width / shrink))


def _thumbnail(
    image: Image, image_range: tuple[float, float]
) -> UInt8[Tensor, "rows columns bands"]:
    _, height, width = image.shape
    size = _small(height, width, _MOST_PIXELS)
    return bytes_of(adaptive_avg_pool2d(image[None].float(), size)[0], image_range)


def _strongest(fields: Fields, strengths: PerComponent) -> Int[Tensor, " strongest"]:
    """List the fewest components that hold `CARRIED` of the energy of all that act on a patch."""
    acting = fields.any(1).nonzero().flatten()
    energy = strengths[acting].double().square()
    return acting[: count_for(energy, CARRIED)] if len(acting) else acting


def _channels(
    fields: Fields,
    strengths: PerComponent,
    shape: FeatureShape,
    offsets: Tensor,
    units: Tensor,
    values: Tensor,
) -> Int[Tensor, "strongest most"]:
    """List the leading channels of the strongest components, of which there must be the entries."""
    chosen, channels = _strongest(fields, strengths), channel_of_unit(shape)
    last = int(chosen[-1]) + 1 if len(chosen) else 0
    if not last or last * (int(channels.max()) + 1) > _MOST_ENTRIES:
        return torch.zeros(len(chosen), 0, dtype=torch.int32)
    end = int(offsets[last])
    energies = channel_energies(offsets[: last + 1], units[:end], values[:end], channels)[chosen]
    leads, order = leading(energies), energies.argsort(dim=-1, descending=True)
    first = order[:, :_MOST_CHANNELS]
    return first.where(leads.gather(-1, first), torch.tensor(-1)).int()


def _converged(folder: Path, manifest: Manifest) -> bool:
    origin, history = manifest.provenance, torch.zeros(0, 3)
    if not origin.converged:  # else the steps do not matter
        history = read_beginnings(folder / TENSORS, history=None)["history"]
    return not still_falling(origin, history)


def _of_scores(folder: Path) -> Kept:
    stored = read_tensors(folder / FIELDS, None)
    missing = [name for name in ("fields", "strengths", "converged") if name not in stored]
    if missing:
        raise StorageError(f"{folder / FIELDS} is corrupt: it does not tell {missing[0]}")
    none = torch.zeros(len(_strongest(stored["fields"], stored["strengths"])), 0, dtype=torch.int32)
    labels = stored.get("labels")
    return Kept(
        stored["fields"],
        stored["strengths"],
        stored.get("channels", none),
        stored.get("thumbnail"),
        None if labels is None else labels.long() - 1,
        bool(stored["converged"]),
    )


def _of_run(folder: Path) -> Kept:
    manifest, file = read_manifest(folder), folder / TENSORS
    told = read_beginnings(file, action_fields=None, strengths=None, offsets=None, image=None)
    fields, strengths, offsets = told["action_fields"], told["strengths"], told["offsets"]
    chosen, shape = _strongest(fields, strengths), manifest.feature_shape
    channels = torch.zeros(len(chosen), 0, dtype=torch.int32)
    if len(chosen) and shape is not None:  # earlier releases did not tell the shape
        end = int(offsets[int(chosen[-1]) + 1])
        entries = read_beginnings(file, units=end, values=end)
        if len(entries["units"]) != end or bool((offsets.diff() < 0).any()) or int(offsets[0]):
            raise StorageError(f"{file} is corrupt: its components and entries do not fit")
        of = tuple(tuple(one) if isinstance(one, list) else one for one in shape)
        channels = _channels(fields, strengths, of, offsets, **entries)  # type: ignore[arg-type]
    labels = None
    if isinstance(manifest.regions, LabelMap):
        labels = read_beginnings(file, **{"regions.labels": None})["regions.labels"]
    return Kept(
        fields,
        strengths,
        channels,
        _thumbnail(told["image"], manifest.provenance.image_range),
        None if labels is None else thinned(labels, _MOST_PIXELS),
        _converged(folder, manifest),
    )
