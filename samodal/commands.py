"""The commands: each is a dataclass; its fields are the options, its docstring the help. `samodal.cli` parses them."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from samodal.errors import InputError
from samodal.prompts import PromptOptions
from samodal.train.options import ModelOptions, TrainOptions
from samodal.vis.options import VisOptions


@dataclass
class Demo:
    """Make a clip of the procedural driving world, run everything on it, score it, write a report.

    Needs nothing: no download, no data. Open DIR/report.html afterwards.
    """

    out: Path = Path("runs/demo")
    """Where the results go."""
    seed: int = 0
    """Another seed, another clip."""
    frames: int = 40
    """Frames of the clip."""
    clips: int = 2
    """Clips that are scored; overlay and report show the first."""

    def run(self) -> None:
        """Run the demo."""
        _at_least(1, clips=self.clips, frames=self.frames)
        _at_least(0, seed=self.seed)
        from samodal.demo import demo

        demo(self.out, self.seed, self.frames, self.clips)


@dataclass
class Predict:
    """Full masks from a video and the visible masks of its instances.

    Writes amodal.json, overlay.mp4 and report.html to the folder --out, and scores.json where --truth is known. Of
    several videos, each has a folder in --out; those that are there already are left as they are.
    """

    video: Positional[str]
    """A video file, a folder of frames, or a pattern in quotes: of frames, or of several videos or folders."""
    visible: str
    """Visible masks: YouTube-VIS results (GenVIS writes them), KITTI MOTS txt, a folder of PNG id maps or 0/255 masks
    (DAVIS), or of such folders, one for each instance; or auto: they are found by --vis.model. Of several videos, a *
    (in quotes) stands for the name of each; or one file holds all of them, and --truth says which is which."""
    vis: VisOptions = field(default_factory=VisOptions)
    """What finds the visible masks with --visible auto."""
    model: str = "samodal-nano"
    """samodal-nano (bundled), a model folder, a Hugging Face id, a checkpoint of segment-anything or S-AModal, or the
    name of a downloaded one: sam-vit-b, sam-vit-l, sam-vit-h."""
    adapter: Literal["none", "sam-adapter", "medical-adapter", "lora"] = "none"
    """For checkpoints of S-AModal: with which adapter they were trained."""
    out: Path | None = None
    """Where the results go; runs/predict/<name of the video or of its folder> if not said."""
    tracker: str = "motion"
    """Who follows hidden instances: motion (needs no weights), or a point tracker that votes beside it: cotracker (v1,
    S-AModal's), cotracker3, lucas-kanade, raft, or one that another package brings."""
    tracker_weights: Path | None = None
    """The checkpoint of cotracker, cotracker3 or raft; the one that samodal download fetched if not said."""
    recover: Literal["two-sided", "online", "reference", "none"] = "two-sided"
    """How gaps are filled: looking at both sides; only at the past; by the rule of S-AModal, which needs a point
    tracker; or not at all."""
    prompt: PromptOptions = field(default_factory=PromptOptions)
    """How SAM is prompted."""
    unite_visible: bool = True
    """What is seen belongs to the full mask, and a bare rim around it does not, whatever SAM says."""
    refine: bool = True
    """Complete what is partly hidden from frames that show more of it; if not, each frame stands by itself."""
    rejoin: bool = False
    """Put tracks together that are one instance under two ids: one ends, and the other begins where it is expected."""
    ego: Path | None = None
    """How the camera turned and drove, if known: a homography of pixels for each frame from the one before, as .npy of
    (T, 3, 3) or (T - 1, 3, 3), or (.., 3, 4) with the drive, or the same in JSON; estimated from the frames if not
    said."""
    truth: Path | None = None
    """True masks to score with: a YouTube-VIS truth file (samodal convert writes one) or an amodal.json."""
    shard: str | None = None
    """i/n: of several videos only every n-th, from the i-th on, so that n machines share them: 1/n to n/n."""
    seed: int = 0
    """Of the point prompts."""
    batch: int = 4
    """Frames that are worked on together. Changes speed and memory, never the result."""
    video_id: int | None = None
    """Which video of a --visible or --truth file that holds several."""
    device: str | None = None
    """cpu, cuda, cuda:1, mps; the best there is if not said."""
    backend: Literal["torch", "openvino", "onnxruntime"] = "torch"
    """What does the arithmetic. openvino is the fastest on a CPU: pip install 'samodal[openvino]'."""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """Of the image encoder; all else is fp32. bf16 is faster where the processor knows it, and a little rougher."""
    compile: bool = False
    """Let torch compile the image encoder; pays for long videos on a GPU."""

    def run(self) -> None:
        """Run a prediction."""
        ignored = [name for name, value in vars(self.vis).items() if value != getattr(VisOptions(), name)]
        if ignored and self.visible != "auto":
            raise InputError(f"--vis.{ignored[0]}: only with --visible auto")
        from samodal.predict import predict

        predict(self)


@dataclass
class Train:
    """Fine-tune a SAM to amodal masks (or make it promptable on visible ones)."""

    dataset: Positional[str]
    """A set with full masks: asd (AmodalSynthDrive; samodal synth writes it), kins, kins-car, fishbowl, sail-vos"""
    root: Path
    """The folder of the data set."""
    model: str
    """What to start from: samodal-nano, a model folder, an original checkpoint, or scratch-nano (random weights)."""
    out: Path = Path("runs/train")
    """Where checkpoints (last/, best/) and log.jsonl go."""
    resume: bool = False
    """Go on with the run in --out."""
    check: bool = True
    """Look at the data first as samodal check does, for half a minute at most, and refuse what it calls an error."""
    recipe: str = "default"
    """Defaults of all options below: default, reference (as S-AModal's own code trains), or a TOML file of yours;
    with --help, its values are shown."""
    start: Annotated[ModelOptions, tyro.conf.arg(name="")] = field(default_factory=ModelOptions)
    options: Annotated[TrainOptions, tyro.conf.arg(name="")] = field(default_factory=TrainOptions)

    def run(self) -> None:
        """Run a training."""
        from samodal.train.run import run

        run(self)


@dataclass
class Synth:
    """Write clips of the procedural driving world, with truth, in the layout of AmodalSynthDrive."""

    root: Positional[Path]
    """The folder to write to; sequences that are there already are left."""
    split: str = "train"
    """The split they go to."""
    videos: int = 10
    """Number of sequences."""
    frames: int = 40
    """Frames of each."""
    size: str = "360x640"
    """Height x width in pixels."""
    preset: Literal["easy", "hard"] = "easy"
    """hard: other textures, denser traffic, longer gaps; meant for testing only."""
    seed: int = 0
    """The first sequence's seed; the others count on."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes."""

    def run(self) -> None:
        """Write the clips."""
        _at_least(1, videos=self.videos, frames=self.frames, workers=self.workers)
        _at_least(0, seed=self.seed)
        from samodal.data.synth import write_synthetic
        from samodal.progress import progress

        seeds = list(range(self.seed, self.seed + self.videos))
        with progress("rendering", len(seeds)) as advance:
            write_synthetic(
                self.root,
                {self.split: seeds},
                frames=self.frames,
                size=parse_size(self.size),
                preset=self.preset,
                workers=self.workers,
                progress=advance,
            )


@dataclass
class Score:
    """Score predicted tracks or masks against the truth, beside the trivial answers.

    videos: YouTube-VIS files; samodal convert writes the truth of a data set. Where truth and predictions hold
    visible masks too (amodal.json does), IoU by occlusion and the scores of gaps come with the average precision.
    images: COCO files.
    """

    what: Annotated[Positional[Literal["images", "videos"]], tyro.conf.arg(metavar="images|videos")]
    """Masks of single images, or tracks."""
    truth: Positional[Path]
    """The truth file."""
    predictions: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PREDICTIONS ...")]
    """The predictions. Files of different videos belong together; files of the same videos are repeats with other
    seeds and give means and standard deviations."""
    protocol: Literal["strict", "reference"] = "strict"
    """Of the average precision: strict is right, reference gives the numbers of S-AModal's own code, quirks and all."""
    by_class: bool = False
    """Average precision as the mean over categories; else without regard to category, as in S-AModal."""
    match: Literal["overlap", "id"] = "overlap"
    """How predicted tracks are told which truth is theirs: by their visible masks, or by equal track ids."""
    identity: bool = False
    """HOTA and IDF1 of the amodal masks, too; needs pip install 'samodal[identity]'."""
    out: tuple[Path, ...] = ()
    """Files to write: .json, .csv, .tex."""

    def run(self) -> None:
        """Score, print, write."""
        from samodal.scoring import run as score

        if not self.predictions:
            raise InputError("score: no predictions; name one file, or several made with different seeds")
        score(self)


@dataclass
class Convert:
    """Write the masks of one format in another one; say what the other cannot hold.

    Reads youtube-vis, genvis, mots, motschallenge, davis, coco, asd and the other data sets; writes youtube-vis
    (truth), youtube-vis-results, genvis, mots, motschallenge, davis, coco (truth), coco-results and asd.
    """

    source: Annotated[Positional[Path], tyro.conf.arg(metavar="IN")]
    """What to read: a file or a folder."""
    out: Annotated[Positional[Path], tyro.conf.arg(metavar="OUT")]
    """What to write: a JSON file (youtube-vis, genvis, coco), a folder, or a .txt (mots, one video)."""
    source_form: Annotated[str, tyro.conf.arg(name="from")]
    """The format of IN."""
    form: Annotated[str, tyro.conf.arg(name="to")]
    """The format of OUT."""
    masks: Literal["visible", "amodal"] | None = None
    """Write only these masks; all there are if not said."""
    classes: str = ""
    """Classes to change, old:new with commas, such as 1:24,2:25; others stay as they are."""
    split: str = "val"
    """Of a data set, read or written."""
    camera: str = "front"
    """Of AmodalSynthDrive, read or written."""
    frames: Path | None = None
    """The frames, where IN has none: a video or its folder, or a folder of these under the names of the videos."""
    like: Path | None = None
    """A truth file (YouTube-VIS or COCO) whose ids of videos and images are taken, by the names of the videos."""

    def run(self) -> None:
        """Convert, and say what was written and what was left out."""
        from samodal.convert import convert, parse_classes

        done = convert(
            self.source,
            self.out,
            self.source_form,
            self.form,
            self.masks,
            parse_classes(self.classes),
            self.split,
            self.camera,
            self.frames,
            self.like,
        )
        print(f"{done}\n{self.out}: {self.form}")


@dataclass
class Check:
    """Say what is wrong or suspicious in data sets, truth files, results and checkpoints.

    Truth and results that are given together are compared. The exit code is 2 if anything is wrong.
    """

    paths: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PATH ...")]
    """Truth or results (YouTube-VIS, COCO), MOTS txt, folders of data sets, checkpoints, model folders."""
    format: str | None = None
    """What the paths are, as samodal convert --from calls it; told by what they hold if not said."""

    def run(self) -> None:
        """Check, print what was found, and the verdict."""
        from samodal.check import check_paths, verdict

        if not self.paths:
            raise InputError("check: no paths; name files or folders to check")
        found = check_paths(self.paths, self.format)
        for name, findings in found.items():
            print(f"{name}: {'nothing found' if not findings else ''}".rstrip())
            for finding in findings:
                print(f"  {finding}")
        errors, warnings = verdict(found)
        if errors:
            raise InputError(
                f"check: {errors} kinds of errors and {warnings} of warnings; they are listed above"
            )
        print(f"nothing is wrong; {warnings} kinds of warnings" if warnings else "all is well")


@dataclass
class Export:
    """Write a model for others: a Hugging Face folder, a checkpoint of S-AModal, ONNX files, or several of these.

    The ONNX files are compared with the model before they are handed out.
    """

    model: Positional[str]
    """samodal-nano (bundled), a model folder, a Hugging Face id, or a checkpoint of segment-anything or S-AModal."""
    hf: Path | None = None
    """A folder for config.json, model.safetensors and the model card README.md."""
    original: Path | None = None
    """A file (.pth or .safetensors) for the weights under the names of segment-anything and S-AModal."""
    onnx: Path | None = None
    """A folder for encoder.onnx and decoder.onnx; needs pip install 'samodal[onnx]'."""
    opset: int = 18
    """Version of the operators in the ONNX files."""
    adapter: Literal["none", "sam-adapter", "medical-adapter"] = "none"
    """For checkpoints of S-AModal: with which adapter they were trained."""
    name: str = ""
    """For the model card: the model's name, such as its Hugging Face id."""
    base: str = ""
    """For the model card: what training began from."""
    data: str = ""
    """For the model card: what it was trained on."""
    licence: str = ""
    """For the model card: the weights' licence, such as apache-2.0."""

    def run(self) -> None:
        """Export, and say what was written."""
        from samodal.export import run as export

        export(self)


@dataclass
class Download:
    """Fetch a published checkpoint by name, once; other commands then find it by that name.

    A download that was cut off goes on where it was.
    """

    name: Positional[str] = ""
    """Which one; --list says what there is."""
    list: bool = False
    """Say what there is, with sizes and licences."""

    def run(self) -> None:
        """List, or fetch."""
        from samodal.download import run as download

        if not self.name and not self.list:
            raise InputError("download: no name; samodal download --list says what there is")
        download(self)


@dataclass
class Show:
    """Open the report of a result folder in the browser, or write a figure or a recording for rerun from it."""

    folder: Positional[Path]
    """The --out folder of samodal predict or samodal demo, or the report.html in it."""
    figure: Path | None = None
    """Write this file instead: a contact sheet (.png) or an animation of at most 8 MB (.gif)."""
    frames: tuple[int, ...] = ()
    """Frames of the figure; if not said, a contact sheet has some in which much is hidden, an animation all."""
    tracks: tuple[int, ...] = ()
    """Instances in the figure; all if not said."""
    video: str | None = None
    """The video that the results are of, for pictures from it; those in the report if not said."""
    rerun: Path | None = None
    """Write this .rrd file instead, which `rerun` opens: frames, masks, points, states, scores and occlusion over
    time; needs pip install 'samodal[rerun]'."""

    def run(self) -> None:
        """Open the page, or write what was asked for."""
        for option, said in (("frames", self.frames), ("tracks", self.tracks)):
            if said and self.figure is None:
                raise InputError(f"--{option}: only with --figure")
        if self.video is not None and self.figure is None and self.rerun is None:
            raise InputError("--video: only with --figure or --rerun")
        folder = self.folder.parent if self.folder.is_file() else self.folder
        report = folder / "report.html"
        if self.figure is not None or self.rerun is not None:
            from samodal.show.figure import Pictures, write_figure
            from samodal.show.rerun_file import write_rerun
            from samodal.video import Video, VideoTracks

            tracks = VideoTracks.read(folder / "amodal.json")
            pictures = Pictures.of_video(Video.open(self.video)) if self.video else Pictures.of_report(report)
            if self.figure is not None:
                write_figure(self.figure, pictures, tracks, self.frames, self.tracks)
                print(self.figure)
            if self.rerun is not None:
                write_rerun(self.rerun, pictures, tracks)
                print(f"{self.rerun} (open it: rerun {self.rerun})")
            return
        import webbrowser

        if not report.is_file():
            raise InputError(f"{report}: no such file; samodal predict and samodal demo write one to --out")
        if not webbrowser.open(report.resolve().as_uri()):
            print(f"no browser here; open {report.resolve()}")


@dataclass
class App:
    """Open a page to look at clips and images: click what is meant, load visible masks, run the whole clip.

    Only this machine can open the page, unless --host says otherwise. Needs pip install 'samodal[app]'.
    """

    clips: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="CLIP ...")] = ()
    """Videos, folders of frames or images to pick from, besides those that are uploaded; the first is shown."""
    model: str = "samodal-nano"
    """samodal-nano (bundled), a model folder, a Hugging Face id, or a checkpoint of segment-anything or S-AModal."""
    adapter: Literal["none", "sam-adapter", "medical-adapter", "lora"] = "none"
    """For checkpoints of S-AModal: with which adapter they were trained."""
    seed: int = 0
    """Of the point prompts."""
    device: str | None = None
    """cpu, cuda, cuda:1, mps; the best there is if not said."""
    backend: Literal["torch", "openvino", "onnxruntime"] = "torch"
    """What does the arithmetic. openvino is the fastest on a CPU: pip install 'samodal[openvino]'."""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """Of the image encoder."""
    host: str = "127.0.0.1"
    """Who is served: 127.0.0.1 this machine; 0.0.0.0 everyone who reaches it, without a password."""
    port: int | None = None
    """Of the page; the first free one from 7860 on if not said."""
    open: bool = True
    """Open the page in the browser."""

    def run(self) -> None:
        """Serve the page until it is interrupted."""
        from samodal.app import run

        run(self)


Command = Demo | Predict | Train | Synth | Score | Convert | Check | Download | Export | Show | App


def _at_least(least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < least:
            raise InputError(f"--{name.replace('_', '-')} {number}: at least {least} is expected")


def parse_size(text: str) -> tuple[int, int]:
    """ "360x640" -> (360, 640), height and width."""
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise InputError(f"--size {text}: height x width is expected, such as 360x640")
    return int(height), int(width)
