"""The runner and the board, with models written by hand: everything here runs QEMU."""

import subprocess

import numpy as np
import pytest
import tiny_model

from tinyloc.device import boards, host, memory, qemu, toolchain
from tinyloc.device.records import DeviceError
from tinyloc.errors import InputError

BOARD, RAM = "mps2-an386", 32 * 1024
NO_RESET = np.zeros(1, bool)


@pytest.fixture(autouse=True)
def tools():
    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)


@pytest.fixture
def device(tmp_path):
    def build(run=tiny_model.SUM, arena=tiny_model.ARENA, ram=RAM, board=BOARD, **options):
        aot = tiny_model.write(tmp_path / "aot", run, arena)
        return qemu.build(aot, board, ram, tmp_path / "out", **options)

    return build


def run(built, *rows, **options):
    return qemu.run(built, tiny_model.records(*rows), np.zeros(len(rows), bool), **options)


# ── records ──────────────────────────────────────────────────────────────────────────────────────
def test_hundreds_of_records_in_one_run_are_the_hosts_and_numpys(device, tmp_path):
    n = 700
    generator = np.random.default_rng(0)
    what, value = generator.integers(0, 256, n), generator.integers(-1000, 1000, n)
    reset = generator.random(n) < 0.1
    rows = tiny_model.records(*zip(what.tolist(), value.tolist(), strict=True))
    built = device()
    on_board = qemu.run(built, rows, reset)
    on_host = host.run(host.build(built.emitted.folder, tmp_path / "host"), rows, reset)

    total, wanted = 0, []
    for v, zeroed in zip(value.tolist(), reset, strict=True):
        total = v if zeroed else total + v
        wanted.append(total)
    assert tiny_model.sums(on_board.outputs) == wanted
    assert on_board.outputs[:, 4].tolist() == what.tolist()
    assert on_host.outputs.tobytes() == on_board.outputs.tobytes()
    assert on_host.instructions is None


def test_floats_are_the_hosts_bit_for_bit(device, tmp_path):
    # 1 + x² with x² inexact: a fused multiply-add on one of the two would round differently
    built = device(
        "#include <string.h>\n"
        "void tinyloc_run(void)\n"
        "{\n"
        "    float x = (float)arena[1] / 4096.0f, y = 1.0f;\n"
        "    for (int i = 0; i < 20; i++) y = y * x + x * x;\n"
        "    memcpy(arena + 2, &y, sizeof y);\n"
        "}\n"
    )
    rows = tiny_model.records(*((0, v) for v in range(1, 4096, 7)))
    reset = np.zeros(len(rows), bool)
    on_board = qemu.run(built, rows, reset).outputs
    on_host = host.run(host.build(built.emitted.folder, tmp_path / "host"), rows, reset).outputs
    assert on_board.tobytes() == on_host.tobytes()
    assert len(np.unique(tiny_model.sums(on_board))) == len(rows)


def test_the_state_is_zero_at_the_first_record_without_a_reset_flag(device):
    assert tiny_model.sums(run(device(), (0, 5), (0, 6)).outputs) == [5, 11]


def test_more_records_than_the_bench_holds_are_refused_and_as_many_as_it_says_run(device):
    built = device()
    with pytest.raises(InputError, match=r"run at most \d+$") as caught:
        qemu.run(built, np.zeros((600_000, 5), np.uint8), np.zeros(600_000, bool))
    room = int(str(caught.value).split("run at most ")[1])
    assert room > 200_000
    result = qemu.run(built, np.full((room, 5), 1, np.uint8), np.ones(room, bool))
    assert (result.outputs[:, :4] == 1).all()


# ── counting ─────────────────────────────────────────────────────────────────────────────────────
def known_sequence(body: str) -> str:
    return f'__attribute__((naked)) void tinyloc_run(void) {{ __asm__("{body}"); }}\n'


def test_a_known_sequence_is_counted_to_the_instruction(device):
    for nops in (0, 1, 7, 1000):
        built = device(known_sequence(f".rept {nops}\\n nop\\n .endr\\n bx lr"))
        assert run(built, (0, 1), (0, 1), (0, 1)).instructions.tolist() == [nops + 1] * 3


