#ifndef TINYLOC_FAULT_H
#define TINYLOC_FAULT_H

/* The handler of every exception: reports it through the runner and ends the run. */
void fault_entry(void);

#endif
