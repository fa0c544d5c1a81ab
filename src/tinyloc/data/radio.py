"""The radio channel of the simulated house: RSSI in dBm of every packet at every gateway, and which packets are heard.

RSSI = reference - path loss - walls + shadowing + drift - body + fading, rounded to whole dBm.

- Path loss grows with the logarithm of distance (Rappaport, "Wireless Communications", 2nd ed. 2002,
  section 4.9.1).
- Each wall between person and gateway costs the same (the multi-wall model of COST Action 231, final report 1999,
  section 4.7, where a heavy wall costs 6.9 dB; SHIB's walls cost more).
- Shadowing is a Gaussian field over the floor, exponentially correlated (Gudmundson, "Correlation model for shadow
  fading in mobile radio systems", Electronics Letters 27, 1991); one field a gateway, the same in all recordings.
- Drift: what has changed since the last recording (furniture, people, how the wearable sits): a weaker field and an
  offset a gateway, drawn for each recording.
- Body: the person stands in the way when turned away from the gateway. Bahl and Padmanabhan (RADAR, INFOCOM
  2000) saw up to 5 dB by orientation alone with a laptop; a wrist against the body loses more.
- Fading: Rice distributed amplitude, independent from packet to packet, as advertisements hop over three channels.

The values below put silent shares, range and spread of RSSI near those of the SHIB recordings. They are a first
version: chosen by hand, not fitted.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from tinyloc.data.house import House

REFERENCE_DBM = -49.0  # at 1 m, facing the gateway
EXPONENT = 3.2
HEIGHT_M = 0.6  # of the gateways above the wrist
WALL_DB = 9.0
SHADOWING_DB, SHADOWING_M = 4.0, 2.0
DRIFT_FIELD_DB, DRIFT_OFFSET_DB = 1.5, 1.5
GATEWAY_OFFSET_DB = 3.0
BODY_DB = 12.0
RICE_K = 1.0  # power of the steady part over that of the scattered part
SENSITIVITY_DBM, SENSITIVITY_WIDTH_DB = -90.0, 2.5  # half of the packets at this level are lost
BEST_RECEPTION = 0.8  # gateways scan three channels in turn and packets collide, so none hears all
GRID_M = 0.5


@dataclass(frozen=True)
class Field:
    """Values on a grid over the floor [n_ap, nx, ny] in dB, read between grid points by bilinear interpolation."""

    origin: np.ndarray  # [2] m
    values: np.ndarray

    def at(self, xy: np.ndarray) -> np.ndarray:
        """Values at `xy` [P, 2] -> [P, n_ap]."""
        place = (xy - self.origin).T / GRID_M
        return np.stack([map_coordinates(v, place, order=1, mode="nearest") for v in self.values], axis=1)


class Floor:
    """Draws Gaussian fields over the floor of a house with covariance deviation² exp(-distance / correlation)."""

    def __init__(self, house: House, correlation: float):
        corners = np.array([[r.x0, r.y0, r.x1, r.y1] for r in house.rooms])
        self.origin, end = corners[:, :2].min(0), corners[:, 2:].max(0)
        axes = [np.arange(low, high + GRID_M, GRID_M) for low, high in zip(self.origin, end, strict=True)]
        self.shape = tuple(map(len, axes))
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        distance = np.linalg.norm(points[:, None] - points, axis=-1)
        # the small diagonal keeps rounding from making the covariance indefinite
        self.factor = np.linalg.cholesky(np.exp(-distance / correlation) + 1e-9 * np.eye(len(points)))

    def field(self, count: int, deviation: float, rng: np.random.Generator) -> Field:
        """`count` independent fields."""
        values = deviation * (self.factor @ rng.standard_normal((len(self.factor), count))).T
        return Field(self.origin, values.reshape(count, *self.shape))


@dataclass(frozen=True)
class Environment:
    """What stays the same in all recordings of a house."""

    floor: Floor
    shadowing: Field
    gateway_offset: np.ndarray  # [n_ap] dB


def environment(house: House, rng: np.random.Generator) -> Environment:
    floor = Floor(house, SHADOWING_M)
    return Environment(
        floor=floor,
        shadowing=floor.field(len(house.gateways), SHADOWING_DB, rng),
        gateway_offset=rng.normal(0, GATEWAY_OFFSET_DB, len(house.gateways)),
    )


def rssi(
    house: House, environment: Environment, xy: np.ndarray, heading: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """RSSI [P, n_ap] in dBm of packets sent at `xy` [P, 2] by a person looking to `heading` [P] (radians)."""
    drift = environment.floor.field(len(house.gateways), DRIFT_FIELD_DB, rng)
    drift_offset = rng.normal(0, DRIFT_OFFSET_DB, len(house.gateways))
    return (
        REFERENCE_DBM
        - path_loss(house, xy)
        - WALL_DB * walls_between(house, xy)
        + environment.shadowing.at(xy)
        + environment.gateway_offset
        + drift.at(xy)
        + drift_offset
        - body_loss(house, xy, heading)
        + fading((len(xy), len(house.gateways)), rng)
    )


def path_loss(house: House, xy: np.ndarray) -> np.ndarray:
    """Loss in dB relative to 1 m [P, n_ap]."""
    flat = xy[:, None] - house.access_points
    distance = np.sqrt((flat**2).sum(-1) + HEIGHT_M**2)
    return 10 * EXPONENT * np.log10(distance)


def walls_between(house: House, xy: np.ndarray) -> np.ndarray:
    """Number of walls that the straight line from `xy` [P, 2] to each gateway crosses [P, n_ap]."""
    count = np.zeros((len(xy), len(house.gateways)))
    for axis, at, low, high in house.walls:
        across, along = int(axis), 1 - int(axis)
        from_wall, to_wall = xy[:, across, None] - at, at - house.access_points[:, across]
        opposite = from_wall * to_wall > 0
        share = np.divide(from_wall, from_wall + to_wall, out=np.zeros_like(count), where=opposite)
        crossing = xy[:, along, None] + share * (house.access_points[:, along] - xy[:, along, None])
        count += opposite & (crossing > low) & (crossing < high)
    return count


def body_loss(house: House, xy: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """0 dB facing the gateway, BODY_DB with the back to it [P, n_ap]."""
    towards = house.access_points - xy[:, None]
    bearing = np.arctan2(towards[..., 1], towards[..., 0])
    return BODY_DB * (1 - np.cos(bearing - heading[:, None])) / 2


def fading(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Rice fading in dB, mean power 0 dB."""
    steady, scattered = np.sqrt(RICE_K / (RICE_K + 1)), np.sqrt(0.5 / (RICE_K + 1))
    in_phase = steady + scattered * rng.standard_normal(shape)
    quadrature = scattered * rng.standard_normal(shape)
    return 10 * np.log10(in_phase**2 + quadrature**2)


def heard(level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which packets each gateway decodes: the weaker, the fewer [P, n_ap] bool."""
    chance = BEST_RECEPTION / (1 + np.exp(-(level - SENSITIVITY_DBM) / SENSITIVITY_WIDTH_DB))
    return rng.random(level.shape) < chance
