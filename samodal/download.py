"""`samodal download`: checkpoints by name, fetched once into the user's cache, where all commands find them.

None of them is part of samodal. Each has its own licence, which is said before it is fetched.
"""

import hashlib
import http.client
import math
import shutil
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from samodal.errors import InputError, StoppedError
from samodal.files import cache_folder
from samodal.progress import progress

if TYPE_CHECKING:
    from samodal.commands import Download

MB = 2**20
TIMEOUT = 30  # seconds without a byte


@dataclass(frozen=True)
class Checkpoint:
    """A file that others have published.

    Attributes:
        name: what users call it.
        url: where it is.
        megabytes: how large it is, roughly.
        licence: of the weights.
        use: what it is for, as words of the command line.
        sha256: of the file, or as much of its beginning as its publisher tells; empty where none is known.
    """

    name: str
    url: str
    megabytes: int
    licence: str
    use: str
    sha256: str = ""

    @property
    def path(self) -> Path:
        """Where it lies, once it is there."""
        return checkpoint_folder() / self.url.rpartition("/")[2]


_SAM = "https://dl.fbaipublicfiles.com/segment_anything"
_COTRACKER3 = "https://huggingface.co/facebook/cotracker3/resolve/main"
_NON_COMMERCIAL = "CC-BY-NC 4.0 (non-commercial use only)"

# Hashes: of SAM as many projects have them, of CoTracker3 from the pointers in its repository, of RAFT in its name.
CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        Checkpoint(
            "sam-vit-b",
            f"{_SAM}/sam_vit_b_01ec64.pth",
            358,
            "Apache-2.0",
            "--model sam-vit-b",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        ),
        Checkpoint(
            "sam-vit-l",
            f"{_SAM}/sam_vit_l_0b3195.pth",
            1192,
            "Apache-2.0",
            "--model sam-vit-l",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        ),
        Checkpoint(
            "sam-vit-h",
            f"{_SAM}/sam_vit_h_4b8939.pth",
            2446,
            "Apache-2.0",
            "--model sam-vit-h",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        ),
        Checkpoint(
            "cotracker",
            "https://dl.fbaipublicfiles.com/cotracker/cotracker_stride_4_wind_8.pth",
            92,
            _NON_COMMERCIAL,
            "--tracker cotracker",
        ),
        Checkpoint(
            "cotracker3",
            f"{_COTRACKER3}/scaled_offline.pth",
            97,
            _NON_COMMERCIAL,
            "--tracker cotracker3",
            "2670d4562ed69326dda775a26e54883925cd11b6fc9b24cb7aa9f8078bce7834",
        ),
        Checkpoint(
            "cotracker3-online",
            f"{_COTRACKER3}/scaled_online.pth",
            97,
            _NON_COMMERCIAL,
            "--tracker cotracker3 --tracker-weights cotracker3-online",
            "205d34789f19699d64b22cf93f9b697f15f28d4025240e31532e504109837218",
        ),
        Checkpoint(
            "raft",
            "https://download.pytorch.org/models/raft_large_C_T_SKHT_V2-ff5fadd5.pth",
            20,
            "BSD 3-Clause",
            "--tracker raft",
            "ff5fadd5",
        ),
    )
}


def run(command: "Download") -> None:
    """List what there is, or fetch one."""
    if command.list:
        print(listing())
        return
    checkpoint = known(command.name)
    if checkpoint.path.is_file():
        print(f"{checkpoint.path}: is there already")
        return
    print(f"{checkpoint.name}: {checkpoint.url}\nlicence of the weights: {checkpoint.licence}")
    print(f"{fetch(checkpoint)}: use it with {checkpoint.use}")


def known(name: str) -> Checkpoint:
    """The checkpoint of a name.

    Raises:
        InputError: there is none.
    """
    if name not in CHECKPOINTS:
        raise InputError(f"download {name!r}: not known; these are: {', '.join(CHECKPOINTS)}")
    return CHECKPOINTS[name]


def downloaded(name: str) -> Path:
    """The file of a checkpoint that was downloaded before.

    Raises:
        InputError: there is none of this name, or it was not downloaded.
    """
    checkpoint = known(name)
    if not checkpoint.path.is_file():
        raise InputError(
            f"{name}: its weights are not here yet; get them with: samodal download {name}, or name a file"
        )
    return checkpoint.path


def find(given: str | Path | None, name: str) -> Path:
    """The file that is meant: a path, the name of a downloaded checkpoint, or, where nothing is said, that of `name`.

    Raises:
        InputError: it was not downloaded.
    """
    wanted = name if given is None else str(given)
    if given is None or (wanted in CHECKPOINTS and not Path(wanted).exists()):
        return downloaded(wanted)
    return Path(wanted)


def listing() -> str:
    """All checkpoints as a table."""
    rows = [("name", "MB", "here", "licence", "use")]
    for c in CHECKPOINTS.values():
        rows.append((c.name, str(c.megabytes), "yes" if c.path.is_file() else "no", c.licence, c.use))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*(line.rstrip() for line in lines), f"folder: {checkpoint_folder()}"])


def checkpoint_folder() -> Path:
    """Where checkpoints are kept."""
    return cache_folder() / "checkpoints"


def fetch(checkpoint: Checkpoint) -> Path:
    """Download a checkpoint: to a name that ends in .part, which is renamed when it is whole and right.

    What a download that was cut off has left is gone on with.

    Returns:
        The file.

    Raises:
        StoppedError: no connection, cut off, no room, or another file than the known one.
    """
    path = checkpoint.path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        _receive(checkpoint, part)
    except urllib.error.HTTPError as error:
        raise StoppedError(f"{checkpoint.url}: the server says {error.code} {error.reason}") from None
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        ssl.SSLError,
        TimeoutError,
        ConnectionError,
    ) as error:
        why = getattr(error, "reason", None) or error or type(error).__name__
        raise StoppedError(
            f"{checkpoint.url}: no connection ({why}); try again, it goes on where it was"
        ) from None
    except OSError as error:
        raise StoppedError(f"{part}: cannot be written ({error.strerror or error})") from None
    if not sha256(part).startswith(checkpoint.sha256):
        part.unlink()
        raise StoppedError(
            f"{checkpoint.url}: what came is not the known file (its SHA-256 is not {checkpoint.sha256}); deleted"
        )
    part.replace(path)
    return path


def _receive(checkpoint: Checkpoint, part: Path) -> None:
    """Append to `part` what is still missing of the file."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(checkpoint.url, headers={"User-Agent": "samodal"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if not have or error.code != 416:  # nothing comes after so many bytes
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":  # because these are all
            return None
        part.unlink()
        return _receive(checkpoint, part)
    with response:
        if response.status != 206:  # the server sends all of it again
            have = 0
        length = response.headers.get("Content-Length")
        missing = int(length) if length else max(checkpoint.megabytes * MB - have, 0)
        _check_room(part, missing)
        with part.open("ab" if have else "wb") as file, progress("MB", math.ceil(missing / MB)) as advance:
            while block := response.read(MB):
                file.write(block)
                advance()
    if length and part.stat().st_size < have + missing:
        raise StoppedError(
            f"{checkpoint.url}: cut off after {part.stat().st_size} of {have + missing} bytes; "
            "try again, it goes on where it was"
        )


def _check_room(part: Path, missing: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise StoppedError(
            f"{part.parent}: {missing // MB} MB are needed and {free // MB} are free; make room, or set "
            "XDG_CACHE_HOME to a folder on another disk"
        )


def sha256(path: Path) -> str:
    """The SHA-256 of a file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
