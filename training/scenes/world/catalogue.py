"""Furniture libraries of Sweet Home 3D (`*.sh3f`; Debian package `sweethome3d-furniture`): 820 textured models."""

import json
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from anydepth_hf.atomic_write import atomic_write

from .obj import read_materials, read_obj
from .scene import FLOATS, Material, Mesh

MAX_TRIANGLES = 25_000


@dataclass(frozen=True)
class Model:
    """One catalogue entry; sizes in metres. `top`: height of the surface things can stand on, None without."""

    library: str
    name: str
    category: str
    file: str
    width: float
    depth: float
    height: float
    elevation: float
    top: float | None
    rotation: tuple[float, ...] | None

    @property
    def key(self) -> str:
        """Different for every mesh: entries may share a file and differ in size."""
        return f"{self.library}{self.file}-{self.width:g}x{self.depth:g}x{self.height:g}"


class Catalogue:
    """Models of all libraries in a folder.

    Args:
        folder: with `*.sh3f` files, /usr/share/sweethome3d/furniture on Debian.
        cache: folder for parsed meshes.

    Raises:
        FileNotFoundError: no library there. ValueError: one that cannot be read.
    """

    def __init__(self, folder: str | Path, cache: str | Path):
        self.models: list[Model] = []
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._meshes: dict[Model, Mesh | None] = {}
        for path in sorted(Path(folder).glob("*.sh3f")):
            try:
                self._archives[path.stem] = zipfile.ZipFile(path)
                self.models += read_models(path.stem, self._archives[path.stem])
            except (zipfile.BadZipFile, KeyError, ValueError) as error:
                raise ValueError(f"{path} is no furniture library of Sweet Home 3D: {error}") from error
        if not self.models:
            raise FileNotFoundError(f"{folder} holds no *.sh3f; Debian's package sweethome3d-furniture has them.")
        self.cache = Path(cache)
        self.cache.mkdir(parents=True, exist_ok=True)

    def mesh(self, model: Model) -> Mesh | None:
        """The model at its size, on y = 0 and centred, facing +z; None if it is missing, empty or too heavy."""
        if model in self._meshes:
            return self._meshes[model]
        file = self.cache / (model.key.strip("/").replace("/", "_") + ".npz")
        if not file.exists():
            mesh = self._read(model) or Mesh(np.zeros((0, FLOATS), np.float32), ())
            parts = json.dumps([(first, count, asdict(material)) for first, count, material in mesh.parts])
            with atomic_write(file) as temporary:
                np.savez(temporary, vertices=mesh.vertices, parts=parts)
        with np.load(file) as stored:
            vertices, parts = stored["vertices"], json.loads(str(stored["parts"]))
        for part in parts:
            part[2] = Material(**{k: tuple(v) if isinstance(v, list) else v for k, v in part[2].items()})
        parts = tuple(map(tuple, parts))
        self._meshes[model] = Mesh(vertices, parts, model.key) if len(vertices) else None
        return self._meshes[model]

    def _read(self, model: Model) -> Mesh | None:
        path = f"{model.library}/{model.file.lstrip('/')}"
        folder = path.rpartition("/")[0]
        text = (self.file(path) or b"").decode("latin-1")
        materials = {}
        for name in re.findall(r"^mtllib\s+(.+?)\s*$", text, re.M):
            materials |= read_materials((self.file(f"{folder}/{name}") or b"").decode("latin-1"), folder)
        mesh = read_obj(text, materials)
        if not 0 < len(mesh.vertices) <= 3 * MAX_TRIANGLES:
            return None
        vertices = mesh.vertices.copy()
        if model.rotation:
            rotation = np.array(model.rotation, np.float32).reshape(3, 3)
            vertices[:, :3] = vertices[:, :3] @ rotation.T
            vertices[:, 3:6] = vertices[:, 3:6] @ rotation.T
        low, high = vertices[:, :3].min(axis=0), vertices[:, :3].max(axis=0)
        scale = np.array([model.width, model.height, model.depth]) / np.maximum(high - low, 1e-6)
        center = (low + high) / 2
        center[1] = low[1]
        vertices[:, :3] = (vertices[:, :3] - center) * scale
        vertices[:, 3:6] /= scale
        vertices[:, 3:6] /= np.maximum(np.linalg.norm(vertices[:, 3:6], axis=1, keepdims=True), 1e-12)
        return Mesh(vertices.astype(np.float32), mesh.parts, model.key)

    def file(self, key: str) -> bytes | None:
        """A file of a library, such as a texture that a material names, `LIBRARY/PATH`; None if it is not there."""
        library, _, path = key.partition("/")
        try:
            return self._archives[library].read(path)
        except KeyError:
            return None


def read_models(library: str, archive: zipfile.ZipFile) -> list[Model]:
    """Entries of one library's catalogue."""
    text = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
    entries: dict[str, dict[str, str]] = {}
    for field, number, value in re.findall(r"^([A-Za-z]+)#(\d+)\s*[=:]\s*(.*)$", text, re.M):
        entries.setdefault(number, {})[field] = value.strip()
    models = []
    for entry in entries.values():
        sides = {side: float(entry[side]) / 100 for side in ("width", "depth", "height")}
        top = float(entry.get("dropOnTopElevation", 100 * sides["height"])) / 100
        rotation = tuple(float(value) for value in entry.get("modelRotation", "").split())
        model = Model(
            library=library, name=entry["name"], category=entry["category"], file=entry["model"], **sides,
            elevation=float(entry.get("elevation", 0)) / 100, top=top if top > 0 else None,
            rotation=rotation if len(rotation) == 9 else None,
        )  # fmt: skip
        models.append(model)
    return models
