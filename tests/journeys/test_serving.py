"""A bundle behind HTTP, through the real command line: answers, refusals, and what happens when things break."""

import base64
import concurrent.futures
import hashlib
import html
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

from fieldmark.inference.classifier import load
from fieldmark.server import predicting, protocol_description
from makers import assert_clear, fieldmark, refused
from makers_bundle import SIZE_PX, graph, pictures, write_bundle_with_canaries
from makers_server import encoded, ended, serving

MANY = 24


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle_with_canaries(tmp_path_factory.mktemp("served") / "tiny.fieldmark")


@pytest.fixture(scope="module")
def server(bundle):
    with serving(bundle, "--max-body", "1MB", "--workers", "2") as running:
        yield running


@pytest.fixture(scope="module")
def images():
    return [encoded(each) for each in pictures(MANY, 40)]


def expected(bundle, image):
    """Probability by class, as the light predictor says without a server."""
    return dict(load(bundle).predict(image).ranked())


def said(prediction):
    return {each["class"]: each["probability"] for each in prediction["top"]}


def multipart(images):
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + image + b"\r\n"
        for image in images
    )
    return parts + b"--x--\r\n"


def as_json(images):
    return json.dumps({"images": [base64.b64encode(image).decode() for image in images]}).encode()


def test_an_image_gets_the_answer_that_the_bundle_gives_without_a_server(bundle, server, images):
    for image in images[:3]:
        (prediction,) = server.predict(image)["predictions"]
        assert said(prediction) == pytest.approx(expected(bundle, image), abs=1e-6)
        assert prediction["labels"] == list(load(bundle).predict(image).labels)


def test_several_images_come_as_files_or_in_json_and_one_that_is_broken_is_an_error_of_its_own(
    bundle, server, images
):
    sent = [images[0], images[1][:60], images[2]]
    for body, kind in ((multipart(sent), "multipart/form-data; boundary=x"), (as_json(sent), "application/json")):
        first, broken, last = server.predict(body, Content_Type=kind)["predictions"]
        assert broken["error"]["reason"] == "truncated"
        for prediction, image in ((first, sent[0]), (last, sent[2])):
            assert said(prediction) == pytest.approx(expected(bundle, image), abs=1e-6)


def test_top_and_embedding_are_given_as_asked(bundle, server, images):
    (prediction,) = server.predict(images[0], "?top=2&embedding=true")["predictions"]
    assert len(prediction["top"]) == 2
    wanted = load(bundle).predict(images[0], embedding=True).embedding
    assert prediction["embedding"] == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_query_is_read_as_the_description_of_the_route_has_it_or_refused(server, images):
    """Of one that is given twice the last counts, unknown ones do not, and a yes is a yes."""
    (prediction,) = server.predict(images[0], "?top=1&top=2&embedding=yes&other=1")["predictions"]
    assert len(prediction["top"]) == 2 and prediction["embedding"]
    described = json.loads(server.ask("/openapi.json")[2])["paths"]["/v1/predict"]["post"]["parameters"]
    assert [each["name"] for each in described] == ["model", "version", "top", "embedding"]
    for query, where in (("top=0", "query.top"), ("embedding=2", "query.embedding"), ("top=", "query.top")):
        status, _, body = server.ask(f"/v1/predict?{query}", images[0])
        assert (status, json.loads(body)["error"]["where"]) == (422, where)


