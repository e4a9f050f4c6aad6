"""`samodal` and `python -m samodal`."""

import signal
import sys

from samodal.cli import run


def main() -> None:
    """Run the command line and exit with its code. To be told to stop (SIGTERM) is like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
