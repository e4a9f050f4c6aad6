import subprocess
import sys

import pytest

from samodal.cli import run


def test_help_needs_neither_torch_nor_gradio_nor_rerun() -> None:
    code = (
        "import sys; from samodal.cli import run; assert run(['app', '--help']) == 0; "
        "print(*({'torch', 'gradio', 'rerun'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--host" in done.stdout
    assert done.stdout.endswith("\n\n") or done.stdout.splitlines()[-1] == ""


def test_a_missing_gradio_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "samodal.app.page", raising=False)
    monkeypatch.delattr("samodal.app.page", raising=False)
    assert run(["app", "--no-open"]) == 2
    assert (
        capsys.readouterr().err
        == "samodal: samodal app needs the package 'gradio': pip install 'samodal[app]'\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.mp4"], "nowhere.mp4: no such file"),
        (["--model", "nowhere"], "nowhere"),
        (["--device", "cuda:99"], "--device cuda:99: not available"),
        (["--port", "0x"], "port"),
        (["--port", "99999"], "--port 99999: 1 to 65535 is expected"),
        (["--port", "-1"], "--port -1: 1 to 65535 is expected"),
    ],
)
def test_bad_words_are_said_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("gradio", reason="needs pip install 'samodal[app]'")
    assert run(["app", "--no-open", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
