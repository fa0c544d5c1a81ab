"""Writes the chain from packets to rooms around a compiled model: constants from its export, code of firmware/chain.

The emitted folder is one of `compile_model` with chain_config.h, chain_config.c and the sources of `firmware/chain`
beside the model's. An application includes `tl_chain.h`.
"""

import shutil
from pathlib import Path

import numpy as np

from tinyloc import __version__
from tinyloc.aot.c_text import float_literal, in_comment, template
from tinyloc.aot.compiler import compile_model
from tinyloc.aot.deployed import Deployed
from tinyloc.aot.graph import Tensor
from tinyloc.aot.report import Report
from tinyloc.data.packets import SAMPLES_PER_PACKET
from tinyloc.data.windows import span
from tinyloc.errors import InputError
from tinyloc.files import shipped, write_text

CONFIG = "chain_config.h"
MOST_LAG = 3600  # steps; at one a second, an hour
MOST_SPAN = 40.0
"""Between the energies of moves (and those of ends) that marginals are made with on a device, in nats: then every move
has odds of e^-40 at least, and what float32 cannot hold beside the likeliest room, less than e^-87, stays without a say
whatever comes. Trained energies were seen to lie within 1."""


def emit_chain(
    export: Path,
    out: Path,
    ram: int | None = None,
    core: str = "generic",
    hop: int = 1,
    samples: int = SAMPLES_PER_PACKET,
    lag: int | None = None,
) -> Report:
    """Compile the model of an export's folder into `out`, and write the chain around it.

    hop: steps from one inference to the next; a model with a state needs every step. samples: of the accelerometer in
    a packet; left out for a model without. lag: None decodes every window by itself and gives the room of its last
    step; a number decodes the segment as it comes, and gives the room of so many steps ago (`OnlineViterbi`,
    `OnlineMarginal`).
    ram, core: see `compile_model`, whose report is returned.
    Raises InputError: what `Deployed.read` and `compile_model` raise; or `hop` or `lag` is not possible.
    """
    deployed = Deployed.read(Path(export))
    if hop < 1 or (deployed.streamed and hop > 1):
        raise InputError(f"hop {hop}: give a whole number from 1 on, and 1 for a model with a state")
    if lag is not None:
        _check_lag(deployed, hop, lag)
    files = _files(deployed, hop, samples if deployed.accelerometer else 0, lag)
    report = compile_model(deployed.model, out, ram, core)
    for source in _sources(deployed, lag):
        shutil.copyfile(source, Path(out) / source.name)
    for name, text in files.items():
        write_text(Path(out) / name, text)
    return report


def _sources(deployed: Deployed, lag: int | None) -> list[Path]:
    """Of `firmware/chain`, those of a chain that decodes in this way; marginals need an exponential too."""
    chain, kernels = shipped("firmware") / "chain", shipped("firmware") / "kernels"
    marginal = deployed.crf is not None and deployed.crf.decide == "marginal"
    interface, paths, rooms = ("tl_decode.h", "tl_decode.c", "tl_marginal.c")
    if lag is not None:
        interface, paths, rooms = ("tl_online.h", "tl_online.c", "tl_smooth.c")
    found = ["chain.h", "chain.c", "features.h", "features.c"]
    found = [*(chain / f"tl_{name}" for name in found), chain / interface]
    if not marginal:
        return [*found, chain / paths]
    forward = [chain / "tl_forward.h", chain / "tl_forward.c", kernels / "tinyloc_kernels.h", kernels / "tl_math.c"]
    return [*found, chain / rooms, *forward]


def _check_lag(deployed: Deployed, hop: int, lag: int) -> None:
    if deployed.crf is None:
        raise InputError(f"lag {lag}: {deployed.folder} has no CRF, whose energies the search needs; leave the lag out")
    if not 0 <= lag <= MOST_LAG:
        raise InputError(f"lag {lag}: give a whole number of steps from 0 to {MOST_LAG}")
    if hop > deployed.length:
        raise InputError(
            f"hop {hop}: the search needs every step, and a window has {deployed.length}; give at most that"
        )


# ── the records of the test bench, as C lays them out ────────────────────────────────────────────
def offer_type(samples: int) -> np.dtype:
    """A packet offered to the chain, or the end of a recording: what work_chain.c reads."""
    moved = [("samples", "<f8", (samples, 3))] if samples else []
    packet = [("time", "<i8"), *moved, ("rssi", "<i4"), ("seqno", "<u4"), ("gateway", "<u4")]
    return np.dtype([("end", "<u4"), ("packet", np.dtype(packet, align=True))], align=True)


