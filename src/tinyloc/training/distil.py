"""Knowledge distillation: what a student can imitate of its teachers, one class each.

Every class is made of what the teachers say of windows, with their dropout off, and gives the loss of a batch.
`Teaching` asks the teachers once, for all training windows as they are, and `ConsistentTeaching` again for every batch,
as it was augmented; both mix the losses with the hard one. Losses are in nats a step; those of a softened
distribution carry the factor temperature², which keeps the gradient's size the same whatever the temperature
(G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network", 2015, section 2).

Several teachers are an ensemble: their probabilities are averaged, after they were softened.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from tinyloc.config import Distillation
from tinyloc.models.chain import Chain
from tinyloc.models.network import Network

Seen = tuple[torch.Tensor, torch.Tensor]
"""What a network is given of a batch: rssi [B, T, n_ap] and acc [B, T, n_acc], scaled and augmented."""


@dataclass(frozen=True)
class Answer:
    """What a network says of B windows."""

    model: Network
    scores: torch.Tensor  # [B, T, R]
    hidden: torch.Tensor  # [B, T, d], its features, which the last layer is given

    def chain(self, temperature: float) -> Chain:
        """The distribution over paths: its CRF's; of a network that has none, steps independent of one another."""
        crf = getattr(self.model, "crf", None)
        return (crf.chain if crf is not None else Chain.independent)(self.scores).tempered(temperature)


def answer(model: Network, rssi: torch.Tensor, acc: torch.Tensor) -> Answer:
    """One forward pass; what comes out is in full precision, as sums over paths need it, whatever is inside."""
    hidden = model.features(rssi, acc)
    return Answer(model, model.head(hidden).float(), hidden.float())


@torch.no_grad()
def all_answers(model: Network, rssi: torch.Tensor, acc: torch.Tensor, batch: int = 1024) -> Answer:
    """`answer` for any number of windows, in evaluation mode, a batch at a time."""
    model.eval()
    parts = [answer(model, r, a) for r, a in zip(rssi.split(batch), acc.split(batch), strict=True)]
    return Answer(model, torch.cat([p.scores for p in parts]), torch.cat([p.hidden for p in parts]))