def test_the_steps_of_a_run_are_counted_to_the_instruction(device):
    marked = ("push {r4, lr}", "bl tinyloc_step", ".rept 7", "nop", ".endr", "bl tinyloc_step", ".rept 1000", "nop",
              ".endr", "bl tinyloc_step", "pop {r4, pc}")  # fmt: skip
    built = device(known_sequence("\\n ".join(marked)), profile=True)
    assert run(built, (0, 1), (0, 1)).steps.tolist() == [[7, 1000]] * 2


def test_a_loop_that_outlasts_the_counter_is_counted_to_the_instruction(device):
    # the 32-bit counter wraps every 167,772,160 instructions; this takes more than two turns
    turns = 200_000_000
    built = device(known_sequence(f"ldr r0, ={turns}\\n 1: subs r0, #1\\n bne 1b\\n bx lr"))
    assert run(built, (0, 1)).instructions.tolist() == [2 * turns + 2]


def test_two_runs_count_the_same(device):
    built = device("void tinyloc_run(void) { for (volatile int i = arena[1]; i > 0; i--) ; answer(); }\n")
    rows = [(0, v) for v in range(0, 5000, 13)]
    first, second = run(built, *rows), run(built, *rows)
    assert first.instructions.tolist() == second.instructions.tolist()
    steps = np.diff(first.instructions)
    assert steps.min() == steps.max() > 0


# ── memory ───────────────────────────────────────────────────────────────────────────────────────
def frame(size: int) -> str:
    return (
        f"__attribute__((noinline)) static int deep(void) {{ volatile char c[{size}]; c[0] = 1; return c[0]; }}\n"
        "void tinyloc_run(void) { answer(); arena[2] += deep(); }\n"
    )


def test_the_high_water_mark_follows_a_frame_to_the_byte(device):
    small, large = (run(device(frame(size)), (0, 1)).stack_high_water for size in (512, 1536))
    assert large - small == 1024
    assert 512 < small < 512 + 256


def test_too_little_ram_does_not_link_and_says_how_much_is_missing(device):
    arena, stack, other = 40_000, 1024, tiny_model.STATE
    with pytest.raises(InputError) as caught:
        device(arena=arena, stack=stack)
    missing = arena + other + stack - RAM
    assert f"needs {RAM + missing} B (1024 B of them stack), {missing} B more than there is" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_into_flash_say_how_much_is_missing(device):
    with pytest.raises(InputError, match=r"mps2-an386: the model needs \d+ B more of flash than there is"):
        device(
            "static const uint8_t weights[4 << 20] = {1};\n"
            "void tinyloc_run(void) { answer(); arena[2] += weights[arena[0]]; }\n"
        )


def test_the_smallest_ram_that_links_also_runs(device):
    built = device(ram=1024, stack=1024 - tiny_model.ARENA - tiny_model.STATE - 4)
    assert tiny_model.sums(run(built, (0, 3)).outputs) == [3]


def test_sizes_by_part(device):
    built = device(
        "static const uint8_t weights[300] = {1, 2, 3};\n"
        "static volatile int32_t initialised = 7;\n"
        "void tinyloc_run(void) { answer(); arena[2] += weights[arena[0]] + initialised; }\n"
    )
    result = run(built, (2, 0))
    assert tiny_model.sums(result.outputs) == [10]
    flash, ram = memory.flash(built), memory.ram(built, result.stack_high_water)
    assert flash["data"] == 4
    assert 300 + 16 <= flash["model"] <= 300 + 32
    assert flash["rodata"] == 0
    assert flash["total"] == sum(flash[part] for part in memory.FLASH)
    assert flash["harness"] > 0
    assert ram["arena"] == tiny_model.ARENA
    assert ram["state"] == tiny_model.STATE
    assert ram["static"] == 4
    assert ram["total"] == 16 + 4 + 4 + result.stack_high_water


def test_the_harness_brings_no_libc_into_the_image(device):
    names = set(device().symbols)
    assert "runner_run" in names
    assert not names & {"memcpy", "memset", "strlen", "malloc", "_sbrk"}


def test_a_square_root_is_the_fpus_and_takes_no_ram_for_errno(device):
    built = device("#include <math.h>\nvoid tinyloc_run(void) { answer(); arena[2] = (int)sqrtf((float)arena[1]); }\n")
    result = run(built, (0, 1 << 24), (0, 2))
    assert tiny_model.sums(result.outputs) == [1 << 12, 1]
    assert memory.ram(built, result.stack_high_water)["static"] == 0


