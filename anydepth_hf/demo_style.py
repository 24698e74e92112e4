"""How the demo looks, without anything from outside: fonts of the system, and a legend of the colours."""

import gradio as gr

from .colormaps import color_table
from .demo_scene import Scene

FIRST_STEP = "Click a point of the photograph."

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


def legend(scene: Scene, colormap: str) -> str:
    """HTML of a bar of the colours, from near to far, and what they mean."""
    table = color_table(colormap)
    steps = [table[index * (len(table) - 1) // 16] for index in range(17)]
    bar = ", ".join(f"rgb({r} {g} {b})" for r, g, b in steps)
    low, high = scene.limits()
    depth = scene.depth
    if depth.is_metric and depth.kind == "depth":
        ticks = [f"{low + (high - low) * share / 4:.2f} m" for share in range(5)]
        text = "depth along the camera's axis"
    else:
        ticks = ["near", "far"]
        text = f"relative {depth.kind}, without unit"
    height, width = depth.shape
    spans = "".join(f"<span>{tick}</span>" for tick in ticks)
    return (
        f'<div class="bar" style="background: linear-gradient(to right, {bar})"></div><div class="ticks">{spans}</div>'
        f"<p>{text}; {width} × {height} pixels; {depth.model}</p>"
    )


__all__ = ["CSS", "FIRST_STEP", "legend", "theme"]
