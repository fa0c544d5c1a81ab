"""The device's fixed-lag Viterbi (firmware/chain/tl_online.c) against `OnlineViterbi`, step by step, ties included."""

import numpy as np
import pytest
import tiny_model
from aot_tools import gcc
from hypothesis import given, settings
from hypothesis import strategies as st
from online_chain import OnlineChain

from tinyloc.device import toolchain
from tinyloc.device.pipeline import NO_ROOM
from tinyloc.files import shipped
from tinyloc.models.crf import OnlineViterbi

SCALE, ZERO = np.float32(0.37), -5
# In place of the constants that `emit_chain` writes: energies that a test can set.
CONFIG = """
#include <stdint.h>
#define CHAIN_FEATURES 1
#define CHAIN_SAMPLES 0
#define CHAIN_ROOMS {rooms}
#define CHAIN_LAG {lag}
typedef uint8_t chain_room;
typedef {ctype} chain_score;
#define CHAIN_REAL_SCORE(score) {real}
extern float chain_crf_start[CHAIN_ROOMS], chain_crf_transition[CHAIN_ROOMS][CHAIN_ROOMS], chain_crf_end[CHAIN_ROOMS];
"""
ENERGIES = (
    "float chain_crf_start[CHAIN_ROOMS], chain_crf_transition[CHAIN_ROOMS][CHAIN_ROOMS], chain_crf_end[CHAIN_ROOMS];"
)


class Device(OnlineChain):
    """The C of one number of rooms and one lag."""

    def __init__(self, folder, rooms, lag, quantised):
        kind = ("int8_t", f"((float)((score) - ({ZERO})) * {SCALE:.9g}f)") if quantised else ("float", "(score)")
        (folder / "chain_config.h").write_text(CONFIG.format(rooms=rooms, lag=lag, ctype=kind[0], real=kind[1]))
        (folder / "energies.c").write_text(f'#include "chain_config.h"\n{ENERGIES}\n')
        source = shipped("firmware") / "chain" / "tl_online.c"
        gcc("-O2", "-fPIC", "-shared", f"-I{folder}", source, folder / "energies.c", "-o", folder / "online.so")
        super().__init__(folder / "online.so", rooms, lag)

    def begin(self, start, transition, end):
        self.set({f"chain_crf_{n}": v for n, v in (("start", start), ("transition", transition), ("end", end))})


def energies(rng, rooms, coarse):
    """Start, transition and end; coarse ones make ties at every step."""
    shapes = (rooms, (rooms, rooms), rooms)
    if coarse:
        return [rng.integers(-1, 2, shape).astype(np.float32) for shape in shapes]
    return [(2 * rng.standard_normal(shape)).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ("rooms", "lag", "quantised"), [(1, 2, False), (2, 1, True), (3, 0, True), (4, 5, True), (7, 20, False)]
)
def test_the_device_gives_pythons_rooms_at_every_step(tmp_path, rooms, lag, quantised):
    tiny_model.need(toolchain.HOST_GCC)
    device = Device(tmp_path, rooms, lag, quantised)

    @settings(derandomize=True, deadline=None, max_examples=25)
    @given(seed=st.integers(0, 2**32), n_steps=st.integers(0, 60), coarse=st.booleans())
    def check(seed, n_steps, coarse):
        rng = np.random.default_rng(seed)
        crf = energies(rng, rooms, coarse)
        given = rng.integers(-3, 4, (n_steps, rooms)).astype(np.int8 if quantised else np.float32)
        if not coarse:
            given = (
                rng.integers(-128, 128, given.shape).astype(np.int8)
                if quantised
                else given + rng.random(given.shape, np.float32)
            )
        scores = (given.astype(np.float32) - ZERO) * SCALE if quantised else given
        python = OnlineViterbi(*crf, lag)
        device.begin(*crf)
        for now, row in zip(scores, given, strict=True):
            wanted = python.push(now)
            assert device.push(row) == (NO_ROOM if wanted is None else wanted)
        due = python.finish()
        assert device.finish() == due + [NO_ROOM] * (lag - len(due))

    check()


def test_the_device_runs_on_for_ever_in_constant_memory(tmp_path):
    """A step outweighs what floats hold of a thousand: only differences may be kept."""
    tiny_model.need(toolchain.HOST_GCC)
    device, rng = Device(tmp_path, 3, 4, quantised=False), np.random.default_rng(0)
    device.begin(*energies(rng, 3, coarse=False))
    loud = np.float32([1e36, 0, -1e36])
    assert {device.push(loud) for _ in range(2000)} == {NO_ROOM, 0}
    assert device.library.tl_online_begun() == 1
    device.library.tl_online_begin()
    assert device.library.tl_online_begun() == 0
    assert [device.push(row) for row in np.eye(3, dtype=np.float32)] == [NO_ROOM] * 3
