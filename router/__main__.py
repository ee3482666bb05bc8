"""The `router` program, also `python -m router`: the command line, whose libraries take a moment to load."""

import sys


def main() -> None:
    """Whoever presses Ctrl-C during that moment is not told where it was."""
    try:
        from router.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
