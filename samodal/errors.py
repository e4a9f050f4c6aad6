"""The one error that users cause and users can mend."""


class InputError(ValueError):
    """Bad usage or bad input.

    The message is one line that names the file (or option), says what is wrong and what would be right.
    The command line prints it to stderr and exits with code 2.
    """


class StoppedError(Exception):
    """A run ended before its end, with its state on disk. The message is one line that says how to go on.

    Attributes:
        exit_code: of the command line.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def missing_extra(package: str, extra: str, what: str) -> InputError:
    """The error for an optional dependency that is not installed."""
    return InputError(f"{what} needs the package {package!r}: pip install 'samodal[{extra}]'")
