"""Downloads from a server of our own: whole, cut off, resumed, wrong, missing."""

import hashlib
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from samodal import download
from samodal.cli import run
from samodal.download import CHECKPOINTS, Checkpoint, fetch, find, listing, sha256
from samodal.errors import InputError, StoppedError
from samodal.predict import choose_tracker
from samodal.sam.load import load_model
from samodal.track import open_tracker

CONTENT = np.random.default_rng(0).bytes(300_000)
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Gives CONTENT at /weights.pth.

    Attributes:
        cut: close the connection after so many bytes of an answer.
        ranges: whether parts can be asked for.
        asked: the Range of each request.
    """

    cut: int | None = None
    ranges = True
    sends_length = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append(wanted)
        if self.path != "/weights.pth":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        if self.server.sends_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def weights(server: Server, file: str = "weights.pth", sha256: str = HASH) -> Checkpoint:
    url = f"http://127.0.0.1:{server.server_port}/{file}"
    return Checkpoint("weights", url, 1, "CC0", "--model weights", sha256)


def left(checkpoint: Checkpoint) -> list[str]:
    return sorted(path.name for path in checkpoint.path.parent.iterdir())


@pytest.mark.parametrize("known", [HASH, HASH[:8], ""])
@pytest.mark.parametrize("sends_length", [True, False])
def test_a_good_file(server: Server, known: str, sends_length: bool) -> None:
    server.sends_length = sends_length
    checkpoint = weights(server, sha256=known)
    assert fetch(checkpoint) == checkpoint.path
    assert checkpoint.path.read_bytes() == CONTENT
    assert left(checkpoint) == ["weights.pth"]
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_is_cut_off_is_gone_on_with(server: Server, ranges: bool) -> None:
    checkpoint, server.cut, server.ranges = weights(server), 100_000, ranges
    with pytest.raises(StoppedError, match="cut off after 100000 of 300000 bytes; try again"):
        fetch(checkpoint)
    assert left(checkpoint) == ["weights.pth.part"]
    server.cut = None
    assert fetch(checkpoint).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]
    assert left(checkpoint) == ["weights.pth"]


def test_what_was_whole_but_not_renamed_is_not_fetched_again(server: Server) -> None:
    checkpoint = weights(server)
    checkpoint.path.parent.mkdir(parents=True)
    part = checkpoint.path.with_name("weights.pth.part")
    part.write_bytes(CONTENT)
    assert fetch(checkpoint).read_bytes() == CONTENT
    assert server.asked == ["bytes=300000-"]
    part.write_bytes(CONTENT + b"of another file")
    assert fetch(checkpoint).read_bytes() == CONTENT
    assert server.asked[1:] == ["bytes=300015-", None]


def test_another_file_than_the_known_one_is_deleted(server: Server) -> None:
    checkpoint = weights(server, sha256="0123abcd")
    with pytest.raises(StoppedError, match=r"not the known file .*0123abcd.*; deleted"):
        fetch(checkpoint)
    assert left(checkpoint) == []


def test_a_file_that_is_not_there(server: Server) -> None:
    checkpoint = weights(server, "nothing.pth")
    with pytest.raises(StoppedError, match="the server says 404 Not Found"):
        fetch(checkpoint)
    assert left(checkpoint) == []


def test_no_server(server: Server) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/weights.pth"
        with pytest.raises(StoppedError, match=r"no connection .*refused"):
            fetch(replace(weights(server), url=url))


def test_a_full_disk(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    checkpoint = weights(server)
    with pytest.raises(StoppedError, match="0 MB are needed and 0 are free; make room"):
        fetch(checkpoint)
    assert not checkpoint.path.exists()


def test_the_command(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    checkpoint = weights(server)
    monkeypatch.setitem(CHECKPOINTS, "weights", checkpoint)
    assert run(["download", "--list"]) == 0
    assert ["weights", "1", "no", "CC0", "--model", "weights"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]
    assert run(["download", "weights"]) == 0
    said = capsys.readouterr()
    assert "licence of the weights: CC0" in said.out
    assert str(checkpoint.path) in said.out
    assert "1/1" in said.err
    assert run(["download", "weights"]) == 0
    assert "is there already" in capsys.readouterr().out
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "samodal download --list says"),
        (["sam-vit-x"], 2, "'sam-vit-x': not known; these are: sam-vit-b, "),
        (["weights"], 1, "the server says 404"),
    ],
)
def test_bad_words_are_one_line(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    words: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.setitem(CHECKPOINTS, "weights", weights(server, "nothing.pth"))
    assert run(["download", *words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_table() -> None:
    for name, checkpoint in CHECKPOINTS.items():
        assert name == checkpoint.name
        assert checkpoint.url.startswith("https://")
        assert checkpoint.path.suffix == ".pth"
        assert len(checkpoint.sha256) in (0, 8, 64)
        assert set(checkpoint.sha256) <= set("0123456789abcdef")
        assert name in listing()
    assert len({checkpoint.path for checkpoint in CHECKPOINTS.values()}) == len(CHECKPOINTS)


def test_files_are_found_by_name(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"cotracker: its weights are not here yet; .*samodal download cotracker"
    ):
        find(None, "cotracker")
    folder = download.checkpoint_folder()
    folder.mkdir(parents=True)
    (folder / "cotracker_stride_4_wind_8.pth").write_bytes(b"")
    assert find(None, "cotracker") == find("cotracker", "raft") == folder / "cotracker_stride_4_wind_8.pth"
    assert find("other.pth", "cotracker") == Path("other.pth")
    (tmp_path / "cotracker").write_bytes(b"")  # what lies here goes before what was downloaded
    assert find("cotracker", "cotracker") == Path("cotracker")


def test_commands_find_what_was_downloaded(server: Server) -> None:
    cpu = torch.device("cpu")
    for use in (
        lambda: load_model("sam-vit-b"),
        lambda: open_tracker("cotracker3"),
        lambda: choose_tracker("raft", None, cpu),
        lambda: choose_tracker("cotracker3", Path("cotracker3-online"), cpu),
    ):
        with pytest.raises(
            InputError, match=r"samodal download (sam-vit-b|cotracker3|raft|cotracker3-online), or"
        ):
            use()
    folder = download.checkpoint_folder()
    folder.mkdir(parents=True)
    torch.save({"model": {"weight": torch.zeros(1)}}, folder / "sam_vit_b_01ec64.pth")
    with pytest.raises(InputError, match=r"sam_vit_b_01ec64\.pth"):  # read, and found not to be a SAM
        load_model("sam-vit-b")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
