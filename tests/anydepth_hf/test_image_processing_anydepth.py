import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, SizeDict
from transformers.modeling_outputs import DepthEstimatorOutput

from anydepth_hf import AnyDepthConfig, AnyDepthImageProcessor
from anydepth_hf.alignment import fit
from anydepth_hf.calibration import Calibration
from anydepth_hf.image_processing_anydepth import get_resized_size, resize_image

MEAN, STD = (torch.tensor(values)[:, None, None] for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))


def picture(height=60, width=80):
    """A smooth colour picture, so that filters are compared on image-like content."""
    y, x = np.mgrid[:height, :width] / 20
    channels = [np.sin(x), np.cos(y), np.sin(x + y)]
    return Image.fromarray(((np.stack(channels, axis=-1) + 1) * 127.5).astype(np.uint8))


def pixels(processor, image, **kwargs):
    """What the model sees, back on the scale 0..255."""
    values = processor(image, return_tensors="pt", **kwargs).pixel_values
    return (values * STD + MEAN) * 255


@pytest.fixture
def processor():
    return AnyDepthImageProcessor(size={"shortest_edge": 48})


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"])
def test_every_mode_becomes_three_channels(processor, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((60, 80), 40000, np.uint16))
    elif mode == "F":
        image = Image.fromarray(np.full((60, 80), 40000 / 65535, np.float32))
    elif mode == "I":
        image = Image.fromarray(np.full((60, 80), 40000, np.int32))
    else:
        image = Image.new("RGB", (80, 60), (156, 156, 156)).convert(mode, palette=Image.Palette.ADAPTIVE)
    expected = 255 if mode == "1" else 156
    result = pixels(processor, image)
    assert result.shape == (1, 3, 48, 64)
    if mode != "1":
        assert (result - expected).abs().max() < 3


def test_transparency_is_laid_on_white(processor):
    clear = Image.new("RGBA", (80, 60), (10, 20, 30, 0))
    assert (pixels(processor, clear) - 255).abs().max() < 1e-3
    array = np.zeros((60, 80, 4), np.uint8)
    assert (pixels(processor, array) - 255).abs().max() < 1e-3
    palette = Image.new("P", (80, 60), 0)
    palette.info["transparency"] = 0
    assert (pixels(processor, palette) - 255).abs().max() < 1e-3


def test_exif_rotation_is_applied(processor):
    image = picture()
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = Image.new("RGB", image.size)
    rotated.paste(image)
    rotated.info["exif"] = exif.tobytes()
    rotated.getexif()[0x0112] = 6
    expected = pixels(processor, image.transpose(Image.Transpose.ROTATE_270))
    assert torch.equal(pixels(processor, rotated), expected)


def test_arrays_and_tensors_equal_the_picture(processor):
    image = picture()
    array = np.asarray(image)
    expected = pixels(processor, image)
    for same in (array, array.transpose(2, 0, 1), torch.from_numpy(array.copy()), array.astype(np.int64)):
        assert torch.equal(pixels(processor, same), expected)
    for floating in (array / 255, torch.from_numpy(array / 255).permute(2, 0, 1).float()):
        assert (pixels(processor, floating) - expected).abs().max() < 4
    assert (pixels(processor, array.astype(np.uint16) * 257) - expected).abs().max() < 1e-3
    assert pixels(processor, array[..., 0]).shape == (1, 3, 48, 64)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((8, 8, 3), 200.0), r"values in \[0, 1\]"),
        (np.full((8, 8, 3), np.nan), r"values in \[0, 1\]"),
        (np.full((8, 8, 3), 300, np.int32), r"values in 0\.\.255"),
        (np.zeros((8, 8, 5), np.uint8), "channel"),
        ([], "list of images is empty"),
    ],
)
def test_bad_values_are_explained(processor, image, message):
    with pytest.raises(ValueError, match=message):
        processor(image, return_tensors="pt")


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
@pytest.mark.parametrize("size", [(30, 40), (96, 128), (33, 90)])
def test_resizing_is_pillows(size, resample):
    image = picture()
    result = resize_image(torch.from_numpy(np.array(image)).permute(2, 0, 1), size, resample).permute(1, 2, 0)
    expected = np.asarray(image.resize(size[::-1], resample)).astype(int)
    assert result.dtype == torch.uint8
    assert np.abs(result.numpy() - expected).max() <= 2


