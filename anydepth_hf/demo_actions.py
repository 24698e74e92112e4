"""What the demo's page does when something is clicked; every mistake is shown as one sentence."""

import functools
import html
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from anydepth_cli.sentences import one_line

from .bundled_checkpoint import BUNDLED_CHECKPOINT
from .demo_files import camera_of, missing, range_of, write_files, write_view
from .demo_models import Models
from .demo_scene import Scene, predict_scene
from .image_io import check_pixels
from .prediction import FAILURES
from .video import predict_video
from .video_reader import probe

EXAMPLE = Path(BUNDLED_CHECKPOINT) / "coffee.jpg"
PROGRESS = gr.Progress()  # Gradio finds it as a default value, and gives each call its own
FIRST_STEP = "Click a point of the photograph."
NO_PHOTO = "There is no result to go on from: choose a photograph."


def in_words(action: Callable) -> Callable:
    """Shows what may go wrong as a sentence; anything else is a bug and keeps its traceback on the console."""

    @functools.wraps(action)
    def wrapped(*args, **kwargs):
        try:
            return action(*args, **kwargs)
        except FAILURES as error:
            # the page takes it for HTML, and a file's name may be anything
            raise gr.Error(html.escape(sentence(error), quote=False), title="", print_exception=False) from error

    return wrapped


