"""What a student imitates: every target against its definition, path by path where it is about paths."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from toy_rooms import windows

from tinyloc.config import Distillation, MambaModel, MdcsaModel, Training
from tinyloc.models.registry import build
from tinyloc.training.distil import (
    TARGETS,
    Answer,
    ConsistentTeaching,
    Features,
    Marginals,
    PathDistribution,
    Paths,
    Scores,
    Teaching,
    all_answers,
    answer,
)
from tinyloc.training.fit import Batches, fit

N_STEPS, TEMPERATURE = 4, 2.0
SEEN = Batches.of(windows(12, length=N_STEPS))
ROWS = torch.tensor([5, 0, 7])
STUDENTS = [MdcsaModel(family="mdcsa", d=4, kernels=[2]), MambaModel(family="mamba", d=8, n_state=4)]
by_student = pytest.mark.parametrize("config", STUDENTS, ids=lambda c: c.family)


def make(config=STUDENTS[0], seed=0, decided=2.0):
    """A network that is sure of something: its last layer is blown up."""
    model = build(config, 2, 6, 2, seed).eval()
    model.head.weight.data.mul_(decided * 4)
    for energies in getattr(model, "crf", torch.nn.Module()).parameters():
        energies.data.mul_(decided * 10)
    return model


def answers(*models):
    return [all_answers(m, SEEN.rssi, SEEN.acc) for m in models]


def seen_of(batches, rows):
    return batches.rssi[rows], batches.acc[rows]


def batch(model) -> Answer:
    return answer(model, *seen_of(SEEN, ROWS))


def path_probabilities(found: Answer, temperature=TEMPERATURE) -> torch.Tensor:
    """Of every path of every window [paths, B], by the energies of the definition."""
    chain = found.chain(1.0)
    paths = torch.tensor(list(product(range(2), repeat=N_STEPS)))
    energies = []
    for path in paths:
        emitted = chain.scores[:, range(N_STEPS), path].sum(1)
        energies.append(
            emitted + chain.start[path[0]] + chain.transition[path[:-1], path[1:]].sum() + chain.end[path[-1]]
        )
    return (torch.stack(energies) / temperature).softmax(0)


def test_scores_in_closed_form():
    """Two rooms, scores (ln 3, 0) against (0, 0): KL of (3/4, 1/4) from (1/2, 1/2)."""

    def one(*scores):
        return Answer(torch.nn.Identity(), torch.tensor([[scores]]), torch.zeros(1, 1, 1))

    sure, unsure, row = one(np.log(3.0), 0.0), one(0.0, 0.0), torch.tensor([0])
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert Scores([sure], None, 1.0)(unsure, row).item() == pytest.approx(expected)
    doubled = replace(sure, scores=2 * sure.scores)
    assert Scores([doubled], None, 2.0)(unsure, row).item() == pytest.approx(4 * expected)
    # an ensemble: (3/4, 1/4) and (1/4, 3/4) say nothing together
    assert Scores([sure, one(0.0, np.log(3.0))], None, 1.0)(unsure, row).item() == pytest.approx(0, abs=1e-7)


@by_student
@pytest.mark.parametrize("target", [Scores, Marginals, PathDistribution])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(config, target):
    model = make(config)
    assert target(answers(model), model, TEMPERATURE)(batch(model), ROWS).item() == pytest.approx(0, abs=1e-5)


def test_marginals_are_those_of_the_softened_paths():
    teachers, student = [make(seed=1), make(seed=2)], make(seed=3)
    paths = torch.tensor(list(product(range(2), repeat=N_STEPS)))

    def marginal(found):
        second = torch.einsum("pb,pt->bt", path_probabilities(found), paths.float())
        return torch.stack([1 - second, second], -1)

    expected = torch.stack([marginal(a)[ROWS] for a in answers(*teachers)]).mean(0)
    given = marginal(batch(student))
    by_hand = TEMPERATURE**2 * (expected * (expected / given).log()).sum(-1).mean()
    loss = Marginals(answers(*teachers), student, TEMPERATURE)(batch(student), ROWS)
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-4)


@by_student
def test_the_divergence_of_path_distributions_is_exact(config):
    teachers, student = [make(seed=1), make(seed=2)], make(config, seed=3)
    q = path_probabilities(batch(student))
    divergences = [
        (p[:, ROWS] * (p[:, ROWS] / q).log()).sum(0).mean() for p in map(path_probabilities, answers(*teachers))
    ]
    by_hand = TEMPERATURE**2 * sum(divergences) / 2 / N_STEPS
    loss = PathDistribution(answers(*teachers), student, TEMPERATURE)(batch(student), ROWS)
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-4)


def test_paths_are_the_teachers_best_ones_as_if_they_were_true():
    teacher, student = make(seed=1), make(seed=3)
    best = path_probabilities(answers(teacher)[0]).argmax(0)[ROWS]
    truth = torch.tensor(list(product(range(2), repeat=N_STEPS)))[best]
    found = batch(student)
    expected = student.loss(found.scores, truth)
    assert Paths(answers(teacher), student, TEMPERATURE)(found, ROWS).item() == pytest.approx(expected.item())


@by_student
def test_hints_are_met_by_a_linear_map_of_the_students_hidden_state(config):
    """The teacher's hidden state is the student's, mixed by a matrix: a regressor that undoes it has no error left."""
    student = make(config)
    (told,) = answers(student)
    d = told.hidden.shape[-1]
    mixed = told.hidden @ torch.randn(d, 6, generator=torch.Generator().manual_seed(0)) + 3.0
    target = Features([replace(told, hidden=mixed)], student, TEMPERATURE)
    assert target.hints.mean((0, 1)).abs().max() < 1e-4
    torch.testing.assert_close(target.hints.square().mean((0, 1)), torch.ones(6))
    assert target(batch(student), ROWS).item() > 0.1
    flat = torch.cat([told.hidden.flatten(0, 1), torch.ones(len(told.hidden) * N_STEPS, 1)], 1).detach()
    solution = torch.linalg.lstsq(flat.double(), target.hints.flatten(0, 1).double(), driver="gelsd").solution.float()
    target.regressor.weight.data, target.regressor.bias.data = solution[:-1].T, solution[-1]
    assert target(batch(student), ROWS).item() == pytest.approx(0, abs=1e-4)


def test_hidden_is_what_the_last_layer_is_given():
    model = make()
    found = batch(model)
    torch.testing.assert_close(model.head(found.hidden), found.scores)


def test_alpha_and_weights_mix_the_losses():
    teacher, student = make(seed=1), make(seed=3)
    config = Distillation(teacher="t", targets={"scores": 2.0, "paths": 0.5}, alpha=0.25)
    found = batch(student)
    scores, paths = (TARGETS[t](answers(teacher), student, 2.0)(found, ROWS) for t in ("scores", "paths"))
    mixed = Teaching(answers(teacher), student, config).mix(torch.tensor(8.0), found, ROWS, seen_of(SEEN, ROWS))
    assert mixed.item() == pytest.approx(0.75 * 8.0 + 0.25 * (2 * scores + 0.5 * paths).item())


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_reaches_the_student_and_no_teacher(target):
    teacher, student = make(seed=1), make(seed=3)
    teaching = Teaching(answers(teacher), student, Distillation(teacher="t", targets={target: 1.0}, alpha=1.0))
    teaching.mix(torch.tensor(0.0), batch(student), ROWS, seen_of(SEEN, ROWS)).backward()
    assert student.embed_rssi.dense.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())
    assert set(teaching.state_dict()) == (
        {"targets.features.regressor.weight", "targets.features.regressor.bias"} if target == "features" else set()
    )


@pytest.mark.parametrize("target", ["scores", "marginals", "sequence"])
def test_a_student_with_alpha_one_becomes_its_teacher(target):
    """A teacher whose rooms are the wrong way round: nobody else could have told the student."""
    seen, unseen = windows(64, noise=0.2), windows(24, seed=1, noise=0.2)
    training = Training(epochs=12, batch=16, learning_rate=0.02)
    teacher, student = build(STUDENTS[0], 2, 6, 2, 1), build(STUDENTS[0], 2, 6, 2, 0)
    upside_down = [replace(w, room=1 - w.room) for w in (seen, unseen)]
    fit(teacher, *upside_down, training, seed=1)
    batches = Batches.of(seen)
    told = all_answers(teacher, batches.rssi, batches.acc)
    teaching = Teaching([told], student, Distillation(teacher="t", targets={target: 1.0}, alpha=1.0))
    fit(student, seen, upside_down[1], training, seed=0, teaching=teaching)
    learnt = all_answers(student, batches.rssi, batches.acc)
    theirs, ours = (a.chain(1.0).log_marginals().exp() for a in (told, learnt))
    assert (theirs - ours).abs().mean() < 0.15


# ── teachers that see what the student sees ──────────────────────────────────────────────────────
@by_student
@pytest.mark.parametrize("target", [t for t in TARGETS if t != "features"])
def test_of_windows_as_they_are_consistent_teachers_say_what_the_others_say(config, target):
    teachers, student = [make(seed=1), make(seed=2)], make(config, seed=3)
    asked = Distillation(teacher="t", targets={target: 2.0}, alpha=0.25)
    of_batch = (torch.tensor(8.0), batch(student), ROWS, seen_of(SEEN, ROWS))
    once = Teaching(answers(*teachers), student, asked).mix(*of_batch)
    again = ConsistentTeaching(teachers, asked).mix(*of_batch)
    torch.testing.assert_close(again, once)


def test_consistent_teachers_answer_for_the_augmented_window():
    """A student that says of a changed window what its teacher says of that window has nothing to learn."""
    teacher = make(seed=1).train()
    student = make(seed=1)
    changed = (SEEN.rssi[ROWS].flip(1), SEEN.acc[ROWS] + 0.3)
    asked = Distillation(teacher="t", targets={"marginals": 1.0}, alpha=1.0, consistent=True)
    of_batch = (torch.tensor(8.0), answer(student, *changed), ROWS, changed)
    assert ConsistentTeaching([teacher], asked).mix(*of_batch).item() == pytest.approx(0, abs=1e-5)
    assert Teaching(answers(make(seed=1)), student, asked).mix(*of_batch).item() > 0.01


def test_consistent_teachers_are_not_trained_nor_kept():
    teacher, student = make(seed=1), make(seed=3)
    before = [p.clone() for p in teacher.parameters()]
    asked = Distillation(teacher="t", targets={"marginals": 1.0}, consistent=True)
    teaching = ConsistentTeaching([teacher], asked)
    assert not list(teaching.parameters()) and not teaching.state_dict()
    training = Training(epochs=2, batch=16, learning_rate=0.02, slowest=3.0, reversed=0.5)
    fit(student, windows(24), windows(12, seed=1), training, seed=0, teaching=teaching)
    assert all(torch.equal(p, b) for p, b in zip(teacher.parameters(), before, strict=True))
    assert all(p.grad is None for p in teacher.parameters())
