"""The device's marginals (firmware/chain: tl_forward.c, tl_marginal.c, tl_smooth.c) against NumPy's and PyTorch's."""

import ctypes

import numpy as np
import pytest
import tiny_model
import torch
from aot_tools import gcc
from hypothesis import given, settings
from hypothesis import strategies as st
from online_chain import OnlineChain

from tinyloc.device import toolchain
from tinyloc.device.pipeline import NO_ROOM
from tinyloc.files import shipped
from tinyloc.models.chain import Chain
from tinyloc.models.crf import OnlineMarginal, last_marginal_numpy

LENGTH = 9
SCALE, ZERO = np.float32(0.11), -5
CONFIG = """
#include <stdint.h>
#define CHAIN_FEATURES 1
#define CHAIN_SAMPLES 0
#define CHAIN_ROOMS {rooms}
#define CHAIN_LENGTH {length}
#define CHAIN_LAG {lag}
typedef {ctype} chain_score;
#define CHAIN_REAL_SCORE(score) {real}
extern float chain_crf_start[CHAIN_ROOMS], chain_odds_transition[CHAIN_ROOMS][CHAIN_ROOMS], chain_odds_end[CHAIN_ROOMS];
"""
ENERGIES = (
    "float chain_crf_start[CHAIN_ROOMS], chain_odds_transition[CHAIN_ROOMS][CHAIN_ROOMS], chain_odds_end[CHAIN_ROOMS];"
)
PROPERTY = settings(derandomize=True, deadline=None, max_examples=25)


class Device(OnlineChain):
    """The C of one number of rooms and one lag, with energies that a test can set."""

    def __init__(self, folder, rooms, lag, quantised):
        kind = ("int8_t", f"((float)((score) - ({ZERO})) * {SCALE:.9g}f)") if quantised else ("float", "(score)")
        values = {"rooms": rooms, "lag": lag, "length": LENGTH, "ctype": kind[0], "real": kind[1]}
        (folder / "chain_config.h").write_text(CONFIG.format(**values))
        (folder / "energies.c").write_text(f'#include "chain_config.h"\n{ENERGIES}\n')
        chain, kernels = shipped("firmware") / "chain", shipped("firmware") / "kernels"
        sources = [chain / f"tl_{name}.c" for name in ("forward", "marginal", "smooth")]
        sources += [kernels / "tl_math.c", folder / "energies.c"]
        gcc("-O2", "-fPIC", "-shared", f"-I{folder}", f"-I{kernels}", *sources, "-o", folder / "marginal.so")
        super().__init__(folder / "marginal.so", rooms, lag)

    def begin(self, start, transition, end):
        odds = {f"odds_{n}": np.exp(v - v.max()) for n, v in (("transition", transition), ("end", end))}
        self.set({f"chain_{name}": values for name, values in {"crf_start": start, **odds}.items()})

    def forward(self, scores):
        """Log of the recursion's numbers at the last step, without the energies of an end."""
        now, seen, after = (np.zeros(self.rooms, np.float32) for _ in range(3))
        rows = [row.tobytes() for row in scores]
        self.library.tl_forward_begin(rows[0], _of(now))
        for row in rows[1:]:
            self.library.tl_forward_seen(row, _of(seen))
            self.library.tl_forward_step(_of(now), _of(seen), _of(after))
            now, after = after, now
        return now


def _of(values):
    return values.ctypes.data_as(ctypes.c_void_p)


def case(seed, rooms, n_steps, quantised):
    """(energies, scores as the model leaves them, the same as real numbers); scores as far apart as a sure model's."""
    rng = np.random.default_rng(seed)
    crf = [(3 * rng.standard_normal(shape)).astype(np.float32) for shape in (rooms, (rooms, rooms), rooms)]
    if quantised:
        given = rng.integers(-128, 128, (n_steps, rooms)).astype(np.int8)
        return crf, given, (given.astype(np.float32) - ZERO) * SCALE
    given = (8 * rng.standard_normal((n_steps, rooms))).astype(np.float32)
    return crf, given, given


