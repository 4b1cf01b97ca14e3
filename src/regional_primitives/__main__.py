"""`python -m regional_primitives` is the command `primitives`."""

from regional_primitives.cli import main

main()
