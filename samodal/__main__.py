"""`samodal` and `python -m samodal`."""

import signal
import sys


def main() -> None:
    """Run the command line and exit with its code. To be told to stop (SIGTERM) is like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from samodal.cli import run  # here, because it takes long enough to be interrupted

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("samodal: interrupted; nothing half-written was left")
    sys.exit(code)


if __name__ == "__main__":
    main()
