"""Generators known by name: one module a network, and the dictionary that lists them."""

from regional_primitives.generators.zoo.entry import Loaded, ZooEntry
from regional_primitives.generators.zoo.registry import ZOO, load_generator, load_recorded

__all__ = ["ZOO", "Loaded", "ZooEntry", "load_generator", "load_recorded"]