def test_workers_give_way_to_the_front(server):
    usual = os.getpriority(os.PRIO_PROCESS, server.process.pid)
    assert {os.getpriority(os.PRIO_PROCESS, each) for each in server.workers()} == {min(19, usual + 10)}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb():
    """30,000 x 30,000 pixels said in a few bytes."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


REFUSED = {
    "no body": (b"", {}, 400, "there is no image"),
    "no image": (b"hello there", {}, 415, "not an image"),
    "cut off": (encoded(pictures(1, 64)[0])[:200], {}, 422, "ends too early"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(50), {}, 415, "HEIC"),
    "a bomb": (png_bomb(), {}, 413, "too many pixels"),
    "too large": (bytes(1_000_001), {}, 413, "more than"),
    "compressed": (b"x", {"Content_Encoding": "gzip"}, 415, "compressed"),
    "no JSON": (b"{", {"Content_Type": "application/json"}, 400, "not JSON"),
    "deep JSON": (b'{"images":' + b"[" * 10_000, {"Content_Type": "application/json"}, 400, "Expected `str`"),
    "deep JSON in an unknown field": (
        b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        {"Content_Type": "application/json"},
        400,
        "unknown field",
    ),
    "no base64": (b'{"images": ["!"]}', {"Content_Type": "application/json"}, 400, "base64"),
    "many in JSON": (as_json([b"!"] * 65), {"Content_Type": "application/json"}, 413, "65 images"),
    "an empty list": (b'{"images": []}', {"Content_Type": "application/json"}, 400, "there is no image"),
    "no multipart": (b"x", {"Content_Type": "multipart/form-data"}, 400, "multipart"),
    "10,000 parts": (
        multipart([b"x"] * 10_000),
        {"Content_Type": "multipart/form-data; boundary=x"},
        400,
        "multipart",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_answered_is_refused_with_the_reason_and_what_to_do(server, case):
    body, headers, status, word = REFUSED[case]
    got, _, answer = server.ask("/v1/predict", body, **headers)
    error = json.loads(answer)["error"]
    assert got == status, error
    assert word in error["what"]
    assert error["where"]
    assert error["do"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/predict?model=dog", 404),
        ("/v1/predict?version=9", 404),
        ("/v1/predict?top=0", 422),
        ("/v1/predict?top=x", 422),
        ("/v1/nothing", 404),
        ("/health/live", 405),
        ("/v2/models/dog/infer", 404),
    ],
)
def test_what_is_not_there_is_said(server, path, status):
    got, _, answer = server.ask(path, b"x")
    assert got == status
    assert json.loads(answer)["error"]


def test_a_route_says_how_it_is_asked(server):
    for path, method, right in (("/health/live", "POST", "GET"), ("/v2/models/tiny/infer", "TRACE", "POST")):
        status, headers, _ = server.ask(path, method=method)
        assert (status, headers.get("allow")) == (405, right)


def test_what_libraries_have_to_say_is_a_line_of_the_log_like_others(server):
    crooked = b'--x\r\nContent-Disposition: form-data; na\rme="file"\r\n\r\nx\r\n--x--\r\n'
    kind = "multipart/form-data; boundary=x"
    assert server.ask("/v1/predict", crooked, Content_Type=kind, X_Request_Id="crooked")[0] == 400
    while server.told("request")["id"] != "crooked":
        pass
    assert not [line for line in server.lines if line["event"] == "printed"]
    assert [line for line in server.lines if line["event"] == "server" and "header" in line["what"]]


def test_a_body_that_ends_before_its_length_is_nobodys_loss(server, images):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nshort")
        connection.shutdown(socket.SHUT_WR)
    assert server.predict(images[0])["predictions"]


def test_health_metrics_and_models_are_there(server, images):
    server.predict(images[0])
    assert server.ask("/health/live")[0] == server.ask("/health/ready")[0] == 200
    _, _, metrics = server.ask("/metrics")
    for line in (
        'fieldmark_images_total{model="tiny",outcome="answered"',
        "fieldmark_ready 1.0",
        "fieldmark_model_info",
    ):
        assert line.encode() in metrics
    (model,) = json.loads(server.ask("/v1/models")[2])["models"]
    assert (model["name"], model["version"], model["aliases"]) == ("tiny", "1", ["champion"])


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_needs_nothing_from_elsewhere(server, path):
    status, headers, page = server.ask(path)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    links = re.findall(r"""(?:src|href|url|import|action)\s*[=(]\s*["']?([^"'\s>)]*)""", page.decode())
    assert links or path == "/"
    assert not [link for link in links if "//" in link]


def test_programs_are_told_of_every_route_and_how_it_refuses(server):
    description = json.loads(server.ask("/openapi.json")[2])
    page = server.ask("/docs")[2].decode()
    assert {"/v1/predict", "/v2/models/{model}/infer", "/metrics"} <= set(description["paths"])
    for path, methods in description["paths"].items():
        assert f"<code>{path}</code>" in page
        for told in methods.values():
            assert html.escape(told["summary"]) in page
            assert {"200", "4XX", "5XX"} <= set(told["responses"])
            assert "422" not in told["responses"]  # FastAPI's own, which this server never gives
    for path, kind in (("/v1/predict", dict), ("/v2/models/{model}/infer", str)):
        example = description["paths"][path]["post"]["responses"]["4XX"]["content"]["application/json"]["example"]
        said = json.loads(server.ask(path.replace("{model}", "tiny"), b"")[2])
        assert type(said["error"]) is type(example["error"]) is kind


SAMPLES = {label: (language, source) for language, label, source in predicting.SAMPLES + protocol_description.SAMPLES}


@pytest.mark.parametrize(("language", "source"), SAMPLES.values(), ids=SAMPLES)
def test_the_examples_work_as_they_stand_on_the_page(language, source, server, images, tmp_path):
    source = source.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    assert source in html.unescape(server.ask("/docs", Host=f"127.0.0.1:{server.port}")[2].decode())
    for name, image in zip(("photo", "one", "two"), images):
        (tmp_path / f"{name}.jpg").write_bytes(image)
    if language == "Python":
        pytest.importorskip("tritonclient.http", reason="AN EXAMPLE WAS NOT TESTED: tritonclient[http] is missing")
    elif shutil.which("curl") is None:
        pytest.skip("AN EXAMPLE WAS NOT TESTED: curl is missing")
    program = [sys.executable, "-W", "error", "-c"] if language == "Python" else ["sh", "-c"]
    done = subprocess.run(
        [*program, source.replace("MODEL", "tiny")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    (right,) = server.predict(images[0])["predictions"][0]["labels"]
    assert right in done.stdout and "error" not in done.stdout, done


@pytest.mark.parametrize("requests", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_answer_carries_the_row_of_another(bundle, server, requests):
    """Each picture is of a colour of its own; many ask at once, alone and several together."""
    colours = pictures(60, 24, seed=5)
    sent = [encoded(each) for each in colours]
    right = [expected(bundle, image) for image in sent]

    def ask(number):
        chosen = np.random.default_rng(number).integers(0, len(sent), 1 + number % 3)
        body = multipart([sent[each] for each in chosen])
        answers = server.predict(body, Content_Type="multipart/form-data; boundary=x")["predictions"]
        return chosen, [said(answer) for answer in answers]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for chosen, answers in pool.map(ask, range(requests)):
            for which, answer in zip(chosen, answers, strict=True):
                assert answer == pytest.approx(right[which], abs=1e-6)


def test_workers_that_are_killed_lose_no_request(server, images):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(server.predict, images[number % MANY]) for number in range(150)]
        for worker in server.workers()[:2]:
            os.kill(worker, signal.SIGKILL)
        assert all(each.result()["predictions"] for each in asked)
    assert b"fieldmark_worker_losses_total 2.0" in server.ask("/metrics")[2]


def test_nobody_works_for_a_client_that_went_away(bundle, images):
    with serving(bundle, "--workers", "1") as running:
        os.kill(*running.workers(), signal.SIGSTOP)
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(images[0])}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection:
            connection.sendall(head.encode() + images[0])
        assert running.told("request")["status"] == 499
        os.kill(*running.workers(), signal.SIGCONT)
        assert running.predict(images[1])["predictions"]


def test_an_image_that_brings_workers_down_is_refused_and_the_others_are_answered(bundle, images, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, fieldmark.data.loading as loading\n"
        "right = loading.load_bytes\n"
        "loading.load_bytes = lambda encoded, *rest: os.abort() if encoded == b'poison' else right(encoded, *rest)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with serving(bundle, "--workers", "1", PYTHONPATH=path) as running:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            others = [pool.submit(running.predict, image) for image in images]
            status, _, answer = running.ask("/v1/predict", b"poison")
            assert all(each.result()["predictions"] for each in others)
        assert status == 422
        assert "brought down" in json.loads(answer)["error"]["what"]
        both = multipart([b"poison", images[0]])
        broken, right = running.predict(both, Content_Type="multipart/form-data; boundary=x")["predictions"]
        assert broken["error"]["reason"] == "cannot be decoded"
        assert said(right) == pytest.approx(expected(bundle, images[0]), abs=1e-6)


def test_a_bundle_is_loaded_anew_on_sighup_and_garbage_leaves_the_old_one(images, tmp_path):
    place = write_bundle_with_canaries(tmp_path / "pets.fieldmark")
    with serving(f"pets={place}") as running:
        before = running.predict(images[0])
        garbage = place / "model.onnx"
        good = garbage.read_bytes()
        garbage.write_bytes(good[:100] + bytes(100))
        running.process.send_signal(signal.SIGHUP)
        assert "altered" in running.told("reload failed")["what"]
        os.kill(running.workers()[0], signal.SIGKILL)  # and a new worker still finds the old model
        assert running.predict(images[0])["predictions"] == before["predictions"]

        shutil.rmtree(place)
        write_bundle_with_canaries(place, classes=("fox", "hare", "lynx"))
        running.process.send_signal(signal.SIGHUP)
        running.told("reloaded")
        after = running.predict(images[0])
        assert {each["class"] for each in after["predictions"][0]["top"]} == {"fox", "hare", "lynx"}
        assert b'fieldmark_reloads_total{outcome="failed"} 1.0' in running.ask("/metrics")[2]


def test_versions_and_aliases(images, tmp_path):
    old = write_bundle_with_canaries(tmp_path / "old.fieldmark", classes=("a", "b", "c"))
    new = write_bundle_with_canaries(tmp_path / "new.fieldmark", classes=("d", "e", "f"))
    with serving(f"pets={old}", f"pets={new}", "--alias", "stable=1", "--workers", "1") as running:
        for query, version in (("", "2"), ("?version=stable", "1"), ("?model=pets&version=champion", "2")):
            assert running.predict(images[0], query)["version"] == version


def test_others_are_let_in_by_their_key_alone_and_at_its_rate(bundle, images, tmp_path):
    assert_clear(refused("serve", bundle, "--host", "0.0.0.0", cwd=tmp_path), "--keys", "--no-auth")
    quick, slow = (
        fieldmark("key", name, "--keys", "keys.json", *rate, cwd=tmp_path).stdout.strip()
        for name, rate in (("quick", ()), ("slow", ("--rate", "0.5")))
    )
    assert quick not in (tmp_path / "keys.json").read_text()
    with serving(bundle, "--keys", tmp_path / "keys.json", "--workers", "1") as running:
        for wrong in ({}, {"Authorization": "Bearer guess"}, {"X_API_Key": "guess"}):
            status, headers, _ = running.ask("/v1/predict", images[0], **wrong)
            assert status == 401
            assert headers["www-authenticate"] == "Bearer"
        assert running.ask("/metrics")[0] == 401
        assert running.ask("/health/ready")[0] == running.ask("/")[0] == 200
        assert b"asks for a key" in running.ask("/docs")[2]
        assert json.loads(running.ask("/openapi.json")[2])["security"] == [{"key": []}]
        assert running.predict(images[0], X_API_Key=quick)["predictions"]
        asked = [running.ask("/v1/predict", images[0], Authorization=f"Bearer {slow}")[:2] for _ in range(3)]
        assert [status for status, _ in asked] == [200, 429, 429]
        assert int(asked[-1][1]["retry-after"]) >= 1
        assert all(quick not in json.dumps(line) for line in running.lines)


def test_too_many_images_at_once_are_told_when_to_come_again(bundle, images):
    with serving(bundle, "--max-waiting", "4", "--workers", "1") as running:
        status, headers, answer = running.ask(
            "/v1/predict", multipart(images[:5]), Content_Type="multipart/form-data; boundary=x"
        )
        assert (status, headers["retry-after"]) == (503, "1")
        assert "wait" in json.loads(answer)["error"]["what"]
        assert running.predict(images[0])["predictions"]


def test_sigterm_lets_what_is_under_way_end_and_exits_with_0(bundle, images):
    with serving(bundle, "--drain", "1s", "--workers", "1") as running:
        workers = running.workers()
        running.process.send_signal(signal.SIGTERM)
        running.told("draining")
        assert running.ask("/health/ready")[0] == 503
        assert running.predict(images[0])["predictions"]
        assert running.process.wait(timeout=60) == 0
        assert not any(os.path.exists(f"/proc/{worker}") for worker in workers)  # noqa: PTH110


def test_the_request_log_holds_answers_and_images_only_if_asked(bundle, images, tmp_path):
    with serving(bundle, "--request-log", tmp_path / "log", "--workers", "1") as running:
        running.predict(images[0], X_Request_Id="mine")
        running.ask("/v1/predict", b"no image")
        assert ended(running) == 0
    (file,) = (tmp_path / "log").iterdir()
    answered, unread = map(json.loads, file.read_text().splitlines())
    assert (answered["request"], answered["model"]) == ("mine", "tiny")
    assert sum(answered["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert len(answered["embedding"]) == 6
    assert "not an image" in unread["error"]


def test_a_full_disk_for_the_request_log_is_counted_and_stops_nobody(bundle, images, tmp_path):
    most = max(len(graph()), 16_384) + 4096

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    with serving(
        bundle, "--request-log", tmp_path / "log", "--log-images", "--workers", "1", prepare=small_disk
    ) as running:
        for number in range(120):
            assert running.predict(images[number % MANY])["predictions"]
        nothing = b"fieldmark_request_log_failures_total 0.0"
        assert any(nothing not in running.ask("/metrics")[2] for _ in range(1000))
        assert ended(running) == 0
    kept = {file.name: file.read_bytes() for file in (tmp_path / "log" / "images").iterdir()}
    assert kept == {hashlib.sha256(image).hexdigest(): image for image in images}
    (file,) = (tmp_path / "log").glob("*.jsonl")
    assert all(json.loads(line)["model"] == "tiny" for line in file.read_text().splitlines())
    assert len(file.read_text().splitlines()) < 120


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("missing.fieldmark",), "no such bundle"),
        (("a b=tiny.fieldmark",), "cannot be the name"),
        (("tiny.fieldmark", "--alias", "stable=7"), "no version"),
        (("tiny.fieldmark", "--keys", "none.json"), "cannot be read"),
        (("tiny.fieldmark", "--host", "256.0.0.1"), "cannot be listened on"),
        (("tiny.fieldmark", "--timeout", "soon"), "length of time"),
    ],
)
def test_a_server_that_cannot_be_says_why(bundle, tmp_path, words, word):
    shutil.copytree(bundle, tmp_path / "tiny.fieldmark")
    flags = ("--no-auth",) if "--host" in words else ()
    assert_clear(fieldmark("serve", *words, *flags, cwd=tmp_path), word)


def test_pixels_of_another_size_never_reach_a_worker(server):
    asked = {"inputs": [{"name": "pixels", "shape": [1, SIZE_PX + 1, SIZE_PX, 3], "datatype": "UINT8", "data": [0]}]}
    status, _, answer = server.ask("/v2/models/tiny/infer", json.dumps(asked).encode())
    assert status == 400
    assert str(SIZE_PX) in json.loads(answer)["error"]


def test_clients_of_triton_ask_as_they_are_used_to(bundle, server, images):
    """tritonclient's wire format by hand; with the client itself in benchmarks/clients.py."""
    right = expected(bundle, images[0])
    status, headers, body = server.ask("/v2/models/tiny/infer", images[0], Inference_Header_Content_Length="0")
    assert status == 200
    header = json.loads(body[: int(headers["inference-header-content-length"])])
    assert [output["name"] for output in header["outputs"]] == ["probabilities", "labels", "logits"]

    binary = struct.pack("<I", len(images[0])) + images[0]
    asked = json.dumps(
        {
            "id": "7",
            "inputs": [
                {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(binary)}}
            ],
            "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}],
        }
    ).encode()
    status, _, body = server.ask(
        "/v2/models/tiny/versions/1/infer", asked + binary, Inference_Header_Content_Length=str(len(asked))
    )
    answer = json.loads(body)
    assert (status, answer["id"], answer["model_version"]) == (200, "7", "1")
    value, _, name = answer["outputs"][0]["data"][0].split(":", 2)
    assert float(value) == pytest.approx(right[name], abs=1e-5)
    assert float(value) == pytest.approx(max(right.values()), abs=1e-5)

    for path in (
        "",
        "/health/live",
        "/health/ready",
        "/models/tiny",
        "/models/tiny/ready",
        "/models/tiny/versions/1",
    ):
        assert server.ask(f"/v2{path}")[0] == 200