def marginals(crf, scores):
    """log p of every room at every step of one stream [T, R], by PyTorch in double."""
    chain = Chain(*(torch.from_numpy(values).double() for values in (scores[None], *crf)))
    return chain.log_marginals()[0].numpy()


@pytest.fixture(scope="module", params=[(2, 0, True), (3, 2, False), (4, 0, True), (11, 6, False)], ids=str)
def device(request, tmp_path_factory):
    tiny_model.need(toolchain.HOST_GCC)
    rooms, lag, quantised = request.param
    return Device(tmp_path_factory.mktemp("marginal"), rooms, lag, quantised), quantised


def test_a_window_has_numpys_marginal_to_1e_5_and_its_room(device):
    one, quantised = device

    @PROPERTY
    @given(seed=st.integers(0, 2**32))
    def check(seed):
        crf, given, scores = case(seed, one.rooms, LENGTH, quantised)
        one.begin(*crf)
        wanted = last_marginal_numpy(scores[None], *crf)[0]
        np.testing.assert_allclose(wanted, marginals(crf, scores)[-1], atol=1e-4, rtol=1e-5)
        odds = one.forward(given) * np.exp(crf[2] - crf[2].max())
        np.testing.assert_allclose(odds / odds.sum(), np.exp(wanted), atol=1e-5)
        room = one.library.tl_decode(given.tobytes())
        assert room == wanted.argmax() or wanted.max() - wanted[room] < 1e-4

    check()


def test_a_stream_has_the_marginal_of_all_it_has_seen(device):
    """Of every step, given what came before and `lag` steps after it; Python's rooms where nothing is nearly even."""
    one, quantised = device
    decided = set()

    @PROPERTY
    @given(seed=st.integers(0, 2**32), n_steps=st.integers(1, 30))
    def check(seed, n_steps):
        crf, given, scores = case(seed, one.rooms, n_steps, quantised)
        python = OnlineMarginal(*crf, one.lag)
        open_end = [crf[0], crf[1], np.zeros_like(crf[2])]
        one.begin(*crf)
        assert one.library.tl_online_begun() == 0
        for t in range(n_steps):
            wanted, got = python.push(scores[t]), one.push(given[t])
            if t < one.lag:
                assert wanted is None and got == NO_ROOM
                continue
            exact = marginals(open_end, scores[: t + 1])[t - one.lag]
            for room in (wanted, got):
                assert exact.max() - exact[room] < 1e-4
            decided.add(got)
        exact = marginals(crf, scores)[max(n_steps - one.lag, 0) :] if one.lag else []
        python_due, due = python.finish(), one.finish()
        assert due[len(exact) :] == [NO_ROOM] * (one.lag - len(exact)) and len(python_due) == len(exact)
        for at_step, rooms in zip(exact, zip(python_due, due, strict=False), strict=True):
            assert all(at_step.max() - at_step[room] < 1e-4 for room in rooms)

    check()
    assert len(decided) == one.rooms


def test_a_filter_runs_on_for_ever_whatever_it_is_told(tmp_path):
    """Moves as far apart as `MOST_SPAN` allows, scores beyond what exponentials hold: never nothing to divide by."""
    tiny_model.need(toolchain.HOST_GCC)
    one = Device(tmp_path, 3, 2, quantised=False)
    transition = np.float32([[0, -40, -40], [-40, 0, -40], [-40, -40, 0]])
    one.begin(np.float32([0, -90, -200]), transition, np.float32([0, -40, -40]))
    loud = np.float32([[300, -300, 0], [-300, 300, 0], [0, -300, 300]])
    rooms = [one.push(loud[t // 5 % 3]) for t in range(600)]
    assert set(rooms) == {NO_ROOM, 0, 1, 2}
    assert rooms[2:] == [(t // 5) % 3 for t in range(598)]
