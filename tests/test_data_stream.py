"""The streaming form gives the numbers of the batch form: not nearly, but every bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_tables import GATEWAYS, dataset, table, unruly

from tinyloc.config import Features
from tinyloc.data.features import REMEMBERED, all_steps
from tinyloc.data.stream import StepStream, WindowStream, play
from tinyloc.data.windows import Scaler, cut
from tinyloc.errors import InputError

PROPERTY = settings(derandomize=True, deadline=None, max_examples=100)


def streamed(data, features):
    """Every step of the first recording, from a stream."""
    recording = data.recordings[0]
    stream = StepStream(len(data.gateways), "s1x" in recording.packets, features)
    return [step for packet in play(recording, data) for step in stream.push(packet)] + stream.close()


@PROPERTY
@given(packets=unruly(), bin_s=st.sampled_from([0.3, 1.0, 2.0]), gap_s=st.sampled_from([0.5, 5.0]))
def test_steps_of_the_stream_are_those_of_the_batch(packets, bin_s, gap_s):
    features = Features(bin_s=bin_s, max_gap_s=gap_s)
    data = dataset(packets)
    (batch,) = all_steps(data, features)
    stream = streamed(data, features)
    assert len(stream) == len(batch)
    for name in ("rssi", "heard", "acc"):
        rows = np.stack([getattr(step, name) for step in stream])
        assert rows.dtype == getattr(batch, name).dtype and rows.shape == getattr(batch, name).shape
        assert rows.tobytes() == getattr(batch, name).tobytes(), name
    assert [step.segment for step in stream] == batch.segment.tolist()
    assert [step.step for step in stream] == batch.step.tolist()
    assert [step.time for step in stream] == batch.time.astype(np.int64).tolist()


@PROPERTY
@given(packets=unruly(), length=st.integers(1, 6), hop=st.integers(1, 8))
def test_windows_and_scaling_of_the_stream_are_those_of_the_batch(packets, length, hop):
    data = dataset(packets)
    batch = all_steps(data, Features())
    scaler = Scaler.fit(batch)
    windows = WindowStream(length, hop)
    stream = [w for step in streamed(data, Features()) if (w := windows.push(scaler.transform(step))) is not None]
    try:
        expected = scaler.transform(cut(batch, length, hop))
    except InputError:
        assert not stream
        return
    assert np.stack([w.rssi for w in stream]).tobytes() == expected.rssi.tobytes()
    assert np.stack([w.acc for w in stream]).tobytes() == expected.acc.tobytes()
    assert [w.step for w in stream] == expected.step.tolist()


def test_a_stream_holds_no_more_after_an_hour_than_after_a_minute():
    """Nothing that the streams own may grow with the packets: neither with their number nor within one step."""

    def held(seconds, rate):
        n = seconds * rate
        data = dataset(table(np.arange(n) * (1000 // rate)))
        steps, windows = StepStream(len(GATEWAYS), True, Features()), WindowStream(5, 1)
        for packet in play(data.recordings[0], data):
            for step in steps.push(packet):
                windows.push(step)
        sizes = [v.nbytes for part in (steps, steps._motion) for v in vars(part).values() if isinstance(v, np.ndarray)]
        return sum(sizes), steps._motion._seen.bit_length() <= REMEMBERED, len(windows._last)

    assert held(60, 2) == held(600, 2) == held(60, 100)


def test_still_samples_have_no_spread():
    """0.1 g has no exact float: a plain E[x²] - E[x]² would leave a spread of 1e-9 or a negative variance."""
    (steps,) = all_steps(dataset(table(np.arange(50) * 10, acceleration=0.1)), Features())
    assert (steps.acc[:, :3] == np.float32(0.1)).all() and (steps.acc[:, 3:] == 0).all()


def test_a_late_copy_of_a_packet_does_not_count_again():
    samples = [[0] * 15, [1] * 15, [0] * 15, [1] * 15]
    (steps,) = all_steps(dataset(table([0, 1, 2, 3], seqno=[8, 9, 8, 9], acceleration=samples)), Features())
    assert steps.acc[0, 0] == 0.5
    far = [1000, 1000 + REMEMBERED, 1001, 1000]  # 1001 is just in the window, 1000 just out of it
    (steps,) = all_steps(dataset(table([0, 1, 2, 3], seqno=far, acceleration=samples)), Features())
    assert steps.acc[0, 0] == np.float32(1 / 3)
