"""The page of the app: what is on it, and which function of `session` each part calls."""

import functools
import html
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported

import gradio as gr

from samodal.app import session as work
from samodal.app.drawing import describe, draw, enlarged, in_frame
from samodal.app.session import RESULT_FILES, Session
from samodal.errors import InputError
from samodal.pipeline import AmodalVideoSegmenter

DEMO = "procedural clip, with masks"
KEEP, NOT, BOX = "keep", "not", "box"
LEGEND = (
    "Filled: seen. Hatched, in a dashed outline of the full shape: hidden. Beside it: the number of the instance and "
    "the IoU that the model expects of its mask. Of what is clicked, all is filled."
)
FROM_MASKS = (
    "This model was trained to be shown visible masks: from clicks alone, its answers are rough. "
    "`samodal app --model` takes others."
)
BEFORE = "Load visible masks, and the whole clip can be run."
# A click with the right button says "not", whatever is chosen; so does a long touch on most phones.
RIGHT_CLICK = """
<script>
document.addEventListener("contextmenu", (event) => {
  const picture = event.target.closest("#picture img");
  if (!picture) return;
  event.preventDefault();
  window.samodalRight = true;
  picture.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: event.clientX, clientY: event.clientY }));
});
</script>
"""
TAKE_MODE = """(session, mode) => {
  const right = window.samodalRight;
  window.samodalRight = false;
  return [session, right ? "not" : mode];
}"""
CSS = """
#picture img { cursor: crosshair; }
#notes table { width: auto; }
#notes :is(th, td) { padding: .15rem .9rem; border: 0; }
#notes th { border-bottom: 1px solid var(--border-color-primary); }
#news { min-height: 5rem; }
#news [class*="meta-text"] { display: none; }
.soft { opacity: .8; }
"""
LAST_PORT = 65535
FONTS = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")  # of the system: nothing is fetched


