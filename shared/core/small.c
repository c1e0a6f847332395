/* What a microcontroller needs to code the coordinates of a subspace: `rans` alone. */
#include "rans.c"
#include "rans_choice.c"
#include "rans_tables.c"
