/* What this machine's processor has that not every one of its kind has. */
#include "bits.h"
#include "frugalfl_core.h"

#if defined(FC_AVX2)
static void fc_cpuid(uint32_t leaf, uint32_t *a, uint32_t *b, uint32_t *c)
{
    uint32_t d;
    *a = leaf;
    *c = 0;
    __asm__ volatile("cpuid" : "+a"(*a), "=b"(*b), "+c"(*c), "=d"(d));
}

/* Whether the system saves the registers of 256 bits. */
static int fc_saves_wide(void)
{
    uint32_t a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & 6) == 6;
}

uint32_t fc_machine(void)
{
    uint32_t a, b, c, most;
    fc_cpuid(0, &most, &b, &c);
    fc_cpuid(1, &a, &b, &c);
    if (most < 7 || !(c >> 23 & 1) || !(c >> 27 & 1) || !(c >> 28 & 1) || !fc_saves_wide())
        return 0; /* POPCNT, OSXSAVE, AVX */
    fc_cpuid(7, &a, &b, &c);
    return (b >> 3 & 1) && (b >> 5 & 1) ? FC_HAS_AVX2 : 0; /* BMI1 as well: both are compiled in */
}
#else
uint32_t fc_machine(void)
{
    return 0;
}
#endif
