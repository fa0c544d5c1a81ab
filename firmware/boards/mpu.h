#ifndef TINYLOC_MPU_H
#define TINYLOC_MPU_H

/* From here on only the code, the capped RAM and the test bench can be reached; everything else faults. */
void mpu_enable(void);

#endif
