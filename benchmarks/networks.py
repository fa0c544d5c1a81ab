"""Training steps of MDCSA and Mamba, and the selective scan, beside the equations written out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch.nn import functional as F

from benchmarks import Table
from benchmarks.timing import race
from tinyloc.models import reference
from tinyloc.models.mamba import Mamba
from tinyloc.models.mdcsa import MDCSA
from tinyloc.models.network import Network
from tinyloc.models.scan import selective_scan, selective_scan_loop
from tinyloc.training.optim import Lookahead

N_AP, N_ACC, N_ROOMS, N_STEPS = 4, 6, 4, 20
CORES = 2


def run(rounds: int = 20) -> Table:
    """Both subjects, in this order."""
    with _threads(CORES):
        rows = [*_scans(rounds)]
    # a fit runs on one thread, because the folds are what runs in parallel
    with _threads(1):
        rows += [*_training_steps(rounds)]
    return Table(
        title="Networks: ours beside the papers' equations written out",
        note=f"The fastest of {rounds} turns. Scans: B = 256, E = 32, N = 8, T = 20, on {CORES} threads; "
        f"training steps: windows of {N_STEPS} steps, forward, backward and optimiser, on one thread.",
        rows=rows,
    )


def _row(what: str, ours: float, literal: float, at_least: float | None = None) -> dict[str, str | float | None]:
    return {
        "what": what,
        "ours, a second": 1 / ours,
        "literal, a second": 1 / literal,
        "ratio": literal / ours,
        "at least": at_least,
    }


# ── scan ─────────────────────────────────────────────────────────────────────────────────────────
def _scans(rounds: int) -> Iterator[dict]:
    inputs = _scan_inputs(256, N_STEPS, 32, 8)
    weight = torch.randn_like(inputs[0])
    scans = {"ours": selective_scan, "literal": selective_scan_loop}

    def forward(scan: Callable) -> Callable[[], object]:
        return lambda: torch.no_grad()(scan)(*inputs)

    def both(scan: Callable) -> Callable[[], object]:
        return lambda: torch.autograd.grad(scan(*inputs), inputs, weight)

    # training needs both directions, and it is training that is promised to be faster
    for what, call, at_least in (
        ("selective scan, forward alone", forward, None),
        ("selective scan, forward and backward", both, 3.0),
    ):
        seconds = race({name: call(scan) for name, scan in scans.items()}, 2 * rounds)
        yield _row(what, seconds["ours"], seconds["literal"], at_least)


def _scan_inputs(batch: int, n_steps: int, channels: int, n_state: int) -> tuple[torch.Tensor, ...]:
    """x, dt, A, B, C and D as a Mamba block has them when training begins."""
    torch.manual_seed(0)
    x, dt = torch.randn(batch, n_steps, channels), F.softplus(torch.randn(batch, n_steps, channels) - 3)
    A, D = -torch.arange(1.0, n_state + 1).repeat(channels, 1), torch.ones(channels)
    B, C = torch.randn(batch, n_steps, n_state), torch.randn(batch, n_steps, n_state)
    return tuple(v.requires_grad_() for v in (x, dt, A, B, C, D))


# ── training ─────────────────────────────────────────────────────────────────────────────────────
def _training_steps(rounds: int) -> Iterator[dict]:
    torch.manual_seed(0)
    mamba = Mamba(N_AP, N_ACC, N_ROOMS, d=16, n_state=8)
    for what, network, literal, batch in (
        ("MDCSA training step, d = 16, batch 32", _mdcsa(16), _literal_mdcsa, 32),
        ("MDCSA training step, d = 32, batch 256", _mdcsa(32), _literal_mdcsa, 256),
        ("Mamba training step, d = 16, batch 32", mamba, _literal_mamba, 32),
        ("Mamba training step, d = 16, batch 256", mamba, _literal_mamba, 256),
    ):
        examples = _examples(batch)
        seconds = race({"ours": _step(network, _ours, examples), "literal": _step(network, literal, examples)}, rounds)
        yield _row(what, seconds["ours"], seconds["literal"])


def _mdcsa(d: int) -> MDCSA:
    return MDCSA(N_AP, N_ACC, N_ROOMS, d=d)


def _examples(batch: int) -> tuple[torch.Tensor, ...]:
    rssi, acc = torch.rand(batch, N_STEPS, N_AP), torch.rand(batch, N_STEPS, N_ACC)
    return rssi, acc, torch.randint(N_ROOMS, (batch, N_STEPS))


def _step(network: Network, loss: Callable[..., torch.Tensor], examples: tuple) -> Callable[[], None]:
    """One step of training by a loss, on a copy of the network with an optimiser of its own."""
    network = deepcopy(network).train()
    optimiser = Lookahead(torch.optim.RAdam(network.parameters(), foreach=True))

    def step() -> None:
        optimiser.zero_grad()
        loss(network, *examples).backward()
        optimiser.step()

    return step


def _ours(network: Network, rssi: torch.Tensor, acc: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
    return network.objective(rssi, acc, room)[0]


def _literal_mdcsa(network: MDCSA, rssi: torch.Tensor, acc: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
    return reference.crf_nll(network.crf, reference.mdcsa(network, rssi, acc), room)


def _literal_mamba(network: Mamba, rssi: torch.Tensor, acc: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
    return network.loss(reference.mamba(network, rssi, acc), room)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
