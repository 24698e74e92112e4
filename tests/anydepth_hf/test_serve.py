"""`anydepth serve` as a process of its own, over HTTP."""

import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anydepth_hf
from anydepth_cli.main import main
from anydepth_hf.alignment import Alignment
from anydepth_hf.calibration import Calibration
from anydepth_hf.serve_results import MEDIA_TYPES

for package in ("fastapi", "uvicorn", "python_multipart", "psutil"):
    pytest.importorskip(package, reason="pip install 'anydepth-hf[serve]' psutil")

from tests.anydepth_hf.serve_process import ROOT, Server, form  # noqa: E402


def picture(width=60, height=40, kind="PNG") -> bytes:
    photo = Image.open(Path(anydepth_hf.BUNDLED_CHECKPOINT) / "coffee.jpg").resize((width, height))
    buffer = io.BytesIO()
    photo.save(buffer, kind)
    return buffer.getvalue()


PICTURE = picture()
OPTION = b'--XX\r\nContent-Disposition: form-data; name="format"\r\n\r\nexr\r\n--XX--\r\n'


@pytest.fixture(scope="module")
def model(save_tiny_model):
    return save_tiny_model("dinov2")


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    with Server("--model", model, log=tmp_path_factory.mktemp("serve") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def metric(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("metric")
    shutil.copytree(model, folder / "model")
    Calibration(Alignment(0.5, 0.1)).save(folder / "model")
    with Server("--model", folder / "model", "--max-batch", 1, log=folder / "log") as server:
        assert "depth in metres" in server.line
        yield server


@pytest.fixture(scope="module")
def strict(model, tmp_path_factory):
    """Takes little, and one request at a time, which waits for ten seconds unless it is stopped before."""
    limits = ["--max-megabytes", 0.1, "--max-megapixels", 0.01, "--max-queue", 1, "--timeout", 1.5]
    with Server(
        "--model", model, *limits, "--max-wait-ms", 10000, log=tmp_path_factory.mktemp("strict") / "log"
    ) as it:
        yield it


def kept(response, folder, name="a") -> Path:
    """The file of an answer under its own ending."""
    suffix = re.search(r'filename="[^"]*(\.\w+)"', response.headers["Content-Disposition"])[1]
    assert response.headers["Content-Type"] == MEDIA_TYPES[suffix]
    path = folder / f"{name}{suffix}"
    path.write_bytes(response.data)
    if suffix == ".npy":  # the meaning of an array, which has no room for it
        Path(f"{path}.json").write_text(response.headers["AnyDepth-Metadata"])
    return path


@pytest.mark.parametrize("name", ["png", "exr", "tiff", "npz", "npy", "jpeg"])
def test_every_format_is_read_back_and_is_the_map_that_predict_gives(name, server, model, tmp_path):
    if name == "exr":
        pytest.importorskip("OpenEXR", reason="pip install 'anydepth-hf[formats]'")
    response = server.predict(PICTURE, f"format={name}")
    assert response.status == 200, response.data
    depth = anydepth_hf.read_depth(kept(response, tmp_path))
    expected = anydepth_hf.predict_depth(PICTURE, anydepth_hf.load_model(model, "cpu"))
    assert (depth.kind, depth.unit, depth.shape) == ("disparity", None, (40, 60))
    assert np.abs(depth.values - expected.values).max() <= 1e-5 + (depth.step or 0)
    assert (response.headers["AnyDepth-Kind"], response.headers["AnyDepth-Unit"]) == ("disparity", "none")
    metadata = json.loads(response.headers["AnyDepth-Metadata"])
    assert metadata["meaning"].startswith("relative disparity") and metadata["model"] == model.name
    if name == "png":
        scale, offset = (float(response.headers[f"AnyDepth-{key}"]) for key in ("Scale", "Offset"))
        codes = np.asarray(Image.open(io.BytesIO(response.data)))
        assert np.abs(scale * codes + offset - depth.values).max() < 1e-5
    elif name == "jpeg":
        assert response.headers["AnyDepth-Scale"] is None
    else:
        assert response.headers["AnyDepth-Scale"] == "1.0"


def test_three_dimensional_formats_and_metres(metric, tmp_path):
    for name in ("ply", "glb", "html", "normals"):
        response = metric.predict(PICTURE, f"format={name}&fov=60")
        assert response.status == 200, response.data
        assert (response.headers["AnyDepth-Kind"], response.headers["AnyDepth-Unit"]) == ("depth", "m")
        path = kept(response, tmp_path, name)
        assert path.read_bytes()[:4] in (b"ply\n", b"glTF", b"<!DO", b"\x89PNG")
    response = metric.predict(PICTURE, "format=png&step=0.001")
    depth = anydepth_hf.read_depth(kept(response, tmp_path), encoding="millimetres")
    assert depth.unit == "m" and float(response.headers["AnyDepth-Scale"]) == pytest.approx(0.001)
    refused = metric.predict(PICTURE, "format=glb")
    assert refused.status == 422 and "fov=60" in refused.detail


def test_several_formats_are_a_zip_of_what_predict_writes(metric, tmp_path):
    data, kind = form(PICTURE, "../a b/My photo.png")
    response = metric.predict(data, "format=png&format=npy&format=normals&format=colmap&fov=60", kind)
    assert response.status == 200, response.data
    with zipfile.ZipFile(io.BytesIO(response.data)) as archive:
        archive.extractall(tmp_path)
        names = set(archive.namelist())
    maps = {"My_photo_depth.png", "My_photo_depth.npy", "My_photo_depth.npy.json"}
    shapes = {"My_photo_normals.png", "My_photo_normals.npz"} | {
        f"My_photo_colmap/{name}.txt" for name in ("cameras", "images", "points3D")
    }
    assert names == maps | shapes
    assert anydepth_hf.read_depth(tmp_path / "My_photo_depth.npy").intrinsics.width == 60
    assert 'filename="My_photo.zip"' in response.headers["Content-Disposition"]


def test_bodies_forms_and_colours(server):
    data, kind = form(PICTURE, "Größe.jpg")
    answers = [server.predict(PICTURE), server.predict(PICTURE, kind="application/octet-stream")]
    answers.append(server.predict(data, kind=kind))
    assert [answer.status for answer in answers] == [200] * 3
    assert len({json.loads(answer.headers["AnyDepth-Metadata"])["scale"] for answer in answers}) == 1
    assert json.loads(answers[2].headers["AnyDepth-Metadata"])["image"] == "Größe.jpg"
    color = server.predict(PICTURE, "format=color&colormap=turbo&legend=true")
    assert Image.open(io.BytesIO(color.data)).height > 40 and "inline" in color.headers["Content-Disposition"]


def test_a_long_name_fits_the_file_system_in_any_script(server):
    data, kind = form(PICTURE, "\N{CJK UNIFIED IDEOGRAPH-20000}" * 70 + ".jpg")  # four bytes each
    assert [server.predict(data, f"format={name}", kind).status for name in ("color", "npy")] == [200, 200]


@pytest.mark.parametrize(
    ("data", "query", "kind", "status", "sentence"),
    [
        (PICTURE, "", "", 415, "No Content-Type: send the image as the body with `Content-Type: image/jpeg`"),
        (PICTURE, "", "application/x-www-form-urlencoded", 415, "is not read: send the image"),
        (b"no picture", "", "image/png", 415, "The image is no image of a format that is read here (JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "", "image/png", 415, "The image is no image of a format"),
        (b"", "", "image/png", 422, "The image is empty"),
        (PICTURE[:700], "", "image/png", 422, "The image is a damaged image"),
        (picture(200, 4), "", "image/png", 422, "image has 200x4 pixels; one side may be at most 32 times"),
        (form(PICTURE, field="image")[0], "", form(b"")[1], 422, "the field 'image': the image belongs into `file`."),
        (OPTION, "", form(b"")[1], 422, "the field 'format': options go into the address, ?format=exr."),
        (b"--XX--\r\n", "", form(b"")[1], 422, "The form has no file in its field `file`"),
        (b"what", "", "multipart/form-data", 400, "The form cannot be read"),
        (form(PICTURE[:50], "a.png")[0], "", form(b"")[1], 422, "a.png is a damaged image"),
        (PICTURE, "format=pgn", "image/png", 422, "format: Input should be 'color', 'png', 'exr'"),
        (PICTURE, "forma=png", "image/png", 422, "forma: there is no such option; there are format, colormap"),
        (PICTURE, "fov=200", "image/png", 422, "fov: Input should be less than or equal to 179, got '200'."),
        (PICTURE, "format=ply", "image/png", 422, "ply needs depth in metres, but"),
    ],
)
def test_bad_requests_get_one_sentence(data, query, kind, status, sentence, server):
    response = server.predict(data, query, kind)
    assert (response.status, sentence in response.detail) == (status, True), (response.status, response.detail)
    assert len(response.detail.splitlines()) == 1


def test_other_addresses_and_the_page_of_this_one(server):
    assert server.request("GET", "/nothing").status == 404
    response = server.request("GET", "/predict")
    assert (response.status, response.headers["Allow"]) == (405, "POST") and "POST /predict" in response.detail
    page = server.request("GET", "/").data.decode()
    assert (
        "?format=" in page
        and "npz" in page
        and "multipart/form-data, field file" in page
        and "<script" not in page
        and "http" not in page
    )
    schema = json.loads(server.request("GET", "/openapi.json").data)
    assert set(schema["paths"]) == {"/predict", "/health"}
    health = server.health()
    assert (health["status"], health["kind"], health["unit"]) == ("ready", "disparity", None)
    assert health["version"] == anydepth_hf.__version__


def test_large_files_and_images_are_refused_and_the_sender_reads_why(strict):
    large = strict.predict(b"\xff" * 2_000_000, kind="image/jpeg")
    assert (large.status, large.detail) == (413, "An image's file may have 0.1 MB here, and this one has more.")
    data, kind = form(b"\xff" * 200_000)
    assert strict.predict(data, kind=kind).status == 413
    chunked = strict.request("POST", "/predict", iter([b"\xff" * 60_000] * 3), {"Content-Type": "image/jpeg"})
    assert chunked.status == 413
    wide = strict.predict(picture(200, 100))
    assert wide.status == 413 and "has 200x100 pixels" in wide.detail and "at most 0.01 million" in wide.detail
    assert strict.health()["queue"] == 0


def test_who_comes_to_a_full_queue_who_waits_too_long_and_who_goes(strict):
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(strict.predict, PICTURE)
        while strict.health()["queue"] == 0:
            time.sleep(0.02)
        second = strict.predict(PICTURE)
        assert second.status == 503 and second.headers["Retry-After"] and "waiting already" in second.detail
        first = waiting.result()
    assert first.status == 503 and "took more than 1.5 s" in first.detail
    connection = strict.connect()  # sends half an image
    connection.request("POST", "/predict", headers={"Content-Type": "image/png", "Content-Length": "1000"})
    connection.send(b"x" * 500)
    assert connection.getresponse().status == 408
    connection.close()
    connection = strict.connect()  # goes away while its picture waits
    connection.request("POST", "/predict", PICTURE, {"Content-Type": "image/png"})
    while strict.health()["queue"] == 0:
        time.sleep(0.02)
    start = time.monotonic()
    connection.close()
    while strict.health()["queue"] > 0:
        time.sleep(0.02)
    assert time.monotonic() - start < 1.4  # before the limit
    assert strict.health()["pictures"] == 0


def test_requests_in_work_are_finished_after_sigterm(model, tmp_path):
    with Server("--model", model, "--max-wait-ms", 1500, log=tmp_path / "log") as server:
        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(server.predict, picture(60, 30 + 10 * index)) for index in range(3)]
            while server.health()["queue"] < 3:
                time.sleep(0.02)
            server.terminate()
            assert [future.result().status for future in waiting] == [200] * 3
        assert server.wait() == 0
    with pytest.raises(OSError):
        server.health()


ENDED_EARLY = """
import os, signal, sys
from anydepth_cli.main import main
from anydepth_hf import serve
load = serve.load_model
serve.load_model = lambda *args: os.kill(os.getpid(), signal.SIGTERM) or load(*args)
main(["serve", "--port", "0", "--model", sys.argv[1]])
"""


def test_sigterm_while_the_model_is_loaded_ends_the_server(model):
    done = subprocess.run([sys.executable, "-c", ENDED_EARLY, model], timeout=120, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def crowd(server, seconds, clients=4):
    """Statuses of what some clients got who asked again and again, each over one connection."""
    pictures = [picture(60, 40), picture(60, 40, "JPEG"), picture(48, 64), b"no picture"]
    end = time.monotonic() + seconds

    def client(number):
        statuses, connection = [], server.connect()
        while time.monotonic() < end:
            index = (number + len(statuses)) % (len(pictures) if number == 0 else 3)
            statuses.append(server.predict(pictures[index], connection=connection).status)
        connection.close()
        return statuses

    with ThreadPoolExecutor() as pool:
        return [status for statuses in pool.map(client, range(clients)) for status in statuses]


def test_clients_at_once_share_batches_and_the_memory_stays(server):
    crowd(server, 2)
    before, memory = server.health(), server.memory()
    statuses = crowd(server, 3)
    after = server.health()
    assert set(statuses) == {200, 415} and len(statuses) > 20
    assert after["pictures"] - before["pictures"] == statuses.count(200)
    assert after["batches"] - before["batches"] < statuses.count(200)
    assert server.memory() - memory < 30 and after["queue"] == 0


@pytest.mark.long
def test_a_minute_of_clients_leaves_the_memory_as_it_was(model, tmp_path):
    with Server("--model", model, log=tmp_path / "log") as server:
        crowd(server, 10)
        memory = server.memory()
        statuses = crowd(server, 60)
        print(f"{len(statuses)} requests, {memory:.0f} MB before, {server.memory():.0f} MB after")
        assert set(statuses) == {200, 415} and len(statuses) > 200
        assert server.memory() - memory < 20


def test_a_port_that_is_taken_is_one_sentence(model, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--model", str(model), "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"anydepth serve: cannot listen on 127.0.0.1, port {port}: ") and error.count("\n") == 1


@pytest.mark.parametrize("kind", ["server", "metric"])
def test_schemathesis_finds_nothing(kind, request, tmp_path):
    """Requests that follow the description, and such that do not, generated from it."""
    program = shutil.which("schemathesis") or shutil.which(str(Path(sys.executable).with_name("schemathesis")))
    if program is None:
        pytest.skip("no schemathesis on PATH: pip install schemathesis, in an environment of its own")
    server = request.getfixturevalue(kind)
    (tmp_path / "config.toml").write_text(
        # an image may be damaged, and three-dimensional formats need metres
        '[checks]\npositive_data_acceptance.expected-statuses = ["2xx", 413, 415, 422]\n'
    )
    examples = "300" if request.config.getoption("--long") else "20"
    command = [program, "--config-file", "config.toml", "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(ROOT / "tests" / "anydepth_hf")}
    result = subprocess.run(
        [*command, "--max-examples", examples, "--seed", "1"],
        cwd=tmp_path,
        env=hooks | {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
