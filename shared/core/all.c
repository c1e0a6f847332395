/* The whole core as one translation unit, so that calls between its files can be inlined. */
#include "abi.c"
#include "dithered.c"
#include "rans.c"
#include "rans_choice.c"
#include "rans_tables.c"