def test_a_model_that_wants_a_heap_does_not_link(device):
    with pytest.raises(DeviceError, match="_sbrk"):
        device("#include <stdlib.h>\nvoid tinyloc_run(void) { answer(); arena[2] += malloc(9) != 0; }\n")


# ── faults ───────────────────────────────────────────────────────────────────────────────────────
FAULTS = """
__attribute__((noinline)) static void poke(uintptr_t address) { *(volatile int32_t *)address = 1; }
__attribute__((noinline)) static int recurse(int n)
{
    volatile int kept[8];
    kept[n & 7] = n;
    return n < 0 ? 0 : recurse(n + 1) + kept[n & 7];
}
__attribute__((noinline)) static int large(void) { volatile char c[3000]; c[0] = 1; return c[0]; }
void tinyloc_run(void)
{
    volatile int zero = 0;
    answer();
    switch (arena[0]) {
    case 1: poke((uintptr_t)arena[1]); break;
    case 2: arena[2] = recurse(0); break;
    case 3: arena[2] = large(); break;
    case 4: __asm__ volatile("udf #0"); break;
    case 5: arena[2] /= zero; break;
    case 6: ((void (*)(void))arena[1])(); break;
    default: break;
    }
}
"""
ABOVE_THE_CAP, UNDER_THE_STACK, VECTORS, INTO_RAM = 0x20000000 + RAM, 0x1FFFFFF0, 0x10, 0x20000001


@pytest.mark.parametrize(
    ("what", "value", "name"),
    [
        (1, ABOVE_THE_CAP, r"access to 0x20008000, outside the RAM.*, at poke \(model\.c:\d+\)"),
        (1, UNDER_THE_STACK, r"access to 0x1ffffff0, outside the RAM"),
        (1, VECTORS, r"access to 0x00000010, .*a write to the code"),
        (2, 0, r"stack overflow \(2048 B are kept for the stack\)"),
        (3, 0, r"stack overflow"),
        (4, 0, r"undefined instruction.*, at tinyloc_run"),
        (5, 0, r"division by zero"),
        (6, INTO_RAM, r"jump to 0x20000000, where there is no code"),
    ],
)
def test_a_fault_ends_the_run_with_its_name_and_keeps_what_was_finished(device, what, value, name):
    built = device(FAULTS)
    with pytest.raises(DeviceError, match=name) as caught:
        run(built, (0, 20), (0, 22), (what, value), (0, 1), timeout_s=20)
    message = str(caught.value)
    assert "in record 3 of 4" in message
    assert "\n" not in message
    assert tiny_model.sums(caught.value.result.outputs) == [20, 42]


@pytest.mark.parametrize("ram", [2176, 3 * 1024, 24 * 1024 + 128, 65536, 100_096, (4 << 20) - 128, 4 << 20])
def test_the_cap_holds_to_the_byte_for_any_size(device, ram):
    built = device(FAULTS, ram=ram, stack=1024)
    last = 0x20000000 + ram - 4
    assert len(run(built, (1, last)).outputs) == 1
    with pytest.raises(DeviceError, match=f"access to {last + 4:#x}, outside the RAM"):
        run(built, (1, last + 4))


@pytest.mark.parametrize("board", ["mps2-an500", "mps3-an547"])
def test_other_boards_count_and_guard_as_the_first_does(device, board):
    counted = device(known_sequence(".rept 1000\\n nop\\n .endr\\n bx lr"), board=board)
    assert run(counted, (0, 1), (0, 1)).instructions.tolist() == [1001] * 2
    built = device(FAULTS, board=board)
    last = ABOVE_THE_CAP - 4
    assert len(run(built, (1, last)).outputs) == 1
    for what, value, name in [
        (1, last + 4, f"access to {last + 4:#x}, outside the RAM"),
        (1, VECTORS, "a write to the code"),
        (2, 0, "stack overflow"),
        (5, 0, "division by zero"),
        (6, INTO_RAM, "jump to 0x20000000, where there is no code"),
    ]:
        with pytest.raises(DeviceError, match=name) as caught:
            run(built, (0, 20), (what, value), timeout_s=20)
        assert tiny_model.sums(caught.value.result.outputs) == [20]


