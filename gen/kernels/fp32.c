/* The kernels of training in fp32. */
#include "cells.h"
#include "pool.h"
#include "stages.h"
#include "vectors.h"

typedef float number;
typedef floats column; /* of weights: PAIR inputs of LANES sums */
enum { PAIR = 1 };     /* inputs that are multiplied at once */

#define NAME(function) function##_fp32
#define HAS_TILES 0

INLINE floats load_number(const number *from) { return load(from); }
INLINE float float_of(number x) { return x; }
INLINE void store_number(number *to, floats x) { store(to, x); }
INLINE void store_column(number *to, const float *from, size_t stride) { (void)stride, store(to, load(from)); }
INLINE column load_column(const number *from) { return load(from); }
INLINE column fill_column(const number *inputs) { return fill(*inputs); }
INLINE floats add_products(floats sum, column inputs, column weights) { return fma_of(inputs, weights, sum); }

#include "cross_entropy.h"
#include "packing.h"
#include "window.h"

/* The sizes of the structures that Python fills in; bf16's have the same. */
int gen_window_size(int n)
{
    return (int[]){sizeof(Weights), sizeof(Turned), sizeof(Forward), sizeof(Backward), sizeof(Rows)}[n];
}
