"""Codes below eight bits, the choice of widths, and lookup tables in TFLite Micro."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_writer import ModelWriter

from tinyloc.config import Features, MambaModel
from tinyloc.data.windows import Scaler
from tinyloc.errors import InputError
from tinyloc.evaluation.paired import EQUIVALENT
from tinyloc.export import below_eight, codes, flatbuffer, lookup, mixed_precision
from tinyloc.export.below_eight import Answers, Run
from tinyloc.export.codes import Layer
from tinyloc.export.tflm import Tflm
from tinyloc.models import registry
from tinyloc.report import few_bits, words
from tinyloc.report.figures import few_bits as figures
from tinyloc.training import checkpoint

some = settings(derandomize=True, deadline=None, max_examples=20)
CHANNELS, COLUMNS = 32, 16


def layer(seed: int, channels: int = CHANNELS, columns: int = COLUMNS) -> Layer:
    """As `quantise` leaves one: the largest integer of every channel is 127."""
    rng = np.random.default_rng(seed)
    real = rng.standard_t(4, (channels, columns)) * rng.uniform(0.1, 3, (channels, 1))
    scales = (np.abs(real).max(1) / 127).astype(np.float32)
    return Layer(np.round(real / scales[:, None]).astype(np.int8), scales)


def error(coded: codes.Coded, of: Layer) -> float:
    return float(np.square(coded.real - of.real).sum())


@some
@given(st.integers(0, 2**32 - 1))
def test_more_bits_are_more_bytes_and_less_error(seed):
    one = layer(seed, 6, 20)
    for of in (
        [codes.uniform(one, bits) for bits in (2, 3, 4, 5, 6)],
        [codes.codebook(one, entries) for entries in (2, 4, 8, 16)],
        [codes.codebook(one, entries, by_channel=True) for entries in (2, 4, 8)],
        [codes.series(one, bits) for bits in ((2,), (2, 2), (2, 2, 2))],
    ):
        assert all(a.bytes < b.bytes for a, b in pairwise(of))
        assert all(error(a, one) > error(b, one) for a, b in pairwise(of))


def test_bytes_and_values_by_hand():
    one = layer(0)  # 512 weights, 32 channels
    assert codes.as_it_is(one).bytes == 512 + 4 * 32
    assert codes.uniform(one, 3).bytes == 512 * 3 // 8 + 4 * 32
    assert codes.codebook(one, 8).bytes == 512 * 3 // 8 + 8 + 4 * 32
    assert codes.codebook(one, 8, by_channel=True).bytes == 512 * 3 // 8 + 8 * 32 + 4 * 32
    assert codes.series(one, (3, 2)).bytes == 512 * 3 // 8 + 512 * 2 // 8 + 2 * 4 * 32
    assert codes.packed(3, 3) == 2
    assert set(np.unique(codes.uniform(one, 2).terms[0].integers)) == {-1, 0, 1}
    assert len(np.unique(codes.codebook(one, 16).terms[0].integers)) == 16
    few = Layer(np.array([[-3, 0, 5, 5]], np.int8), np.ones(1, np.float32))
    assert error(codes.codebook(few, 4), few) == 0


def test_a_short_ruler_beats_one_that_reaches_the_outlier():
    real = np.append(np.linspace(-1, 1, 60), 4.0)
    one = Layer(np.round(real / 4 * 127).astype(np.int8)[None], np.array([4 / 127], np.float32))
    found = codes.uniform(one, 3)
    assert found.terms[0].scales[0] < 4 / 3 * 0.9
    reaching = np.round(one.real / (4 / 3)) * (4 / 3)
    assert error(found, one) < np.square(reaching - one.real).sum()


options = st.builds(mixed_precision.Option, st.integers(1, 50), st.floats(0, 10))


@some
@given(st.lists(st.dictionaries(st.sampled_from([2, 3, 4, 8]), options, min_size=1), min_size=1, max_size=4), st.data())
def test_the_chosen_widths_are_the_best_of_all(layers, data):
    by_name = dict(enumerate(layers))
    least = sum(min(o.bytes for o in layer.values()) for layer in layers)
    budget = data.draw(st.integers(least, least + 60))
    chosen = mixed_precision.choose(by_name, budget)
    taken = [by_name[name][code] for name, code in chosen.items()]
    assert sum(o.bytes for o in taken) <= budget
    every = [c for c in product(*(layer.values() for layer in layers)) if sum(o.bytes for o in c) <= budget]
    assert sum(o.noise for o in taken) == pytest.approx(min(sum(o.noise for o in c) for c in every))
    with pytest.raises(InputError, match=f"a budget of {least - 1:,} bytes; the narrowest codes take {least:,}"):
        mixed_precision.choose(by_name, least - 1)


@pytest.fixture
def dense():
    """An int8 model of one dense layer, with the bias on its scales."""
    one, writer = layer(1), ModelWriter()
    x = writer.input([1, COLUMNS], "int8", scale=0.05, zero=3, name="x")
    weight = writer.constant(one.integers, scale=one.scales)
    bias = writer.constant(np.arange(CHANNELS, dtype=np.int32) * 40, scale=one.scales * np.float32(0.05))
    y = writer.output(writer.tensor([1, CHANNELS], "int8", scale=0.4, name="y"))
    writer.operator("FULLY_CONNECTED", [x, weight, bias], [y], "FullyConnected", version=4)
    return flatbuffer.parse(writer.bytes(), "dense")


def answers(model, path) -> np.ndarray:
    path.write_bytes(flatbuffer.pack(model))
    rows = np.random.default_rng(2).integers(-128, 128, (20, COLUMNS)).astype(np.int8)
    return Tflm(path).run({"x": rows})["y"]


def coded(dense, code) -> flatbuffer.schema.ModelT:
    return lookup.replaced(dense, {i: code(one).terms[0] for i, one in lookup.layers(dense).items()})


@pytest.mark.parametrize(
    "code", [lambda one: codes.uniform(one, 4), lambda one: codes.codebook(one, 16), lambda one: codes.uniform(one, 7)]
)
def test_tflite_micro_gets_the_same_integers_from_packed_weights(dense, code, tmp_path):
    plain = coded(dense, code)
    packed = lookup.compress(plain)
    assert flatbuffer.operator_counts(packed) == {"CUSTOM": 1, "FULLY_CONNECTED": 1}
    expected = answers(plain, tmp_path / "plain.tflite")
    assert len(np.unique(expected)) > 50
    assert (answers(packed, tmp_path / "packed.tflite") == expected).all()


def test_what_the_package_writes_is_wrong_in_the_interpreter_without_a_word(dense, tmp_path, monkeypatch):
    """The reason for `lookup._mend`: should this test fail, the package is mended and ours can go."""
    plain = coded(dense, lambda one: codes.uniform(one, 4))

    def forget_scales_alone(model):
        for tensor in flatbuffer.graph(model).tensors:
            if flatbuffer.dtype(tensor) == np.uint8:
                tensor.quantization = None

    monkeypatch.setattr(lookup, "_mend", forget_scales_alone)
    wrong = answers(lookup.compress(plain), tmp_path / "packed.tflite")
    assert (wrong != answers(plain, tmp_path / "plain.tflite")).mean() > 0.5


def test_weights_of_too_many_values_stay_and_small_layers_too(dense):
    assert flatbuffer.operator_counts(lookup.compress(dense)) == {"FULLY_CONNECTED": 1}
    few = coded(dense, lambda one: codes.uniform(one, 2))
    assert flatbuffer.operator_counts(lookup.compress(few, least=10_000)) == {"FULLY_CONNECTED": 1}


def test_biases_keep_their_value_on_the_new_scales(dense):
    before, after = (
        flatbuffer.constant(m, flatbuffer.graph(m).tensors[2]) * flatbuffer.graph(m).tensors[2].quantization.scale
        for m in (dense, coded(dense, lambda one: codes.uniform(one, 3)))
    )
    steps = flatbuffer.graph(coded(dense, lambda one: codes.uniform(one, 3))).tensors[2].quantization.scale
    assert (np.abs(after - before) <= steps / 2 * 1.001).all()


def test_a_model_of_streams_is_refused(tmp_path):
    config = MambaModel(family="mamba", d=8, n_state=4)
    scaler = Scaler(np.zeros(3), np.ones(3), np.zeros(2), np.ones(2))
    model = registry.build(config, 3, 2, 2, seed=0, rooms=["kitchen", "hall"])
    trained = checkpoint.Trained(model, config, scaler, ("a", "b", "c"), ("kitchen", "hall"), Features(), 8)
    checkpoint.save(tmp_path / "model.pt", trained)
    with pytest.raises(InputError, match=r"model\.pt: codes below eight bits .* choose an MDCSA"):
        below_eight.Model(tmp_path / "none.tflite", tmp_path / "model.pt")


def answered(fold: str, family: str, setting: str, size: int, wrong: int) -> Answers:
    true = np.arange(200) % 3
    predicted = np.where(np.arange(200) < wrong, (true + 1) % 3, true)
    same = 1 - wrong / 200
    return Answers(fold, family, setting, size, 800, np.full(200, fold), true, predicted, same, 30.0 - wrong)


def test_codes_over_folds():
    found = [
        answered(str(fold), family, setting, size, wrong)
        for fold in range(8)
        for family, setting, size, wrong in [
            ("PyTorch", "32", 3200, 0),
            ("uniform", "4", 400, 0),
            ("uniform", "2", 200, 60 + fold),
        ]
    ]
    table = few_bits.summary(found, n_rooms=3)
    assert table["bits"].tolist() == [32, 4, 2] and table["agreement_low"].tolist() == [1, 1, 1 - 67 / 200]
    assert table["verdict"].tolist() == ["", EQUIVALENT, "worse"]
    assert few_bits.smallest_equivalent(table)["bytes"] == 400
    assert "*uniform* (4): 4.0 bits" in words.few_bits(few_bits.smallest_equivalent(table), table)
    assert few_bits.smallest_equivalent(table.iloc[[0, 2]]) is None
    assert "No code" in words.few_bits(None, table)
    assert len(few_bits.shown(table)) == 3
    labels = [text.get_text() for axes in figures.trade(table).axes for text in axes.texts]
    assert labels == ["4", "2"]
    packed = few_bits.runs([Run("uniform", "4", 2048, 1024, 1.0)])
    assert packed.iloc[0].tolist() == ["uniform", "4", "2.0", "1.0", "100.00"]
