import pytest

from benchmarks.decoders import DecoderArguments


def test_folders_whose_results_could_not_be_told_apart(tmp_path):
    pictures = [str(tmp_path / name / "240x320") for name in ("a", "b")]
    with pytest.raises(ValueError, match="--pictures: two folders are called 240x320"):
        DecoderArguments(encoder="e", pictures=pictures, output="o")
