/*
 * One loop, compiled twice: for any machine of the target, and for one with AVX2 and BMI2, if that can be
 * asked. Both compute the same bits: there is no fused multiply-add in either.
 *
 * COMPILED_TWICE(name, (int a), (a)) makes name(a) of name_body, which must be FC_INLINE.
 */
#ifndef FRUGALFL_WIDE_H
#define FRUGALFL_WIDE_H

#include "bits.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_WIDE                                                                \
    (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&         \
     __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"))
#define WIDE __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define COMPILED_TWICE(name, parameters, arguments)             \
    static void name##_plain parameters { name##_body arguments; } \
    WIDE static void name##_wide parameters { name##_body arguments; } \
    static void name parameters                                 \
    {                                                           \
        if (HAS_WIDE)                                           \
            name##_wide arguments;                              \
        else                                                    \
            name##_plain arguments;                             \
    }
#else
#define COMPILED_TWICE(name, parameters, arguments) \
    static void name parameters { name##_body arguments; }
#endif

#endif
