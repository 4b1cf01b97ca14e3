"""Generators known by name: one module a network, and the dictionary that lists them."""

from regional_primitives.generators.zoo.registry import (
    ZOO,
    Loaded,
    ZooEntry,
    load_generator,
    load_recorded,
)

__all__ = ["ZOO", "Loaded", "ZooEntry", "load_generator", "load_recorded"]