def build(
    segmenter: AmodalVideoSegmenter, facts: dict[str, Any], folder: Path, clips: Sequence[str] = ()
) -> gr.Blocks:
    """The page.

    Args:
        segmenter: the method; its model answers the clicks, too.
        facts: what else a report says about the run.
        folder: for the results, a new folder in it for each run.
        clips: files and folders on this machine that can be picked.
    """

    def shown(session: Session | None) -> tuple[Any, ...]:
        """What every event gives back: the session, the picture, notes, and the place of the slider."""
        if session is None:
            raise InputError("open a clip or an image first")
        session = work.look(session, segmenter)
        return session, enlarged(draw(session)), describe(session), gr.update(value=session.frame)

    def begun(session: Session) -> tuple[Any, ...]:
        """The same for another clip or other masks; with the length of the slider, and no results."""
        state, picture, notes, _ = shown(session)
        last, can_run = len(session.video) - 1, session.visible is not None
        slider = gr.update(value=session.frame, maximum=max(1, last), visible=last > 0)
        run = gr.update(interactive=can_run)
        nothing = [gr.update(value=None, interactive=False) for _ in RESULT_FILES]
        return state, picture, notes, slider, run, "" if can_run else BEFORE, *nothing

    @told
    def upload(paths: list[str] | None) -> Any:
        return begun(work.open_clip(paths)) if paths else gr.skip()

    @told
    def pick(name: str | None) -> Any:
        if not name:
            return gr.skip()
        return begun(work.open_demo() if name == DEMO else work.open_clip(name))

    @told
    def load(session: Session | None, paths: list[str] | None) -> Any:
        if session is None:
            raise InputError("open the clip of these masks first")
        if not paths:
            return gr.skip()
        return begun(work.load_visible(session, paths))

    @told
    def slide(session: Session, frame: int) -> tuple[Any, ...]:
        return shown(work.go_to(session, frame))

    @told
    def click(session: Session, mode: work.Mode, place: gr.SelectData) -> tuple[Any, ...]:
        return shown(work.click(session, *in_frame(place.index, session.video.size), mode))

    @told
    def undo(session: Session | None) -> tuple[Any, ...]:
        return shown(session and work.undo(session))

    @told
    def clear(session: Session | None) -> tuple[Any, ...]:
        return shown(session and work.clear(session))

    @told
    def run(session: Session, progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        out = Path(tempfile.mkdtemp(dir=folder))

        def advance(done: int, total: int) -> None:
            last = done == total
            progress((done, total), "writing overlay and report" if last else "predicting", unit="frames")

        session = work.run_clip(session, segmenter, out, facts, advance)
        files = [gr.update(value=str(out / name), interactive=True) for name in RESULT_FILES]
        gaps = sum(state == "hidden" for track in session.result or [] for state in track.states)
        news = f"Done. Instances: {len(session.result or [])}, masks where nothing of one is seen: {gaps}."
        return *shown(session), gr.skip(), news, *files

    with gr.Blocks(title="samodal", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        state = gr.State(None)
        gr.Markdown("# samodal\nVisible masks in, full shapes out, also of what is hidden.")
        with gr.Row():
            with gr.Column(scale=3, min_width=340):
                picture = gr.Image(
                    label="Frame", show_label=False, interactive=False, format="jpeg", elem_id="picture",
                    buttons=["fullscreen"],
                    placeholder="Open a clip or an image",
                )  # fmt: skip
                slider = gr.Slider(0, 1, 0, step=1, label="Frame", visible=False, elem_id="slider")
                mode = gr.Radio(
                    [("keep", KEEP), ("not", NOT), ("box: two corners", BOX)], value=KEEP,
                    label="A click on the picture says", info="The right button always says not.", elem_id="mode",
                )  # fmt: skip
                with gr.Row():
                    back = gr.Button("Undo", size="sm", min_width=80, elem_id="undo")
                    none = gr.Button("Clear", size="sm", min_width=80, elem_id="clear")
                gr.Markdown(LEGEND, elem_classes="soft")
                notes = gr.Markdown(elem_id="notes")
            with gr.Column(scale=1, min_width=300):
                picked = gr.Dropdown(
                    [*clips, DEMO],
                    value=clips[0] if clips else None,  # it is open
                    label="Pick a clip or an image",
                    elem_id="pick",
                )
                uploaded = gr.File(label="or upload one", file_count="multiple", height=130, elem_id="clip")
                loaded = gr.File(label="Visible masks", file_count="multiple", height=130, elem_id="masks")
                if "mask" in segmenter.model.config.prompt_kinds:
                    gr.Markdown(FROM_MASKS, elem_classes="soft")
                start = gr.Button("Run the clip", variant="primary", interactive=False, elem_id="run")
                news = gr.Markdown(BEFORE, elem_id="news")
                results = [
                    gr.DownloadButton(name, interactive=False, size="sm", elem_classes="result")
                    for name in RESULT_FILES
                ]

        # One thing at a time: model and decoder of the video are shared by all events.
        common = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
        every = [state, picture, notes, slider]
        all_of_it = [*every, start, news, *results]
        quick = common | {"show_progress": "minimal", "show_progress_on": [notes]}
        for opened in (
            uploaded.upload(upload, uploaded, all_of_it, **common),
            picked.input(pick, picked, all_of_it, **common),
        ):
            opened.then(lambda: None, None, loaded, api_visibility="private")  # masks of another clip
        loaded.upload(load, [state, loaded], all_of_it, **common)
        slider.input(slide, [state, slider], every, trigger_mode="always_last", **quick)
        picture.select(click, [state, mode], every, js=TAKE_MODE, trigger_mode="multiple", **quick)
        back.click(undo, state, every, **quick)
        none.click(clear, state, every, **quick)
        start.click(run, state, all_of_it, show_progress_on=[news], **common)
        if clips:
            page.load(lambda: pick(clips[0]), None, all_of_it, **common)
    return page


def serve(page: gr.Blocks, host: str, port: int | None, open_browser: bool) -> str:
    """Serve the page in the background.

    Returns:
        Its address.

    Raises:
        InputError: the port is taken, or its number is none of a port.
    """
    if port is not None and not 1 <= port <= LAST_PORT:
        raise InputError(f"--port {port}: 1 to {LAST_PORT} is expected")
    sans, mono = FONTS
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=open_browser,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            show_error=True,
            ssr_mode=False,
            mcp_server=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            theme=gr.themes.Default(primary_hue="blue", font=sans, font_mono=mono),
            css=CSS,
            head=RIGHT_CLICK,
        )
    except OSError:
        raise InputError(f"--port {port}: is taken on {host}; choose another one, or none") from None
    return address


def told(event: Callable[..., Any]) -> Callable[..., Any]:
    """The same event; what is wrong with the input is said on the page, in one line, and all else stays as it is."""

    @functools.wraps(event)
    def wrapped(*args: Any) -> Any:
        try:
            return event(*args)
        except InputError as error:
            gr.Warning(html.escape(str(error)), duration=30, title="This did not work")
            return gr.skip()

    return wrapped
