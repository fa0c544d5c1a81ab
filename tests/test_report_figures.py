"""Figures: a panel for each data set, units on the axes, everything that was given is drawn."""

import numpy as np
import pandas as pd
import pytest
from report_tree import ROOMS, write_device, write_export, write_result

from tinyloc.config import Features, HouseData
from tinyloc.data.features import all_steps
from tinyloc.data.plans import PLANS, A, C
from tinyloc.data.simulate import simulate, the_environment
from tinyloc.data.splits import folds
from tinyloc.data.statistics import statistics
from tinyloc.report import comparison, constants, energy, ram, results
from tinyloc.report.figures import device, edge, learning, noise, radio


class Home:
    """What `Study.prepared` gives, of a house simulated for a few minutes."""

    def __init__(self, name: str) -> None:
        house = HouseData(kind="house", fingerprint_minutes=5, living_minutes=2, living_recordings=2)
        self.name = name
        self.dataset = simulate(name, house)
        self.gateways, self.rooms = self.dataset.gateways, self.dataset.rooms
        self.steps = all_steps(self.dataset, Features())
        self.folds = folds(self.steps, "fingerprint-to-living", 0.15)


@pytest.fixture(scope="module")
def home():
    return Home("house")


def labels(figure):
    return {ax.get_xlabel() for ax in figure.axes} | {ax.get_ylabel() for ax in figure.axes}


def texts(figure):
    return {text.get_text() for ax in figure.axes for text in ax.texts}


@pytest.mark.parametrize("draw", [radio.rssi_by_room, radio.silent_share, radio.folds], ids=lambda f: f.__name__)
def test_a_panel_for_each_home(home, draw):
    assert len(draw([home]).axes) == 1
    assert len(draw([home, home]).axes) == 2


def test_packets_are_drawn_for_the_first_rooms_only(home):
    figure = radio.packets([home], visits=2)
    assert {"RSSI (dBm)", "time (min)"} <= labels(figure)
    room = home.dataset.recordings[-1].packets["true_room"]
    first = int((room != room.shift()).cumsum().le(2).sum())
    assert sum(len(points.get_offsets()) for points in figure.axes[0].collections) == first


@pytest.mark.parametrize("house", [A, C], ids=["A", "C"])
def test_the_plan_names_every_room_and_gateway(house):
    figure = radio.house_plan(house)
    assert len(figure.axes) == house.storeys
    assert texts(figure) - {""} == set(house.room_names) | set(house.gateways)


def test_the_four_plans_have_a_panel_a_storey_and_every_gateway():
    figure = radio.floor_plans(PLANS)
    drawn = [ax for ax in figure.axes if ax.axison]
    assert len(drawn) == sum(house.storeys for house in PLANS.values())
    for name, house in PLANS.items():
        mine = [ax for ax in drawn if ax.get_title(loc="left").startswith(name)]
        triangles = [line for ax in mine for line in ax.lines if line.get_marker() == "^"]
        assert sum(len(line.get_xdata()) for line in triangles) == len(house.gateways)


def test_the_level_map_is_loudest_beside_the_gateway_and_empty_outside_the_house():
    environment = the_environment(HouseData(kind="house", plan="C"))
    figure = radio.level_map(environment, "gw-kitchen-1")
    ground = figure.axes[0].collections[0]
    level = np.ma.masked_invalid(ground.get_array()).filled(np.nan)
    corners = ground.get_coordinates()
    row, column = np.unravel_index(np.nanargmax(level), level.shape)
    x, y, _ = C.gateways["gw-kitchen-1"]
    assert np.hypot(*(corners[row, column] - (x, y))) < 1.5
    assert np.isnan(level[-1, -1]) or corners[-1, -1, 0] <= 6.6
    assert np.isnan(level).any()


def test_statistics_are_drawn_for_every_data_set(home):
    found = [statistics(home.dataset, Features()), statistics(home.dataset, Features(), "living")]
    figure = radio.statistics(found)
    assert {"RSSI (dBm)", "silent seconds (%)", "run of silence (s)", "frequency (Hz)"} <= labels(figure)
    strength, silent, runs, _ = figure.axes
    assert len(strength.lines) == len(runs.lines) == 2
    assert [len(line.get_ydata()) for line in silent.lines] == [len(home.gateways)] * 2
    assert max(strength.lines[0].get_ydata()) == pytest.approx(100)


def test_silent_and_heard_shares_are_of_steps(home):
    figure = radio.silent_share([home])
    image = figure.axes[0].images[0].get_array()
    room = np.concatenate([s.room for s in home.steps])
    heard = np.concatenate([s.heard for s in home.steps])
    assert image[1, 0] == pytest.approx((heard[room == 0, 1] == 0).mean())


def test_a_room_nobody_visited_is_a_dash(home):
    class Bigger(Home):
        def __init__(self):
            self.__dict__.update(home.__dict__)
            self.rooms = (*home.rooms, "attic")

    assert "–" in texts(radio.rssi_by_room([Bigger()]))


