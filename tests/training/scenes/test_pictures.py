"""Rendered rooms, streets and yards: models are read at their sizes, depth is exact, files are what training reads."""

import zipfile

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.training.scenes.catalogue import MODELS, write_library
from training.scenes import make
from training.scenes.pictures import USUAL, WIDE, Pictures, shows_something
from training.scenes.renderer.sensor import develop
from training.scenes.world.catalogue import Catalogue
from training.scenes.world.obj import read_obj
from training.scenes.world.patterns import KINDS
from training.scenes.world.room import Room
from training.scenes.world.scene import Camera, Light, Material, Mesh, Scene
from training.scenes.world.shapes import BOX, QUAD, lathe, place
from training.scenes.world.stock import Furniture
from training.scenes.world.textures import TextureBank


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("furniture"))


@pytest.fixture(scope="module")
def catalogue(library, tmp_path_factory):
    return Catalogue(library, tmp_path_factory.mktemp("meshes"))


@pytest.fixture(scope="module")
def pictures(library, tmp_path_factory):
    photographs = tmp_path_factory.mktemp("photographs")
    Image.new("RGB", (40, 30), "red").save(photographs / "a.jpg")
    try:
        return Pictures(library, photographs, tmp_path_factory.mktemp("cache"))
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"cannot render: {error}")


def test_models_have_their_sizes_stand_on_the_floor_and_are_centred(catalogue):
    assert [model.name for model in catalogue.models] == [name for name, *_ in MODELS]
    for model in catalogue.models:
        points = catalogue.mesh(model).vertices[:, :3]
        np.testing.assert_allclose(np.ptp(points, axis=0), [model.width, model.height, model.depth], rtol=1e-5)
        np.testing.assert_allclose(points.min(axis=0), [-model.width / 2, 0, -model.depth / 2], atol=1e-5)


def test_models_know_where_things_can_stand(catalogue):
    tops = {model.name: model.top for model in catalogue.models}
    assert tops["Table"] == 0.75 and tops["Chair"] == 0.45 and tops["Bookcase"] is None


def test_materials_and_textures_of_a_model(catalogue):
    (_, sides, side), (start, top, wood) = catalogue.mesh(catalogue.models[0]).parts
    assert (sides, start, top) == (24, 24, 12)
    assert side.texture is None and side.gloss == 0.5 and side.color[0] > side.color[2]
    assert wood.texture == "Boxes/boxes/wood.png" and wood.color == (1, 1, 1)
    assert TextureBank(catalogue, None).texture(wood.texture).shape == (16, 16, 4)


def test_a_library_may_have_the_name_of_a_pattern(tmp_path):
    write_library(tmp_path, MODELS[:1])
    (tmp_path / "Boxes.sh3f").rename(tmp_path / "wood.sh3f")
    bank = TextureBank(Catalogue(tmp_path, tmp_path / "cache"), None)
    assert bank.texture("wood/boxes/wood.png").shape == (16, 16, 4)
    assert bank.texture("wood/1").shape == (256, 256, 4)


def test_second_reading_comes_from_the_cache(library, tmp_path):
    first = Catalogue(library, tmp_path).mesh(Catalogue(library, tmp_path).models[0])
    again = Catalogue(library, tmp_path)
    again._read = None
    np.testing.assert_array_equal(again.mesh(again.models[0]).vertices, first.vertices)


def test_faces_of_any_form_become_triangles():
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvn 0 0 1\nf 1 2 3 4\nf 1//1 2//1 3//1\nf -4 -3 -2"
    mesh = read_obj(text, {})
    assert len(mesh.vertices) == 12
    np.testing.assert_allclose(mesh.vertices[:, 3:6], np.tile([0, 0, 1], (12, 1)), atol=1e-6)


def test_negative_indices_count_back_from_their_face():
    triangle = "v {0} 0 0\nv {0} 1 0\nv {0} 0 1\nvn {1} 0 0\nf -3//-1 -2//-1 -1//-1\n"
    vertices = read_obj(triangle.format(1, 1) + triangle.format(2, -1), {}).vertices
    np.testing.assert_array_equal(vertices[:, [0, 3]], [[1, 1]] * 3 + [[2, -1]] * 3)


def test_folder_without_furniture_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="sweethome3d-furniture"):
        Catalogue(tmp_path, tmp_path)


def test_a_file_that_is_no_library_is_named(tmp_path):
    for content in (b"no archive", b"PK\5\6" + bytes(18)):  # the second is an empty archive
        (tmp_path / "chairs.sh3f").write_bytes(content)
        with pytest.raises(ValueError, match=r"chairs\.sh3f is no furniture library"):
            Catalogue(tmp_path, tmp_path / "cache")


