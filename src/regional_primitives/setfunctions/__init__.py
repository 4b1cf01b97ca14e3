"""Set functions over image patches: subsets as bitmasks, Möbius transforms and inverses."""
