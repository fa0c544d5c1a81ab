"""The name of a Cortex-M fault, from its status registers (Armv7-M Architecture Reference Manual, B3.2.15)."""

from tinyloc.device.records import Fault

HARD_FAULT = 3
STACK_OVERFLOW = "stack overflow"
# bits of CFSR -> what happened, the first that is set is the cause
_STACKING = 1 << 4 | 1 << 5 | 1 << 12 | 1 << 13  # MSTKERR, MLSPERR, STKERR, LSPERR
_CAUSES = (
    (1 << 0, "jump to {pc}, where there is no code"),  # IACCVIOL
    (1 << 8, "jump to {pc}, where there is no code"),  # IBUSERR
    (1 << 1, "access to {address}, outside the RAM or a write to the code"),  # DACCVIOL
    (1 << 9, "access to {address}, where there is no memory"),  # PRECISERR
    (1 << 10, "write to an address where there is no memory"),  # IMPRECISERR
    (1 << 16, "undefined instruction"),  # UNDEFINSTR
    (1 << 17, "jump to an even address, which is not Thumb code"),  # INVSTATE
    (1 << 18, "return to a corrupt address"),  # INVPC
    (1 << 19, "instruction for a coprocessor that is not there"),  # NOCP
    (1 << 24, "unaligned access"),  # UNALIGNED
    (1 << 25, "division by zero"),  # DIVBYZERO
)


def name(fault: Fault, stack_bottom: int) -> str:
    """One phrase. stack_bottom: the lowest address of the stack, below which there is no memory."""
    if fault.exception != HARD_FAULT:
        return f"unexpected exception {fault.exception}"
    if fault.cause & _STACKING or fault.sp < stack_bottom:
        return STACK_OVERFLOW
    for bit, phrase in _CAUSES:
        if fault.cause & bit:
            return phrase.format(pc=f"{fault.pc:#010x}", address=f"{fault.address:#010x}")
    return f"hard fault (CFSR {fault.cause:#010x})"
