"""Draws a `Scene` with OpenGL (moderngl on EGL; Mesa's llvmpipe where there is no GPU): colour and exact depth."""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from anydepth_hf.extras import require

from ..world.scene import Instance, Light, Material, Mesh, Scene
from ..world.shapes import lathe, place
from ..world.textures import TextureBank
from . import shaders
from .projection import look_at, parallel, perspective
from .shaders import SHADOW_SIDE, SUPERSAMPLING

NEAR, FAR = 0.05, 400.0
KEPT = 2**30
"""Bytes of textures, and of meshes, that are kept at most; the least recently used go first."""
OPAQUE, GLASS = 0.98, 0.6
"""Alpha from which a surface hides what is behind it, and below which it is glass."""


class Rasteriser:
    """An OpenGL context with the textures and meshes it has seen.

    Args:
        bank: of the textures that materials name.

    Raises:
        ImportError: moderngl is missing.
        RuntimeError: there is no EGL (Debian: libegl1 and libgl1-mesa-dri), or no OpenGL 3.3.
    """

    def __init__(self, bank: TextureBank):
        self.gl = require("moderngl", "scenes", "Rendering pictures")
        try:
            self.context = self.gl.create_standalone_context(backend="egl", require=330)
        except Exception as error:  # of whatever type the system's libraries make it
            raise RuntimeError(
                f"Rendering needs EGL with OpenGL 3.3 (Debian: libegl1 and libgl1-mesa-dri): {error}."
            ) from error
        self.bank = bank
        self.program = self.context.program(shaders.VERTEX, shaders.FRAGMENT)
        self.shadow_program = self.context.program(shaders.SHADOW_VERTEX, shaders.SHADOW_FRAGMENT)
        self.resolve = self.context.program(shaders.SCREEN_VERTEX, shaders.RESOLVE)
        screen = self.context.buffer(np.array([-1, -1, 3, -1, -1, 3], np.float32))
        self.screen = self.context.vertex_array(self.resolve, [(screen, "2f", "position")])
        self.shadow_map = self.context.depth_texture((SHADOW_SIDE, SHADOW_SIDE))
        self.shadow_map.compare_func = ""
        self.shadow_map.repeat_x = self.shadow_map.repeat_y = False
        self.shadow_frame = self.context.framebuffer(depth_attachment=self.shadow_map)
        self.white = self.context.texture((1, 1), 4, b"\xff" * 4)
        self.textures: OrderedDict = OrderedDict()
        self.meshes: OrderedDict = OrderedDict()
        self.frames: dict[tuple[int, int], tuple] = {}
        profile = [(FAR * 0.7, -60.0), (FAR * 0.7, 0.0), (FAR * 0.6, 120.0), (FAR * 0.3, 200.0), (0.1, 230.0)]
        self.dome = lathe(profile, key="dome")

    def _set(self, name: str, value) -> None:
        if name in self.program:
            uniform = self.program[name]
            if isinstance(value, np.ndarray) and value.ndim == 2:
                uniform.write(value.T.astype(np.float32).tobytes())
            else:
                uniform.value = value if np.isscalar(value) else tuple(float(v) for v in value)

    def _texture(self, key: str):
        """The texture of a name; None if the bank has none."""
        if key not in self.textures:
            pixels, texture = self.bank.texture(key), None
            if pixels is not None:
                texture = self.context.texture(pixels.shape[1::-1], 4, pixels.tobytes())
                texture.build_mipmaps()
                texture.filter = self.gl.LINEAR_MIPMAP_LINEAR, self.gl.LINEAR
            self.textures[key] = texture
            _trim(self.textures, lambda t: t.width * t.height * 5.4 if t else 0)
        self.textures.move_to_end(key)
        return self.textures[key]

    def _mesh(self, mesh: Mesh) -> tuple:
        """The vertex arrays of a mesh, for the picture and for its shadow."""
        key = mesh.key or id(mesh)
        if key not in self.meshes:
            buffer = self.context.buffer(mesh.vertices.tobytes())
            content = (buffer, "3f 3f 2f", "position", "normal", "coordinates")
            seen = self.context.vertex_array(self.program, [content])
            shadow = self.context.vertex_array(self.shadow_program, [(buffer, "3f 5x4", "position")])
            self.meshes[key] = mesh, buffer, seen, shadow
            _trim(self.meshes, lambda entry: entry[1].size)
        self.meshes.move_to_end(key)
        return self.meshes[key][2:]

    def _frame(self, height: int, width: int) -> tuple:
        if (height, width) not in self.frames:
            size = (width * SUPERSAMPLING, height * SUPERSAMPLING)
            color, depth = self.context.texture(size, 4, dtype="f2"), self.context.texture(size, 1, dtype="f4")
            frame = self.context.framebuffer([color, depth], self.context.depth_renderbuffer(size))
            small = self.context.framebuffer([self.context.texture((width, height), 4, dtype="f4")])
            self.frames[height, width] = frame, color, depth, small
        return self.frames[height, width]

    def draw(self, scene: Scene, height: int, width: int, occlusion: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
        """
        Returns:
            linear RGB float32 (height, width, 3), and planar depth in metres float32 (height, width), 0 in the sky.
        """
        context, camera = self.context, scene.camera
        shadows = _light_projection(scene.light)
        context.enable(self.gl.DEPTH_TEST)
        context.disable(self.gl.BLEND)
        self._draw_shadows(scene, shadows)
        frame, color, depth, small = self._frame(height, width)
        frame.use()
        frame.clear()
        self._set_scene(scene, width / height, shadows)
        self._draw_sky(scene)
        for instance in scene.instances:
            self._draw_parts(instance, lowest=OPAQUE)
        context.enable(self.gl.BLEND)
        for instance in scene.instances:  # glass, which lets the depth behind it stand, then what else is blended
            frame.color_mask, frame.depth_mask = ((True,) * 4, (False,) * 4), False
            self._draw_parts(instance, below=GLASS)
            frame.color_mask, frame.depth_mask = ((True,) * 4, (True,) * 4), True
            self._draw_parts(instance, lowest=GLASS, below=OPAQUE)
        context.disable(self.gl.BLEND)
        context.disable(self.gl.DEPTH_TEST)
        small.use()
        color.use(0)
        depth.use(1)
        focal = width * SUPERSAMPLING / 2 / np.tan(camera.fov / 2)
        for name, value in dict(colors=0, depths=1, focal=focal, radius=0.35, amount=occlusion).items():
            self.resolve[name].value = value
        self.screen.render()
        pixels = np.frombuffer(small.read(components=4, dtype="f4"), np.float32).reshape(height, width, 4)[::-1]
        return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])

    def _set_scene(self, scene: Scene, aspect: float, shadows: np.ndarray) -> None:
        camera, light = scene.camera, scene.light
        view = look_at(camera.eye, camera.target, camera.roll)
        values = dict(
            view_projection=perspective(camera.fov, aspect, NEAR, FAR) @ view, view=view, light_projection=shadows,
            eye=camera.eye, light=light.position, sun=np.asarray(light.position, float) - light.target,
            directional=float(light.span > 0), light_color=light.color, falloff=light.falloff,
            softness=light.softness, fill=scene.fill, sky_light=scene.sky_light, ground_light=scene.ground_light,
            haze=scene.haze, haze_color=scene.haze_color, image=0, shadows=1,
        )  # fmt: skip
        for name, value in values.items():
            self._set(name, value)
        self.shadow_map.use(1)

    def _draw_shadows(self, scene: Scene, projection: np.ndarray) -> None:
        self.shadow_frame.use()
        self.shadow_frame.clear()
        self.shadow_program["view_projection"].write(projection.T.astype(np.float32).tobytes())
        for instance in scene.instances:
            if instance.casts_shadow:
                _, array = self._mesh(instance.mesh)
                self.shadow_program["model"].write(instance.transform.T.astype(np.float32).tobytes())
                for first, count, material in instance.parts:
                    if material.alpha > GLASS:
                        array.render(vertices=count, first=first)

    def _draw_sky(self, scene: Scene) -> None:
        self._set("is_sky", 1)
        if scene.sky:
            x, _, z = scene.camera.eye
            whole = (0, len(self.dome.vertices), Material((1, 1, 1), scene.sky))
            self._draw_parts(Instance(self.dome, place(x, 0, z), (whole,)))
        self._set("is_sky", 0)

    def _draw_parts(self, instance: Instance, lowest: float = 0.0, below: float = np.inf) -> None:
        """The parts with an alpha from `lowest` on and below `below`."""
        parts = [part for part in instance.parts if lowest <= part[2].alpha < below]
        if not parts:
            return
        array, _ = self._mesh(instance.mesh)
        self._set("model", instance.transform)
        self._set("model_scale", np.linalg.norm(instance.transform[:3, :3], axis=0))
        for first, count, material in parts:
            texture = material.texture and self._texture(material.texture)
            self._set("mapping", 0 if texture is None else 2 if material.metres else 1)
            (texture or self.white).use(0)
            for name in ("color", "alpha", "gloss", "shininess", "emission"):
                self._set(name, getattr(material, name))
            self._set("metres", material.metres or 1.0)
            array.render(vertices=count, first=first)


def _light_projection(light: Light) -> np.ndarray:
    """World to the light's picture (4, 4): from a sun in parallel, from a lamp within its angle."""
    position = np.asarray(light.position, float)
    reach = float(np.linalg.norm(position - light.target))
    if light.span:
        return parallel(light.span, 1.0, 2 * reach) @ look_at(position, light.target)
    return perspective(light.angle, 1.0, 0.05, 3 * reach + 10) @ look_at(position, light.target)


def _trim(cache: OrderedDict, size: Callable) -> None:
    """Releases the least recently used until what is left is no more than `KEPT`."""
    total = sum(size(value) for value in cache.values())
    while total > KEPT and len(cache) > 1:
        _, value = cache.popitem(last=False)
        total -= size(value)
        for each in reversed(value if isinstance(value, tuple) else (value,)):
            if hasattr(each, "release"):
                each.release()
