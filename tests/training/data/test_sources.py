import numpy as np
import pytest

from tests.training.data import writers
from tests.training.drawn import write_pictures
from training.data.decoding import DataError
from training.data.folders import format_list
from training.data.mixtures import Mixture
from training.data.readers import READERS
from training.data.sources import DatasetSpec, open_dataset


@pytest.mark.parametrize("name", READERS)
def test_official_layouts_are_found_and_read(tmp_path, name):
    count = 2 if name == "hypersim" else 3
    writers.write_dataset(name, tmp_path, count)
    dataset = open_dataset({"name": name, "root": str(tmp_path)})
    assert len(dataset) == count
    for index in range(count):
        sample = dataset[index]
        height, width = sample.depth.shape
        image, depth = writers.scene(index, height, width)
        tolerance = {"vkitti2": 0.01, "pictures": 5e-4, "hypersim": 0.4}.get(
            name, 2e-6
        )  # Hypersim: distance taken for depth here
        np.testing.assert_allclose(sample.depth[300:400] if name == "hypersim" else sample.depth,
                                   depth[300:400] if name == "hypersim" else depth, rtol=tolerance)  # fmt: skip
        assert abs(int(sample.image[0, 0, 2]) - int(image[0, 0, 2])) < 20 and sample.valid.all()
        assert sample.name.startswith(str(tmp_path))


def test_tartanair_v2_and_nested_v1(tmp_path):
    image, depth = writers.scene(0, 6, 8)
    folder = tmp_path / "AbandonedFactory" / "Data_easy" / "P000"
    writers.write_png(folder / "image_lcam_front/000000_lcam_front.png", image)
    writers.write_png(folder / "depth_lcam_front/000000_lcam_front_depth.png", writers.pack_rgba(depth))
    writers.write_dataset("tartanair", tmp_path / "ocean", 1)  # ocean/ocean/Hard, as the archives unpack
    dataset = open_dataset(f"tartanair,root={tmp_path}")
    assert len(dataset) == 2 and np.array_equal(dataset[0].depth, depth)


@pytest.mark.parametrize("name", READERS)
def test_wrong_root_says_what_was_expected_and_found(tmp_path, name):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError, match=rf"^{tmp_path}: no {name} images here; expected .*/.*, found holiday.jpg"):
        open_dataset({"name": name, "root": str(tmp_path)})
    with pytest.raises(DataError, match="there is no such folder"):
        open_dataset({"name": name, "root": str(tmp_path / "none")})


def test_a_root_without_any_depth_fails_early(tmp_path):
    writers.write_dataset("irs", tmp_path, 3)
    for path in tmp_path.rglob("d_*.exr"):
        path.unlink()
    with pytest.raises(DataError, match=r"d_0.exr: the file does not exist, nor do those of any of 3 samples"):
        open_dataset({"name": "irs", "root": str(tmp_path)})


def test_one_missing_depth_is_left_to_the_policy(tmp_path):
    writers.write_dataset("irs", tmp_path, 3)
    (tmp_path / "Home/Bath_BL2/d_1.exr").unlink()
    dataset = open_dataset({"name": "irs", "root": str(tmp_path)})
    with pytest.raises(DataError, match="d_1.exr: the file does not exist"):
        dataset[1]


def test_include_exclude_and_split(tmp_path):
    writers.write_dataset("vkitti2", tmp_path, 4)
    assert len(open_dataset(f"vkitti2,root={tmp_path},include=*_00003.jpg")) == 1
    spec = {"name": "vkitti2", "root": str(tmp_path), "exclude": ["*_00003.jpg", "*_00000.jpg"]}
    assert [open_dataset(spec).paths(i)[0][-7:-4] for i in range(2)] == ["001", "002"]
    with pytest.raises(DataError, match="no sample left"):
        open_dataset({**spec, "include": "Scene99/*"})


