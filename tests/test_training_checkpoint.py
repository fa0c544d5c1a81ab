"""Checkpoints: read back whole, and refused in one line when they are not what they should be."""

import errno
import pickle
from pathlib import Path

import pytest
import torch
from toy_rooms import GATEWAYS, ROOMS, steps

from tinyloc.config import Features, MambaModel, MdcsaModel, Windows
from tinyloc.data.windows import Scaler
from tinyloc.errors import InputError
from tinyloc.models.registry import build
from tinyloc.training import checkpoint
from tinyloc.training.checkpoint import Trained
from tinyloc.training.predict import predict_steps

MODELS = [MdcsaModel(family="mdcsa", d=8, kernels=[2]), MambaModel(family="mamba", d=8, layers=2)]


@pytest.fixture(params=MODELS, ids=lambda c: c.family)
def trained(request):
    model = build(request.param, len(GATEWAYS), 6, len(ROOMS), seed=4).eval()
    return Trained(model, request.param, Scaler.fit([steps("a")]), GATEWAYS, ROOMS, Features(bin_s=0.5), length=7)


def test_what_was_saved_is_what_is_loaded(trained, tmp_path):
    checkpoint.save(tmp_path / "model.pt", trained)
    loaded = checkpoint.load(tmp_path / "model.pt")
    assert (loaded.config, loaded.gateways, loaded.rooms) == (trained.config, GATEWAYS, ROOMS)
    assert (loaded.features, loaded.length) == (Features(bin_s=0.5), 7)
    assert (loaded.n_ap, loaded.n_acc, loaded.n_rooms) == (2, 6, 2)
    expected, found = (predict_steps(t, [steps("b")], Windows(length=5)) for t in (trained, loaded))
    assert (found.scores == expected.scores).all() and (found.y_pred == expected.y_pred).all()
    assert not loaded.model.training


def broken(how, path, good):
    if how == "missing":
        path.unlink()
    elif how == "cut short":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("epoch,train_loss\n")
    elif how == "code":
        path.write_bytes(pickle.dumps(print))
    elif how == "of another format":
        torch.save({**good, "format": checkpoint.FORMAT + 1}, path)
    elif how == "of an older model":
        torch.save({**good, "model": {**good["model"], "renamed": 1}}, path)
    elif how == "of another width":
        torch.save({**good, "model": {**good["model"], "d": 12}}, path)
    elif how == "a training under way":
        torch.save({"format": checkpoint.FORMAT, "making": None, "model": good["state_dict"], "history": []}, path)
    elif how == "without rooms":
        torch.save({key: value for key, value in good.items() if key != "rooms"}, path)
    elif how == "weights that are no numbers":
        weights = {name: torch.full_like(values, torch.nan) for name, values in good["state_dict"].items()}
        torch.save({**good, "state_dict": weights}, path)
    elif how == "a bare tensor":
        torch.save(torch.zeros(3), path)


HOW = ["missing", "cut short", "empty", "text", "code", "of another format", "a bare tensor", "of an older model"]
HOW += ["of another width", "a training under way", "without rooms", "weights that are no numbers"]


@pytest.mark.parametrize("how", HOW)
def test_a_bad_checkpoint_is_one_line_that_names_it(how, trained, tmp_path):
    path = tmp_path / "model.pt"
    checkpoint.save(path, trained)
    broken(how, path, torch.load(path, weights_only=True))
    with pytest.raises(InputError) as error:
        checkpoint.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "train" in message and "\n" not in message


def test_a_failed_write_leaves_the_old_checkpoint(trained, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    checkpoint.save(path, trained)
    before = path.read_bytes()

    def fails(self, content):
        self.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(InputError, match=r"model\.pt: cannot be written \(No space left on device\); make room"):
        checkpoint.save(path, trained)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["model.pt"]
