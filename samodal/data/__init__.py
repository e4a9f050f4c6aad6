"""Data sets: one reader (and writer) a format, all of them giving clips."""

from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from samodal.data.clip import Clip, Dataset, Instance, amodal_frames
from samodal.errors import InputError

__all__ = ["Clip", "Dataset", "Instance", "amodal_frames", "open_dataset"]

DATASETS = {  # name -> module and what opens it, imported when asked for
    "asd": ("asd", "AsdDataset"),
    "amodalsynthdrive": ("asd", "AsdDataset"),
    "kins": ("kins", "open_kins"),
    "kins-car": ("savos", "open_kins_car"),
    "fishbowl": ("savos", "open_fishbowl"),
    "sail-vos": ("sail_vos", "open_sail_vos"),
    "youtube-vis": ("youtube_vis_clips", "open_youtube_vis"),
    "ovis": ("youtube_vis_clips", "open_youtube_vis"),
    "genvis": ("youtube_vis_clips", "open_genvis"),
    "mots": ("mots_clips", "open_kitti_mots"),
    "kitti-mots": ("mots_clips", "open_kitti_mots"),
    "motschallenge": ("mots_clips", "open_motschallenge"),
    "davis": ("davis", "open_davis"),
    "bdd100k": ("bdd100k", "open_bdd100k"),
    "folder": ("folder", "open_folder"),
}


def open_dataset(name: str, root: str | Path, split: str = "val", **options: Any) -> Sequence[Clip]:
    """Open a data set: a sequence of clips, each a video with what is known of every frame.

    Lists are read once, masks and frames when they are asked for. Frames need not be there unless they are asked for
    (except in `asd` and `folder`, whose sizes come from them).

    | name | full masks | what is expected in `root` |
    |---|---|---|
    | asd, amodalsynthdrive | all frames | `<split>/{images,amodal_instance_seg}/<camera>/<sequence>/`, or `full` in place of `<split>`, or no `<camera>`; `samodal synth` writes the first |
    | kins | all (single images) | `update_{train,test}_2020.json` or `instances_{train,val}.json`; `{training,testing}/image_2/` or `image_2/`; or one JSON file |
    | kins-car | few frames | `car_data/<split>_data.pkl`, `update_train_2020.json`, `mapping/` of KITTI's devkit (or option `pairs`), `Kitti/raw_video/<date>/<drive>/` |
    | fishbowl | all frames | `<split>_data/<split>_data.pkl`, `<split>_data/<split>_frames/<video>/` |
    | sail-vos | all frames | `sailvos_{cut,complete}_json/{joint,amodal,visible}/{train,valid}.json`, `sailvos_{cut,complete}_png/`; or one JSON file |
    | youtube-vis, ovis | none, unless the file has `visible_segmentations` | `<split>.json`, `<split>/instances.json`, `annotations/instances_<split>.json` or `annotations_<split>.json`, `<split>/JPEGImages/`; or one JSON file |
    | genvis | none | one JSON file of results (option `videos`: what its video ids mean; `categories`: class map) |
    | mots, kitti-mots | none | `instances_txt/<sequence>.txt` or `instances/<sequence>/*.png`, `training/image_02/<sequence>/`; or one txt file |
    | motschallenge | none | `train/<sequence>/{gt/gt.txt,img1/}`, or as mots with `train/images/<sequence>/`; or one txt file |
    | davis | none | `Annotations/480p/<sequence>/*.png`, `JPEGImages/480p/<sequence>/`, `ImageSets/*/<split>.txt` |
    | bdd100k | none | `labels/seg_track_20/{rles,polygons,bitmasks}/<split>/`, `images/seg_track_20/<split>/<video>/`; or one JSON file |
    | folder | none | `masks/*.png` and `frames/` or one video file; or folders of that kind |

    Where full masks are not known, `Instance.amodal` is None and `Clip.annotated` says so.

    Args:
        name: from the table.
        root: its folder, or the one file.
        split: train, val, test, as the data set has them; `all` for mots and davis.
        options: of the reader, such as `camera` and `sequences` of `samodal.data.asd.AsdDataset`; see the function
            or class in `DATASETS`.

    Raises:
        InputError: unknown name or option, or the folder does not hold such a data set.
    """  # noqa: E501
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; known are {', '.join(DATASETS)}")
    module, reader = DATASETS[name]
    open_it = getattr(import_module(f"samodal.data.{module}"), reader)
    try:
        signature(open_it).bind(root, split, **options)
    except TypeError as error:
        raise InputError(f"data set {name!r}: {error}") from None
    return open_it(root, split, **options)