def sentence(error: BaseException) -> str:
    """What an error says, in one line and without the server's folders."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{Path(os.fsdecode(error.filename)).name}: {error.strerror}"
    return one_line(error)


class Actions:
    """The functions behind the page; `max_pixels` are those of a photograph, `at_once` counts predictions."""

    def __init__(self, models: Models, max_pixels: int, at_once: int = 1, max_video_seconds: float = 60):
        self.models, self.max_pixels, self.at_once = models, max_pixels, at_once
        self.max_video_seconds = max_video_seconds
        self._cache: Callable[[str], str | None] = str

    def cache_for(self, component: Any) -> None:
        """Names the component whose files the server hands out and deletes in time."""
        self._cache = component.move_resource_to_block_cache

    @in_words
    def predict(self, path, model, size, colormap, old: Scene | None, number, unit, progress=PROGRESS):
        """A new scene, in the order of the page's outputs; of the example where there is no photograph yet."""
        path = path or (old.path if old else str(EXAMPLE))
        progress(0.1, desc="Loading the model")
        predictor, calibration = self.models.predictor(model, size or None)
        progress(0.4, desc="Predicting")
        scene = predict_scene(path, predictor, calibration, size or None, self.max_pixels)
        tabs = gr.skip()
        if old is None or old.path != path:
            tabs = gr.Tabs(selected="depth")  # where something is to be seen
            number, unit = (round(scene.camera.fx, 1), "pixels") if scene.camera else (None, "degrees")
        scene = scene.like(old)
        camera = camera_of(scene, number, unit)
        lacking = _no_view(missing(scene, camera))
        no_files = gr.update(value=None, visible=False)
        return (*self._seen(scene, colormap, camera), number, unit, None, *lacking, no_files, tabs)

    def photograph(self, path, *settings, progress=PROGRESS):
        """The scene of another photograph; where one was only taken away, what is seen stays."""
        return gr.skip() if path is None else self.predict(path, *settings, progress)

    @in_words
    def show(self, scene: Scene | None, colormap):
        """The scene in other colours."""
        if scene is None:
            return None, ""
        return (scene.shown, scene.colored(colormap)), scene.legend(colormap)

    @in_words
    def click(self, scene: Scene | None, number, unit, event: gr.SelectData):
        """The scene after a click on the photograph."""
        scene = _required(scene).click(*event.index[:2])
        return scene, scene.marked(), self._reading(scene, camera_of(scene, number, unit))

    @in_words
    def know(self, scene: Scene | None, metres, colormap, number, unit):
        """The scene in which the clicked point has a distance."""
        scene = _required(scene).know(metres)
        return (*self._seen(scene, colormap, camera_of(scene, number, unit)), None, *_no_view(""))

    @in_words
    def forget(self, scene: Scene | None, metres, colormap, number, unit):
        """The scene without known distances."""
        scene = _required(scene).forget()
        return (*self._seen(scene, colormap, camera_of(scene, number, unit)), None, *_no_view(""))

    @in_words
    def view(self, scene: Scene | None, number, unit, view: str):
        """The surface, the points or the normals, or what is missing for them."""
        if scene is None:
            return _no_view(NO_PHOTO)
        camera = camera_of(scene, number, unit)
        if lacking := missing(scene, camera):
            return _no_view(lacking)
        near, far = range_of(scene)
        with tempfile.TemporaryDirectory(prefix="anydepth-") as folder:
            path = self._cache(str(write_view(scene, camera, view, Path(folder))))
        if view == "normals":
            text = "Red is to the right, green up, blue towards the camera."
            return text, gr.update(value=None, visible="hidden"), gr.update(value=path, visible=True)
        across, down = camera.fov()
        text = f"Field of view {across:.0f}° × {down:.0f}°; shown up to {far:.3g} m. Drag to turn, wheel to zoom."
        # from where the photograph was taken, a little from above and aside
        place = (84, 82, 1.15 * (near + far) / 2)
        return text, gr.update(value=path, visible=True, camera_position=place), gr.update(value=None, visible=False)

    @in_words
    def write(self, scene: Scene | None, number, unit, formats, colormap):
        """Files to download."""
        scene = _required(scene)
        with tempfile.TemporaryDirectory(prefix="anydepth-") as folder:
            paths = write_files(scene, camera_of(scene, number, unit), formats, colormap, Path(folder))
            return gr.update(value=[self._cache(str(path)) for path in paths], visible=True)

    @in_words
    def video(self, path, model, size, colormap, stabilize, beside, formats, progress=PROGRESS):
        """The video in colours, and its other files to download."""
        if path is None:
            raise ValueError("Choose a video first.")
        name, info = Path(path).name, probe(path)
        check_pixels(name, info.width, info.height, self.max_pixels)
        longest = round(self.max_video_seconds * info.rate)
        too_long = f"{name} takes more than {self.max_video_seconds:g} s: cut it."
        if info.frames > longest:
            raise ValueError(too_long)
        progress(0, desc="Loading the model")
        predictor, _ = self.models.predictor(model, size or None)

        def step(done: int, steps: int):
            if done > 3 * longest:  # three steps a frame at most: the file said less than it holds
                raise ValueError(too_long)
            progress((done, steps), desc="Predicting", unit="steps")

        with tempfile.TemporaryDirectory(prefix="anydepth-") as folder:
            written = predict_video(
                predictor,
                path,
                Path(folder) / f"{Path(path).stem}_{predictor.output_kind}.mp4",
                formats=["color", *formats],
                stabilize=stabilize,
                progress=step,
                side_by_side=beside,
                colormap=colormap,
            )
            paths = [self._cache(str(each)) for each in written]
        return paths[0], gr.update(value=paths, visible=True)

    def _seen(self, scene: Scene, colormap: str, camera) -> tuple[Any, ...]:
        """The scene, and what is seen of it in the first two tabs."""
        pictures = (scene.shown, scene.colored(colormap))
        return scene, pictures, scene.legend(colormap), scene.marked(), self._reading(scene, camera)

    def _reading(self, scene: Scene, camera) -> str:
        """What to do next in the tab of metres, or the distance of the clicked point."""
        reading = scene.reading(camera)
        if scene.depth.is_metric:
            formula = f"\n\n{scene.fitted.alignment}" if scene.fitted else ""
            return (reading or "Click a point to read its distance.") + formula
        if len(scene.points) == 1:
            return f"{reading}\n\nOne distance is known. Click a second point, nearer or farther, and type its own."
        return f"{reading}. Type how far it is, and then a second point's." if reading else FIRST_STEP


def _required(scene: Scene | None) -> Scene:
    if scene is None:
        raise ValueError(NO_PHOTO)
    return scene


def _no_view(hint: str) -> tuple[Any, ...]:
    # "hidden": Gradio never fills a 3-D view that was not on the page before
    return hint, gr.update(value=None, visible="hidden"), gr.update(value=None, visible=False)
