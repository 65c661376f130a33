/* The kernels of training in bf16: products of bf16, fp32 sums, gates and memory. */
#include "cells.h"
#include "pool.h"
#include "stages.h"
#include "vectors.h"

#if HAS_BF16

typedef bf16 number;
typedef ints column; /* of weights: PAIR inputs of LANES sums */
enum { PAIR = 2 };   /* inputs that are multiplied at once */

#define NAME(function) function##_bf16
#if defined(__AMX_BF16__) && defined(__linux__)
#define HAS_TILES 1
#include "amx.h"
#else
#define HAS_TILES 0
#endif

INLINE floats load_number(const number *from) { return load_bf16(from); }
INLINE float float_of(number x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float found;
    memcpy(&found, &bits, sizeof found);
    return found;
}
INLINE void store_number(number *to, floats x) { store_bf16(to, x); }
INLINE void store_column(number *to, const float *from, size_t stride) { store_pairs(to, load(from), load(from + stride)); }
INLINE column load_column(const number *from) { return load_ints(from); }
INLINE column fill_column(const number *inputs)
{
    int32_t pair;
    memcpy(&pair, inputs, sizeof pair);
    return fill_int(pair);
}
INLINE floats add_products(floats sum, column inputs, column weights) { return add_pair_products(sum, inputs, weights); }

#include "cross_entropy.h"
#include "packing.h"
#include "window.h"

#endif
