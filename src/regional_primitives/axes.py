"""The shapes of tensors that the method speaks of, each named once."""

from __future__ import annotations

from typing import TypeAlias

from jaxtyping import Bool, Float
from torch import Tensor

Image: TypeAlias = Float[Tensor, "channels height width"]
"""One picture, in the generator's image range."""
Images: TypeAlias = Float[Tensor, "batch channels height width"]
Mask: TypeAlias = Bool[Tensor, "height width"]
"""Pixels of one region."""
Units: TypeAlias = Float[Tensor, "batch units"]
"""Features, flat: all tensors of a bundle in one row."""
Region: TypeAlias = Bool[Tensor, " patches"]
"""A set S of patches."""
Demands: TypeAlias = Bool[Tensor, "batch patches"]
"""Sets of patches, a row each."""
Fields: TypeAlias = Bool[Tensor, "components patches"]
"""Action fields A_k, a row each."""
Dictionary: TypeAlias = Bool[Tensor, "fields patches"]
"""Fields that components may have, a row each."""
Scales: TypeAlias = Float[Tensor, "batch components"]
"""By how much each component counts in each feature of a batch."""
Switches: TypeAlias = Float[Tensor, "batch fields"]
"""By how much each field of a dictionary counts in each feature of a batch."""
PerDemand: TypeAlias = Float[Tensor, " batch"]
"""A number a demand."""
PerComponent: TypeAlias = Float[Tensor, " components"]
"""A number a component, strongest first."""
PerField: TypeAlias = Float[Tensor, " fields"]
"""A number a field of a dictionary."""
BySubset: TypeAlias = Float[Tensor, "subsets units"]
"""Features or components of all 2ⁿ subsets, indexed by bitmask."""
