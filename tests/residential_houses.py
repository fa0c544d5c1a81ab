"""Four small houses in the layout of the residential recordings of the study's authors, made up for the tests."""

from pathlib import Path

from tinyloc.data.residential import FOLDER

# what a house's files have beside those that the loader reads
FURTHER = ("ap_mac_addresses", "ap_rooms", "floor_tags", "floor_aps", "tag_adjacency", "tag_coordinates")


def at(ms: int) -> str:
    return f"2016-10-05T10:{ms // 60_000:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def write(path: Path, *lines: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_experiment(folder: Path) -> None:
    """One minute: RSSI from AP 1 and 2 five times a second, 25 samples of the accelerometer a second, a tag a second.

    The person lies in the hallway (tags 1 and 2) for 30 s, then in the kitchen (tag 3). Tags start at 1 s and end at
    58 s. Sample i has x = i / 1000. A row of RSSI has the time of the last sample of a block.
    """
    rssi = [f"{at(200 * i + 160)},{1 + i % 2},1,{-50 - i % 9}" for i in range(300)]
    write(folder / "rx_wearable_data.dat", "timestamp, ap_id, wearable_id, rssi", *rssi)
    moved = [f"{at(40 * i)},1,{i},0,{i / 1000},0.5,-1.0" for i in range(1500)]
    write(folder / "accelerometer_filtered.dat", "timestamp,wearable_id,sequence,sample,x,y,z", *moved)
    tags = [f"{at(1000 * s)},1,{1 + s % 2 if s < 30 else 3},0.1,0.2,0" for s in range(1, 59)]
    write(folder / "tag_annotations.dat", "timestamp,person,tag_id,dx,dy,dz", *tags)
    acts = [f"{at(0)},{at(29_999)},4", f"{at(10_000)},{at(12_000)},5"]
    write(folder / "activity_annotation_times.dat", "timestamp_start,timestamp_end,activity_tag", *acts)


def write_houses(root: Path, houses: str = "ABCD") -> Path:
    """The whole tree under `root`; the folder that holds the houses."""
    for house in houses:
        metadata = root / FOLDER / f"house_{house}" / "metadata"
        write(metadata / "ap_coordinates.dat", "id,x,y,z", "1,0.0,0.5,1.0", "2,3.0,0.5,1.0", "7,9.0,0.5,1.0")
        write(metadata / "room_names.dat", "1,hallway", "2,kitchen")
        write(metadata / "room_tags.dat", "1,1,2", "2,3")
        write(metadata / "act_desc.dat", "4,lying", "5,walking")
        for name in FURTHER:
            write(metadata / f"{name}.dat", "1,0")
        for experiment in ("fingerprint_floor", "living_1", "living_2"):
            write_experiment(root / FOLDER / f"house_{house}" / "experiments" / experiment)
    return root / FOLDER
