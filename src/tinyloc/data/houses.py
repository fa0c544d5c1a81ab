"""Several houses as one data set, so that a model can be trained in some and tested in another."""

from collections.abc import Sequence
from dataclasses import replace

from tinyloc.data.packets import Dataset, samples
from tinyloc.errors import InputError


def join(name: str, houses: Sequence[Dataset]) -> Dataset:
    """The recordings of all `houses`, renamed `house/recording`, with the house in the place of the participant.

    The study trains and tests within one house and defines no match between the gateways of two. So names have to
    say it: a gateway or a room of one house is that of the same name in another.
    Raises InputError: the houses differ in gateways, rooms or accelerometer samples; the line names them.
    """
    first = houses[0]
    for house in houses[1:]:
        for what in ("gateways", "rooms"):
            odd = sorted(set(getattr(first, what)) ^ set(getattr(house, what)))
            if odd:
                raise InputError(
                    f"datasets.{name}.houses: {first.name!r} and {house.name!r} do not share the {what} "
                    f"{', '.join(odd)}; nothing says which belongs to which, so take houses with the same names"
                )
        ours, theirs = (samples(h.recordings[0].packets.columns) for h in (first, house))
        if ours != theirs:
            raise InputError(
                f"datasets.{name}.houses: packets of {first.name!r} carry {ours} accelerometer samples and those of "
                f"{house.name!r} {theirs}; models need the same in all (accelerometer: false leaves them out)"
            )
    recordings = tuple(
        replace(recording, name=f"{house.name}/{recording.name}", participant=house.name)
        for house in houses
        for recording in house.recordings
    )
    names = ", ".join(house.name for house in houses)
    return Dataset(name, first.gateways, first.rooms, recordings, f"The data sets {names}, taken together.")
