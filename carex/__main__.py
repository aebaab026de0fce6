"""`python -m carex` is `carex`."""

from carex.cli import main

main()