def test_hypersim_split(tmp_path):
    writers.write_dataset("hypersim", tmp_path, 3)
    spec = {"name": "hypersim", "root": str(tmp_path), "split": "train"}
    with pytest.raises(DataError, match="metadata_images_split_scene_v1.csv"):
        open_dataset(spec)
    (tmp_path / "metadata_images_split_scene_v1.csv").write_text(
        "scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,split_partition_name\n"
        "ai_001_001,cam_00,0,True,,train\nai_001_001,cam_00,1,True,,val\nai_001_001,cam_00,2,False,x,train\n"
    )
    dataset = open_dataset(spec)
    assert len(dataset) == 1 and dataset.paths(0)[0].endswith("frame.0000.tonemap.jpg")
    with pytest.raises(DataError, match="train, val and test"):
        open_dataset({**spec, "split": "training"})


def test_list_files_with_remapped_prefix(tmp_path):
    writers.write_dataset("irs", tmp_path / "my data", 3)
    folder = "Home/Bath_BL2"
    path = tmp_path / "train.txt"
    path.write_text(
        "".join(f"/their/datasets/irs/{folder}/l_{i}.png /their/datasets/irs/{folder}/d_{i}.exr\n" for i in (2, 0))
    )
    spec = {"name": "irs", "list": str(path), "root_from": "/their/datasets/irs", "root_to": str(tmp_path / "my data")}
    dataset = open_dataset(spec)
    assert [dataset.paths(i)[0][-7:] for i in range(2)] == ["l_2.png", "l_0.png"]
    assert np.allclose(dataset[1].depth, writers.scene(0, 60, 80)[1])
    with pytest.raises(DataError, match="line 1: /their/.* does not begin with root_from='/other'"):
        open_dataset({**spec, "root_from": "/other"})
    with pytest.raises(DataError, match="check root, or for a list file root_from"):
        open_dataset({"name": "irs", "list": str(path)})

    # relative paths, a third column as in other projects' lists, a blank line
    path.write_text(f"{folder}/l_1.png {folder}/d_1.exr 725.0\n\n")
    assert np.allclose(open_dataset({"name": "irs", "list": str(path), "root": str(tmp_path / "my data")})[0].depth,
                       writers.scene(1, 60, 80)[1])  # fmt: skip
    # our own lists separate paths that hold spaces by a tab
    path.write_text(format_list([dataset.paths(0)]))
    assert "\t" in path.read_text() and open_dataset({"name": "irs", "list": str(path)}).paths(0) == dataset.paths(0)
    for text, message in (("one_column.png\n", "line 1: expected '<rgb path> <depth path>'"), ("\n", "empty")):
        path.write_text(text)
        with pytest.raises(DataError, match=f"^{path}.*{message}"):
            open_dataset({"name": "irs", "list": str(path)})
    with pytest.raises(DataError, match="none.txt: this list file cannot be read"):
        open_dataset({"name": "irs", "list": str(tmp_path / "none.txt")})


def test_pairs_of_folders(tmp_path):
    image, depth = writers.scene(0, 6, 8)
    for name in ("a/1", "b/2"):
        writers.write_jpeg(tmp_path / "rgb" / f"{name}.jpg", image)
        writers.write_png(tmp_path / "depth" / f"{name}.png", (depth * 256).astype(np.uint16))
    spec = {"name": "pairs", "root": str(tmp_path), "rgb_dir": "rgb", "depth_dir": "depth", "depth_scale": 256}
    dataset = open_dataset(spec)
    assert len(dataset) == 2 and np.allclose(dataset[1].depth, depth, atol=1 / 256)
    writers.write_jpeg(tmp_path / "rgb" / "c.jpg", image)
    with pytest.raises(DataError, match=r"c.jpg: no depth file of that name .*\(1 of 3"):
        open_dataset(spec)
    writers.write_png(tmp_path / "depth" / "c.png", depth.astype(np.uint16))
    np.save(tmp_path / "depth" / "c.npy", depth)
    with pytest.raises(DataError, match="same name up to the extension"):
        open_dataset(spec)
    with pytest.raises(DataError, match="expected image or depth files, there is no such folder"):
        open_dataset({**spec, "depth_dir": "nowhere"})