@pytest.mark.slow
@pytest.mark.parametrize("board", boards.BOARDS)
def test_the_static_analyser_finds_nothing_in_a_boards_firmware(device, board, monkeypatch):
    monkeypatch.setattr(qemu, "CODE", (*qemu.CODE, "-fanalyzer"))  # what it says is an error, as every warning is
    assert run(device(board=board), (0, 3), (0, 4)).outputs.shape == (2, 5)


def test_a_model_that_never_ends_is_an_error_and_not_a_hang(device):
    built = device("void tinyloc_run(void) { for (;;) answer(); }\n")
    with pytest.raises(DeviceError, match="did not end in 1 s"):
        run(built, (0, 1), timeout_s=1)


def test_qemu_that_fails_says_why(device, tmp_path, monkeypatch):
    built = device()
    fake = tmp_path / "bin" / toolchain.QEMU
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho no such machine >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    with pytest.raises(DeviceError, match="QEMU ended without results: no such machine"):
        run(built, (0, 1))


# ── what a user can give wrong ───────────────────────────────────────────────────────────────────
def test_wrong_requests_are_one_line(device, tmp_path):
    with pytest.raises(InputError, match=r"board 'uno': there is no such board; there are mps2-an386"):
        qemu.build(tmp_path, "uno", RAM, tmp_path / "out")
    with pytest.raises(InputError, match=r"1000 B of RAM; give a multiple of 128 B"):
        qemu.build(tmp_path, BOARD, 1000, tmp_path / "out")
    with pytest.raises(InputError, match=r"model\.h: no such file; write the folder with tinyloc compile"):
        qemu.build(tmp_path, BOARD, RAM, tmp_path / "out")
    with pytest.raises(InputError, match=r"-4 B of stack"):
        device(stack=-4)


def test_sources_that_the_compiler_refuses_are_an_error_with_its_reason(device):
    with pytest.raises(DeviceError, match=r"model\.c:\d+:\d+: error: .*undeclared"):
        device("void tinyloc_run(void) { arena[0] = nothing; }\n")


# ── the host ─────────────────────────────────────────────────────────────────────────────────────
def test_a_host_program_that_dies_says_of_what(tmp_path):
    aot = tiny_model.write(tmp_path / "aot", "#include <stdlib.h>\nvoid tinyloc_run(void) { answer(); abort(); }\n")
    with pytest.raises(DeviceError, match="died of SIGABRT"):
        host.run(host.build(aot, tmp_path / "host"), tiny_model.records((0, 1)), NO_RESET)


def test_a_host_program_that_never_ends_is_an_error(tmp_path):
    aot = tiny_model.write(tmp_path / "aot", "void tinyloc_run(void) { for (;;) answer(); }\n")
    with pytest.raises(DeviceError, match=r"did not end in 0\.5 s"):
        host.run(host.build(aot, tmp_path / "host"), tiny_model.records((0, 1)), NO_RESET, timeout_s=0.5)


def test_the_runner_is_clean_under_the_sanitizers(tmp_path):
    aot = tiny_model.write(tmp_path / "aot")
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    built = host.build(aot, tmp_path / "host", flags)
    assert tiny_model.sums(host.run(built, tiny_model.records((0, 2)), NO_RESET).outputs) == [2]


@pytest.mark.parametrize("blob", [b"", b"TLN1", b"TLN1" + bytes(12), b"TLN1" + b"\xff" * 4 + b"\5\0\0\0\5\0\0\0"])
def test_the_runner_refuses_a_blob_that_is_not_its_own(tmp_path, blob):
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    built = host.build(tiny_model.write(tmp_path / "aot"), tmp_path / "host", flags)
    given = tmp_path / "in.bin"
    given.write_bytes(blob)
    finished = subprocess.run([built.program, given, tmp_path / "out.bin"], capture_output=True, text=True)
    assert finished.returncode == 1
    assert finished.stderr == ""
    trailer = np.frombuffer((tmp_path / "out.bin").read_bytes(), "<u4")
    assert trailer.tolist() == [0x31444E45, 1, 0, 0, 0, 0, 0, 0, 0]
