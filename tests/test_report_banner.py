"""The banner names every data set, present or absent."""

from types import SimpleNamespace

from tinyloc.report.banner import banner


def study(datasets: dict[str, str], absent: dict[str, str], seeds: list[int]) -> SimpleNamespace:
    return SimpleNamespace(
        config=SimpleNamespace(name="quick"),
        datasets=datasets,
        absent=absent,
        seeds=seeds,
        prepared=lambda name: SimpleNamespace(fingerprint=f"{name}-0123456789abcdef"),
    )


def test_it_says_what_made_each_data_set():
    text = banner(study({"shib": "Real packets.", "house": "A simulated house."}, {}, [0]))
    assert "**shib** – Real packets. Fingerprint `shib-0123456`." in text
    assert "**house** – A simulated house." in text
    assert "not there" not in text


def test_it_says_what_is_not_there_and_why():
    text = banner(study({"house": "A simulated house."}, {"own": "configs/own: no such folder"}, [0]))
    assert text.splitlines()[1] == (
        "> **own was not there** when this page was made, so nothing on it is about own: configs/own: no such folder.  "
    )


def test_it_names_profile_and_every_seed():
    text = banner(study({"house": "A simulated house."}, {}, [0, 1, 2]))
    assert text.splitlines()[-1].startswith("> Profile **quick**, seeds 0, 1, 2.")


def test_every_line_is_part_of_one_quotation():
    text = banner(study({"house": "A simulated house."}, {"shib": "gone"}, [0]))
    assert len(text.splitlines()) == 3
    assert all(line.startswith("> ") for line in text.splitlines())
