/* The whole core as one translation unit, so that calls between its files can be inlined. */
#include "abi.c"
#include "machine.c"
#include "order.c"
#include "scales.c"
#include "range.c"
