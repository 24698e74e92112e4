import io
import os
import struct
import tarfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from training.data.decoding import DataError
from training.evaluation.comparison import Comparison, OwnDataset
from training.evaluation.datasets import EvaluationDataset, load_set, set_names


def png16(values) -> bytes:
    """A 16-bit grey PNG by the book (RFC 2083), without the library that reads it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = len(values), len(values[0])
    rows = b"".join(b"\0" + struct.pack(f">{width}H", *row) for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def picture(height, width, kind="PNG", value=7, **options) -> bytes:
    buffer = io.BytesIO()
    image = np.full((height, width, 3), value, np.uint8)
    image[0, 0] = 200
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def write_tar(path, files: dict[str, bytes]):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        folder = tarfile.TarInfo("./")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo("./" + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_folder(path, files: dict[str, bytes]):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def compared(dataset, index=0):
    """One sample, `valid` where it is compared."""
    sample = dataset[index]
    return replace(sample, valid=dataset.comparison.mask(sample.depth, sample.valid))


def test_counts_of_the_five_sets():
    counts = {name: load_set(name).images for name in set_names()}
    assert counts == {"nyuv2": 654, "kitti": 652, "eth3d": 454, "scannet": 800, "diode": 771}


@pytest.mark.parametrize("write", [write_tar, write_folder])
def test_nyuv2_reads_raw_depth_in_millimetres_inside_eigens_box(tmp_path, write):
    depth = [[1500 + x for x in range(640)] for _ in range(480)]
    depth[100][100] = 0
    depth[100][101] = 10000
    depth[100][102] = 1
    depth[100][103] = 9999
    target = "nyuv2/nyu_labeled_extracted" + (".tar" if write is write_tar else "")
    files = {
        "test/kitchen_0004/rgb_0001.png": picture(480, 640),
        "test/kitchen_0004/depth_0001.png": png16(depth),
        "test/kitchen_0004/filled_0001.png": png16([[1] * 640] * 480),
        "train/kitchen_0004/rgb_0003.png": picture(480, 640),
        "train/kitchen_0004/depth_0003.png": png16([[1] * 640] * 480),
    }
    write(tmp_path / target, files)
    dataset = EvaluationDataset(replace(load_set("nyuv2"), images=1), tmp_path)
    assert len(dataset) == 1
    sample = compared(dataset)
    assert sample.image.shape == (480, 640, 3)
    assert sample.image.dtype == np.uint8
    assert sample.name == "test/kitchen_0004/rgb_0001.png"
    assert sample.depth.dtype == np.float32
    assert sample.depth[60, 50] == np.float32(1.55)
    assert not sample.valid[100, 100:103].any()
    assert sample.valid[100, 103]
    inside = np.zeros((480, 640), bool)
    inside[45:471, 41:601] = True
    assert not sample.valid[~inside].any()
    assert sample.valid.sum() == inside.sum() - 3


def test_kitti_leaves_out_none_lines_and_crops(tmp_path):
    depth = [[256 * 20 + x for x in range(1242)] for _ in range(375)]
    depth[200][300] = 80 * 256
    stem = "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png"
    truth = "2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/0000000069.png"
    other = "2011_09_26/2011_09_26_drive_0009_sync/image_02/data/0000000385.png"
    files = {stem: picture(375, 1242), truth: png16(depth), other: picture(375, 1242)}
    write_tar(tmp_path / "kitti/kitti_eigen_split_test.tar", files)
    split = tmp_path / "data_split/kitti"
    split.mkdir(parents=True)
    (split / "eigen_test_files_with_gt.txt").write_text(f"{stem} {truth} 721.5377\n{other} None 721.5377\n")
    definition = replace(load_set("kitti"), images=1)
    for lists in (tmp_path / "data_split", None):  # with the list, and by the files' names
        dataset = EvaluationDataset(definition, tmp_path, lists)
        sample = compared(dataset)
        assert sample.image.shape == (352, 1216, 3)
        assert sample.depth[0, 0] == (256 * 20 + 13) / 256  # left margin int((1242 - 1216) / 2)
        rows, columns = np.nonzero(sample.valid)
        assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (117, 321, 43, 1172)
        assert not sample.valid[200 - 23, 300 - 13]  # 80 m is not below 80 m


def test_a_list_that_is_named_comes_before_the_one_beside_the_data(tmp_path):
    names = [f"scene0406_02/{{}}/{index:06d}.{{}}" for index in range(2)]
    lines = [f"{name.format('color', 'jpg')} {name.format('depth', 'png')}\n" for name in names]
    files = dict.fromkeys("".join(lines).split(), b"")
    write_tar(tmp_path / "scannet/scannet_val_sampled_800_1.tar", files)
    definition = replace(load_set("scannet"), images=1)
    for folder, line in (("scannet", lines[0]), ("lists", lines[1])):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / definition.list).write_text(line)
    assert EvaluationDataset(definition, tmp_path).name(0).endswith("000000.jpg")
    assert EvaluationDataset(definition, tmp_path, tmp_path / "lists").name(0).endswith("000001.jpg")
    with pytest.raises(DataError, match="no scannet_val_sampled_list_800_1.txt below"):
        (tmp_path / "scannet" / definition.list).unlink()
        EvaluationDataset(definition, tmp_path, tmp_path / "nowhere")


def test_kitti_list_of_697_lines_has_652_images(tmp_path):
    files, lines = {}, []
    for index in range(697):
        rgb = f"2011_09_26/2011_09_26_drive_0002_sync/image_02/data/{index:010d}.png"
        truth = f"2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/{index:010d}.png"
        files[rgb] = b""
        if index >= 45:
            files[truth] = b""
        lines.append(f"{rgb} {truth if index >= 45 else None} 721.5377\n")
    write_tar(tmp_path / "kitti/kitti_eigen_split_test.tar", files)
    list_path = tmp_path / "kitti/eigen_test_files_with_gt.txt"
    list_path.write_text("".join(lines))
    assert len(EvaluationDataset("kitti", tmp_path)) == 652
    list_path.write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match="652 images with ground truth, but eigen_test_files_with_gt.txt gives 651"):
        EvaluationDataset("kitti", tmp_path)


def test_eth3d_reads_headerless_floats_and_ignores_exif_rotation(tmp_path):
    height, width = 40, 60
    values = np.linspace(1, 50, height * width, dtype="<f4")
    values[5], values[6], values[7] = np.inf, 1e-5, 2e-5
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees", which the depth maps do not follow
    files = {
        "rgb/office/images/dslr_images/DSC_0219.JPG": picture(height, width, "JPEG", exif=exif),
        "depth/office_dslr_depth/office/ground_truth_depth/dslr_images/DSC_0219.JPG": struct.pack(
            f"<{values.size}f", *values
        ),
    }
    write_tar(tmp_path / "eth3d/eth3d.tar", files)
    definition = load_set("eth3d")
    assert definition.shape == [4032, 6048]
    assert definition.comparison.alignment_max_resolution == 1024
    sample = compared(EvaluationDataset(replace(definition, images=1, shape=(height, width)), tmp_path))
    assert sample.image.shape == (height, width, 3)
    np.testing.assert_array_equal(sample.depth.ravel()[[0, 7, -1]], values[[0, 7, -1]])
    assert list(np.flatnonzero(~sample.valid)) == [5, 6]
    with pytest.raises(DataError, match="DSC_0219.JPG: expected 4032x6048 float32 values, got 9600 bytes"):
        EvaluationDataset(replace(definition, images=1), tmp_path)[0]


def test_diode_counts_what_its_masks_say(tmp_path):
    depth = np.array([[0.5, 400.0, 3.0], [0.0, 7.0, 2.0]], np.float32)[..., None]
    mask = np.array([[1, 1, 0], [1, 1, 1]], np.float32)
    stem = "outdoor/scene_00022/scan_00193/00022_00193_outdoor_000_000"
    files = {f"{stem}.png": picture(2, 3), f"{stem}_depth.npy": npy(depth), f"{stem}_depth_mask.npy": npy(mask)}
    write_tar(tmp_path / "diode/diode_val.tar", files)
    (tmp_path / "diode/diode_val_all_filename_list.txt").write_text(" ".join(files) + "\n")
    for _ in range(2):
        dataset = EvaluationDataset(replace(load_set("diode"), images=1), tmp_path)
        # outside 0.6..350 counts too, only zero has no depth to compare with
        np.testing.assert_array_equal(compared(dataset).valid, [[True, True, False], [False, True, True]])
        os.remove(tmp_path / "diode/diode_val_all_filename_list.txt") if dataset.split != "files found" else None


def test_scannet_reads_jpeg_and_millimetres(tmp_path):
    files = {"scene0406_02/color/000300.jpg": picture(4, 6, "JPEG"), "scene0406_02/depth/000300.png": png16([[2000] * 6] * 4)}  # fmt: skip  # noqa: E501
    write_tar(tmp_path / "scannet/scannet_val_sampled_800_1.tar", files)
    sample = compared(EvaluationDataset(replace(load_set("scannet"), images=1), tmp_path))
    assert (sample.depth == 2).all()
    assert sample.valid.all()


def test_missing_data_is_explained(tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=r"expected eth3d/eth3d.tar or .* in .*, which holds other\."):
        EvaluationDataset("eth3d", tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        EvaluationDataset("eth3d", tmp_path / "nowhere")
    with pytest.raises(DataError, match="choose from diode, eth3d"):
        EvaluationDataset("sintel", tmp_path)
    write_tar(tmp_path / "scannet/scannet_val_sampled_800_1.tar", {"scene0406_02/color/000300.jpg": b""})
    with pytest.raises(DataError, match="800 images with ground truth, but files found gives 0; .*--lists_dir"):
        EvaluationDataset("scannet", tmp_path)
    (tmp_path / "scannet/scannet_val_sampled_list_800_1.txt").write_text("a.jpg b.png\n")
    with pytest.raises(DataError, match="2 files of scannet_val_sampled_list_800_1.txt are missing, first a.jpg"):
        EvaluationDataset("scannet", tmp_path)
    (tmp_path / "scannet/scannet_val_sampled_800_1.tar").write_bytes(b"\x1f\x8b not a tar")
    with pytest.raises(DataError, match="not an uncompressed tar"):
        EvaluationDataset("scannet", tmp_path)


def test_own_folders_through_a_comparison(tmp_path):
    write_folder(tmp_path / "rgb", {"a/one.png": picture(10, 12)})
    write_folder(tmp_path / "depth", {"a/one.png": png16([[1000 * (y + 1)] * 12 for y in range(10)])})
    spec = {
        "name": "pairs",
        "rgb_dir": str(tmp_path / "rgb"),
        "depth_dir": str(tmp_path / "depth"),
        "depth_scale": 1000,
    }
    comparison = Comparison(min_depth=4, max_depth=9, crop=(8, 6), valid_box=(0, 1.0, 0.5, 6))
    sample = compared(OwnDataset(spec, comparison))
    assert sample.name == "a/one.png"
    assert sample.depth.shape == (8, 6)
    assert sorted(set(sample.depth[sample.valid])) == [5, 6, 7, 8]
    assert not sample.valid[:, :3].any()
    with pytest.raises(DataError, match="a/one.png: 10x12 pixels cannot be cropped to 11x6"):
        OwnDataset(spec, Comparison(crop=(11, 6)))[0]
