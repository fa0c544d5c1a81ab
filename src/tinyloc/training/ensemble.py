"""Several trained networks that answer together.

The mean of their probabilities is a mixture of experts without a gate, whose log loss is never above the mean of theirs
(convexity; L. Hansen and P. Salamon, "Neural network ensembles", 1990; for networks that differ in the seed alone:
B. Lakshminarayanan, A. Pritzel and C. Blundell, "Simple and scalable predictive uncertainty estimation using deep
ensembles", 2017).
"""

from collections.abc import Sequence

import numpy as np

from tinyloc.training.predictions import Predictions


def together(members: Sequence[Predictions]) -> Predictions:
    """The answers of an ensemble to the rows that all its members answered. Raises ValueError: they are not the same.

    A member's probability of a room is what `predict_steps` says it is: of a CRF the marginal at the last step.
    """
    first = members[0]
    for other in members[1:]:
        if not (np.array_equal(first.recording, other.recording) and np.array_equal(first.step, other.step)):
            raise ValueError("the members answered different rows")
    probability = np.mean([member.probability for member in members], 0, dtype=np.float64).astype(np.float32)
    sources = sorted({member.probability_source for member in members})
    return Predictions(
        recording=first.recording,
        segment=first.segment,
        step=first.step,
        y_true=first.y_true,
        y_pred=probability.argmax(-1),
        parameters=sum(member.parameters for member in members),
        probability=probability,
        probability_source=f"mean of {len(members)} times {', '.join(sources)}",
    )
