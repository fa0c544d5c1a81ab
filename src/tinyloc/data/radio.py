"""The radio channel of a simulated house: RSSI in dBm of every packet at every gateway, and which packets are heard.

RSSI = reference - path loss - walls - floors + shadowing + offset + drift - body + hopping + fading, in whole dBm.

The values are those of `config.Channel`. They were set by hand so that range and spread of RSSI, silent shares and runs
of silence come near those of the SHIB recordings (`tinyloc.data.statistics`). The terms and their sources:

- Path loss grows with the logarithm of distance (Rappaport, "Wireless Communications", 2nd ed. 2002, section 4.9.1).
- Walls and floors on the straight line cost extra: the multi-wall model (COST Action 231, final report 1999, section
  4.7), whose loss of k floors is k^((k + 2) / (k + 1) - b) times that of one. It has 6.9 dB for a heavy wall and 18.3
  for a floor; SHIB's walls cost more.
- Shadowing is a Gaussian field in the house, exponentially correlated (Gudmundson, "Correlation model for shadow fading
  in mobile radio systems", Electronics Letters 27, 1991); one field a gateway, the same in all recordings.
- Offset: receivers of one make differ (Zuniga and Krishnamachari, "An analysis of unreliability and asymmetry in
  low-power wireless links", ACM Transactions on Sensor Networks 3, 2007).
- Drift: what has changed since the last recording (furniture, people, how the wearable sits): a weaker field and an
  offset a gateway, drawn for each recording.
- Body: the wearer stands in the way when turned away from the gateway (Bahl and Padmanabhan, RADAR, INFOCOM 2000, saw
  5 dB with a laptop; a wrist against the body loses more). It turns with the wearer.
- Hopping: an advertisement goes out on three channels, whose multipath differs (Faragher and Harle, "Location
  fingerprinting with Bluetooth Low Energy beacons", IEEE JSAC 33, 2015); a gateway listens on one of
  them at a time. The three levels belong to a place and a posture: they stay while the wearer does.
- Fading: Rice distributed amplitude, new with every packet (Rappaport, section 5.6).
- Reception: a logistic in dBm (the shape is Zuniga and Krishnamachari's); even the strongest packets collide, or come
  while the gateway changes channel.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from tinyloc.config import Channel
from tinyloc.data.house import STOREY_M, House

WRIST_M = 0.8  # above the floor
GRID_M = 0.5  # between the points at which fields are drawn
FLOORS_B = 0.46  # b of the multi-wall model
CHANNELS = 3  # that advertisements use: Bluetooth Core Specification, Vol 6 Part B 1.4.1


@dataclass(frozen=True)
class Pose:
    """Where the wearer is when a packet is sent, and which way they look. Poses repeat while the wearer stays."""

    place: np.ndarray  # [Q, 3] m, on the floor
    heading: np.ndarray  # [Q] radians
    packet: np.ndarray  # [P] int64, pose of every packet


@dataclass(frozen=True)
class Volume:
    """Draws Gaussian fields in a house with covariance deviation² exp(-distance / correlation)."""

    origin: np.ndarray  # [3] m
    shape: tuple[int, int, int]  # points along x, y and the storeys
    factor: np.ndarray  # [points, points], of the correlation matrix

    @classmethod
    def of(cls, house: House, correlation: float) -> "Volume":
        corners = np.array([[r.x0, r.y0, r.x1, r.y1] for r in house.rooms])
        origin, end = corners[:, :2].min(0), corners[:, 2:].max(0)
        axes = [np.arange(low, high + GRID_M, GRID_M) for low, high in zip(origin, end, strict=True)]
        axes.append(STOREY_M * np.arange(house.storeys))
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        distance = np.linalg.norm(points[:, None] - points, axis=-1)
        # the small diagonal keeps rounding from making the covariance indefinite
        factor = np.linalg.cholesky(np.exp(-distance / correlation) + 1e-9 * np.eye(len(points)))
        return cls(np.array([*origin, 0.0]), tuple(map(len, axes)), factor)

    def fields(self, count: int, deviation: float, rng: np.random.Generator) -> np.ndarray:
        """`count` independent fields [count, nx, ny, storeys] in dB."""
        values = deviation * (self.factor @ rng.standard_normal((len(self.factor), count))).T
        return values.reshape(count, *self.shape)

    def at(self, fields: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Values of fields [n_ap, nx, ny, storeys] at `place` [Q, 3], linear between points -> [Q, n_ap]."""
        where = ((place - self.origin) / (GRID_M, GRID_M, STOREY_M)).T
        return np.stack([map_coordinates(field, where, order=1, mode="nearest") for field in fields], axis=1)


@dataclass(frozen=True)
class Environment:
    """What stays the same in all recordings of a house."""

    house: House
    channel: Channel
    volume: Volume
    shadowing: np.ndarray  # [n_ap, nx, ny, storeys] dB
    gateway_offset: np.ndarray  # [n_ap] dB


