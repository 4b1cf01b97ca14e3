"""Generators: cutting any network into head and tail, and the zoo of networks known by name."""

from regional_primitives.generators.baseline import baseline_feature
from regional_primitives.generators.cut import cut
from regional_primitives.generators.cut_points import CutPoint, layers
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents
from regional_primitives.generators.zoo import ZOO, ZooEntry, load_generator, load_recorded

__all__ = [
    "ZOO",
    "CutPoint",
    "Generator",
    "Latents",
    "ZooEntry",
    "baseline_feature",
    "cut",
    "layers",
    "load_generator",
    "load_recorded",
]