def all_scores(model: Network, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
    """The scores of any number of windows, in evaluation mode: [N, T, R]."""
    return all_answers(model, rssi, acc).scores


def divergence(expected: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """KL(expected || given) of log probabilities [..., R], mean over everything before R."""
    n_rooms = given.shape[-1]
    flat = given.reshape(-1, n_rooms), expected.reshape(-1, n_rooms)
    return F.kl_div(*flat, reduction="batchmean", log_target=True)


class _Target(nn.Module):
    """Made of the teachers' answers [N windows] and of the student; called with a batch of the student's answers."""

    def __init__(self, teachers: Sequence[Answer], student: Network, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Answer, rows: torch.Tensor) -> torch.Tensor:
        """The loss of the student's answer for the windows `rows` [B] of the N, nats a step."""
        raise NotImplementedError

    def _keep(self, name: str, value: torch.Tensor) -> None:
        """Moves to the training's device with the module; can be made again, so that no checkpoint holds it."""
        self.register_buffer(name, value, persistent=False)


class Scores(_Target):
    """The softened softmax of the scores at every step (Hinton, Vinyals and Dean, 2015). It never sees a CRF."""

    def __init__(self, teachers: Sequence[Answer], student: Network, temperature: float) -> None:
        super().__init__(teachers, student, temperature)
        self._keep("expected", _mean([F.log_softmax(t.scores / temperature, -1) for t in teachers]))

    def forward(self, student: Answer, rows: torch.Tensor) -> torch.Tensor:
        given = F.log_softmax(student.scores / self.temperature, -1)
        return self.temperature**2 * divergence(self.expected[rows], given)


class Marginals(_Target):
    """The CRF's probability of each room at every step, given the whole window.

    X. Wang et al., "Structure-level knowledge distillation for multilingual sequence labeling", 2020 (there:
    posterior distillation).
    """

    def __init__(self, teachers: Sequence[Answer], student: Network, temperature: float) -> None:
        super().__init__(teachers, student, temperature)
        self._keep("expected", _mean([t.chain(temperature).log_marginals() for t in teachers]))

    def forward(self, student: Answer, rows: torch.Tensor) -> torch.Tensor:
        given = student.chain(self.temperature).log_marginals()
        return self.temperature**2 * divergence(self.expected[rows], given)


class PathDistribution(_Target):
    """The distribution over all paths of rooms: KL(teacher || student), exactly.

    The student's energies are a sum over steps and moves, so their mean under the teacher needs only the teacher's
    marginals and moves (X. Wang et al., "Structural knowledge distillation: tractably distilling information for
    structured predictor", 2021). With several teachers it is the mean of their divergences, whose
    gradient is that of the divergence from their mixture. A student without a CRF learns the marginals from it.
    """

    def __init__(self, teachers: Sequence[Answer], student: Network, temperature: float) -> None:
        super().__init__(teachers, student, temperature)
        chains = [t.chain(temperature) for t in teachers]
        marginals = [chain.log_marginals().exp() for chain in chains]
        moves = [chain.moves() for chain in chains]
        minus_entropy = [
            chain.expected_energy(m, v) - chain.log_partition()
            for chain, m, v in zip(chains, marginals, moves, strict=True)
        ]
        self._keep("marginals", torch.stack(marginals).mean(0))
        self._keep("moves", torch.stack(moves).mean(0))
        self._keep("minus_entropy", torch.stack(minus_entropy).mean(0))

    def forward(self, student: Answer, rows: torch.Tensor) -> torch.Tensor:
        chain = student.chain(self.temperature)
        expected = chain.expected_energy(self.marginals[rows], self.moves[rows]) - chain.log_partition()
        n_steps = student.scores.shape[1]
        return self.temperature**2 * (self.minus_entropy[rows] - expected).mean() / n_steps


class Paths(_Target):
    """The teacher's best path as if it were the truth: its mode stands for its distribution.

    Y. Kim and A. Rush, "Sequence-level knowledge distillation", 2016, section 3.2. It knows no temperature.
    """

    def __init__(self, teachers: Sequence[Answer], student: Network, temperature: float) -> None:
        super().__init__(teachers, student, temperature)
        self._keep("paths", torch.stack([t.model.decode(t.scores) for t in teachers]))

    def forward(self, student: Answer, rows: torch.Tensor) -> torch.Tensor:
        return sum(student.model.loss(student.scores, path[rows]) for path in self.paths) / len(self.paths)


class Features(_Target):
    """Hints: the teacher's last hidden state from the student's, by a linear layer that is learnt and then dropped.

    A. Romero et al., "FitNets: hints for thin deep nets", 2015, equation 3, but together with the other losses and
    not as a stage of its own. The error is in units of the hidden state's own spread: its columns have mean 0 and
    variance 1 over the training steps.
    """

    def __init__(self, teachers: Sequence[Answer], student: Network, temperature: float) -> None:
        super().__init__(teachers, student, temperature)
        self._keep("hints", torch.cat([_standard(t.hidden) for t in teachers], -1))
        self.regressor = nn.Linear(student.head.in_features, self.hints.shape[-1])

    def forward(self, student: Answer, rows: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(self.regressor(student.hidden), self.hints[rows])


TARGETS: dict[str, type[_Target]] = {
    "scores": Scores,
    "marginals": Marginals,
    "sequence": PathDistribution,
    "paths": Paths,
    "features": Features,
}


class Teaching(nn.Module):
    """(1 - alpha) · hard loss + alpha · Σ weight · target. Its parameters, if any, are trained beside the student's."""

    def __init__(self, teachers: Sequence[Answer], student: Network, config: Distillation) -> None:
        """teachers: what they say of all training windows, in their order."""
        super().__init__()
        self.config = config
        self.targets = nn.ModuleDict(_targets(teachers, student, config))

    def mix(self, hard: torch.Tensor, student: Answer, rows: torch.Tensor, seen: Seen) -> torch.Tensor:
        """The loss of a batch. hard: against the true rooms; student: for the training windows `rows` [B], of which it
        saw `seen`."""
        return _mixed(hard, self.targets, student, rows, self.config)


class ConsistentTeaching(nn.Module):
    """The same, of teachers that see what the student sees: each augmented window, anew in every epoch.

    A teacher that answered for the window as it was tells the student to answer for one window what is true of
    another (L. Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", 2022, section 3.1).
    """

    def __init__(self, teachers: Sequence[Network], config: Distillation) -> None:
        """teachers: trained networks, which scale windows as the student does."""
        super().__init__()
        self.config = config
        # a tuple hides them from torch: they are nobody's parameters to train, and no checkpoint's to hold
        self._teachers = tuple(teacher.eval() for teacher in teachers)

    def mix(self, hard: torch.Tensor, student: Answer, rows: torch.Tensor, seen: Seen) -> torch.Tensor:
        """As `Teaching.mix`."""
        with torch.no_grad():
            answers = [answer(teacher.to(rows.device), *seen) for teacher in self._teachers]
        targets = _targets(answers, student.model, self.config)
        return _mixed(hard, targets, student, torch.arange(len(rows), device=rows.device), self.config)


@torch.no_grad()  # nothing is learnt by a teacher, its CRF included
def _targets(teachers: Sequence[Answer], student: Network, config: Distillation) -> dict[str, nn.Module]:
    return {name: TARGETS[name](teachers, student, config.temperature) for name in config.targets}


def _mixed(
    hard: torch.Tensor, targets: Mapping[str, nn.Module], student: Answer, rows: torch.Tensor, config: Distillation
) -> torch.Tensor:
    soft = sum(weight * targets[name](student, rows) for name, weight in config.targets.items())
    return (1 - config.alpha) * hard + config.alpha * soft


def _mean(log_probabilities: Sequence[torch.Tensor]) -> torch.Tensor:
    """Log of the mean of probabilities."""
    return torch.logsumexp(torch.stack(list(log_probabilities)), 0) - math.log(len(log_probabilities))


def _standard(hidden: torch.Tensor) -> torch.Tensor:
    """Columns with mean 0 and variance 1 over windows and steps; one that never changes becomes 0."""
    centred = hidden - hidden.mean((0, 1))
    spread = centred.square().mean((0, 1)).sqrt()
    return centred / torch.where(spread > 0, spread, 1.0)