def test_unknown_filter_is_refused():
    with pytest.raises(ValueError, match=r"2 \(bilinear\), 3 \(bicubic\), got 1"):
        resize_image(torch.zeros(3, 8, 8), (4, 4), Image.Resampling.LANCZOS)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"shortest_edge": 480}, (480, 640)),
        ({"longest_edge": 504}, (384, 512)),
        ({"shortest_edge": 480, "longest_edge": 320}, (240, 320)),
        ({"height": 100, "width": 500}, (96, 496)),
        ({"shortest_edge": 1}, (16, 16)),
    ],
)
def test_sizes_keep_the_aspect_ratio_and_are_multiples(size, expected):
    assert get_resized_size(600, 800, SizeDict(**size), 16) == expected


def test_a_size_without_edges_is_refused(processor):
    with pytest.raises(ValueError):
        processor(picture(), size={"max_height": 4, "max_width": 4}, return_tensors="pt")


def test_images_of_unequal_sizes_share_their_mean_size(processor):
    wide, tall = picture(60, 80), picture(80, 60)
    batch = processor([wide, tall], return_tensors="pt").pixel_values
    # both sides of the mean, 56, go to the nearest multiple of 16, ties upwards
    assert batch.shape == (2, 3, 64, 64)
    separate = processor([wide, tall]).pixel_values
    assert [tuple(values.shape[-2:]) for values in separate] == [(48, 64), (64, 48)]


def test_saved_processor_is_found_by_auto_image_processor(tmp_path):
    AnyDepthImageProcessor(size={"longest_edge": 504}, ensure_multiple_of=14, prediction_type="depth").save_pretrained(
        tmp_path
    )
    AnyDepthConfig().save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(loaded) is AnyDepthImageProcessor
    assert (loaded.ensure_multiple_of, loaded.prediction_type, loaded.size.longest_edge) == (14, "depth", 504)
    assert loaded.to_dict()["auto_map"]["AutoImageProcessor"][1] is None


class TestPostProcessing:
    outputs = DepthEstimatorOutput(predicted_depth=torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]).repeat(2, 1, 1))

    def test_sizes_and_kind(self, processor):
        results = processor.post_process_depth_estimation(self.outputs, target_sizes=[(4, 6), (1, 3)])
        assert [tuple(result["predicted_depth"].shape) for result in results] == [(4, 6), (1, 3)]
        assert {result["prediction_type"] for result in results} == {"disparity"}
        # bilinear: never beyond the values that were predicted
        assert results[0]["predicted_depth"].min() >= 1 and results[0]["predicted_depth"].max() <= 4

    def test_an_image_may_keep_its_size(self, processor):
        results = processor.post_process_depth_estimation(self.outputs, target_sizes=[None, (4, 6)])
        assert [tuple(result["predicted_depth"].shape) for result in results] == [(2, 2), (4, 6)]

    def test_disparity_becomes_depth_only_when_aligned(self, processor):
        with pytest.raises(ValueError, match="scale and shift"):
            processor.post_process_depth_estimation(self.outputs, output_type="depth")
        result = processor.post_process_depth_estimation(self.outputs, output_type="depth", scale=[0.5, 1], shift=0)
        assert torch.allclose(result[0]["predicted_depth"], 2 / self.outputs.predicted_depth[0])
        assert torch.allclose(result[1]["predicted_depth"], 1 / self.outputs.predicted_depth[0])
        assert result[0]["prediction_type"] == "depth"

    def test_depth_becomes_disparity(self):
        processor = AnyDepthImageProcessor(prediction_type="depth")
        result = processor.post_process_depth_estimation(self.outputs, output_type="disparity")[0]
        assert torch.allclose(result["predicted_depth"], 1 / self.outputs.predicted_depth[0])

    def test_normalising_a_constant_map_gives_zeros(self, processor):
        flat = DepthEstimatorOutput(predicted_depth=torch.full((1, 3, 3), 7.0))
        assert not processor.post_process_depth_estimation(flat, normalize=True)[0]["predicted_depth"].any()
        result = processor.post_process_depth_estimation(self.outputs, normalize=True)[0]["predicted_depth"]
        assert (result.min(), result.max()) == (0, 1)

    def test_wrong_arguments_are_explained(self, processor):
        with pytest.raises(ValueError, match="1 target sizes for 2 predictions"):
            processor.post_process_depth_estimation(self.outputs, target_sizes=[(4, 6)])
        for sizes in ((4, 6), torch.tensor([4, 6]), [(3, 4, 6)] * 2):
            with pytest.raises(ValueError, match=r"`\(height, width\)` of each image, got "):
                processor.post_process_depth_estimation(self.outputs, target_sizes=sizes)
        with pytest.raises(ValueError, match="one for each of 2 images"):
            processor.post_process_depth_estimation(self.outputs, scale=[1, 2, 3], shift=0)
        with pytest.raises(ValueError, match="'disparity' or 'depth'"):
            processor.post_process_depth_estimation(self.outputs, output_type="inverse")
        with pytest.raises(ValueError, match="'disparity' or 'depth'"):
            AnyDepthImageProcessor(prediction_type="inverse")


