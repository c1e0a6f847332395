/* The bits of IEEE 754 numbers, and what can be asked of them. */
#ifndef FRUGALFL_FLOATS_H
#define FRUGALFL_FLOATS_H

#include "bits.h"

#define INFINITE_BITS 0x7F800000U

/* The bits of |value|: they rise with it, and NaN is above infinity. */
FC_INLINE uint32_t magnitude_bits(float value)
{
    union {
        float value;
        uint32_t bits;
    } both = {value};
    return both.bits & 0x7FFFFFFFU;
}

FC_INLINE float of_bits(uint32_t bits)
{
    union {
        uint32_t bits;
        float value;
    } both = {bits};
    return both.value;
}

FC_INLINE float magnitude(float value)
{
    return of_bits(magnitude_bits(value));
}

#endif
