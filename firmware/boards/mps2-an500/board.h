/* Arm MPS2, FPGA image AN500: Cortex-M7, 25 MHz. Registers: Arm DAI 0400, "FPGA system control and I/O". */
#ifndef TINYLOC_BOARD_H
#define TINYLOC_BOARD_H

#define BOARD_FPGAIO 0x40028000u
#define BOARD_CLOCK_HZ 25000000u

#endif
