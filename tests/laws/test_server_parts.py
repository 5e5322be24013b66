"""The server's parts that need no socket: batch sizes, the queue, keys, names, a worker's answers."""

import asyncio
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.data.picture import Limits as ImageLimits
from fieldmark.errors import UsageError
from fieldmark.inference.classifier import load
from fieldmark.server.batching import SIZES, BatchTimes
from fieldmark.server.dispatching import Dispatch
from fieldmark.server.keys import Gate, add_key, read_keys
from fieldmark.server.limits import Limits
from fieldmark.server.messages import TO_WORKER, Batch, framed
from fieldmark.server.models import Served, aliases, resolve, sources
from fieldmark.server.refusals import RequestError
from fieldmark.server.waiting import Image, Queue
from fieldmark.server.worker import answer
from makers_bundle import pictures, write_bundle
from makers_server import encoded

seconds = st.floats(1e-4, 1.0)


@given(st.dictionaries(st.sampled_from(SIZES), seconds), st.floats(0.001, 1.0))
def test_the_batch_is_done_in_time_or_is_one_image_and_is_never_slower_for_each(known, bound_s):
    best = BatchTimes(known).best(bound_s)
    assert best == 1 or known[best] <= bound_s
    if 1 in known:
        assert known.get(best, known[1]) / best <= known[1]


def test_batching_is_used_where_it_pays_and_not_where_it_does_not():
    no_gain = {size: 0.004 * size for size in SIZES}
    gain = {size: 0.004 + 0.0005 * size for size in SIZES}
    assert BatchTimes(no_gain).best(1.0) == 1
    assert BatchTimes(gain).best(1.0) == SIZES[-1]
    assert BatchTimes(gain).best(0.0065) == 4


def test_what_is_seen_changes_what_is_known_and_one_hiccup_does_not():
    times = BatchTimes({size: 0.004 + 0.0005 * size for size in SIZES})
    times.observe(16, 60.0)
    assert times.best(1.0) == 16
    for _ in range(50):
        times.observe(16, 0.2)
    assert times.best(1.0) == 8


def image(key="m/1", since=0.0, raw=False, fallen=0):
    future = asyncio.get_running_loop().create_future()
    return Image(key=key, encoded=b"", raw=raw, answer=future, since=since, fallen=fallen)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 1)), max_size=30), st.integers(1, 8))
def test_the_queue_keeps_order_loses_nothing_and_batches_what_belongs_together(kinds, most):
    async def drained():
        queue = Queue(Limits())
        images = [image(key, raw=raw, fallen=fallen) for key, raw, fallen in kinds]
        queue.add(images, at_work=0)
        batches = []
        while batch := queue.next(most):
            assert len(batch) <= most
            assert len({(each.key, each.raw) for each in batch}) == 1
            assert len(batch) == 1 or not any(each.fallen for each in batch)
            batches += batch
        assert batches == images

    asyncio.run(drained())


def test_what_nobody_waits_for_is_not_worked_on_and_what_is_put_back_comes_first():
    async def run():
        queue, images = Queue(Limits()), [image() for _ in range(4)]
        queue.add(images, at_work=0)
        images[0].answer.cancel()
        assert queue.first() is images[1]
        assert queue.next(2) == images[1:3]
        queue.put_back(images[1:3])
        assert queue.next(9) == images[1:]

    asyncio.run(run())


def test_whoever_gives_up_leaves_the_queue():
    async def run():
        dispatch = Dispatch(Limits(answer_s=0.001))  # without workers: everybody waits
        gone = asyncio.get_running_loop().create_future()
        with pytest.raises(RequestError, match="no answer within") as refused:
            await dispatch.answers("m/1", [b"one", b"two"], raw=False, gone=gone)
        assert (refused.value.status, len(dispatch.queue)) == (503, 0)
        staying, going = (
            asyncio.create_task(dispatch.answers("m/1", [b"x"], raw=False, gone=gone)) for _ in range(2)
        )
        await asyncio.sleep(0)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        assert len(dispatch.queue) == 1
        await asyncio.gather(staying, return_exceptions=True)

    asyncio.run(run())


def test_whose_client_went_away_leaves_the_queue():
    async def run():
        dispatch, gone = Dispatch(Limits()), asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(dispatch.answers("m/1", [b"one", b"two"], raw=False, gone=gone))
        await asyncio.sleep(0)
        assert len(dispatch.queue) == 2
        gone.set_result(None)
        with pytest.raises(RequestError, match="went away"):
            await waiting
        assert len(dispatch.queue) == 0

    asyncio.run(run())


def test_the_queue_takes_all_of_a_request_or_none():
    async def run():
        queue = Queue(Limits(max_waiting_images=5))
        queue.add([image() for _ in range(3)], at_work=1)
        with pytest.raises(RequestError) as refused:
            queue.add([image(), image()], at_work=1)
        assert (refused.value.status, len(queue)) == (503, 3)

    asyncio.run(run())


