"""Chapter 1: what the packets, and the steps made of them, look like."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from tinyloc.data.house import STOREY_M, UPHILL, House, Room
from tinyloc.data.radio import Environment, mean_level
from tinyloc.data.splits import Fold
from tinyloc.data.statistics import MOVING, Statistics
from tinyloc.report.figures.style import COLOURS, FONT, GREY, colours, markers, matrix, panels, styled
from tinyloc.report.home import Home

PARTS = {"train": COLOURS[0], "validation": COLOURS[1], "test": COLOURS[2]}
# of the plans
NEAR_NAME_M = 0.6
NARROW_M = 2.5  # a room's name is turned where it is narrower
PLAN_COLUMNS = 3
MAP_M = 0.1  # between the points of a map
FEWEST = 10  # steps behind a median
# of a figure of segments and windows: where a row of it lies, in axis units
SEGMENT_ROW, WINDOW_ROW, WINDOW_LANES = 1.2, 1.0, 8


@styled
def packets(homes: Sequence[Home], visits: int) -> Figure:
    """RSSI of every packet of each home's last recording until its person has been in `visits` rooms, one by one."""
    figure, axes = panels(len(homes), 3.5)
    for ax, home in zip(axes[:, 0], homes, strict=True):
        recording = home.dataset.recordings[-1]
        table = recording.packets
        minute = _minutes(table["timestamp"].to_numpy())
        stretches = list(_stretches(table["true_room"].to_numpy(), minute))[:visits]
        end = stretches[-1][2]
        for i, (room, start, stop) in enumerate(stretches):
            ax.axvspan(start, stop, color=GREY, alpha=(0.10, 0.20)[i % 2], lw=0)
            _label_stretch(ax, room, start, stop, end)
        shape, ink = markers(home.gateways), colours(home.gateways)
        for gateway in home.gateways:
            heard = (table["gateway"] == gateway).to_numpy() & (minute <= end)
            ax.scatter(
                minute[heard],
                table["rssi"].to_numpy()[heard],
                s=9,
                marker=shape[gateway],
                color=ink[gateway],
                label=gateway,
                lw=0,
                rasterized=True,  # thousands of points: as vectors they would be a megabyte
            )
        ax.set(ylabel="RSSI (dBm)", xlabel="time (min)", xlim=(0, end))
        ax.set_title(f"{home.name}, recording {recording.name}", pad=18)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=5, markerscale=2, columnspacing=1)
    return figure


@styled
def house_plan(house: House) -> Figure:
    """Rooms, walls with their doors, and gateways of one house, to scale, storey by storey."""
    figure, axes = panels(house.storeys, 4.6)
    for storey, ax in enumerate(axes[:, 0]):
        _draw_storey(ax, house, storey, FONT)
        for name, (x, y, z) in house.gateways.items():
            if _storey(z) == storey:
                _name_gateway(ax, house, name, x, y, storey)
        ax.set(xlabel="x (m)", ylabel="y (m)")
        if house.storeys > 1:
            ax.set_title(f"storey {storey}")
    return figure


