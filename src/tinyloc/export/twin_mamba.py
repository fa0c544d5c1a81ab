"""Mamba as a TensorFlow function, for a microcontroller: one step, whose state goes in and comes out, or a window.

The same function as `models.mamba.Mamba.step` and its `forward`, with these changes of form, exact up to rounding:

- **The state h lies as [N, E]**, so that everything per channel is a row and only B is turned into a column.
- **The convolution over the last K inputs is one DEPTHWISE_CONV_2D.**
- **RMSNorm is L2 normalisation.** Its epsilon is a channel of the residual stream that nothing writes to, see
  `weights`; its gain goes into the layer behind.
- **-dt instead of dt**: -softplus(v) = log(logistic(-v)), with -v from the weights. Then exp(dt A) is
  exp(-dt exp(A_log)), and the sign of what enters h turns its sum into a difference.
- **Without EXP and LOG**, which have no integer kernels, both come from the logistic function, see `weights`.
- **With ELU instead**, where there is a kernel for it (int8) and calibration data say how far a step reaches: dt and
  h are brought to one size in every channel, which integers need (see `reach`), and e^-x is ELU(-x) + 1.

Of a window all but the recurrence is done for all steps at once, and the recurrence is written out, step after step.
Its states lie in the arena together, so that a window takes T times the memory of a step.
"""

from collections.abc import Sequence

import numpy as np

from tinyloc.export.reach import Reach
from tinyloc.export.tensorflow import tf
from tinyloc.export.weights import (
    Avoid,
    before_norm,
    behind_norm,
    constant,
    decay,
    dense,
    epsilon_channel,
    log1p_over,
    normalise,
    numpy,
    softplus,
)
from tinyloc.models.mamba import Mamba, ResidualBlock

MOST_V = 0.7
"""A larger input of softplus is beyond the polynomial that follows ELU: 1e-4 at the sixth degree."""

MOST_JOINED = 10
"""Inputs that TFLite Micro's CONCATENATION takes (kMaxInputNum in its concatenation.cc)."""


