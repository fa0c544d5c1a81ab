"""A trained Mamba that reads only some of its states, for an exercise of the chapter on Mamba."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from tinyloc import config
from tinyloc.data.splits import Fold
from tinyloc.evaluation import paired, statistics
from tinyloc.evaluation.paired import BETTER, EQUIVALENT, MARGIN, UNDECIDED, WORSE
from tinyloc.evaluation.statistics import Units
from tinyloc.models.mamba import MambaBlock, Scan
from tinyloc.report.numbers import counted, p_value, percent, points
from tinyloc.training import checkpoint
from tinyloc.training.forgetting import half_lives
from tinyloc.training.predict import predict_steps
from tinyloc.training.predictions import Predictions

Reading = Callable[[torch.Tensor], Scan]
"""Makes, of a mask [E, N], a selective scan that never reads the states outside it."""

ALL, SLOW, FAST, NONE = "all", "slow", "fast", "none"
PARTS = {
    ALL: lambda life, middle: np.ones_like(life, bool),
    SLOW: lambda life, middle: life > middle,
    FAST: lambda life, middle: life <= middle,
    NONE: lambda life, middle: np.zeros_like(life, bool),
}
"""Which states are read, by their half-lives [E, N] and the one in the middle of the whole network."""

SAID = {
    BETTER: "the half that reacts matters more",
    WORSE: "the half that remembers matters more",
    EQUIVALENT: f"the halves are equivalent within {100 * MARGIN:g} point",
    UNDECIDED: "which half matters more is undecided",
}


def ask(folder: Path, folds: Sequence[Fold], windows: config.Windows, reading: Reading) -> dict[str, Units]:
    """What is right and wrong on the test windows when all states are read, a half of them, or none; see `PARTS`.

    folder: of a trained Mamba, as `Study.fit` returns it.
    """
    answers: dict[str, dict[str, Predictions]] = {name: {} for name in PARTS}
    for fold in folds:
        trained = checkpoint.load(folder / f"fold-{fold.name}" / "model.pt")
        lives = half_lives(trained, fold.test)
        middle = np.median(np.concatenate([life.ravel() for life in lives]))
        for name, chosen in PARTS.items():
            masks = [torch.from_numpy(chosen(life, middle)) for life in lives]
            hooks = [
                layer.block.register_forward_hook(_by(reading(mask)))
                for layer, mask in zip(trained.model.layers, masks, strict=True)
            ]
            answers[name][fold.name] = predict_steps(trained, fold.test, windows)
            for hook in hooks:
                hook.remove()
    return {name: _units(found, trained.n_rooms) for name, found in answers.items()}


def _by(scan: Scan) -> Callable:
    """A hook that puts in the place of a block's output that of the same block around another scan."""

    def again(block: MambaBlock, inputs: tuple[torch.Tensor], _: torch.Tensor) -> torch.Tensor:
        return block._around(scan, *inputs)

    return again


def _units(answers: Mapping[str, Predictions], n_rooms: int) -> Units:
    names = [name for name, rows in answers.items() for _ in range(len(rows))]
    recording, true, predicted = (
        np.concatenate([getattr(rows, column) for rows in answers.values()])
        for column in ("recording", "y_true", "y_pred")
    )
    return statistics.units(names, recording.tolist(), [(true, predicted)], n_rooms)


def score(units: Units) -> float:
    """Macro F1 of all units."""
    return float(units.score(np.arange(len(units.names))[None])[0])


def in_words(found: Mapping[str, Mapping[str, Units]]) -> str:
    """Markdown: what each half is worth, and which is worth more. found: what `ask` gives, by data set."""
    lines = []
    for dataset, parts in found.items():
        scores = {name: percent(score(units)) for name, units in parts.items()}
        lines.append(
            f"- **{dataset}** (macro F1, {counted(len(parts[ALL].names), 'unit')}): with all states {scores[ALL]} %, "
            f"with the slow half alone {scores[SLOW]} %, with the fast half alone {scores[FAST]} %, with none "
            f"{scores[NONE]} %. {_verdict(parts[FAST], parts[SLOW])}"
        )
    return "\n".join(lines)


def _verdict(fast: Units, slow: Units) -> str:
    test = paired.compare([fast], [slow])
    minus = f"Fast minus slow is {points(test.difference)} points"
    if np.isnan(test.p):
        return f"{minus}, and with a single unit there is nothing to judge that by."
    said = SAID[paired.verdict(test.difference, test.low, test.high, test.p, test.p_equivalent)]
    return f"{minus} (95 % interval {points(test.low)} to {points(test.high)}, p {p_value(test.p)}): {said}."
