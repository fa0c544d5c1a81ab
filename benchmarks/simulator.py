"""How many packets a second the simulator makes on one core, plan by plan.

A packet is a row of the packet table: one packet as one gateway heard it. The packets that were sent are counted too.
"""

import time

from benchmarks import Table
from tinyloc.config import HouseData
from tinyloc.data.plans import PLANS
from tinyloc.data.simulate import simulate

REPEATS = 3
WANTED = 100_000  # packets a second


def measure(plan: str) -> dict[str, float]:
    """Packets heard and sent a second of CPU time, in the fastest of REPEATS runs of the default recordings."""
    config = HouseData(kind="house", plan=plan)
    fastest = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        dataset = simulate("house", config)
        fastest = min(fastest, time.process_time() - began)
    tables = [recording.packets for recording in dataset.recordings]
    heard = sum(map(len, tables))
    sent = sum(int(table["seqno"].max() - table["seqno"].min()) + 1 for table in tables)
    return {"heard_per_s": heard / fastest, "sent_per_s": sent / fastest}


def run() -> Table:
    """A row a plan; the ratio is to the rate that is promised."""
    rates = {plan: measure(plan) for plan in PLANS}
    return Table(
        title="Simulated packets a second, one core",
        note=f"Heard: rows of the packet table, one packet as one gateway heard it; the ratio is to {WANTED:,}. "
        "Sent: by the wearable.",
        rows=[
            {
                "what": f"plan {plan}",
                "heard, a second": rate["heard_per_s"],
                "sent, a second": rate["sent_per_s"],
                "ratio": rate["heard_per_s"] / WANTED,
                "at least": 1.0,
            }
            for plan, rate in rates.items()
        ],
    )


def main() -> None:
    """Print packets a second, plan by plan."""
    for row in run().rows:
        print(f"{row['what']}: {row['heard, a second']:,.0f} packets/s heard, {row['sent, a second']:,.0f} sent")


if __name__ == "__main__":
    main()
