"""LoMAPP: 24 people, with Parkinson's disease (PD) and without (C), five days each; on request from its authors.

The data come as windows and not as packets. A folder `PD` and a folder `C` hold three arrays each, in the layout of the
public MDCSA code: `rssi` [N, T, n_ap], `accl` [N, T, n_acc] and `location` [N, T] of room names. They are read from
`rssi.npz`, `accl.npz` and `location.npz` (one array a file, no pickled objects in them) or, where a user asks for it by
name, from `.pkl` files.
"""

import pickle
from pathlib import Path

import numpy as np

from tinyloc.config import Features, LomappData
from tinyloc.data.features import Steps
from tinyloc.errors import InputError
from tinyloc.files import sha256

GROUPS = ("PD", "C")
ARRAYS = ("rssi", "accl", "location")


def files(config: LomappData) -> list[Path]:
    """The six files of a configuration, there or not."""
    suffix = "pkl" if config.pickles else "npz"
    return [config.folder / group / f"{name}.{suffix}" for group in GROUPS for name in ARRAYS]


def load(config: LomappData, features: Features) -> tuple[list[Steps], tuple[str, ...], tuple[str, ...], str]:
    """Steps of both groups, names of the gateways (numbers, which is all the arrays have), rooms, and a fingerprint.

    A group is a recording and each of its windows a segment, so that no window is cut across two. Times are counted
    from 1970, one bin a step: the arrays hold none. A gateway counts as heard where it is above `silent_dbm`.

    Raises InputError: a file that is missing, of another shape, or with values that are no numbers.
    """
    paths = files(config)
    groups = {}
    for group, three in zip(GROUPS, (paths[:3], paths[3:]), strict=True):
        rssi, acc, location = (_array(path) for path in three)
        _check(three, rssi, acc, location)
        groups[group] = rssi.astype(np.float32), acc.astype(np.float32), location.astype(str)
    for i in (0, 1):
        widths = [arrays[i].shape[2] for arrays in groups.values()]
        if widths[0] != widths[1]:
            raise InputError(f"{paths[i + 3]}: {widths[1]} columns, but {paths[i]} has {widths[0]}")
    rooms = tuple(np.unique(np.concatenate([location.ravel() for _, _, location in groups.values()])).tolist())
    steps = [_steps(group, *arrays, rooms, features) for group, arrays in groups.items()]
    gateways = tuple(str(i) for i in range(steps[0].rssi.shape[1]))
    # the shape is not in the bytes: 20 windows of 10 steps hold what 10 of 20 do
    parts = [
        part
        for arrays in groups.values()
        for a in arrays
        for part in (repr(a.shape).encode(), np.ascontiguousarray(a).tobytes())
    ]
    return steps, gateways, rooms, sha256(repr(rooms).encode(), *parts)


def _array(path: Path) -> np.ndarray:
    if not path.is_file():
        twin = path.with_suffix(".pkl")
        hint = ""
        if path.suffix == ".npz" and twin.is_file():
            hint = f"; {twin.name} is there: reading it runs code of whoever made it, `pickles: true` allows that"
        raise InputError(f"{path}: no such file{hint}")
    try:
        if path.suffix == ".pkl":
            with path.open("rb") as file:
                return np.asarray(pickle.load(file))
        with np.load(path, allow_pickle=False) as arrays:
            if len(arrays.files) != 1:
                raise InputError(f"{path}: {len(arrays.files)} arrays ({', '.join(arrays.files)}); it has to hold one")
            return arrays[arrays.files[0]]
    except InputError:
        raise
    except Exception as error:  # a damaged archive and a foreign pickle can raise anything
        raise InputError(
            f"{path}: cannot be read ({' '.join(str(error).split())}); is it a .npz of plain arrays?"
        ) from None


def _check(paths: list[Path], rssi: np.ndarray, acc: np.ndarray, location: np.ndarray) -> None:
    for path, array, dimensions in zip(
        paths, (rssi, acc, location), ("N, T, n_ap", "N, T, n_acc", "N, T"), strict=True
    ):
        if array.ndim != dimensions.count(",") + 1:
            raise InputError(f"{path}: shape {array.shape}; it has to be [{dimensions}]")
        if array.shape[:2] != rssi.shape[:2] or not array.size:
            raise InputError(f"{path}: shape {array.shape}, but {paths[0].name} has {rssi.shape}; N and T must agree")
    for path, array in zip(paths[:2], (rssi, acc), strict=True):
        if array.dtype.kind not in "fiu":
            raise InputError(f"{path}: values of type {array.dtype}; they have to be numbers")
        if not np.isfinite(array).all():
            where = ", ".join(map(str, np.argwhere(~np.isfinite(array))[0].tolist()))
            raise InputError(f"{path}: not a number at [{where}]; leave such windows out")
    if location.dtype.kind not in "UO" or not all(isinstance(name, str) and name for name in location.ravel().tolist()):
        raise InputError(f"{paths[2]}: values of type {location.dtype}; they have to be names of rooms")


def _steps(
    group: str, rssi: np.ndarray, acc: np.ndarray, location: np.ndarray, rooms: tuple[str, ...], features: Features
) -> Steps:
    windows, length = location.shape
    number = np.arange(windows * length)
    rows = rssi.reshape(len(number), -1)
    return Steps(
        recording=group,
        participant=group,
        phase="living",
        rssi=rows,
        heard=(rows > features.silent_dbm).astype(np.int64),
        acc=acc.reshape(len(number), -1),
        room=np.searchsorted(rooms, location.ravel()).astype(np.int64),
        segment=np.repeat(np.arange(windows), length),
        step=number,
        time=(number * round(features.bin_s * 1e6)).astype("datetime64[us]"),
    )
