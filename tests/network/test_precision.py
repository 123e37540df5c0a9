from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.backends import mkldnn

from cloud_model import CloudModel
from cloud_model.errors import ArgumentError
from cloud_model.network import encoder, precision
from cloud_model.network.encoder import Encoder, EncoderConfig
from cloud_model.network.precision import autocast, choose_precision, kernels, product_seconds

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("float32", "bfloat16", "chosen"),
    [(1.0, 0.4, "bfloat16"), (1.0, 80.0, "float32"), (1.0, 0.95, "float32")],
    ids=["matrix units", "emulated", "a tie"],
)
def test_the_faster_precision_is_chosen(monkeypatch, float32, bfloat16, chosen):
    monkeypatch.setattr(precision, "product_seconds", lambda _: {"float32": float32, "bfloat16": bfloat16})
    assert choose_precision("auto", 256, CPU) == chosen
    assert choose_precision("float32", 256, CPU) == "float32"
    assert choose_precision("bfloat16", 256, CPU) == "bfloat16"


@pytest.mark.parametrize(("native", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_is_asked(monkeypatch, native, chosen):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert choose_precision("auto", 256, torch.device("cuda")) == chosen


def test_products_are_timed_once():
    first = product_seconds(64)
    assert set(first) == {"float32", "bfloat16"}
    assert all(0 < seconds < 1 for seconds in first.values())
    assert product_seconds(64) is first


def test_an_unknown_precision_is_refused():
    with pytest.raises(ArgumentError, match="Choose one of auto, float32"):
        choose_precision("half", 256, CPU)


@pytest.mark.parametrize("lower", ["bfloat16", "float16"])
def test_matrices_are_multiplied_in_the_precision(lower):
    left, right = torch.randn(4, 8), torch.randn(8, 4)
    with autocast(lower, CPU):
        assert (left @ right).dtype == getattr(torch, lower)
    with autocast("float32", CPU):
        assert (left @ right).dtype == torch.float32


def test_float32_products_compile_no_kernels():
    before = mkldnn.enabled
    with kernels("float32", CPU):
        assert not mkldnn.enabled
        with kernels("float32", CPU):
            assert not mkldnn.enabled
        assert not mkldnn.enabled
    assert mkldnn.enabled == before
    with kernels("bfloat16", CPU):
        assert mkldnn.enabled == before


def test_a_model_in_bfloat16_says_nearly_the_same(tiny_checkpoint, rock_salts):
    exact = CloudModel.from_pretrained(tiny_checkpoint)
    lower = CloudModel.from_pretrained(tiny_checkpoint, dtype="bfloat16")
    embeddings = exact.embed(rock_salts), lower.embed(rock_salts)
    assert (exact.dtype, lower.dtype) == ("float32", "bfloat16")
    assert embeddings[1].dtype == np.float32
    assert not np.array_equal(*embeddings)
    np.testing.assert_allclose(*embeddings, atol=0.05)
    assert pickle.loads(pickle.dumps(lower)).dtype == "bfloat16"  # noqa: S301
    np.testing.assert_array_equal(
        CloudModel.from_pretrained(tiny_checkpoint).embed(rock_salts), embeddings[0]
    )


def test_products_in_lower_precision_have_few_shapes():
    assert precision.kernel_rows(4001, CPU) == 4001
    with torch.autocast("cpu", torch.bfloat16):
        assert precision.kernel_rows(0, CPU) == 0
        rows = [precision.kernel_rows(number, CPU) for number in range(1, 4097)]
    assert all(number <= padded <= 1.13 * number + 1 for number, padded in enumerate(rows, 1))
    assert len(set(rows[2047:])) == 9


def test_rows_of_no_token_do_not_change_hidden_states(monkeypatch):
    torch.manual_seed(0)
    network = Encoder(EncoderConfig(vocab_size=20, hidden_size=32, max_position_embeddings=32)).eval()
    ids = torch.randint(20, (7, 19))
    shapes = []
    network.encoder["layer"][0].register_forward_pre_hook(lambda _, inputs: shapes.append(len(inputs[0])))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        padded = network(ids)
        monkeypatch.setattr(encoder, "kernel_rows", lambda rows, _: rows)
        plain = network(ids)
    assert shapes == [144, 133]
    assert padded.shape == plain.shape == (7, 19, 32)
    torch.testing.assert_close(padded, plain, rtol=0.02, atol=0.02)