def test_a_calibration_makes_depth_in_metres():
    disparity = torch.linspace(1, 20, 24).reshape(2, 3, 4)
    outputs = DepthEstimatorOutput(predicted_depth=disparity)
    alignments = [fit(d, 1 / (0.02 * (index + 1) * d + 0.01)) for index, d in enumerate(disparity)]
    processor = AnyDepthImageProcessor()
    results = processor.post_process_depth_estimation(outputs, calibration=alignments)
    for index, result in enumerate(results):
        assert result["prediction_type"] == "depth"
        expected = 1 / (0.02 * (index + 1) * disparity[index] + 0.01)
        torch.testing.assert_close(result["predicted_depth"], expected)
    one = processor.post_process_depth_estimation(
        outputs, target_sizes=[(6, 8)] * 2, output_type="disparity", calibration=Calibration(alignments[0])
    )
    by_numbers = processor.post_process_depth_estimation(outputs, target_sizes=[(6, 8)] * 2, scale=0.02, shift=0.01)
    torch.testing.assert_close(one[1]["predicted_depth"], by_numbers[1]["predicted_depth"])
    with pytest.raises(ValueError, match="either `calibration` or"):
        processor.post_process_depth_estimation(outputs, calibration=alignments, scale=1.0)
    with pytest.raises(ValueError, match="Got 1 calibrations for 2"):
        processor.post_process_depth_estimation(outputs, calibration=alignments[:1])
    with pytest.raises(ValueError, match="for disparity, but the model predicts depth"):
        AnyDepthImageProcessor(prediction_type="depth").post_process_depth_estimation(outputs, calibration=alignments)


def test_channels_stay_as_they_are_without_conversion_to_rgb():
    processor = AnyDepthImageProcessor(size={"height": 32, "width": 48}, do_convert_rgb=False, do_normalize=False)
    for mode, channels in (("L", 1), ("RGB", 3), ("RGBA", 4)):
        image = Image.new(mode, (48, 32))
        for given in (image, np.array(image)):
            assert processor(given, return_tensors="pt").pixel_values.shape == (1, channels, 32, 48)
    assert processor(image, do_convert_rgb=True, return_tensors="pt").pixel_values.shape == (1, 3, 32, 48)
    with pytest.raises(ValueError, match="`image_mean` has 3 values"):
        processor(image, do_normalize=True, return_tensors="pt")


def test_one_mean_and_deviation_serve_all_channels(processor):
    image = picture(48, 48)
    expected = processor(image, image_mean=[0.5] * 3, image_std=[0.25] * 3, return_tensors="pt").pixel_values
    for mean, std in ((0.5, 0.25), ([0.5] * 3, 0.25)):
        values = processor(image, image_mean=mean, image_std=std, return_tensors="pt").pixel_values
        assert torch.equal(values, expected)


FORKED = """
import multiprocessing, sys
import numpy as np
import torch
from anydepth_hf import AnyDepthImageProcessor
torch.set_num_threads(4)
processor, image = AnyDepthImageProcessor(), np.zeros((480, 640, 3), np.uint8)
expected = processor(image, return_tensors="np").pixel_values

def in_child():
    same = np.array_equal(processor(image, return_tensors="np").pixel_values, expected)
    sys.exit(0 if same and torch.get_num_threads() == 4 else 1)

child = multiprocessing.get_context("fork").Process(target=in_child)
child.start()
child.join(60)
code = child.exitcode
child.kill()
sys.exit("the child waits for ever" if code is None else code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forked processes are those of Linux")
def test_a_forked_process_does_not_wait_for_threads_that_it_lacks():
    """As in `datasets.map(processor, num_proc=2)` behind a first use; in a process with several threads."""
    run = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
