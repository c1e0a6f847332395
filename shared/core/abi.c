#include "frugalfl_core.h"

uint32_t fc_abi(void)
{
    return FC_ABI;
}
