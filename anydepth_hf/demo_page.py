"""The demo's page: what stands where, how it looks, and what happens when something is clicked."""

from typing import Any

import gradio as gr

from .colormaps import COLORMAPS
from .demo_actions import EXAMPLE, FIRST_STEP, Actions
from .demo_files import FORMATS, VIDEO_FORMATS, VIEWS
from .demo_models import Models

SIZES = (252, 392, 518, 770, 1036)
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
"""Of every event: the page offers no API, `anydepth serve` does."""

CSS = """
.gradio-container .main { max-width: 1240px !important; }
#head h1 { margin: 0; font-size: 1.5rem; }
#head p { margin: 0; }
#head span { white-space: nowrap; }
#photo { height: 300px; }
#legend .bar { height: 14px; border-radius: 4px; }
#legend .ticks { display: flex; justify-content: space-between; font-size: .85rem; }
#legend p { margin: 2px 0 0; font-size: .85rem; opacity: .75; }
#marked img { cursor: crosshair; }
#reading { min-height: 1.6em; }
@media (max-width: 700px) {
  .gradio-container .main { padding: 8px 12px !important; }
  /* what comes out stands right below what goes in */
  #left { display: contents; }
  #photo { height: 200px; order: 1; }
  #right { order: 2; }
  #settings { order: 3; }
  #solid { height: 320px !important; }
}
"""


def theme() -> gr.themes.Base:
    """Gradio's default look with the system's fonts: its own come from a server of Google."""
    return gr.themes.Default(
        primary_hue="orange",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        spacing_size="sm",
    )


def build_page(models: Models, actions: Actions, keep_seconds: float) -> gr.Blocks:
    """The page, not yet served; uploads, results and what is remembered of a visitor live `keep_seconds`."""
    age = max(1, round(keep_seconds))
    with gr.Blocks(title="AnyDepth", analytics_enabled=False, delete_cache=(min(60, age), age)) as page:
        gr.HTML(
            "<h1>AnyDepth</h1><p>Depth from one photograph: <b>red is near, blue is far</b>. What is seen is "
            "<i>disparity</i>; two known distances turn it into metres and <span>3-D</span>.</p>",
            elem_id="head",
        )
        with gr.Tabs():
            with gr.Tab("Photograph"):
                _photograph_tab(page, models, actions, age)
            with gr.Tab("Video"):
                _video_tab(models, actions)
    return page


def _photograph_tab(page: gr.Blocks, models: Models, actions: Actions, age: int) -> None:
    scene = gr.State(None, time_to_live=age)
    with gr.Row(elem_id="work"):
        with gr.Column(scale=4, min_width=300, elem_id="left"):
            photo = gr.Image(
                type="filepath",
                image_mode=None,
                sources=["upload", "webcam", "clipboard"],
                label="Photograph",
                buttons=[],
                elem_id="photo",
            )
            # Gradio would open it with all of Pillow's decoders; files are opened in one place, by `open_image`
            photo.preprocess = _path_of  # type: ignore[method-assign]
            with gr.Column(elem_id="settings"):
                with gr.Accordion("Model, size, colours", open=False):
                    model, size, colormap = _settings(models)
                gr.Examples([[str(EXAMPLE)]], photo, label="Example", elem_id="examples")
        with gr.Column(scale=7, min_width=300, elem_id="right"):
            with gr.Tabs() as tabs:
                with gr.Tab("Depth", id="depth"):
                    slider = gr.ImageSlider(
                        type="filepath", format="jpeg", label="Photograph | depth", buttons=["fullscreen"],
                        interactive=False, slider_position=35, max_height=520, elem_id="slider",
                    )  # fmt: skip
                    legend = gr.HTML(elem_id="legend")
                metres = _metres_tab()
                shape = _shape_tab()
                files = _files_tab()
    marked, reading, distance, know, forget = metres
    tab, number, unit, view, hint, solid, picture = shape
    formats, write, written = files
    camera = [scene, number, unit]
    seen = [scene, slider, legend, marked, reading]
    heavy = _one_queue(actions)
    outputs = [*seen, number, unit, distance, hint, solid, picture, written, tabs]
    settings = [photo, model, size, colormap, scene, number, unit]
    shown = {"trigger_mode": "always_last", "show_progress_on": [slider, marked], **heavy}
    gr.on([page.load, model.input, size.input], actions.predict, settings, outputs, **shown)
    photo.change(actions.photograph, settings, outputs, **shown)
    # after a mistake Gradio's progress says "Error" over all outputs, and keeps clicks from the photograph
    at_once = {"show_progress": "hidden", **PRIVATE}
    colormap.input(actions.show, [scene, colormap], [slider, legend], **at_once)
    marked.select(actions.click, camera, [scene, marked, reading], **at_once)
    known = [scene, distance, colormap, number, unit]
    gr.on([know.click, distance.submit], actions.know, known, [*seen, distance, hint, solid, picture], **at_once)
    forget.click(actions.forget, known, [*seen, distance, hint, solid, picture], **at_once)
    gr.on(
        [tab.select, view.input, number.submit, number.blur, unit.input],
        actions.view,
        [*camera, view],
        [hint, solid, picture],
        trigger_mode="always_last",
        show_progress_on=solid,
        **heavy,
    )
    actions.cache_for(written)
    write.click(actions.write, [*camera, formats, colormap], written, **heavy)


