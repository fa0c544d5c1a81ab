"""Which model fits: the most accurate of those that do, by runtime and source; where none does, the smallest."""

import json
from pathlib import Path

import pytest
from report_tree import write_device, write_export, write_result

from tinyloc.report import fits, kinds, reference

KB = 1024
WIDE, NARROW, MAMBA = "student.int8", "narrow.int8", "mamba.float32"


def exported(root: Path, entry: str, right: float, tflite: int, arena: int) -> Path:
    folder = write_export(write_result(root, "shib", entry, right), tflite, arena)
    family = "mamba" if entry == MAMBA else "mdcsa"
    made = {"fingerprint": "one", "provenance": {"commit": "abc"}, "origin": "", "windows": {}}
    (folder / "config.json").write_text(json.dumps({**made, "model": {"family": family}}))
    (folder / "timing.json").write_text(json.dumps({"seconds": 1.0}))
    return folder


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A wide student of 66 KB in all, a narrow and worse one of 50 KB, a Mamba of 40 KB. No references."""
    monkeypatch.setattr(reference, "shipped", lambda folder: tmp_path / folder)
    sizes = {WIDE: (0.95, 42 * KB, 24 * KB), NARROW: (0.7, 30 * KB, 20 * KB), MAMBA: (0.9, 26 * KB, 14 * KB)}
    return {entry: exported(tmp_path, entry, *size) for entry, size in sizes.items()}


def picked(found, runtime: str) -> list[tuple[str, bool]]:
    part = found[found["runtime"] == runtime]
    return list(zip(part["entry"], part["fits"], strict=True))


def test_the_most_accurate_that_fits_or_else_the_smallest(folders: dict[str, Path]) -> None:
    found = fits.answers(fits.candidates([*folders.values()], []))
    assert picked(found, fits.TFLM) == [(NARROW, True), (WIDE, True), (NARROW, False), (MAMBA, False)]
    assert found["taken"].tolist() == [50 * KB, 24 * KB, 50 * KB, 40 * KB]
    assert picked(found, fits.COMPILED) == []  # nothing was compiled, so nothing is said


def test_compiled_programs_are_asked_apart(folders: dict[str, Path]) -> None:
    report = write_device(folders[WIDE], 9 * KB, 64, 1000)  # of 48 KB of flash
    found = fits.answers(fits.candidates([*folders.values()], [report]))
    assert picked(found, fits.COMPILED) == [(WIDE, True), (WIDE, True), (WIDE, False)]
    assert found[found["runtime"] == fits.COMPILED]["taken"].tolist() == [9 * KB + 49_158, 9 * KB, 9 * KB + 49_158]


def test_references_stand_beside_under_their_name(folders: dict[str, Path]) -> None:
    write_device(folders[WIDE], 9 * KB, 64, 1000)
    reference.write([*folders.values()], reference.folder_of(kinds.PROFILE))
    found = fits.answers(fits.candidates([folders[NARROW]], []))
    kept = found[found["source"] != fits.OWN]
    assert picked(kept, fits.TFLM) == [(NARROW, True), (WIDE, True), (NARROW, False), (MAMBA, False)]
    assert picked(kept, fits.COMPILED) == [(WIDE, True), (WIDE, True), (WIDE, False)]
    assert set(kept["source"]) == {"reference, 1 seed, commit abc"}
    assert picked(found[found["source"] == fits.OWN], fits.TFLM) == [(NARROW, True), (NARROW, True), (NARROW, False)]
    words = fits.words(found)
    assert "none, the smallest is `mamba.float32` with 40.0 KB" in words and f"`{WIDE}` with 24.0 KB" in words
    assert len(fits.shown(found)) == len(found) == 10


def test_a_page_without_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "shipped", lambda folder: tmp_path / folder)
    found = fits.answers(fits.candidates([], []))
    assert found.empty and len(fits.shown(found)) == 1
    assert fits.words(found).count("no such model was exported") == len(fits.QUESTIONS)
