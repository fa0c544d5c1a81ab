"""The one convolution of all networks here: along time, and causal."""

import torch
from torch import nn
from torch.nn import functional as F


class CausalConv1d(nn.Module):
    """Convolution along time which sees only the present and the past: [B, T, d_in] -> [B, T, d_out].

    `dense` is the convolution as one matrix [d_out, kernel * d_in], oldest step first: on windows this small, a
    matrix product over the shifted copies beats `torch.nn.functional.conv1d`. Before the first step lie zeros.
    dilation: steps from one tap to the next.
    """

    def __init__(self, d_in: int, d_out: int, kernel: int, dilation: int = 1):
        super().__init__()
        self.kernel, self.dilation = kernel, dilation
        self.dense = nn.Linear(kernel * d_in, d_out)

    @property
    def past(self) -> int:
        """How many steps before the present one it sees."""
        return (self.kernel - 1) * self.dilation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n_steps = x.shape[1]
        padded = F.pad(x, (0, 0, self.past, 0))
        shifted = [padded[:, i * self.dilation : i * self.dilation + n_steps] for i in range(self.kernel)]
        return self.dense(torch.cat(shifted, -1))
