/* Arm MPS2, FPGA image AN386: Cortex-M4F, 25 MHz. Registers: Arm DAI 0386, "FPGA system control and I/O". */
#ifndef TINYLOC_BOARD_H
#define TINYLOC_BOARD_H

#define BOARD_FPGAIO 0x40028000u
#define BOARD_CLOCK_HZ 25000000u

#endif
