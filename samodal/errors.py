"""The one error that users cause and users can mend."""


class InputError(ValueError):
    """Bad usage or bad input.

    The message is one line that names the file (or option), says what is wrong and what would be right.
    The command line prints it to stderr and exits with code 2.
    """


def missing_extra(package: str, extra: str, what: str) -> InputError:
    """The error for an optional dependency that is not installed."""
    return InputError(f"{what} needs the package {package!r}: pip install 'samodal[{extra}]'")