class TwinMamba(tf.Module):
    """`run(rssi [1, n_ap], acc [1, n_acc], state_h0, state_recent0, …)` -> scores [1, n_rooms], next_h0, …

    Inputs without a column are left out.
    Layer i keeps h<i> [1, 1, N, E] and recent<i>, the last K - 1 inputs of its convolution [1, K - 1, 1, E].
    """

    def __init__(
        self,
        model: Mamba,
        n_features: tuple[int, int],
        avoid: Avoid = frozenset(),
        reaches: Sequence[Reach] | None = None,
    ):
        """Take the weights of `model`. n_features: n_ap and n_acc, which the model knows the sum of only.

        avoid: see `weights`. reaches: of every layer on calibration data, for a twin that becomes int8.
        """
        super().__init__()
        self.avoid = avoid
        weight, bias = dense(model.embed)
        self.embed = constant(before_norm(weight))
        self.embed_bias = constant(np.append(bias, epsilon_channel(model.norm)))
        known = reaches or [None] * len(model.layers)
        self.layers = [_step(layer, avoid, reach) for layer, reach in zip(model.layers, known, strict=True)]
        weight, bias = dense(model.head)
        self.head, self.head_bias = constant(behind_norm(model.norm, weight)), constant(bias)
        names = [f"{name}{i}" for i in range(len(self.layers)) for name in ("h", "recent")]
        shapes = [shape for layer in self.layers for shape in layer.state_shapes]
        fed = [(n, name) for n, name in zip(n_features, ("rssi", "acc"), strict=True) if n]
        self.n_fed = len(fed)
        signature = [tf.TensorSpec([1, n], name=name) for n, name in fed]
        signature += [tf.TensorSpec(shape, name=f"state_{name}") for shape, name in zip(shapes, names, strict=True)]
        self.names = names
        self.run = tf.function(self._run, input_signature=signature, autograph=False)

    def _run(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        state = inputs[self.n_fed :]
        x = tf.matmul(tf.concat(inputs[: self.n_fed], -1), self.embed) + self.embed_bias
        x = tf.reshape(x, [1, 1, 1, -1])
        after = []
        for layer, h, recent in zip(self.layers, state[::2], state[1::2], strict=True):
            x, *now = layer(x, h, recent)
            after += now
        scores = tf.matmul(normalise(x, self.avoid), self.head) + self.head_bias
        after = {f"next_{name}": value for name, value in zip(self.names, after, strict=True)}
        return {"scores": tf.reshape(scores, [1, -1]), **after}


class TwinMambaWindow(tf.Module):
    """`run(rssi [1, T, n_ap], acc [1, T, n_acc])` -> scores [1, T, n_rooms]; inputs without a column are left out."""

    def __init__(
        self,
        model: Mamba,
        n_features: tuple[int, int],
        n_steps: int,
        avoid: Avoid = frozenset(),
        reaches: Sequence[Reach] | None = None,
    ):
        """As of `TwinMamba`, for windows of `n_steps`."""
        super().__init__()
        self.step = TwinMamba(model, n_features, avoid, reaches)
        fed = [(n, name) for n, name in zip(n_features, ("rssi", "acc"), strict=True) if n]
        signature = [tf.TensorSpec([1, n_steps, n], name=name) for n, name in fed]
        self.run = tf.function(self._run, input_signature=signature, autograph=False)

    def _run(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.matmul(tf.concat(inputs, -1), self.step.embed) + self.step.embed_bias
        x = x[:, :, tf.newaxis]
        for layer in self.step.layers:
            x = layer.window(x)
        scores = tf.matmul(normalise(x, self.step.avoid), self.step.head) + self.step.head_bias
        return {"scores": scores[:, :, 0]}


class _Step(tf.Module):
    """x + block(norm(x)): rows [1, 1, 1, d + 1] and the layer's state to the same, one step later."""

    def __init__(self, layer: ResidualBlock, avoid: Avoid):
        super().__init__()
        self.avoid = avoid
        block = layer.block
        self.dt_rank, self.n_state = block.dt_rank, block.n_state
        self.state_shapes = [1, 1, block.n_state, block.channels], [1, block.d_conv - 1, 1, block.channels]
        self.in_proj = constant(behind_norm(layer.norm, dense(block.in_proj)[0]))
        self.taps = constant(numpy(block.conv_weight)[:, None, :, None])  # [K, 1, E, 1]
        self.taps_bias = constant(numpy(block.conv_bias))
        self.x_proj = constant(dense(block.x_proj)[0])
        weight, bias = dense(block.dt_proj)
        sign = -1 if self.negative else 1
        self.dt_proj, self.dt_bias = constant(sign * weight), constant(sign * bias)
        self.rate = constant(np.exp(numpy(block.A_log)).T)  # -A [N, E]
        self.D = constant(numpy(block.D))
        self.out_proj = constant(before_norm(dense(block.out_proj)[0]))

    def __call__(self, x: tf.Tensor, h: tf.Tensor, recent: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        u, z = tf.split(tf.matmul(normalise(x, self.avoid), self.in_proj), 2, axis=-1)
        taps = tf.concat([recent, u], 1)  # [1, K, 1, E]
        u = _silu(tf.nn.depthwise_conv2d(taps, self.taps, [1, 1, 1, 1], "VALID") + self.taps_bias)
        dt, B, C = tf.split(tf.matmul(u, self.x_proj), [self.dt_rank, self.n_state, self.n_state], axis=-1)
        v = tf.matmul(dt, self.dt_proj) + self.dt_bias
        kept, enters = self._select(v, u, tf.reshape(B, [1, 1, self.n_state, 1]))
        h = kept * h - enters if self.negative else kept * h + enters
        y = tf.matmul(C, h) + self.D * u
        return x + tf.matmul(y * _silu(z), self.out_proj), h, taps[:, 1:]

    def window(self, x: tf.Tensor) -> tf.Tensor:
        """A window at once, from no state: [1, T, 1, d + 1] to the same."""
        n_steps, before = x.shape[1], self.taps.shape[0] - 1
        u, z = tf.split(tf.matmul(normalise(x, self.avoid), self.in_proj), 2, axis=-1)
        padded = tf.pad(u, [[0, 0], [before, 0], [0, 0], [0, 0]])
        u = _silu(tf.nn.depthwise_conv2d(padded, self.taps, [1, 1, 1, 1], "VALID") + self.taps_bias)
        dt, B, C = tf.split(tf.matmul(u, self.x_proj), [self.dt_rank, self.n_state, self.n_state], axis=-1)
        v = tf.matmul(dt, self.dt_proj) + self.dt_bias
        kept, enters = self._select(v, u, tf.reshape(B, [1, n_steps, self.n_state, 1]))
        # where what enters is negative, so is all of this state: the sign is taken back when it is read
        states = []
        for kept_now, entering in zip(tf.split(kept, n_steps, 1), tf.split(enters, n_steps, 1), strict=True):
            states.append(kept_now * states[-1] + entering if states else entering)
        read = tf.matmul(C, _joined(states))
        y = self.D * u - read if self.negative else read + self.D * u
        return x + tf.matmul(y * _silu(z), self.out_proj)

    @property
    def negative(self) -> bool:
        """Whether `_select` gives what enters the state with the other sign."""
        return not self.avoid & {"EXP", "LOG"}

    def _select(self, v: tf.Tensor, u: tf.Tensor, B: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How much of the state stays, and what enters it: [1, T, N, E] both. v: what dt is the softplus of, or -v."""
        if not self.negative:
            dt = softplus(v)
            return decay(dt * self.rate), (dt * u) * B
        minus_dt = tf.math.log(tf.sigmoid(v))
        return tf.exp(minus_dt * self.rate), (minus_dt * u) * B


class _EvenStep(_Step):
    """A step whose dt and h reach as far in every channel: with dt / g, a h b, B a, C / a, D b and out_proj / b.

    dt = log(1 + e^v) = log(1 + g p), with g = e^(largest v) of the channel and p = e^v / g = ELU(v - log g) + 1 up to
    1. Beyond that ELU goes on as a straight line, and integers are clipped.
    """

    def __init__(self, layer: ResidualBlock, avoid: Avoid, reach: Reach):
        super().__init__(layer, avoid)
        block, (a, b) = layer.block, reach.even()
        g = np.exp(reach.v)
        x_proj, _ = dense(block.x_proj)
        dt, B, C = np.split(x_proj, [self.dt_rank, self.dt_rank + self.n_state], 1)
        self.x_proj = constant(np.concatenate([dt, B * a, C / a], 1))
        weight, bias = dense(block.dt_proj)
        self.dt_proj, self.dt_bias = constant(weight), constant(bias - reach.v)
        self.series = [constant(row) for row in log1p_over(g)]
        self.rate = constant(-np.exp(numpy(block.A_log)).T * g)  # A g [N, E]
        self.gain = constant(b * g)
        self.D = constant(numpy(block.D) * b)
        self.out_proj = constant(before_norm(dense(block.out_proj)[0] / b[:, None]))

    def _select(self, v: tf.Tensor, u: tf.Tensor, B: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """v: less the largest of its channel."""
        p = tf.nn.elu(v) + 1.0
        series = self.series[0]
        for coefficient in self.series[1:]:
            series = series * p + coefficient
        dt = series * p  # over g
        return tf.nn.elu(dt * self.rate) + 1.0, (dt * u * self.gain) * B


def _step(layer: ResidualBlock, avoid: Avoid, reach: Reach | None) -> _Step:
    if reach is None or reach.v.max() > MOST_V:
        return _Step(layer, avoid)
    return _EvenStep(layer, avoid, reach)


def _joined(steps: Sequence[tf.Tensor]) -> tf.Tensor:
    """One tensor of many steps, in as many joins as TFLite Micro needs."""
    while len(steps) > 1:
        steps = [tf.concat(steps[i : i + MOST_JOINED], 1) for i in range(0, len(steps), MOST_JOINED)]
    return steps[0]


def _silu(x: tf.Tensor) -> tf.Tensor:
    return x * tf.sigmoid(x)
