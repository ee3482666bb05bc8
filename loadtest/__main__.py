"""`python -m loadtest` is `router-loadtest`."""

from loadtest.cli import main

main()
