"""Weights that a pip package carries: found without running the package, and a fit for the net that they name."""

import subprocess
import sys

import pytest
import torch

from fieldmark.encoders.packaged import PACKAGED, packaged_file
from fieldmark.encoders.weights import load_weights, weights_available
from fieldmark.encoders.zoo import zoo_row

every_package = pytest.mark.parametrize("name", list(PACKAGED))


@every_package
def test_the_train_extra_brings_it(name):
    assert packaged_file(PACKAGED[name]).is_file()
    assert PACKAGED[name].distribution in weights_available(name)


@every_package
def test_every_tensor_of_the_net_is_filled_and_only_the_classifier_is_left_over(name):
    torch.manual_seed(0)
    encoder = zoo_row(name).build(64)
    before = {key: tensor.clone() for key, tensor in encoder.backbone().state_dict().items()}
    weights = load_weights(encoder, name, "auto")
    untouched = {key for key, tensor in encoder.backbone().state_dict().items() if torch.equal(tensor, before[key])}
    assert {key for key in untouched if not key.endswith("num_batches_tracked")} == set()
    assert {key.partition(".")[0] for key in weights.dropped} == {"classifier"}
    assert weights.source.startswith("pip package ") and weights.licence and len(weights.sha256) == 64


@every_package
def test_looking_for_it_runs_none_of_its_code(name):
    row = PACKAGED[name]
    program = (
        "import sys\nfrom fieldmark.encoders.weights import weights_available\n"
        f"assert weights_available({name!r})\nassert {row.module!r} not in sys.modules and 'timm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, env={"PYTHONPATH": ":".join(sys.path)})
