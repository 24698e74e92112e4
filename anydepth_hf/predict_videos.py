"""The videos among the inputs of `anydepth predict`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from .inputs import Source
from .outputs import FORMATS as PICTURE_FORMATS
from .outputs import OutputOptions
from .predict_report import Report
from .prediction import FAILURES, Predictor
from .video_convert import FORMATS, convert_video, damage_of
from .video_reader import av

_OF_PICTURES = [name for name in PICTURE_FORMATS if name != "normals_array"]  # which comes with another


def formats_of_videos(wanted: Sequence[str] | None, sources: Sequence[Source]) -> list[str]:
    """
    Those of the formats that the videos become; none without videos.

    Raises:
        ValueError: a format that none of the inputs can become, or inputs that become nothing.
        ImportError: there are videos, and PyAV is missing.
    """
    videos = [source for source in sources if source.video]
    if videos:
        av()  # before the model is loaded
    if wanted is None:
        return ["color"] * bool(videos)
    for name in wanted:
        if name not in FORMATS and len(videos) == len(sources):
            raise ValueError(f"A video is written as {', '.join(FORMATS)}, not as {name}.")
        if name not in PICTURE_FORMATS and not videos:
            raise ValueError(f"{name} is for videos; a picture is written as {', '.join(_OF_PICTURES)}.")
    if not videos:
        return []
    formats = [name for name in dict.fromkeys(wanted) if name in FORMATS]
    if not formats:
        raise ValueError(
            f"{videos[0].name} is a video, and none of the formats is for videos ({', '.join(FORMATS)}): add one, or "
            "give the pictures alone."
        )
    if len(videos) < len(sources) and not any(name in PICTURE_FORMATS for name in wanted):
        raise ValueError(f"None of the formats is for pictures ({', '.join(_OF_PICTURES)}): add one.")
    return formats


def predict_videos(
    sources: Sequence[Source],
    plan: dict[Source, dict[str, Path]],
    predictor: Predictor,
    options: OutputOptions,
    args: argparse.Namespace,
    report: Report,
) -> None:
    """Predicts and writes one video after another; what fails goes into the report and the rest goes on."""
    for source in sources:
        bar = _Bar(source, report.processes.is_main)
        try:
            converted = convert_video(
                predictor, Path(source.path or ""), plan[source], options, args.stabilize, bar.update
            )
            damage = damage_of(source.name, converted) if converted.damaged else None
            report.succeeded(source, converted.paths, damage)
        except FAILURES as error:
            report.failed(source, error)
        finally:
            bar.close()


class _Bar:
    """A progress bar of frames a second and the time that is left, one for each phase of a video."""

    def __init__(self, source: Source, shown: bool):
        self.name, self.shown = Path(source.name).name, shown
        self.phase: str | None = None
        self.bar: tqdm | None = None

    def update(self, phase: str, done: int, frames: int):
        if phase != self.phase:
            self.close()
            # what an earlier run did says nothing about the speed of this one
            initial = done if done > 1 else 0
            self.phase = phase
            self.bar = tqdm(
                total=frames, initial=initial, unit="frame", desc=f"{self.name}: {phase}", disable=not self.shown
            )
        if self.bar is not None:
            self.bar.total = frames
            self.bar.update(done - self.bar.n)

    def close(self):
        if self.bar is not None:
            self.bar.close()
