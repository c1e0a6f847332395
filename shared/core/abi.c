#include "frugalfl_core.h"

#ifndef FC_SOURCE
#define FC_SOURCE 0 /* compiled by hand: a checkout refuses it */
#endif

uint32_t fc_abi(void)
{
    return FC_ABI;
}

uint32_t fc_source(void)
{
    return FC_SOURCE;
}
