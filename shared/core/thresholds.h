/* The words that both ends draw from a seed; the reference is codec/entropy/thresholds.py. */
#ifndef FRUGALFL_THRESHOLDS_H
#define FRUGALFL_THRESHOLDS_H

#include <stdint.h>

/* A seed is XORed with it for dithers, to keep them apart from what else is drawn from the seed. */
#define FC_DITHER 0x44495448U

/* The integer finaliser of MurmurHash3 (Austin Appleby, 2011). */
static inline uint32_t mixed_word(uint32_t word)
{
    word = (word ^ word >> 16) * 0x85EBCA6BU;
    word = (word ^ word >> 13) * 0xC2B2AE35U;
    return word ^ word >> 16;
}

/* Word `number` of a seed, which comes as mixed_word(seed). */
static inline uint32_t threshold_word(uint32_t mixed_seed, uint32_t number)
{
    return mixed_word(number * 0x9E3779B9U + mixed_seed);
}

#endif
