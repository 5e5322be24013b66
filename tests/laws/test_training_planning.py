"""What "auto" becomes, and that it is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import makers_training as make
from fieldmark.data.geometry import Geometry
from fieldmark.encoders.zoo import zoo_row
from fieldmark.errors import UsageError
from fieldmark.training import planning, speed
from fieldmark.training.job import Job
from fieldmark.training.planning import plan
from fieldmark.training.precision import Speed, fastest_precision
from fieldmark.training.recipe import Recipe


def job_of(
    tmp_path, *, size_px: int = 16, classes: tuple[str, ...] = ("cat", "dog", "owl"), grey: bool = False, **recipe
) -> Job:
    job = make.job(tmp_path, recipe=Recipe(**recipe))
    pixels = np.repeat(job.pixels[..., :1], 3, axis=3) if grey else job.pixels
    choice = replace(job.choice, geometry=Geometry(size_px=size_px))
    return replace(job, choice=choice, data=replace(job.data, classes=classes), pixels=pixels)


def test_every_auto_is_named_with_its_value_and_why(tmp_path):
    made, choices = plan(job_of(tmp_path), pretrained=False)
    autos = {name.replace("_", " ") for name in Recipe.__struct_fields__ if getattr(Recipe(), name) == "auto"}
    ours = autos - {"model", "head", "method", "weights", "size", "fit", "folds", "split"}
    assert {choice.partition(" = ")[0] for choice in choices} == ours
    assert all(": " in choice for choice in choices)
    assert f"batch = {made.batch}: " in " | ".join(choices)


def test_what_was_asked_is_done_and_needs_no_reason(tmp_path):
    asked = {
        "epochs": 7.0,
        "batch": 5,
        "optimiser": "lion",
        "micro_batch": 2,
        "clip": 0.5,
        "frozen_share": 0.0,
        "schedule": "triangle",
        "learning_rate": 0.7,
        "weight_decay": 0.3,
        "loss": "focal",
        "label_smoothing": 0.2,
        "balance": "class-weights",
        "remedy": "small-loss",
        "noise_rate": 0.25,
        "prior": "data",
        "augment": "crop+flip+trivial",
        "crop_scale": 0.9,
        "patience": 3,
        "precision": "fp32",
        "threads": 2,
    }
    made, choices = plan(job_of(tmp_path, flip="yes", mirror="no", warmup=0.3, seed=9, **asked), pretrained=False)
    assert {name: getattr(made, name) for name in asked} == asked
    assert (made.flip, made.warmup, made.seed) == (True, 0.3, 9)
    assert choices == ()


@pytest.mark.parametrize(
    ("classes", "grey", "size_px", "flip"),
    [
        (("cat", "dog", "owl"), False, 32, True),
        (("0", "1", "2"), False, 32, False),
        (("10", "11", "12"), False, 224, False),
        (("A", "B", "C"), False, 224, False),
        (("seven", "eight", "nine"), True, 28, False),
        (("lung", "knee", "hand"), True, 224, True),
    ],
)
def test_writing_is_not_mirrored(tmp_path, classes, grey, size_px, flip):
    made, choices = plan(job_of(tmp_path, classes=classes, grey=grey, size_px=size_px), pretrained=False)
    assert made.flip is flip
    assert any(choice.startswith(f"flip = {flip}") for choice in choices)


def test_answers_are_mirrored_where_training_was_and_twice_the_work_is_little(tmp_path):
    def mirror(**changes):
        return plan(job_of(tmp_path, **changes), pretrained=False)[0].mirror

    assert mirror(size_px=32) and mirror(size_px=224, mirror="yes")
    assert not mirror(size_px=224) and not mirror(classes=("1", "2", "3")) and not mirror(size_px=32, mirror="no")
    with pytest.raises(UsageError, match="never saw one"):
        mirror(mirror="yes", flip="no")


def test_small_images_are_shifted_and_large_ones_cropped(tmp_path):
    small, large = (plan(job_of(tmp_path, size_px=px), pretrained=False)[0] for px in (32, 224))
    assert (small.shift_px, small.crop_scale) == (2, 1.0)
    assert large.shift_px == 0 and large.crop_scale < 1.0


def test_fine_tuning_keeps_the_first_layers_and_the_statistics_and_says_so(tmp_path):
    (tuned, said), (made, _) = (plan(job_of(tmp_path), pretrained=pretrained) for pretrained in (True, False))
    assert (tuned.frozen_share, tuned.keeps_statistics) == (0.0 if torch.cuda.is_available() else 0.5, True)
    assert (made.frozen_share, made.keeps_statistics) == (0.0, False)
    assert any(line.startswith("frozen share = ") for line in said)
    assert plan(job_of(tmp_path, frozen_share=0.3), pretrained=True)[0].frozen_share == 0.3
    with pytest.raises(UsageError, match="never trained"):
        plan(job_of(tmp_path, frozen_share=0.3), pretrained=False)


def test_a_budget_leaves_room_for_more_epochs(tmp_path):
    without, within = (plan(job_of(tmp_path, budget=budget), pretrained=False)[0] for budget in ("none", "10m"))
    assert within.epochs > without.epochs


@pytest.mark.parametrize("pretrained", [False, True])
def test_lion_steps_a_fifth_as_far_as_adamw_and_decays_as_much_a_step(tmp_path, pretrained):
    made = {o: plan(job_of(tmp_path, optimiser=o), pretrained=pretrained)[0] for o in ("lion", "adamw")}
    rates, decays = ([getattr(made[o], field) for o in made] for field in ("learning_rate", "weight_decay"))
    assert rates[0] == pytest.approx(rates[1] / 5) and decays[0] * rates[0] == pytest.approx(decays[1] * rates[1])


def test_a_network_that_wants_smaller_steps_has_them_from_scratch_alone(tmp_path):
    made, transformer = job_of(tmp_path, optimiser="adamw"), zoo_row("vit_tiny_patch16_224")
    job = replace(made, choice=replace(made.choice, row=transformer))
    rates = [plan(each, pretrained=kind)[0].learning_rate for kind in (False, True) for each in (job, made)]
    assert rates[0] == pytest.approx(5e-4) and rates[0] < rates[1] and rates[2] == rates[3]


def test_processes_of_one_machine_share_its_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "available_cores", lambda: 6)
    assert (plan(job_of(tmp_path), pretrained=False)[0]).threads == 6
    for name, value in {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    made, _ = plan(job_of(tmp_path), pretrained=False)
    assert (made.threads, made.processes) == (3, 4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has fp16")
def test_half_precision_without_a_gpu_is_refused(tmp_path):
    with pytest.raises(UsageError, match="fp16"):
        plan(job_of(tmp_path, precision="fp16"), pretrained=False)


def test_the_precision_is_what_was_measured(tmp_path, monkeypatch):
    def measured(learning, pixels):
        return "bf16", f"learns {learning('fp32'):g}/s from {pixels}"

    monkeypatch.setattr(planning, "fastest_precision", measured)
    monkeypatch.setattr(speed, "speed_of", lambda *_: Speed(learning=7, answering=9))
    job = job_of(tmp_path, size_px=16)
    made, choices = plan(job, pretrained=False, network=make.network())
    assert made.precision == "bf16"
    assert f"precision = bf16: learns 7/s from {len(job.train) * 16 * 16}" in choices


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is asked, not measured")
@pytest.mark.parametrize(("rounded", "chosen"), [(90.0, "fp32"), (110.0, "fp32"), (150.0, "bf16")])
def test_bf16_is_taken_where_the_network_learns_clearly_faster_in_it(monkeypatch, rounded, chosen):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    precision, why = fastest_precision({"fp32": 100.0, "bf16": rounded}.__getitem__, 10**9)
    assert precision == chosen
    assert f"{rounded:g} images/s in bf16" in why
    assert fastest_precision(None, 0)[0] == "fp32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is asked, not measured")
def test_few_pixels_are_not_left_to_a_race_that_noise_could_decide(monkeypatch):
    """Seen on a processor with bf16: the same recipe gave other bytes when it was run again."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    precision, _ = fastest_precision(lambda _: pytest.fail("no race"), 72 * 32**2)
    assert precision == "fp32"


