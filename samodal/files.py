"""Reading and writing files so that nothing half-written is ever left behind."""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from samodal.errors import InputError

UNWRITABLE = {
    errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EPERM, errno.EROFS,
}  # fmt: skip
"""What the system says of a place that the user chose badly; a full disk is none of it."""


class UnwritableError(OSError, InputError):
    """Nothing can be written to the place that was asked for. An OSError too, for those who can do without the file."""

    def __str__(self) -> str:
        return f"{self.filename}: cannot be written to ({self.strerror}); choose another place"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on any error.

    The temporary name keeps the suffix, because image and video writers choose the format by it.

    Raises:
        UnwritableError: `path` cannot be written to; said before anything is yielded.
    """
    path = Path(path)
    with _choosing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:  # name the file that was wanted, not the temporary one
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def filling(folder: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder; move the files written there to `folder` on success, delete them on any error.

    `folder` may exist and hold other files. With `overwrite` files of the same name are replaced.

    Raises:
        UnwritableError: `folder` cannot be written to; said before anything is yielded.
        InputError: a file of the same name is there already, without `overwrite`; then nothing is moved.
    """
    folder = Path(folder)
    try_folder(folder)
    with _choosing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield temporary
        written = sorted(path.relative_to(temporary) for path in temporary.rglob("*") if path.is_file())
        for path in written:
            if (folder / path).exists() and not overwrite:
                raise InputError(f"{folder / path}: is there already; remove it, or choose another folder")
        for path in written:
            with _choosing(folder / path):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (temporary / path).replace(folder / path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def try_folder(folder: str | Path) -> None:
    """Try to write to a folder, or to where it would be made, before hours are spent on what goes there.

    Raises:
        UnwritableError: it cannot be made or written to.
    """
    folder = Path(folder)
    with _choosing(folder):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=there):
            pass


@contextmanager
def _choosing(path: Path) -> Iterator[None]:
    """Around the first steps of writing to `path`: a place that was chosen badly is said as such."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        # A file where a folder should be made "exists".
        code = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno
        raise UnwritableError(code, os.strerror(code), str(path)) from None


def plain_name(name: str, what: str) -> str:
    """`name`, if it can name a file or folder inside another one.

    Raises:
        InputError: it would lead elsewhere ("../x", "/x"), is hidden, empty or too long.
    """
    if not name or name.startswith(".") or len(os.fsencode(name)) > 200 or re.search(r"[/\\\0-\x1f:]", name):
        shown = repr(name if len(name) < 80 else f"{name[:80]}...")
        raise InputError(f"{what}: {shown} cannot name a file; a name without folders in it is expected")
    return name


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to `path`, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any, indent: int | None = None) -> None:
    """Write `value` as JSON to `path`, all of it or nothing."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is not there, cannot be read, or is not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}); "
            "was the file cut off while it was written?"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None


def cache_folder() -> Path:
    """Where exports and downloaded checkpoints are kept; may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "samodal"


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
