"""A tiny furniture library, of boxes, with something of every sort that rooms, streets and yards ask for."""

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

# name, category, width, depth, height, elevation, other properties
MODELS = [
    ("Table", "Living room", 120, 70, 75, 0, ""),
    ("Chair", "Living room", 45, 45, 90, 0, "dropOnTopElevation#{n}=45"),
    ("Sofa", "Living room", 180, 80, 80, 0, "dropOnTopElevation#{n}=40"),
    ("Bookcase", "Living room", 90, 35, 180, 0, "dropOnTopElevation#{n}=-1"),
    ("Fridge", "Kitchen", 60, 60, 170, 0, ""),
    ("Cup", "Kitchen", 8, 8, 9, 0, ""),
    ("Bed", "Bedroom", 140, 200, 60, 0, "modelRotation#{n}=0 0 1 0 1 0 -1 0 0"),
    ("Washbasin", "Bathroom", 60, 45, 90, 0, ""),
    ("Cabinet", "Office", 50, 50, 110, 0, ""),
    ("Plant", "Living room", 40, 40, 70, 0, ""),
    ("Box", "Miscellaneous", 60, 60, 60, 0, ""),
    ("Clock", "Miscellaneous", 30, 5, 30, 150, ""),
    ("Door", "Doors and windows", 90, 10, 205, 0, ""),
    ("Turn window", "Doors and windows", 60, 13, 100, 100, ""),
    ("Hanging light", "Lights", 40, 40, 60, 180, ""),
    ("Floor lamp", "Lights", 40, 40, 150, 0, ""),
    ("Lamppost", "Lights", 30, 30, 250, 0, ""),
    ("Male", "Characters", 55, 40, 180, 0, ""),
    ("Seat Leon", "Vehicles", 190, 420, 146, 0, ""),
    ("Bus", "Vehicles", 280, 1200, 300, 0, ""),
    ("Bicycle", "Vehicles", 46, 150, 85, 0, ""),
    ("Pine", "Exterior", 370, 370, 545, 0, ""),
    ("Bush", "Exterior", 150, 140, 130, 0, ""),
    ("Bench", "Exterior", 170, 46, 51, 0, ""),
]
CUBE = "\n".join(
    [
        "mtllib cube.mtl",
        *(f"v {x} {y} {z}" for x in (-1, 1) for y in (0, 3) for z in (-2, 2)),
        "vt 0 0",
        "vt 1 0",
        "vt 1 1",
        "vt 0 1",
        "usemtl side",
        "f 1/1 2/2 4/3 3/4",
        "f 6/1 5/2 7/3 8/4",
        "f 5/1 1/2 3/3 7/4",
        "f 2/1 6/2 8/3 4/4",
        "usemtl top",
        "f -6/1 -5/2 -1/3 -2/4",
        "f 5 6 2 1",
    ]
)
MATERIALS = "newmtl side\nKd 0.8 0.4 0.2\nKs 0.5 0.5 0.5\nNs 80\nd 1.0\nnewmtl top\nKd 1 1 1\nmap_Kd wood.png\n"


def write_library(folder: Path, models: list[tuple] = MODELS) -> Path:
    """`folder/Boxes.sh3f`; returns the folder."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8))
    lines = ["id=Boxes", "name=Boxes"]
    for number, (name, category, width, depth, height, elevation, other) in enumerate(models, start=1):
        values = {"name": name, "category": category, "model": "/boxes/cube.obj", "width": width, "depth": depth,
                  "height": height, "elevation": elevation, "creator": "Nobody"}  # fmt: skip
        lines += [f"{key}#{number}={value}" for key, value in values.items()]
        lines += [other.format(n=number)] if other else []
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "Boxes.sh3f", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", "\n".join(lines))
        archive.writestr("boxes/cube.obj", CUBE)
        archive.writestr("boxes/cube.mtl", MATERIALS)
        with archive.open("boxes/wood.png", "w") as file:
            image.save(file, "PNG")
    return folder