def test_no_window_spans_a_gap_or_a_segment(home):
    figure = radio.windows([home], length=20, minutes=3)
    bars = [patch for patch in figure.axes[0].patches if patch.get_y() < radio.WINDOW_ROW]
    assert bars and max(bar.get_width() for bar in bars) == pytest.approx(19 / 60, abs=1e-3)


def test_every_fold_shows_each_recording_once(home):
    figure = radio.folds([home])
    width = {}
    for patch in figure.axes[0].patches:
        row = round(patch.get_y() + patch.get_height() / 2)
        width[row] = width.get(row, 0) + patch.get_width()
    assert len(width) == len(home.steps)
    assert list(width.values()) == pytest.approx([0.9] * len(width))


@pytest.fixture
def run(tmp_path):
    trained, exported, reports = [], [], []
    for dataset in ("shib", "house"):
        trained += [write_result(tmp_path, dataset, "forest", 0.9, parameters=None)]
        trained += [write_result(tmp_path, dataset, "student", 0.95, parameters=25_600)]
        exported.append(write_export(write_result(tmp_path, dataset, "student.int8", 0.94), 60_000, 40_000))
        reports.append(write_device(exported[-1], 20_480, 64, 5_000_000))
    return trained, exported, reports


def test_learning_curves_mark_the_kept_epoch_of_every_fold(run):
    figure = learning.learning_curves(results.histories([f for f in run[0] if f.parent.name == "student"]))
    assert len(figure.axes) == 4
    kept = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert len(kept) == 4 and all(list(line.get_xdata()) == [3] for line in kept)


def test_confusion_rows_are_per_cent_of_the_true_room():
    counts = pd.DataFrame([[8, 2, 0], [0, 5, 5], [0, 0, 0]], index=ROOMS, columns=ROOMS)
    figure = learning.confusion({"shib": counts})
    assert {"80.0", "20.0", "50.0", "·"} == texts(figure)
    assert "living\n(n = 10)" in [t.get_text() for t in figure.axes[0].get_yticklabels()]


def test_fold_scores_draw_every_entry_on_every_fold(run):
    figure = learning.fold_scores(results.folds(run[0]), comparison.summary(run[0]))
    drawn = {line.get_label(): len(line.get_xdata()) for line in figure.axes[0].lines}
    assert drawn == {"forest": 4, "student": 4}
    assert "macro F1 (%)" in labels(figure)


def test_differences_are_in_points_with_their_interval(run):
    found = comparison.compare(run[0], "student", "forest")
    figure = learning.differences(found.units, found.intervals)
    points = figure.axes[0].lines[0].get_xdata()
    assert list(points) == pytest.approx(list(100 * found.units.query("dataset == 'shib'")["difference"]))


def test_the_score_of_recordings_together_is_not_called_their_mean(run):
    found = comparison.compare(run[0], "student", "forest")
    figure = learning.differences(found.units, found.intervals, pooled=["house"])
    below = [ax.get_yticklabels()[-1].get_text() for ax in figure.axes]
    assert below == ["mean, 95 %", "all together, 95 %"]


def test_marginals_mark_where_the_crf_alone_makes_a_room_the_likeliest():
    by_step = np.array([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1]])
    by_window = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]])
    figure = learning.marginals(by_step, by_window, np.array([0, 0]), ROOMS, "house, living-1")
    assert figure.axes[0].get_title(loc="left").startswith("house, living-1:")
    ring = {line.get_label(): line for line in figure.axes[1].lines}["likeliest only with the CRF"]
    assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([2], [0])
    shown = figure.axes[2].images[0]
    np.testing.assert_allclose(shown.get_array(), (by_window - by_step).T)
    assert shown.get_clim() == pytest.approx((-0.2, 0.2))
    same = learning.marginals(by_step, by_step, np.array([0, 0]), ROOMS, "house, living-1")
    assert [line.get_label() for line in same.axes[1].lines] == ["true room"]


def test_a_higher_temperature_flattens_the_targets():
    figure = learning.soft_targets(np.array([4.0, 1.0, 0.0]), ROOMS, temperatures=(1, 4))
    sure, flat = ([bar.get_width() for bar in ax.patches] for ax in figure.axes)
    assert sum(sure) == pytest.approx(1) and sum(flat) == pytest.approx(1)
    assert max(flat) < max(sure)


def test_the_timeline_separates_right_from_wrong():
    stream = pd.DataFrame({"recording": "1-1", "minute": [0.0, 0.1, 0.2], "y_true": [0, 0, 1], "y_pred": [0, 1, 1]})
    figure = learning.timeline({"shib": stream}, {"shib": ROOMS})
    drawn = {line.get_label(): len(line.get_xdata()) for line in figure.axes[0].lines}
    assert drawn == {"true room": 3, "predicted, right": 2, "predicted, wrong": 1}


def test_the_quantisers_error_is_at_most_half_a_step_inside_its_range():
    values = np.linspace(-0.5, 1.5, 1001)
    figure = edge.quantiser(values, scale=1 / 255, zero_point=-128)
    level, error = figure.axes[1].lines[0].get_data()
    assert level.min() == -128 and level.max() == 127
    inside = (values >= 0) & (values <= 1)
    assert np.abs(error[inside]).max() <= 0.5 + 1e-9
    assert np.abs(error[~inside]).max() > 100