def answer_type(n_features: int, lag: int | None = None) -> np.dtype:
    """What the chain says to an offer: whether a step is over, and that step."""
    counts = [(name, "<i4") for name in ("room", "segment", "number")]
    features = [(name, "<f4", (n_features,)) for name in ("measured", "scaled")]
    rest = [("rest", "<i4", (lag,))] if lag else []
    return np.dtype([("over", "<u4"), *counts, *features, *rest])


# ── the constants ────────────────────────────────────────────────────────────────────────────────
def _files(deployed: Deployed, hop: int, samples: int, lag: int | None) -> dict[str, str]:
    n_features = sum(deployed.columns.values())
    values = {
        "banner": f"Generated by tinyloc {__version__} for the model of SHA-256 {deployed.graph.sha256}: do not edit.",
        "n_ap": len(deployed.gateways),
        "gateways": in_comment(", ".join(deployed.gateways)),
        "rooms": deployed.rooms,
        "labels": in_comment(", ".join(deployed.rooms)),
        "samples": samples,
        "length": deployed.length,
        "hop": hop,
        "lag": lag,
        "bin_us": round(deployed.features.bin_s * 1e6),
        "gap_us": round(deployed.features.max_gap_s * 1e6),
        "silent": float_literal(deployed.features.silent_dbm),
        "element": _type(deployed.inputs[0]),
        "scores": _type(deployed.outputs[0]),
        "columns": _columns(deployed),
        "inputs": _inputs(deployed),
        "crf": _energies(deployed),
        "offer_bytes": offer_type(samples).itemsize,
        "answer_bytes": answer_type(n_features, lag).itemsize,
    }
    return {name: template(f"{name}.j2").render(values) for name in (CONFIG, "chain_config.c")}


def _type(tensor: Tensor) -> dict:
    if tensor.quantisation is None:
        return {"ctype": "float", "quantised": 0}
    info = np.iinfo(tensor.dtype)
    return {
        "ctype": f"{tensor.dtype}_t",
        "quantised": 1,
        "least": int(info.min),
        "most": int(info.max),
        "scale": float_literal(tensor.scale),
        "zero_point": tensor.zero_point,
    }


def _columns(deployed: Deployed) -> list[dict]:
    """Scaling and, for integers, quantisation of every column of a step."""
    by_name = {tensor.name: tensor for tensor in deployed.inputs}
    found, scaler = [], deployed.scaler
    limits = {"rssi": (scaler.rssi_min, scaler.rssi_max), "acc": (scaler.acc_min, scaler.acc_max)}
    for part, count in deployed.columns.items():
        # a modality that the model does not see is measured and not given to it
        tensor = by_name.get(part, deployed.inputs[0])
        for i, (low, width) in enumerate(zip(limits[part][0], span(*limits[part]), strict=True)):
            numbers = [float_literal(low), float_literal(width)]
            if tensor.quantisation is not None:
                numbers += [repr(float(tensor.scale)), str(tensor.zero_point)]
            found.append({"name": f"{part} {i} of {count}", "numbers": numbers})
    return found


def _inputs(deployed: Deployed) -> list[dict]:
    first = {"rssi": 0, "acc": len(deployed.gateways)}
    return [{"name": t.name, "first": first[t.name], "columns": deployed.columns[t.name]} for t in deployed.inputs]


def _energies(deployed: Deployed) -> dict | None:
    """As energies for Viterbi's search. For marginals `transition` and `end` as odds, exp(energy) of which the largest
    is 1; `start` stays, because the first step's scores come to it before the exponential.

    Raises InputError: energies are so far apart that the odds would not hold them, see `MOST_SPAN`.
    """
    if deployed.crf is None:
        return None
    crf, odds = deployed.crf, deployed.crf.decide == "marginal"
    transition, end = (_odds(deployed, name) if odds else getattr(crf, name) for name in ("transition", "end"))
    return {
        "odds": odds,
        "start": [float_literal(v) for v in crf.start],
        "transition": [[float_literal(v) for v in row] for row in transition],
        "end": [float_literal(v) for v in end],
    }


def _odds(deployed: Deployed, name: str) -> np.ndarray:
    energies = getattr(deployed.crf, name).astype(np.float64)
    if np.ptp(energies) > MOST_SPAN:
        raise InputError(
            f"{deployed.folder}/decoder.json: energies of {name} are {np.ptp(energies):.0f} apart, and marginals on a "
            f"device take {MOST_SPAN:.0f}; set `decide: viterbi` for this model and export it again"
        )
    return np.exp(energies - energies.max()).astype(np.float32)
