/*
 * Decoded updates, weighted and added to a sum of the model's size, in float32: every product is
 * rounded before it is added, and one update is added after the other.
 */
#include "frugalfl_core.h"
#include "wide.h"

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address, 1)
#else
#define PREFETCH(address) (void)(address)
#endif

enum { AHEAD = 24 };

FC_API int fc_add_sparse(
    float *sum, size_t size, const int64_t *places, int64_t shift, float *values, size_t count,
    float weight)
{
    uint64_t outside = 0; /* its highest bit tells */
    for (size_t n = 0; n < count; n++) {
        const uint64_t place = (uint64_t)places[n] + (uint64_t)shift;
        outside |= place | ((uint64_t)size - 1 - place);
    }
    if (outside >> 63)
        return FC_ROOM;
    for (size_t n = 0; n < count; n++) {
        /* Places are far apart: what the sum has there is fetched while others are added. */
        PREFETCH(sum + shift + places[n + AHEAD < count ? n + AHEAD : n]);
        values[n] *= weight;
        sum[places[n] + shift] += values[n];
    }
    return FC_OK;
}

FC_INLINE void add_dense_body(float *sum, float *values, size_t count, float weight)
{
    for (size_t i = 0; i < count; i++) {
        values[i] *= weight;
        sum[i] += values[i];
    }
}
COMPILED_TWICE(
    add_dense, (float *sum, float *values, size_t count, float weight), (sum, values, count, weight))

FC_API void fc_add_dense(float *sum, float *values, size_t count, float weight)
{
    add_dense(sum, values, count, weight);
}

FC_INLINE void mean_body(float *sum, const float *model, size_t count, float weight)
{
    for (size_t i = 0; i < count; i++)
        sum[i] = sum[i] / weight + model[i];
}
COMPILED_TWICE(
    mean, (float *sum, const float *model, size_t count, float weight), (sum, model, count, weight))

FC_API void fc_mean(float *sum, const float *model, size_t count, float weight)
{
    mean(sum, model, count, weight);
}
