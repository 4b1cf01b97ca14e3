"""Disentangle a generator feature into regional primitives (arXiv 2410.04421)."""
