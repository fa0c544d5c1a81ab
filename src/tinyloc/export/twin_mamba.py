"""One step of Mamba as a TensorFlow function, for a microcontroller: the state goes in and comes out.

The same function as `models.mamba.Mamba.step`, with these changes of form, exact up to rounding:

- **The state h lies as [N, E]**, so that everything per channel is a row and only B is turned into a column.
- **The convolution over the last K inputs is one DEPTHWISE_CONV_2D.**
- **RMSNorm is L2 normalisation.** Its epsilon is a channel of the residual stream that nothing writes to, see
  `weights`; its gain goes into the layer behind.
- **-dt instead of dt**: -softplus(v) = log(logistic(-v)), with -v from the weights. Then exp(dt A) is
  exp(-dt exp(A_log)), and the sign of what enters h turns its sum into a difference.
- **Without EXP and LOG**, which have no integer kernels, both come from the logistic function, see `weights`.
"""

import numpy as np
import tensorflow as tf

from tinyloc.export.weights import (
    Avoid,
    before_norm,
    behind_norm,
    constant,
    decay,
    dense,
    epsilon_channel,
    normalise,
    numpy,
    softplus,
)
from tinyloc.models.mamba import Mamba, ResidualBlock


class TwinMamba(tf.Module):
    """`run(rssi [1, n_ap], acc [1, n_acc], state_h0, state_recent0, …)` -> scores [1, n_rooms], next_h0, …

    Inputs without a column are left out.
    Layer i keeps h<i> [1, 1, N, E] and recent<i>, the last K - 1 inputs of its convolution [1, K - 1, 1, E].
    """

    def __init__(self, model: Mamba, n_features: tuple[int, int], avoid: Avoid = frozenset()):
        """Take the weights of `model`. n_features: n_ap and n_acc, which the model knows the sum of only.

        avoid: see `weights`.
        """
        super().__init__()
        self.avoid = avoid
        weight, bias = dense(model.embed)
        self.embed = constant(before_norm(weight))
        self.embed_bias = constant(np.append(bias, epsilon_channel(model.norm)))
        self.layers = [_Step(layer, avoid) for layer in model.layers]
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
        sign = 1 if self._no_exponentials else -1
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
        h = self._recur(v, u, tf.reshape(B, [1, 1, self.n_state, 1]), h)
        y = tf.matmul(C, h) + self.D * u
        return x + tf.matmul(y * _silu(z), self.out_proj), h, taps[:, 1:]

    @property
    def _no_exponentials(self) -> bool:
        return bool(self.avoid & {"EXP", "LOG"})

    def _recur(self, v: tf.Tensor, u: tf.Tensor, B: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
        """The state after this step, from that before it: [1, 1, N, E]. v: what dt is the softplus of, or -v."""
        if self._no_exponentials:
            dt = softplus(v)
            return decay(dt * self.rate) * h + (dt * u) * B
        minus_dt = tf.math.log(tf.sigmoid(v))
        return tf.exp(minus_dt * self.rate) * h - (minus_dt * u) * B


def _silu(x: tf.Tensor) -> tf.Tensor:
    return x * tf.sigmoid(x)
