"""Runs: one picture becomes a folder, many a sweep; the paper reproduced; folders compared."""