def test_frames_lie_in_any_folder(tmp_path):
    image, depth = writers.scene(0, 6, 8)
    for name in (".kept/a.b", "c/d", "e"):
        writers.write_jpeg(tmp_path / f"{name}.rgb.jpg", image)
        writers.write_png(tmp_path / f"{name}.depth.png", (depth * 1000).astype(np.uint16))
    dataset = open_dataset(f"frames,root={tmp_path}")
    assert len(dataset) == 3 and all(np.allclose(dataset[i].depth, depth, atol=1e-3) for i in range(3))


@pytest.mark.parametrize(
    "spec, message",
    [
        ("kitti,root=/x", "Unknown data set 'kitti'.*, hub.$"),
        ("me/rooms,split=test", "write hub,path=me/rooms.$"),
        ("irs,rot=/x", "Unknown data set option 'rot'; there are name, root"),
        ("irs,/x", "expected name,option=value,..., got '/x'"),
        ({"root": "/x"}, "needs a name"),
        ("irs", "needs root"),
        ("pairs", "needs rgb_dir and depth_dir"),
        ("hub", "needs path"),
        ("pictures", "needs root"),
        ("irs,root=/x,split=train", "Data set 'irs': split does nothing here; it is for hypersim, hub.$"),
        ("pairs,rgb_dir=/x,depth_dir=/y,streaming=true", "streaming does nothing here; it is for hub.$"),
        (
            {"name": "hub", "path": "a/b", "include": ["*.jpg"]},
            "include does nothing here; it is for hypersim, .*frames",
        ),
        ([], "names no data set"),
        (["irs,weight=1", "irs"], "weight to all"),
    ],
)
def test_configuration_mistakes(spec, message):
    with pytest.raises(DataError, match=message):
        open_dataset(spec)


def test_far_plane_option():
    assert DatasetSpec.parse("irs").reader().far_plane == 100
    assert DatasetSpec.parse("blendedmvs").reader().far_plane is None
    assert DatasetSpec.parse("pairs").reader().far_plane is None
    assert DatasetSpec.parse("irs,far_plane=null").reader().far_plane is None
    assert DatasetSpec.parse("pairs,far_plane=20").reader().far_plane == 20


def test_mixtures(tmp_path):
    mixture = Mixture([range(100, 103), range(200, 210)])
    assert [mixture[i] for i in (0, 2, 3, 12)] == [100, 102, 200, 209]
    with pytest.raises(IndexError):
        mixture[13]
    orders = [mixture.epoch_order(5, epoch) for epoch in range(2)]
    assert all(sorted(order) == list(range(13)) for order in orders) and not np.array_equal(*orders)

    weighted = Mixture([range(100, 103), range(200, 210), range(300, 400)], weights=[1, 2, 1], epoch_size=8)
    epochs = [[weighted[i] for i in weighted.epoch_order(5, epoch)] for epoch in range(6)]
    assert all([sum(v // 100 == k for v in values) for k in (1, 2, 3)] == [2, 4, 2] for values in epochs)
    draws = [value for values in epochs for value in values]
    assert all(draws.count(value) == 4 for value in range(100, 103))  # 12 draws: four whole passes of three
    assert sorted(draws.count(value) for value in range(200, 210)) == [2] * 6 + [3] * 4
    assert max(draws.count(value) for value in range(300, 400)) == 1
    again = Mixture([range(3), range(10), range(100)], weights=[0.25, 0.5, 0.25], epoch_size=8)
    assert np.array_equal(again.epoch_order(5, 4), weighted.epoch_order(5, 4))
    assert not np.array_equal(again.epoch_order(6, 4), weighted.epoch_order(5, 4))

    for name in ("irs", "tartanair"):
        writers.write_dataset(name, tmp_path / name, 3)
    mixture = open_dataset([f"irs,root={tmp_path}/irs", write_pictures(tmp_path / "pictures", 2, 24, 32)])
    assert len(mixture) == 5 and mixture[4].depth.shape == (24, 32)
    mixture = open_dataset([f"irs,root={tmp_path}/irs,weight=2", f"tartanair,root={tmp_path}/tartanair,weight=1"])
    assert len(mixture) == 6 and np.allclose(mixture[4].depth, writers.scene(1, 60, 80)[1])
    with pytest.raises(DataError, match="Weights"):
        Mixture([range(3)], weights=[0])
