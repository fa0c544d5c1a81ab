import pytest

from tinyloc.device import toolchain
from tinyloc.errors import InputError


@pytest.mark.parametrize("program", toolchain.PACKAGES)
def test_a_missing_program_is_one_line_with_the_command_to_paste(program, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        toolchain.find(program)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{program} is not on PATH")
    assert f"sudo apt-get install -y {' '.join(toolchain.PACKAGES[program])}" in message


def test_the_first_missing_program_is_the_one_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"^qemu-system-arm is not on PATH"):
        toolchain.require(toolchain.QEMU, toolchain.HOST_GCC)


def test_a_cross_compiler_without_a_c_library_is_named_with_newlibs_package(tmp_path, monkeypatch):
    gcc = tmp_path / toolchain.CROSS_GCC
    gcc.write_text("#!/bin/sh\necho libc.a\n")
    gcc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(InputError, match=r"has no C library .*libnewlib-arm-none-eabi"):
        toolchain.find(toolchain.CROSS_GCC)


def test_a_failed_call_says_what_the_program_said(tmp_path, monkeypatch):
    gcc = tmp_path / toolchain.HOST_GCC
    gcc.write_text("#!/bin/sh\necho this is wrong >&2\nexit 1\n")
    gcc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(toolchain.ToolFailed, match="this is wrong"):
        toolchain.call(toolchain.HOST_GCC, [])