@pytest.mark.parametrize("images", [1, 30, 300, 3_000, 300_000])
@pytest.mark.parametrize("pretrained", [False, True])
def test_the_plan_suits_any_number_of_images(tmp_path, images, pretrained):
    job = replace(job_of(tmp_path), train=np.arange(images) % 96)
    made, _ = plan(job, pretrained=pretrained)
    assert 8 <= made.batch <= 128 and made.batch <= max(8, images) and 3 <= made.epochs <= 30
    assert 0 < made.learning_rate <= 0.2


@pytest.mark.parametrize(
    ("size_px", "classes", "augment"),
    [
        (32, ("cat", "dog", "owl"), "flip+shift"),
        (224, ("cat", "dog", "owl"), "crop+flip"),
        (32, ("1", "2", "3"), "shift"),
        (224, ("1", "2", "3"), "crop"),
        (8, ("cat", "dog", "owl"), "flip"),
        (8, ("1", "2", "3"), "none"),
    ],
)
@pytest.mark.parametrize("asked", ["auto", "light"])
def test_light_is_the_default_whatever_the_length_of_the_run(tmp_path, size_px, classes, augment, asked):
    for epochs in (1.0, 500.0):
        job = job_of(tmp_path, size_px=size_px, classes=classes, augment=asked, epochs=epochs)
        made, choices = plan(job, pretrained=False)
        assert made.augment == augment
        assert any(choice.startswith(f"augment = {augment}: ") for choice in choices)