def _settings(models: Models, prefix: str = "") -> tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown]:
    model = gr.Dropdown(
        models.choices,
        value=models.names[0],
        label="Model",
        info="or type a directory or a Hub id; a preset is downloaded when it is first used"
        if models.any_name
        else None,
        allow_custom_value=models.any_name,
        elem_id=f"{prefix}model",
    )
    with gr.Row():
        size = gr.Dropdown(
            [("the model's own", 0), *((f"{side} pixels", side) for side in SIZES)],
            value=0,
            label="Shortest side it sees",
            min_width=130,
        )
        colormap = gr.Dropdown(
            list(COLORMAPS), value=COLORMAPS[0], label="Colours", min_width=130, elem_id=f"{prefix}colormap"
        )
    return model, size, colormap


def _metres_tab() -> tuple[Any, ...]:
    with gr.Tab("Metres"):
        marked = gr.Image(
            interactive=False, format="jpeg", show_label=False, buttons=[], elem_id="marked", alt_text="photograph"
        )
        reading = gr.Markdown(FIRST_STEP, elem_id="reading")
        with gr.Row(equal_height=True):
            distance = gr.Number(
                None, label="How far is the clicked point, in metres?", minimum=0, scale=3, elem_id="distance"
            )
            know = gr.Button("Set", variant="primary", scale=1, min_width=90, elem_id="know")
            forget = gr.Button("Begin anew", scale=1, min_width=90, elem_id="forget")
    return marked, reading, distance, know, forget


def _shape_tab() -> tuple[Any, ...]:
    with gr.Tab("3-D", elem_id="shape") as tab:
        with gr.Row():
            number = gr.Number(
                None, label="Camera", placeholder="not known", minimum=0, min_width=100, elem_id="focal"
            )
            unit = gr.Radio(
                [("focal length, pixels", "pixels"), ("field of view, degrees", "degrees")],
                value="degrees",
                label="given by its",
                min_width=190,
                scale=2,
                elem_id="unit",
            )
        view = gr.Radio(list(VIEWS), value="surface", show_label=False, container=False, elem_id="view")
        hint = gr.Markdown(elem_id="hint")
        solid = gr.Model3D(
            interactive=False, show_label=False, height=440, visible="hidden", clear_color=(0.0, 0.0, 0.0, 0.0),
            elem_id="solid",
        )  # fmt: skip
        picture = gr.Image(interactive=False, format="jpeg", show_label=False, visible=False, elem_id="normals")
    return tab, number, unit, view, hint, solid, picture


def _files_tab() -> tuple[Any, ...]:
    with gr.Tab("Files"):
        formats = gr.CheckboxGroup(
            [(text, name) for name, text in FORMATS.items()],
            value=["png"],
            label="As large as the photograph, each says what its numbers are",
            elem_id="formats",
        )
        write = gr.Button("Write files", variant="primary", elem_id="write")
        written = gr.Files(label="Download", interactive=False, visible=False, elem_id="written")
    return formats, write, written


def _video_tab(models: Models, actions: Actions) -> None:
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            clip = gr.Video(
                sources=["upload", "webcam"],
                include_audio=True,
                label=f"Video, at most {actions.max_video_seconds:g} s",
                buttons=[],
                elem_id="clip",
            )
            with gr.Accordion("Model, size, colours", open=False):
                settings = _settings(models, "video-")
            stabilize = gr.Radio(
                [("frame by frame", "off"), ("steady", "causal"), ("steadier, slower", "two-pass")],
                value="causal",
                label="Still things stay still",
            )
            beside = gr.Checkbox(label="beside the video")
            formats = gr.CheckboxGroup([(text, name) for name, text in VIDEO_FORMATS.items()], label="More files")
            start = gr.Button("Predict", variant="primary", elem_id="start")
        with gr.Column(scale=7, min_width=300):
            result = gr.Video(interactive=False, label="Disparity or depth", buttons=["download"], elem_id="moving")
            files = gr.Files(label="Download", interactive=False, visible=False, elem_id="video-files")
    start.click(
        actions.video,
        [clip, *settings, stabilize, beside, formats],
        [result, files],
        show_progress_on=result,
        **_one_queue(actions),
    )


def _one_queue(actions: Actions) -> dict[str, Any]:
    """Options of what runs a model: of all visitors so many at once."""
    return PRIVATE | {"concurrency_limit": actions.at_once, "concurrency_id": "model"}


def _path_of(payload: Any) -> str | None:
    """The uploaded file of an image component; Gradio has checked that it is one."""
    return None if payload is None else payload.path
