"""What every network of the study is to training, prediction and export."""

import torch
from torch import nn
from torch.nn import functional as F


class Network(nn.Module):
    """Room scores at every step: rssi [B, T, n_ap] and acc [B, T, n_acc], scaled to [0, 1] -> scores [B, T, R].

    n_acc may be 0: the tensor is there and has no columns. Unless a network says otherwise it is trained by softmax
    cross-entropy at *every* step, although testing asks at the last step of a window alone: T answers a window teach
    more than one, and all networks learn from the same labels.
    """

    causal = False
    """No answer depends on a later step, so that the network may run along a stream and need not see windows."""

    @property
    def streams(self) -> bool:
        """Whether it is asked along a stream, its state kept, and not by windows."""
        return self.causal

    head: nn.Linear
    """The last layer, features to scores."""

    def features(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        """All but the last layer: rssi [B, T, n_ap], acc [B, T, n_acc] -> [B, T, d]."""
        raise NotImplementedError

    def forward(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(rssi, acc))

    def loss(self, scores: torch.Tensor, room: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
        """How far the scores [B, T, R] are from the true rooms [B, T], each weighted [R]: nats a step."""
        return F.cross_entropy(scores.flatten(0, 1), room.flatten(), weight)

    def last_step_loss(
        self, scores: torch.Tensor, room: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The loss at the last step alone, which no later step helps: scores [B, T, R], room [B, T] -> nats."""
        return F.cross_entropy(scores[:, -1], room[:, -1], weight)

    def auxiliary_loss(self, features: torch.Tensor, room: torch.Tensor) -> torch.Tensor | float:
        """What training minimises besides, from features [B, T, d] and true rooms [B, T]: nats a step."""
        return 0.0

    def objective(self, rssi: torch.Tensor, acc: torch.Tensor, room: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What training minimises on a batch by its defaults, and the scores [B, T, R] that it came from.

        `training.fit` puts the same together itself, for what a configuration can add: weights of rooms, the loss at
        the last step and a teacher.
        """
        features = self.features(rssi, acc)
        scores = self.head(features)
        return self.loss(scores, room) + self.auxiliary_loss(features, room), scores

    def decode(self, scores: torch.Tensor) -> torch.Tensor:
        """The room of every step: scores [B, T, R] -> [B, T] int64."""
        return scores.argmax(-1)

    def last_room(self, scores: torch.Tensor) -> torch.Tensor:
        """The room at the last step, which is what testing asks for: scores [B, T, R] -> [B] int64."""
        return self.decode(scores)[:, -1]
