/* Arm MPS3, FPGA image AN547: Cortex-M55 in Corstone SSE-300, 20 MHz peripherals. Registers: Arm DAI 0547, "FPGA I/O". */
#ifndef TINYLOC_BOARD_H
#define TINYLOC_BOARD_H

#define BOARD_FPGAIO 0x49302000u
#define BOARD_CLOCK_HZ 20000000u

#endif