def test_keys_are_kept_as_hashes_and_told_apart(tmp_path):
    file = tmp_path / "keys.json"
    first, second = add_key(file, "first", 0), add_key(file, "second", 5)
    assert first not in file.read_text()
    gate = Gate(read_keys(file))
    assert (gate.admit(first), gate.admit(second)) == ("first", "second")
    for wrong in (None, "", first[:-1], first + "x", "\udcff"):
        with pytest.raises(RequestError) as refused:
            gate.admit(wrong)
        assert refused.value.status == 401
    with pytest.raises(UsageError, match="already"):
        add_key(file, "first", 0)
    assert gate.admit(first) == "first"


def test_a_key_has_its_rate_and_others_are_not_held_up_by_it(monkeypatch, tmp_path):
    slow, quick = add_key(tmp_path / "k", "slow", 2), add_key(tmp_path / "k", "quick", 0)
    gate, now = Gate(read_keys(tmp_path / "k")), 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def admitted(key):
        try:
            return bool(gate.admit(key))
        except RequestError as error:
            assert error.status == 429
            assert 0 < error.retry_after_s <= 0.5
            return False

    assert [admitted(slow) for _ in range(6)] == [True] * 4 + [False] * 2
    assert all(admitted(quick) for _ in range(50))
    now += 0.5
    assert [admitted(slow), admitted(slow)] == [True, False]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": [{"name": "x"}]}', '{"keys": [], "more": 1}', "[" * 9999])
def test_a_file_that_holds_no_keys_is_refused_in_words(tmp_path, text):
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(UsageError, match="no file of keys") as refused:
        read_keys(tmp_path / "keys.json")
    assert "fieldmark key" in refused.value.do


def test_without_keys_everybody_is_let_in():
    assert Gate(()).admit(None) == Gate(()).admit("x") == "anybody"


def test_names_versions_and_aliases_are_as_the_command_line_says():
    found = sources(["a.fieldmark", "pets=x/b", "pets=x/c"])
    assert [each.key for each in found] == ["a/1", "pets/1", "pets/2"]
    named = aliases(["pets/old=1", "pets/champion=1"], found)
    assert named == {("a", "champion"): "1", ("pets", "champion"): "1", ("pets", "old"): "1"}


@pytest.mark.parametrize("word", ["b/x=1", "x=9", "pets/1=1", "pets/=1", "nothing"])
def test_an_alias_of_nothing_is_refused(word):
    with pytest.raises(UsageError):
        aliases([word], sources(["pets=a"]))


def test_a_request_without_a_version_means_the_champion_and_without_a_model_the_only_one(tmp_path):
    manifest = load(write_bundle(tmp_path / "b.fieldmark")).bundle.manifest

    def served(*words):
        return {each.key: Served(source=each, manifest=manifest, digest="") for each in sources(words)}

    pets, both = served("pets=a", "pets=b"), served("pets=a", "pets=b", "birds=c")
    named = {("pets", "champion"): "1", ("pets", "new"): "2", ("birds", "champion"): "1"}
    assert resolve(pets, named, None, None) is pets["pets/1"]
    assert resolve(pets, named, None, "new") is resolve(pets, named, "pets", "2") is pets["pets/2"]
    assert resolve(both, named, "birds", None) is both["birds/1"]
    for name, version, status in ((None, None, 400), ("dogs", None, 404), ("pets", "3", 404), ("birds", "new", 404)):
        with pytest.raises(RequestError) as refused:
            resolve(both, named, name, version)
        assert refused.value.status == status
        assert "birds" in refused.value.do


def test_a_worker_answers_each_image_as_if_it_were_alone(tmp_path):
    classifier = load(write_bundle(tmp_path / "b.fieldmark"))
    files = [encoded(each) for each in pictures(5, 30)]
    files[2] = b"no image"
    together = answer(classifier, Batch(7, "m/1", tuple(files), False), ImageLimits())
    assert together.number == 7
    for place, file in enumerate(files):
        (alone,) = answer(classifier, Batch(1, "m/1", (file,), False), ImageLimits()).rows
        row = together.rows[place]
        assert (row.labels, row.reason) == (alone.labels, alone.reason)
        assert np.frombuffer(row.logits, np.float32) == pytest.approx(
            np.frombuffer(alone.logits, np.float32), abs=1e-5
        )
    assert together.rows[2].reason == "not an image"


def test_pixels_are_taken_as_they_are(tmp_path):
    classifier, pixels = load(write_bundle(tmp_path / "b.fieldmark")), pictures(3)
    rows = answer(classifier, Batch(1, "m/1", tuple(each.tobytes() for each in pixels), True), ImageLimits()).rows
    logits = np.stack([np.frombuffer(row.logits, np.float32) for row in rows])
    assert logits == pytest.approx(classifier.run(pixels)[1], abs=1e-6)


def test_a_frame_says_its_length_and_holds_its_message():
    message = Batch(3, "m/1", (b"one", b""), False)
    frame = framed(message)
    assert int.from_bytes(frame[:4], "little") == len(frame) - 4
    assert TO_WORKER.decode(frame[4:]) == message
