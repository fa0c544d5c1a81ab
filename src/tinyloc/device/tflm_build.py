"""The runner on TFLite Micro, linked with the reader's library: for a board, and for this machine."""

from pathlib import Path

from tinyloc.aot.cores import ARITHMETIC
from tinyloc.device import boards, host, qemu, tflm_library, toolchain
from tinyloc.device.emitted import Emitted
from tinyloc.device.host import HostBuild
from tinyloc.device.qemu import DeviceBuild
from tinyloc.device.tflm_library import Library
from tinyloc.device.tflm_sources import ASSEMBLY
from tinyloc.files import shipped

LANGUAGE = ("-std=c++17", "-Wall", "-Wextra", "-Wconversion", "-Werror")
# As upstream builds it: the first is part of the layout of its structures, the others leave the C++ runtime out.
DIALECT = ("-DTF_LITE_STATIC_MEMORY", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics")
# Whether a stack may be executed is noted by some compilers and not by others; on a board nobody reads it.
FOREIGN = ("-Wl,-z,noexecstack",)
RECORDING = "-DTFLM_RECORDING"
HOST_ARENA = 16 << 20  # bytes; where the question is the answer alone


def board(
    emitted: Emitted, library: Library, name: str, ram: int, out: Path, stack: int, profile: bool = False
) -> DeviceBuild:
    """Link `out/model.elf` for a board with `ram` bytes of RAM; whatever static data and stack leave is the arena.

    profile: count the instructions of every operator, and record what the arena holds, which makes it larger.
    Raises InputError: tools missing, no such board, too little RAM or flash, or a library that does not fit.
    """
    target = boards.find(name, ram)
    qemu.check_stack(stack)
    toolchain.require(toolchain.CROSS_GCC, toolchain.CROSS_GXX, toolchain.CROSS_NM, toolchain.QEMU)
    out.mkdir(parents=True, exist_ok=True)
    firmware = shipped("firmware").resolve()
    model = emitted.folder.resolve()
    ours = tuple(firmware / part for part in ("tflm", "runner", "boards"))
    define = ("-DTINYLOC_PROFILE", RECORDING) if profile else ()
    flags = (*target.flags, *qemu.CODE, *define)

    def compile_(source: Path, part: str) -> str:
        return _compile(toolchain.CROSS_GXX, source, out, part, flags, library, (*ours, model))

    try:
        objects = [
            _assemble(toolchain.CROSS_GCC, model, out, target.flags),
            *(compile_(firmware / "tflm" / source, "model") for source in ("work_tflm.cc", "arena_bare.cc")),
            compile_(firmware / "tflm" / "log.cc", "bench"),
            *qemu.harness(target, out, model, profile),
        ]
        qemu.link(target, [*objects, str(library.archive), *FOREIGN], ram, stack, out)
    except toolchain.ToolFailed as error:
        raise qemu.too_small(target, str(error), ram, stack) or tflm_library.refused(library, error) from error
    return DeviceBuild(out.resolve() / "model.elf", target, emitted, ram, stack, profile)


def here(
    emitted: Emitted,
    library: Library,
    out: Path,
    arena: int = HOST_ARENA,
    record: bool = False,
    flags: tuple[str, ...] = (),
) -> HostBuild:
    """Link the program `out/runner` of this machine.

    arena: bytes that the library may have. record: what the arena holds, which makes it larger. flags: further ones
    for both compilers, such as -fsanitize=address.
    Raises InputError: no compiler, or a library that does not fit.
    """
    toolchain.require(toolchain.HOST_GCC, toolchain.HOST_GXX)
    out.mkdir(parents=True, exist_ok=True)
    firmware = shipped("firmware").resolve()
    model = emitted.folder.resolve()
    include = (firmware / "tflm", firmware / "runner", model)
    all_flags = (*flags, f"-DTFLM_ARENA_BYTES={arena}", *((RECORDING,) if record else ()))
    try:
        objects = [
            _assemble(toolchain.HOST_GCC, model, out, ()),
            *(
                _compile(toolchain.HOST_GXX, firmware / "tflm" / source, out, "model", all_flags, library, include)
                for source in ("work_tflm.cc", "arena_host.cc", "log.cc")
            ),
            *(host.compile_c(firmware / "runner" / source, out, flags) for source in ("runner.c", "port_host.c")),
        ]
        words = [*flags, *objects, str(library.archive), "-lm", "-o", "runner"]
        toolchain.call(toolchain.HOST_GXX, words, out)
    except toolchain.ToolFailed as error:
        raise tflm_library.refused(library, error) from error
    return HostBuild(out.resolve() / "runner", emitted)


def _compile(
    compiler: str, source: Path, out: Path, part: str, flags: tuple[str, ...], library: Library, ours: tuple[Path, ...]
) -> str:
    """Compile C++ into `out/part`; returns the object's name as seen from `out`."""
    (out / part).mkdir(exist_ok=True)
    name = f"{part}/{source.stem}.o"
    # the library's headers are a system's: their warnings are not ours
    include = [*(f"-I{path}" for path in ours), *(word for path in library.include for word in ("-isystem", str(path)))]
    options = [*LANGUAGE, *DIALECT, *ARITHMETIC, *flags, *include]
    toolchain.call(compiler, [*options, "-c", str(source), "-o", name], out)
    return name


def _assemble(compiler: str, model: Path, out: Path, flags: tuple[str, ...]) -> str:
    """The model's file as an object; by its name sections.ld knows the weights."""
    (out / "model").mkdir(exist_ok=True)
    name = "model/model.o"
    toolchain.call(compiler, [*flags, f"-Wa,-I{model}", "-c", str(model / ASSEMBLY), "-o", name], out)
    return name
