"""How many packets a second the simulator makes on one core, plan by plan.

A packet is a row of the packet table: one packet as one gateway heard it. The packets that were sent are counted too.
"""

import time

from tinyloc.config import HouseData
from tinyloc.data.plans import PLANS
from tinyloc.data.simulate import simulate

REPEATS = 3


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


def main() -> dict[str, dict[str, float]]:
    """Print the rates and return them, plan by plan."""
    rates = {plan: measure(plan) for plan in PLANS}
    for plan, rate in rates.items():
        print(f"simulator, plan {plan}: {rate['heard_per_s']:,.0f} packets/s heard, {rate['sent_per_s']:,.0f} sent")
    return rates


if __name__ == "__main__":
    main()