def test_a_model_whose_file_is_missing_is_left_out(tmp_path):
    library = write_library(tmp_path / "library", MODELS[:1])
    whole = zipfile.ZipFile(library / "Boxes.sh3f")
    with zipfile.ZipFile(library / "Boxes.sh3f.new", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", whole.read("PluginFurnitureCatalog.properties"))
    (library / "Boxes.sh3f.new").replace(library / "Boxes.sh3f")
    catalogue = Catalogue(library, tmp_path / "cache")
    assert catalogue.mesh(catalogue.models[0]) is None


def test_libraries_that_lack_what_a_kind_of_world_needs_are_refused_at_once(tmp_path):
    library = write_library(tmp_path / "library", [model for model in MODELS if model[0] not in ("Bus", "Pine")])
    with pytest.raises(ValueError, match=r"no models for trucks, trees, which streets need.*--shares"):
        Pictures(library, None, tmp_path / "cache", shares=(1, 1, 0))
    library = write_library(tmp_path / "library", [model for model in MODELS if model[0] != "Bed"])
    with pytest.raises(ValueError, match="no models for Bedroom, which rooms need"):
        Pictures(library, None, tmp_path / "cache")


def test_things_of_a_room_do_not_overlap_and_lie_inside(catalogue):
    from training.scenes.world.furnishing import furnish

    for seed in range(5):
        room = Room(np.random.default_rng(seed), Furniture(catalogue), TextureBank(catalogue, None))
        furnish(room)
        boxes = [box for box in room.placed if box.what != "pile"]
        assert boxes
        for index, box in enumerate(boxes):
            assert (
                box.low[[0, 2]].min() > -0.07 and box.high[0] < room.width + 0.07 and box.high[2] < room.depth + 0.07
            )
            assert not any(box.meets(other) for other in boxes[index + 1 :])


@pytest.mark.parametrize("kind", KINDS)
def test_patterns_are_colours_and_depend_on_their_number_alone(catalogue, kind):
    bank = TextureBank(catalogue, None)
    first, other = bank.texture(f"{kind}/0"), bank.texture(f"{kind}/1")
    assert first.shape == (256, 256, 4) and first.dtype == np.uint8
    assert np.array_equal(first, TextureBank(catalogue, None).texture(f"{kind}/0")) and not np.array_equal(
        first, other
    )


def scene(camera: Camera) -> Scene:
    light = Light(np.array([0.0, 5.0, 1.0]), np.zeros(3), (1, 1, 1))
    return Scene(camera=camera, light=light)


def test_depth_is_exact_and_planar(pictures):
    """A wall, a slanted floor, a box before them: against the formulas of their planes."""
    eye, fov, height, width = np.array([0.0, 1.5, 0.0]), 1.1, 60, 80
    world = scene(Camera(eye, eye + [0, 0, -1.0], fov))
    wall = Material((0.5, 0.5, 0.5))
    world.add(QUAD, place(0, -50, -6, scale=(100, 100, 1)), wall)
    world.add(BOX, place(0, -1, 0, scale=(100, 1, 100)), wall)
    world.add(BOX, place(1.0, 0, -3.5, scale=(1, 1, 1)), wall)
    _, depth = pictures.rasteriser.draw(world, height, width)
    focal = width / 2 / np.tan(fov / 2)
    # the sample that depth comes from is the lower left of a pixel's four
    rows, columns = np.mgrid[:height, :width] + 0.25
    rows += 0.5
    down = (rows - height / 2) / focal
    right = (columns - width / 2) / focal
    expected = np.where(down > 0, np.minimum(1.5 / np.maximum(down, 1e-9), 6), 6)
    front = (right * 3 > 0.5) & (right * 3 < 1.5) & (down * 3 > 0.5) & (down * 3 < 1.5)
    assert front.sum() > 100
    np.testing.assert_allclose(depth[front], 3, rtol=1e-4)
    plain = (right < 0.1) | (down < 0)
    np.testing.assert_allclose(depth[plain], expected[plain], rtol=1e-3)


def test_sky_has_no_depth_and_glass_shows_what_is_behind_it(pictures):
    eye = np.array([0.0, 1.0, 0.0])
    world = scene(Camera(eye, eye + [0, 0, -1.0], 1.0))
    world.sky = "sky/0"
    world.add(BOX, place(0, 0, -5, scale=(2, 2, 1)), Material((1, 0, 0)))
    plain, depth = pictures.rasteriser.draw(world, 48, 64)
    assert depth[0, 0] == 0 and plain[0, 0].sum() > 0
    assert depth[24, 32] == pytest.approx(4.5, rel=1e-4)
    world.add(QUAD, place(0, 0, -2, scale=(2, 2, 1)), Material((0, 0, 1), alpha=0.4))
    tinted, behind = pictures.rasteriser.draw(world, 48, 64)
    np.testing.assert_allclose(behind[20:28, 28:36], depth[20:28, 28:36])
    assert tinted[24, 32, 2] > plain[24, 32, 2]


def test_things_cast_shadows(pictures):
    eye = np.array([0.0, 3.0, 3.0])
    world = scene(Camera(eye, np.zeros(3), 0.9))
    world.light = Light(np.array([0.0, 4.0, 0.1]), np.zeros(3), (2, 2, 2), angle=1.5)
    world.add(BOX, place(0, -1, 0, scale=(20, 1, 20)), Material((0.6, 0.6, 0.6)))
    lit, _ = pictures.rasteriser.draw(world, 48, 48, occlusion=0)
    world.add(BOX, place(0, 1, 0, scale=(1, 0.1, 1)), Material((0.6, 0.6, 0.6)))
    shaded, _ = pictures.rasteriser.draw(world, 48, 48, occlusion=0)
    darker = shaded.mean(axis=2) < 0.6 * lit.mean(axis=2)
    assert 0.01 < darker.mean() < 0.4


def test_a_surface_without_normals_is_lit_all_the_same(pictures):
    """One pixel that is no number would make the exposure none, and the whole picture black."""
    world = scene(Camera(np.array([0.0, 0.0, 2.0]), np.zeros(3), 1.0))
    corners = np.array([[-3, -3, 0], [3, -3, 0], [0, 4, 0]], np.float32)
    vertices = np.concatenate([corners, np.zeros((3, 5), np.float32)], axis=1)
    world.add(Mesh(vertices, ((0, 3, Material(gloss=0.5)),), "without normals"), np.eye(4))
    light, depth = pictures.rasteriser.draw(world, 24, 32)
    assert np.isfinite(light).all() and light[12, 16].min() > 0
    np.testing.assert_allclose(depth[12, 16], 2, rtol=1e-3)


def test_a_world_depends_on_its_seed_and_number_alone(pictures):
    for world in (0, 3):
        first, second = list(pictures.of_world(3, world)), list(pictures.of_world(3, world))
        assert [picture.name for picture in first] == [picture.name for picture in second]
        for one, other in zip(first, second):
            np.testing.assert_array_equal(one.depth, other.depth)
            np.testing.assert_array_equal(one.image, other.image)
            assert one.image.dtype == np.uint8 and one.image.shape == (*one.depth.shape, 3)


@pytest.mark.parametrize("shares", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_each_kind_of_world_gives_pictures_that_can_be_learned_from(pictures, shares, monkeypatch):
    monkeypatch.setattr(pictures, "shares", np.array(shares, float))
    seen = [picture for world in range(3) for picture in pictures.of_world(11, world)]
    assert seen
    assert {picture.depth.shape for picture in seen} <= {USUAL, USUAL[::-1], WIDE}
    for picture in seen:
        assert np.isfinite(picture.depth).all() and picture.depth.min() >= 0
        assert picture.image.std() > 5


def test_pictures_of_nothing_are_left_out():
    near, wall = np.full((8, 8), 0.1), np.full((8, 8), 2.0)
    varied = np.linspace(1, 5, 64).reshape(8, 8)
    assert shows_something(varied, 0)
    assert not any(shows_something(depth, 0) for depth in (near, wall, np.where(varied > 1.2, 0, varied)))
    assert not shows_something(varied, 2)


def test_developing_keeps_the_size_and_exposes():
    light = np.random.default_rng(0).uniform(0, 0.01, (24, 32, 3)).astype(np.float32)
    for seed in range(8):
        image = develop(np.random.default_rng(seed), light, np.ones((24, 32), np.float32))
        assert image.shape == (24, 32, 3) and image.dtype == np.uint8
        assert 20 < image.mean() < 245


def test_vessel_is_round():
    points = lathe([(0.5, 0), (0.5, 1)], 16).vertices
    np.testing.assert_allclose(np.hypot(points[:, 0], points[:, 2]), 0.5, rtol=1e-5)


def test_command_writes_files_and_goes_on_where_it_stopped(pictures, library, tmp_path, capsys):
    options = ["--output", str(tmp_path), "--furniture", str(library), "--seed", "3", "--shares", "0", "0", "1"]
    assert make.main([*options, "--worlds", "0:3"]) == 0
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*x*/*.safetensors")}
    assert files
    for path in files:
        picture = load_file(path)
        assert f"{picture['depth'].shape[0]}x{picture['depth'].shape[1]}" == path.parent.name
        assert picture["image"].shape == (3, *picture["depth"].shape)
    assert make.main([*options, "--worlds", "0:3"]) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*x*/*.safetensors")} == files
    capsys.readouterr()
    assert make.main([*options, "--worlds", "0:4", "--scale", "0.5"]) == 0
    assert "3 of 4 worlds were finished before" in capsys.readouterr().out


def test_mistakes_of_the_command_are_one_line(library, tmp_path, capsys):
    for arguments, part in (
        (("--worlds", "5"), "write FIRST:END"),
        (("--shares", "1"), "needs 3 numbers"),
        (("--shares", "nan", "0", "1"), "needs 3 numbers"),
        (("--seed", "-1"), "--seed -1: give a number from 0 on"),
        (("--furniture", str(tmp_path)), "sweethome3d-furniture"),
        (("--photographs", str(tmp_path / "none")), "is no folder"),
        (("--furniture", str(library), "--photographs", str(tmp_path)), "holds no JPEG file"),
    ):
        assert make.main(["--output", str(tmp_path / "out"), *arguments]) == 2
        message = capsys.readouterr().err
        assert part in message and len(message.splitlines()) == 1
