/* The debugger's services for a program without an operating system (Arm, "Semihosting for AArch32 and AArch64"). */
#ifndef TINYLOC_SEMIHOSTING_H
#define TINYLOC_SEMIHOSTING_H

#include <stddef.h>

/* Writes a whole file in the directory where QEMU was started; 0 if that failed. */
int semihosting_write_file(const char *name, const void *data, size_t bytes);

/* Writes text to the console of QEMU. */
void semihosting_say(const char *text);

/* Ends QEMU with this exit code. */
__attribute__((noreturn)) void semihosting_exit(int code);

#endif