@styled
def floor_plans(houses: Mapping[str, House]) -> Figure:
    """Every storey of every house, all to one scale."""
    storeys = [(name, storey) for name, house in houses.items() for storey in range(house.storeys)]
    figure, axes = panels(-(-len(storeys) // PLAN_COLUMNS), 2.7, PLAN_COLUMNS)
    far = max(max(room.x1, room.y1) for house in houses.values() for room in house.rooms)
    for ax, (name, storey) in zip(axes.flat, storeys, strict=False):
        house = houses[name]
        _draw_storey(ax, house, storey, FONT - 4)
        title = f"{name}, storey {storey}" if house.storeys > 1 else name
        ax.set(xlim=(-0.3, 0.75 * far), ylim=(-0.3, far), title=title)
        ax.tick_params(labelsize=FONT - 3)
    for ax in axes.flat[len(storeys) :]:
        ax.set_axis_off()
    figure.supxlabel("x (m)", fontsize=FONT)
    figure.supylabel("y (m)", fontsize=FONT)
    return figure


@styled
def level_map(environment: Environment, gateway: str) -> Figure:
    """Mean level of one gateway over the floors of its house, without the body: walls, floors and shadowing."""
    house, channel = environment.house, environment.channel
    number = list(house.gateways).index(gateway)
    figure, axes = panels(1, 4.4, house.storeys)
    ends = [max(end) for end in zip(*((room.x1, room.y1) for room in house.rooms), strict=True)]
    x, y = (np.arange(0, end + MAP_M, MAP_M) for end in ends)
    for storey, ax in enumerate(axes[0]):
        place = _places(house, storey, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
        level = mean_level(environment, place)[:, number]
        level[house.room_at(place) < 0] = np.nan
        shown = ax.pcolormesh(
            x, y, level.reshape(len(y), len(x)), cmap="viridis", vmin=-100, vmax=-40, shading="nearest", rasterized=True
        )
        _draw_storey(ax, house, storey, FONT - 2, {"color": "white", "alpha": 0.6, "lw": 0, "pad": 1})
        ax.set(xlabel="x (m)", ylabel="y (m)" if storey == 0 else "")
        if house.storeys > 1:
            ax.set_title(f"storey {storey}")
    bar = figure.colorbar(shown, ax=axes, location="bottom", shrink=0.7, pad=0.02)
    half = f"{channel.sensitivity_dbm:g}".replace("-", "−")
    bar.set_label(f"mean level at {gateway} (dBm); at {half} dBm half of the packets are lost")
    return figure


def _places(house: House, storey: int, xy: np.ndarray) -> np.ndarray:
    """`xy` [P, 2] on the floor of a storey, or on the stairs -> [P, 3]."""
    place = np.column_stack([xy, np.full(len(xy), storey * STOREY_M)])
    for room in house.rooms:
        if room.climbs and storey in room.storeys:
            within = (xy >= (room.x0, room.y0)).all(1) & (xy <= (room.x1, room.y1)).all(1)
            place[within, 2] = room.floor(xy[within])
    return place


def _draw_storey(ax: Axes, house: House, storey: int, size: float, box: dict | None = None) -> None:
    """box: what lies under the names, where they would be lost on what is drawn below."""
    for axis, at, low, high, bottom, _ in house.walls:
        if _storey(bottom) == storey:
            across, along = [at, at], [low, high]
            ax.plot(*((across, along) if axis == 0 else (along, across)), color="black", lw=2, solid_capstyle="butt")
    for room in house.rooms:
        if storey not in room.storeys:
            continue
        x, y = (room.x0 + room.x1) / 2, (room.y0 + room.y1) / 2
        width, depth = room.x1 - room.x0, room.y1 - room.y0
        turned = 90 if width < min(depth, NARROW_M) else 0
        ax.text(x, y, room.name, ha="center", va="center", rotation=turned, fontsize=size, bbox=box)
        if room.climbs:
            _draw_uphill(ax, room)
    on_storey = [(x, y) for x, y, z in house.gateways.values() if _storey(z) == storey]
    ax.plot(*zip(*on_storey, strict=True), "^", ms=0.6 * size, color=COLOURS[3])
    ax.set_aspect("equal")
    ax.grid(False)


def _draw_uphill(ax: Axes, room: Room) -> None:
    """An arrow along the right edge of a flight."""
    axis, way = UPHILL[room.climbs]
    low, high = (room.x0, room.y0), (room.x1, room.y1)
    start, end = [room.x1 - 0.25, room.y0 + 0.25], [room.x1 - 0.25, room.y0 + 0.25]
    start[axis], end[axis] = (low[axis] + 0.3, high[axis] - 0.3)[::way]
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "lw": 0.8})


def _storey(z: float) -> int:
    """Of an antenna or of the foot of a wall."""
    return int(z / STOREY_M + 1e-6)


def _name_gateway(ax: Axes, house: House, name: str, x: float, y: float, storey: int) -> None:
    (number,) = house.room_at(np.array([[x, y, storey * STOREY_M]]))
    room = house.rooms[number]
    side = 1 if x < (room.x0 + room.x1) / 2 else -1  # the label lies towards the middle of the room
    above = y - (room.y0 + room.y1) / 2
    up = np.sign(above or 1) * (1 if abs(above) < NEAR_NAME_M else -1)  # off the wall, and off the room's name
    ax.annotate(
        name,
        (x, y),
        (8 * side, 10 * up),
        textcoords="offset points",
        ha="left" if side > 0 else "right",
        va="center",
        fontsize=FONT - 1,
        color=COLOURS[3],
    )


@styled
def statistics(found: Sequence[Statistics]) -> Figure:
    """Strength, silence and movement of several data sets in four panels, a line or column of points each."""
    figure, axes = panels(2, 2.9, 2)
    (strength, silent), (runs, spectra) = axes
    ink, shape = colours(s.name for s in found), markers(s.name for s in found)
    for i, s in enumerate(found):
        look = {"color": ink[s.name], "lw": 2.2 if i == 0 else 1.2, "zorder": 3 if i == 0 else 2}
        values, count = np.unique(s.rssi, return_counts=True)
        strength.plot(values, 100 * np.cumsum(count) / count.sum(), label=s.name, **look)
        silent.plot(np.full(len(s.silent), i), 100 * s.silent, shape[s.name], color=ink[s.name], ms=5, alpha=0.7)
        length = np.sort(s.runs)
        runs.step(length, 100 * (1 - np.arange(len(length)) / len(length)), where="pre", **look)
        for activity, style in (("sitting", ":"), (MOVING, "-")):
            if activity in s.spectra:
                spectrum = s.spectra[activity]
                spectra.plot(spectrum.frequency[1:], spectrum.density[1:], style, **look)
    strength.set(xlabel="RSSI (dBm)", ylabel="packets below (%)", title="strength")
    silent.set(ylabel="silent seconds (%)", title="silence, a point a gateway", ylim=(0, 100))
    silent.set_xticks(range(len(found)), [s.name.removeprefix("house ") for s in found])
    runs.set(
        xlabel="run of silence (s)", ylabel="runs as long (%)", xscale="log", yscale="log", title="runs of silence"
    )
    spectra.set(
        xlabel="frequency (Hz)", ylabel="density (g²/Hz)", yscale="log", title="wrist: walking (line), sitting (dots)"
    )
    figure.legend(loc="outside lower center", ncols=len(found), frameon=False)
    return figure


@styled
def rssi_by_room(homes: Sequence[Home]) -> Figure:
    """Median and spread of a gateway's RSSI in each room, over the steps in which it heard something."""
    figure, axes = _matrix_panels(homes)
    for ax, home in zip(axes, homes, strict=True):
        median, spread = _rssi_quartiles(home)
        texts = np.where(np.isnan(median), "–", np.char.mod("−%.0f", -median) + np.char.mod(" ± %.0f", spread))
        matrix(ax, median, texts, home.gateways, home.rooms, cmap="viridis", vmin=-100, vmax=-45)
        ax.set_title(f"{home.name}: RSSI (dBm)")
    return figure


@styled
def silent_share(homes: Sequence[Home]) -> Figure:
    """Share of the steps in which a gateway heard no packet, by the room the person is in."""
    figure, axes = _matrix_panels(homes)
    for ax, home in zip(axes, homes, strict=True):
        silent = 1 - _heard(home)
        matrix(
            ax, silent, np.char.mod("%.0f %%", 100 * silent), home.gateways, home.rooms, cmap="magma_r", vmin=0, vmax=1
        )
        ax.set_title(f"{home.name}: steps in which the gateway is silent")
    return figure


@styled
def windows(homes: Sequence[Home], length: int, minutes: float) -> Figure:
    """The first `minutes` of each home's first recording: its segments, and under them some of its windows."""
    figure, axes = panels(len(homes), 2.7)
    for ax, home in zip(axes[:, 0], homes, strict=True):
        steps = home.steps[0]
        minute = _minutes(steps.time)
        width = np.diff(minute).min()
        ink = colours(home.rooms)
        for segment in np.unique(steps.segment):
            rows = np.flatnonzero(steps.segment == segment)
            for room, start, end in _stretches(steps.room[rows], minute[rows]):
                bar = Rectangle((start, SEGMENT_ROW), end - start + width, 0.6, color=ink[home.rooms[room]], lw=0)
                ax.add_patch(bar)
            for i, end in enumerate(rows[length - 1 :: max(1, length // 3)]):
                lane = WINDOW_ROW - (i % WINDOW_LANES + 1) / WINDOW_LANES
                start = minute[end - length + 1]
                ax.add_patch(Rectangle((start, lane), minute[end] - start, 0.6 / WINDOW_LANES, color=GREY, lw=0))
        ax.set(xlim=(0, min(minutes, minute[-1])), ylim=(-0.1, 1.9), xlabel="time (min)")
        ax.set_yticks([WINDOW_ROW / 2, SEGMENT_ROW + 0.3], ["windows", "segments"])
        ax.grid(False)
        ax.set_title(f"{home.name}, recording {steps.recording}")
        ax.legend(
            handles=[Patch(color=colour, label=room) for room, colour in ink.items()],
            loc="upper center",
            bbox_to_anchor=(0.5, -0.24),
            ncols=4,
        )
    return figure


@styled
def folds(homes: Sequence[Home]) -> Figure:
    """Which recording trains, chooses and tests in which fold."""
    recordings = [[s.recording for s in home.steps] for home in homes]
    figure, axes = panels(len(homes), 1.0, height_ratios=[len(names) + 3 for names in recordings])
    figure.set_figheight(sum(1.1 + 0.26 * len(names) for names in recordings))
    for ax, home, names in zip(axes[:, 0], homes, recordings, strict=True):
        for column, fold in enumerate(home.folds):
            for part, row, start, share in _fold_bars(fold, names):
                ax.add_patch(
                    Rectangle((column - 0.45 + 0.9 * start, row - 0.4), 0.9 * share, 0.8, color=PARTS[part], lw=0)
                )
        ax.set(xlim=(-0.5, len(home.folds) - 0.5), ylim=(len(names) - 0.5, -0.5), ylabel="recording")
        ax.set_xticks(range(len(home.folds)), [fold.name for fold in home.folds])
        ax.set_yticks(range(len(names)), names)
        ax.grid(False)
        ax.set_title(home.name)
    axes[-1, 0].set_xlabel("fold")
    figure.legend(
        handles=[Patch(color=colour, label=part) for part, colour in PARTS.items()],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    return figure


def _matrix_panels(homes: Sequence[Home]) -> tuple[Figure, np.ndarray]:
    """One panel a home, as high as it has gateways."""
    heights = [1.1 + 0.34 * len(home.gateways) for home in homes]
    figure, axes = panels(len(homes), 1.0, height_ratios=heights)
    figure.set_figheight(sum(heights))
    for ax in axes[:, 0]:
        ax.set(xlabel="room the person is in", ylabel="gateway")
    return figure, axes[:, 0]


def _rssi_quartiles(home: Home) -> tuple[np.ndarray, np.ndarray]:
    """Median and half the interquartile range [n_ap, n_rooms] in dBm; NaN where too little was heard."""
    rssi, heard, room = (np.concatenate([getattr(s, name) for s in home.steps]) for name in ("rssi", "heard", "room"))
    median, spread = np.full((2, len(home.gateways), len(home.rooms)), np.nan)
    for a, r in np.ndindex(median.shape):
        values = rssi[(room == r) & (heard[:, a] > 0), a]
        if len(values) >= FEWEST:
            low, median[a, r], high = np.percentile(values, (25, 50, 75))
            spread[a, r] = (high - low) / 2
    return median, spread


def _heard(home: Home) -> np.ndarray:
    """Share of the steps in which a gateway heard something [n_ap, n_rooms]; NaN for a room without a step."""
    room = np.concatenate([s.room for s in home.steps])
    heard = np.concatenate([s.heard > 0 for s in home.steps])
    in_room = np.eye(len(home.rooms))[room]  # [S, n_rooms]
    with np.errstate(invalid="ignore"):
        return heard.T.astype(float) @ in_room / in_room.sum(0)


def _fold_bars(fold: Fold, names: Sequence[str]) -> Iterator[tuple[str, int, float, float]]:
    """(part, row, start, share) of every recording of a fold; start and share are fractions of the recording."""
    for s in fold.test:
        yield "test", names.index(s.recording), 0.0, 1.0
    for train, validation in zip(fold.train, fold.validation, strict=True):
        share = len(train) / (len(train) + len(validation))
        yield "train", names.index(train.recording), 0.0, share
        yield "validation", names.index(train.recording), share, 1 - share


def _minutes(time: np.ndarray) -> np.ndarray:
    return (time - time[0]) / np.timedelta64(1, "m")


def _stretches(values: np.ndarray, minute: np.ndarray) -> Iterator[tuple[object, float, float]]:
    """(value, start, end) of every run of equal `values`; a run ends at its last observation."""
    first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    last = np.append(first[1:], len(values)) - 1
    for f, t in zip(first, last, strict=True):
        yield values[f], minute[f], minute[t]


def _label_stretch(ax: Axes, room: str, start: float, end: float, total: float) -> None:
    """Name a room above its stretch where there is space for the name."""
    if (end - start) / total > 0.012 * len(room):
        ax.text((start + end) / 2, 1.02, room, transform=ax.get_xaxis_transform(), ha="center", fontsize=FONT - 2)