def environment(house: House, channel: Channel, rng: np.random.Generator) -> Environment:
    volume = Volume.of(house, channel.shadowing_m)
    return Environment(
        house=house,
        channel=channel,
        volume=volume,
        shadowing=volume.fields(len(house.gateways), channel.shadowing_db, rng),
        gateway_offset=rng.normal(0, channel.gateway_offset_db, len(house.gateways)),
    )


def rssi(environment: Environment, pose: Pose, rng: np.random.Generator) -> np.ndarray:
    """RSSI [P, n_ap] in dBm, before rounding, of the packets of one recording."""
    house, channel = environment.house, environment.channel
    n_ap = len(house.gateways)
    drift = environment.volume.fields(n_ap, channel.drift_db, rng)
    steady = (
        mean_level(environment, pose.place)
        - body_loss(house, channel, pose)
        + environment.volume.at(drift, pose.place)
        + rng.normal(0, channel.drift_offset_db, n_ap)
    )
    # the levels of a pose's three channels, of which a packet takes one at each gateway
    levels = steady[:, :, None] + rng.normal(0, channel.hopping_db, (*steady.shape, CHANNELS))
    heard_on = rng.integers(CHANNELS, size=(len(pose.packet), n_ap), dtype=np.int8)
    cell = (pose.packet[:, None] * n_ap + np.arange(n_ap)) * CHANNELS + heard_on
    return levels.ravel()[cell] + fading(channel, cell.shape, rng)


def mean_level(environment: Environment, place: np.ndarray) -> np.ndarray:
    """What of the RSSI belongs to the house alone, at `place` [Q, 3] -> [Q, n_ap] dBm."""
    house, channel = environment.house, environment.channel
    return (
        channel.reference_dbm
        - path_loss(house, channel, place)
        - obstacle_loss(house, channel, place)
        + environment.volume.at(environment.shadowing, place)
        + environment.gateway_offset
    )


def path_loss(house: House, channel: Channel, place: np.ndarray) -> np.ndarray:
    """Loss in dB relative to 1 m [Q, n_ap]."""
    distance = np.linalg.norm(wrist(place)[:, None] - house.access_points, axis=-1)
    return 10 * channel.exponent * np.log10(distance)


def obstacle_loss(house: House, channel: Channel, place: np.ndarray) -> np.ndarray:
    """Loss in dB by the walls and floors on the straight line [Q, n_ap], by the multi-wall model."""
    walls = crossed(house.walls, wrist(place), house.access_points)
    floors = crossed(house.floors, wrist(place), house.access_points)
    return channel.wall_db * walls + channel.floor_db * floors ** ((floors + 2) / (floors + 1) - FLOORS_B)


def crossed(barriers: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """How many of `barriers` [K, 6] stand on the lines from `start` [Q, 3] to `end` [n_ap, 3] -> [Q, n_ap]."""
    count = np.zeros((len(start), len(end)))
    for axis, at, *bounds in barriers:
        across = int(axis)
        before, after = start[:, across, None] - at, at - end[:, across]
        opposite = before * after > 0
        share = np.divide(before, before + after, out=np.zeros_like(count), where=opposite)
        hit = opposite
        for along, (low, high) in zip([i for i in range(3) if i != across], (bounds[:2], bounds[2:]), strict=True):
            where = start[:, along, None] + share * (end[:, along] - start[:, along, None])
            hit = hit & (where > low) & (where < high)
        count += hit
    return count


def body_loss(house: House, channel: Channel, pose: Pose) -> np.ndarray:
    """0 dB facing the gateway, all of it with the back to it [Q, n_ap]."""
    towards = house.access_points[:, :2] - pose.place[:, None, :2]
    bearing = np.arctan2(towards[..., 1], towards[..., 0])
    return channel.body_db * (1 - np.cos(bearing - pose.heading[:, None])) / 2


def fading(channel: Channel, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Rice fading in dB, mean power 0 dB."""
    steady, scattered = np.sqrt(channel.rice_k / (channel.rice_k + 1)), np.sqrt(0.5 / (channel.rice_k + 1))
    in_phase = steady + scattered * rng.standard_normal(shape)
    quadrature = scattered * rng.standard_normal(shape)
    return 10 * np.log10(in_phase**2 + quadrature**2)


def heard(channel: Channel, level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which packets each gateway decodes: the weaker, the fewer [P, n_ap] bool."""
    chance = channel.best_reception / (1 + np.exp((channel.sensitivity_dbm - level) / channel.sensitivity_width_db))
    return rng.random(level.shape) < chance


def wrist(place: np.ndarray) -> np.ndarray:
    """Where the wearable is, over a `place` [Q, 3] on the floor."""
    return place + np.array([0, 0, WRIST_M])
