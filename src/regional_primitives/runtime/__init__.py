"""What every stage leans on: random streams, files that are whole or absent, a cache, progress."""