def test_score_agreement_counts_the_windows_that_agree():
    reference = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 1.1], [5.0, 0.0]])
    quantised = np.array([[2.0, 1.1], [0.1, 3.0], [1.1, 1.0], [5.0, 0.0]])
    figure = edge.score_agreement({"shib": (reference, quantised)})
    assert figure.axes[0].get_title(loc="left") == "shib: 75.0 % agree"


def test_memory_bars_add_up_to_the_total(run):
    figure = edge.memory(results.devices(run[2]))
    ends = [bar.get_x() + bar.get_width() for container in figure.axes[0].containers[-1:] for bar in container]
    assert ends == pytest.approx([20.0, 20.0])
    assert "20.0" in texts(figure)


def test_the_shares_of_kernels_and_of_classes_of_instructions_add_up_to_all_of_them(run):
    for figure in (device.kernels(results.device_steps(run[2])), device.mixes(results.devices(run[2]))):
        ends = [bar.get_x() + bar.get_width() for bar in figure.axes[0].containers[-1]]
        assert ends == pytest.approx([100.0, 100.0])
    kinds = [text.get_text() for text in device.kernels(results.device_steps(run[2])).legends[0].get_texts()]
    assert kinds == ["conv 2d", "add"]  # the one with most instructions first, without its type


def test_a_kind_has_one_colour_in_every_figure_and_no_two_in_one_have_the_same():
    few = device._ink(["conv", "add", "matmul", device.OTHERS])
    many = device._ink(["matmul", "conv", *"abcdef", device.OTHERS])
    for ink in (few, many):
        assert len(set(ink.values())) == len(ink)
    shared = few.keys() & many.keys()
    assert len(shared) == 3 and all(few[kind] == many[kind] for kind in shared)


def test_kinds_beyond_the_colours_are_put_together():
    frame = {"dataset": "shib", "label": "m", "kernel": [f"k{i}_s8" for i in range(12)], "instructions.median": 10}
    figure = device.kernels(pd.DataFrame(frame))
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(named) == device.MOST + 1 and named[-1] == device.OTHERS
    assert figure.axes[0].containers[-1][0].get_width() == pytest.approx(100 * (12 - device.MOST) / 12)


def test_energies_are_drawn_from_best_to_worst_over_the_radio(run):
    spent = energy.decisions(results.devices(run[2]), constants.read())
    figure = device.energies(spent, dict.fromkeys(("shib", "house"), (1e-5, 2e-5)))
    for ax, dataset in zip(figure.axes, ("shib", "house"), strict=True):
        part = spent[spent["dataset"] == dataset]
        bars = ax.containers[0]
        assert [bar.get_x() for bar in bars] == pytest.approx(1e6 * part["joules_low"])
        assert [bar.get_x() + bar.get_width() for bar in bars] == pytest.approx(1e6 * part["joules_high"])


def test_flash_bars_end_at_the_total(run):
    figure = device.flash(results.devices(run[2]))
    ends = [bar.get_x() + bar.get_width() for bar in figure.axes[0].containers[-1]]
    assert ends == pytest.approx([49_158 / 1024] * 2)


def test_the_arena_draws_its_tensors_and_not_the_state():
    tensor = {"region": "arena", "offset": 0, "bytes": 512, "first": 0, "last": 1}
    report = {
        "arena_bytes": 1024,
        "tensors": [tensor, {**tensor, "offset": 512, "first": 1}, {**tensor, "region": "state"}],
    }
    assert [len(ax.patches) for ax in edge.arenas({"one": report, "other": report}).axes] == [2, 2]


def test_accuracy_against_ram_has_both_limits_and_every_way_of_counting(run):
    figure = edge.accuracy_against_ram(ram.points(*run), ram.references(run[0]))
    assert len(figure.axes) == 2
    assert {"32 KB", "64 KB"} <= texts(figure)
    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {ram.WEIGHTS, ram.ARENA, ram.PROGRAM, "student", "forest (no RAM figure)"} <= named


def test_the_noise_of_every_operator_is_drawn_and_the_noisiest_are_named(tmp_path):
    folders = []
    for kind, quiet in (("int8", "SOFTMAX"), ("int16x8", "MEAN")):
        folder = write_export(write_result(tmp_path, "shib", f"student.{kind}", 0.9, parameters=9), 10, 20)
        for fold in results.exports([folder])["fold"]:
            path = folder / f"fold-{fold}" / "errors.csv"
            path.parent.mkdir(exist_ok=True)
            rows = [("t0", "ADD", 40.0), ("t1", quiet, 20.0), ("t2", "MUL", 30.0), ("scores", "CONV_2D", 50.0)]
            path.write_text(
                "tensor,operator,type,values,snr_db\n" + "".join(f"{t},{o},int8,9,{snr}\n" for t, o, snr in rows)
            )
        folders.append(folder)
    table = results.noise(folders)
    assert len(table) == 2 * 4 * table["fold"].nunique()
    figure = noise.operators(table)
    assert "signal to noise (dB)" in labels(figure)
    assert texts(figure) == {"SOFTMAX", "MEAN"}  # the others are too close to them