def test_strong_leaves_signs_readable_and_mixes_only_in_long_runs(tmp_path):
    def strong(**changes):
        return plan(job_of(tmp_path, **{"augment": "strong", "epochs": 20.0, **changes}), pretrained=False)[0].augment

    assert strong() == "flip+shift+trivial+erase"
    assert strong(epochs=80.0) == "flip+shift+trivial+erase+cutmix"
    assert strong(size_px=224) == "crop+flip+trivial+erase"
    assert strong(classes=("6", "7", "9"), epochs=80.0) == strong(flip="no") == "shift+upright"
    assert strong(classes=("6", "7", "9"), flip="yes") == "flip+shift+trivial+erase"


def test_names_say_exactly_what_is_made_and_a_preset_may_be_added_to(tmp_path):
    def made(**recipe):
        result = plan(job_of(tmp_path, **recipe), pretrained=False)[0]
        return result.augment, result.flip, result.crop_scale, result.shift_px

    assert made(augment="none") == ("none", False, 1.0, 0)
    assert made(augment="trivial+flip") == ("flip+trivial", True, 1.0, 0)
    assert made(augment="cutmix") == ("cutmix", False, 1.0, 0)
    assert made(augment="crop+shift", size_px=32) == ("crop+shift", False, 0.35, 2)
    assert made(augment="shift", size_px=8)[3] == 1
    assert made(augment="light+mixup", size_px=32) == ("flip+shift+mixup", True, 1.0, 2)
    assert made(augment="light", flip="no", crop_scale=0.7, size_px=32) == ("crop+shift", False, 0.7, 2)
    assert made(augment="crop", crop_scale=0.8)[2] == 0.8
    assert made(augment="flip", classes=("1", "2", "3"))[1], "asked for by name"


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"augment": "none", "flip": "yes"}, "makes no flip"),
        ({"augment": "trivial", "flip": "yes"}, "makes no flip"),
        ({"augment": "flip+trivial", "flip": "no"}, "asks for flip"),
        ({"augment": "none", "crop_scale": 0.5}, "makes no crop"),
        ({"augment": "light+crop", "crop_scale": 1.0}, "asks for crop"),
        ({"augment": "flip+flip"}, "repeats itself"),
        ({"augment": "none+flip"}, "contradicts"),
        ({"augment": "light+strong"}, "contradicts"),
        ({"augment": "mixup", "batch": 1}, "a batch has one"),
        ({"augment": ""}, "unknown augmentation"),
        ({"augment": "trivail"}, "trivial"),
        ({"augment": "stron"}, "strong"),
    ],
)
def test_augmentations_that_contradict_another_setting_are_refused(tmp_path, recipe, words):
    with pytest.raises(UsageError) as refused:
        plan(job_of(tmp_path, **recipe), pretrained=False)
    assert words in str(refused.value)
    assert refused.value.where and refused.value.do
