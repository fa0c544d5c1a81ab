"""Packet tables from CSV: what is right is read as it is, what is wrong is one line with line, column and value."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packet_tables import GATEWAYS, ROOMS, START, dataset, table, tables

from tinyloc.data.packets import ACCELERATION, COLUMNS, columns, missing, read_csv, schema, write_csv
from tinyloc.errors import InputError

PROPERTY = settings(
    derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def lines(tmp_path):
    """The lines of a good file: a header and five packets on lines 2 to 6."""
    path = tmp_path / "good.csv"
    write_csv(path, table([0, 100, 200, 300, 400]))
    return path.read_text().splitlines()


def refusal(tmp_path, content: list[str] | str | bytes, gateways=GATEWAYS, rooms=ROOMS) -> str:
    """The message with which a file is refused; always one line that begins with the file."""
    path = tmp_path / "anna-1.csv"
    text = "\n".join(content) + "\n" if isinstance(content, list) else content
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_csv(path, gateways, rooms)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def put(lines: list[str], line: int, column: str, value: str) -> list[str]:
    """`lines` with one cell changed; `line` counts from 1, as an editor does."""
    cells = lines[line - 1].split(",")
    cells[COLUMNS.index(column)] = value
    return [*lines[: line - 1], ",".join(cells), *lines[line:]]


@PROPERTY
@given(packets=tables())
def test_a_written_table_is_read_back(tmp_path, packets):
    path = tmp_path / "packets.csv"
    write_csv(path, packets)
    back = read_csv(path, GATEWAYS, ROOMS)
    assert tuple(back.columns) == COLUMNS
    assert back["timestamp"].dtype == "datetime64[us]" and back["rssi"].dtype == back["seqno"].dtype == np.int64
    pd.testing.assert_frame_equal(back, packets, check_dtype=False)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        read_csv(tmp_path / "nowhere.csv")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_csv(tmp_path)


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "activity"])
def test_missing_column_is_named_with_those_that_are_there(tmp_path, lines, column):
    lines[0] = lines[0].replace(column, "other")
    message = refusal(tmp_path, lines)
    assert message.startswith(f"line 1: no column '{column}'")
    assert all(name in message for name in set(COLUMNS) - {column}) and "other" in message


def test_true_is_no_number(tmp_path, lines):
    for line in range(2, len(lines) + 1):
        lines = put(lines, line, "rssi", "True")
    assert "'True' is not a number; give whole dBm" in refusal(tmp_path, lines)


def test_a_remark_above_the_header_is_not_taken_for_one_column(tmp_path, lines):
    assert "begin the file with the names of its columns" in refusal(tmp_path, ["# my data", *lines])


def test_without_numbers_of_packets_the_accelerometer_can_be_left_out(tmp_path, lines):
    assert "leave the accelerometer out (--no-accelerometer" in refusal(
        tmp_path, [lines[0].replace("seqno", "number"), *lines[1:]]
    )


def test_column_that_stands_twice(tmp_path, lines):
    lines[0] = lines[0].replace("s1x", "rssi")
    lines[0] += ",s1x"
    assert refusal(tmp_path, lines).startswith("line 1: the column 'rssi' stands there twice")


def test_semicolons_instead_of_commas(tmp_path, lines):
    assert "commas" in refusal(tmp_path, [line.replace(",", ";") for line in lines])


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_file_without_anything(tmp_path, content):
    assert refusal(tmp_path, content).startswith("an empty recording")


def test_header_without_packets(tmp_path, lines):
    assert "no packets" in refusal(tmp_path, lines[:1])


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("timestamp", "1000", "'1000' is not a time; write it as"),
        ("timestamp", "2017-08-07", "'2017-08-07' is not a time"),
        ("rssi", "loud", "'loud' is not a number; give whole dBm"),
        ("rssi", "", "'' is not a number"),
        ("rssi", "nan", "'nan' is not a number"),
        ("rssi", "-inf", "'-inf' is not a number"),
        ("rssi", "-71.5", "'-71.5' is not a whole number"),
        ("rssi", "127", "'127' is outside -127 … 20 dBm"),
        ("rssi", "-128", "'-128' is outside -127 … 20 dBm"),
        ("seqno", "x", "'x' is not a number"),
        ("seqno", "-3", "'-3' is negative"),
        ("seqno", "1" + "0" * 30, "00' has too many digits; give the packet's number"),
        ("seqno", str(2**63), "'9223372036854775808' has too many digits"),
        ("rssi", "1e400", "'1e400' is not a number"),
        ("s3y", "1g", "'1g' is not a number; give it in g"),
        ("s5z", "-160", "is outside -16 … 16; give it in g"),
        ("timestamp", "yesterday", "'yesterday' is not a time"),
        ("timestamp", "", "'' is not a time"),
        ("timestamp", "2024-13-01 10:00:00", "is not a time"),
        ("timestamp", "2024-05-01 09:00:00", "goes backwards: the packet before has '2024-05-01 10:00:00.200'; sort"),
        ("gateway", "eastt", "'eastt' is not a known gateway; did you mean 'east'? known are east, west"),
        ("gateway", "", "'' is not a known gateway; known are east, west"),
        ("true_room", "celar", "did you mean 'cellar'? known are attic, cellar, hall"),
        ("true_room", "NA", "'NA' is not a known room"),
        ("activity", "", "is empty"),
    ],
)
def test_wrong_cell_is_found(tmp_path, lines, column, value, words):
    message = refusal(tmp_path, put(lines, 5, column, value))
    assert message.startswith(f"line 5: {column}: ")
    assert words in message


@pytest.mark.parametrize("name", [" cellar", "cellar ", "   ", "cel\tlar"])
def test_names_with_blanks_around_them_are_others_than_they_look(tmp_path, lines, name):
    path = tmp_path / "own.csv"
    path.write_text("\n".join(put(lines, 5, "true_room", name)))
    with pytest.raises(InputError, match=r"line 5: true_room: .* begins or ends with a blank"):
        read_csv(path)


def test_long_numbers_of_packets_keep_their_last_digits(tmp_path, lines):
    """Some devices count in nanoseconds; as float64 two packets in a row would be one."""
    number = 1_714_554_000_000_000_001
    for line in range(2, len(lines) + 1):
        lines = put(lines, line, "seqno", str(number + line))
    path = tmp_path / "own.csv"
    path.write_text("\n".join(lines))
    assert read_csv(path)["seqno"].tolist() == [number + line for line in range(2, len(lines) + 1)]


def test_times_with_and_without_offset_in_one_file(tmp_path, lines):
    lines = put(lines, 2, "timestamp", "2024-05-01 12:00:00+02:00")
    assert "line 3: timestamp: '2024-05-01 10:00:00.100' has no UTC offset, as others have; give it" in refusal(
        tmp_path, lines
    )


def test_columns_that_are_called_nearly_right(tmp_path, lines):
    said = refusal(tmp_path, [lines[0].upper(), *lines[1:]])
    assert said.endswith("; write 'TIMESTAMP' as 'timestamp'")
    assert "write ' rssi' as 'rssi'" in refusal(tmp_path, [lines[0].replace("rssi", " rssi"), *lines[1:]])


@pytest.mark.parametrize(
    ("pack", "said"),
    [
        (gzip.compress, "compressed with gzip; unpack it first"),
        (lambda content: b"PK\x03\x04" + content, "a zip archive or a spreadsheet"),
        (lambda content: content.decode().encode("utf-16"), "UTF-16; save it as UTF-8"),
    ],
    ids=["gzip", "zip", "utf-16"],
)
def test_files_that_are_taken_for_csv(tmp_path, lines, pack, said):
    path = tmp_path / "own.csv"
    path.write_bytes(pack("\n".join(lines).encode()))
    with pytest.raises(InputError, match=f"own\\.csv: {said}"):
        read_csv(path)


def test_the_line_is_the_editors_line(tmp_path, lines):
    lines = put(lines, 4, "rssi", "loud")
    blank = [lines[0], "", *lines[1:3], "   ", *lines[3:]]
    assert refusal(tmp_path, blank).startswith("line 6: rssi")
    assert refusal(tmp_path, "\r\n".join(blank)).startswith("line 6: rssi")
    # a quoted cell over two lines in a column that is not ours
    noted = [lines[0] + ",note", *(line + ',"two\nlines"' for line in lines[1:])]
    assert refusal(tmp_path, noted).startswith("line 7: rssi")


def test_the_first_wrong_row_is_reported(tmp_path, lines):
    lines = put(put(lines, 6, "gateway", "north"), 3, "true_room", "moon")
    assert refusal(tmp_path, lines).startswith("line 3: true_room: 'moon'")


def test_without_known_names_any_name_will_do(tmp_path, lines):
    path = tmp_path / "free.csv"
    path.write_text("\n".join(put(lines, 3, "gateway", "north")) + "\n")
    assert set(read_csv(path)["gateway"]) == {"east", "north"}
    assert "is empty" in refusal(tmp_path, put(lines, 3, "gateway", ""), gateways=None)


def test_rows_longer_than_the_header(tmp_path, lines):
    one = [*lines[:3], lines[3] + ",more", *lines[4:]]
    assert refusal(tmp_path, one).startswith("line 4: 22 values for 21 columns")
    assert refusal(tmp_path, [lines[0], "", *one[1:]]).startswith("line 5: 22 values for 21 columns")
    every = [lines[0], *(line + ",more" for line in lines[1:])]
    assert refusal(tmp_path, every).startswith("line 2: 22 values for 21 columns")


def test_row_cut_short(tmp_path, lines):
    message = refusal(tmp_path, [*lines[:4], lines[4].rsplit(",", 2)[0], *lines[5:]])
    assert message.startswith("line 5: true_room")


def test_quote_that_never_closes(tmp_path, lines):
    opened = put(lines, 4, "gateway", '"east')
    assert refusal(tmp_path, opened).startswith("line 4: a quote is opened")
    assert refusal(tmp_path, [lines[0] + ',"note', *lines[1:]]).startswith("line 1: a quote is opened")
    # so much after it that the csv module gives up
    assert "a quote is opened" in refusal(tmp_path, [*opened, *lines[1:] * 500])
    assert "a quote is opened" in refusal(tmp_path, ['"' + lines[0], *lines[1:] * 500])


def test_bytes_that_are_no_text(tmp_path, lines):
    text = "\n".join(lines).encode()
    assert refusal(tmp_path, text.replace(b"sitting", b"sitz\xe4nd", 1)).startswith("line 2: not UTF-8 (byte 0xe4)")
    assert refusal(tmp_path, text[:-10] + b"\0" * 10).startswith("line 6: a zero byte")


def test_byte_order_mark_further_columns_and_their_order_do_not_matter(tmp_path, lines):
    path = tmp_path / "excel.csv"
    turned = [",".join(["note", *line.split(",")[::-1]]) for line in lines]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(turned).encode())
    pd.testing.assert_frame_equal(read_csv(path, GATEWAYS, ROOMS), table([0, 100, 200, 300, 400]), check_dtype=False)


def test_times_with_an_offset_become_utc(tmp_path, lines):
    path = tmp_path / "zone.csv"
    path.write_text("\n".join(put(lines[:2], 2, "timestamp", "2024-05-01T12:00:00+02:00")) + "\n")
    assert read_csv(path)["timestamp"][0] == START


@PROPERTY
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, data):
    path = tmp_path / "damaged.csv"
    write_csv(path, table([0, 100, 200, 300]))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b'"', b",", b"\n", b"\r", b"-", b"e9", b"\xff", b" "])
        )
    path.write_bytes(raw)
    try:
        packets = read_csv(path, GATEWAYS, ROOMS)
    except InputError as error:
        assert "\n" not in str(error) and str(error).startswith(str(path))
    else:
        schema(GATEWAYS, ROOMS).validate(packets)


def without(lines: list[str], *names: str) -> list[str]:
    """`lines` less some of their columns."""
    kept = [i for i, column in enumerate(COLUMNS) if column not in names]
    return [",".join(line.split(",")[i] for i in kept) for line in lines]


def test_a_wearable_without_accelerometer(tmp_path, lines):
    path = tmp_path / "radio.csv"
    path.write_text("\n".join(without(lines, *ACCELERATION, "seqno", "activity")) + "\n")
    packets = read_csv(path, GATEWAYS, ROOMS)
    assert tuple(packets.columns) == columns(0)
    assert packets["seqno"].tolist() == [0, 1, 2, 3, 4] and set(packets["activity"]) == {"unknown"}
    assert missing(path) == ("seqno", "s1x", "s1y", "s1z", "activity")
    schema(GATEWAYS, ROOMS, 0).validate(packets)
    with pytest.raises(InputError, match=r"radio\.csv: line 1: no accelerometer column .* \(accelerometer: false\)"):
        read_csv(path, accelerometer=True)


def test_an_accelerometer_of_another_make(tmp_path, lines):
    """Two samples a packet; and packets with samples need their number, or each gateway would count them again."""
    path = tmp_path / "two.csv"
    two = without(lines, *ACCELERATION[6:])
    path.write_text("\n".join(two) + "\n")
    assert tuple(read_csv(path).columns) == columns(2)
    assert tuple(read_csv(path, accelerometer=False).columns) == columns(0)
    assert "no column 's2z'" in refusal(tmp_path, [line.replace("s2z", "S2Z") for line in two])
    assert "no column 'seqno'" in refusal(tmp_path, without(lines, "seqno"))


def test_fingerprint_follows_the_contents():
    ms = [0, 100, 200]
    same = dataset(table(ms)), dataset(table(ms))
    assert same[0].fingerprint == same[1].fingerprint
    others = [
        dataset(table(ms, rssi=[-60, -60, -61])),
        dataset(table([0, 100, 201])),
        dataset(table(ms, room="hall")),
        dataset(table(ms), table(ms)),
        dataset(table(ms), phases=["living"]),
    ]
    assert len({d.fingerprint for d in [same[0], *others]}) == len(others) + 1
