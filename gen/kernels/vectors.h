/* LANES floats at a time on any processor, and what is made of them.
 *
 * Each processor's header defines
 *   LANES, ROWS, OFFSET, HAS_BF16
 *   floats, ints            LANES floats, on which the operators + - * / work; LANES 32-bit integers, or as many bytes
 *   load, store, fill       floats from and to memory, and one float in every lane
 *   fma_of, fnma_of         sum + a * b and sum - a * b, rounded once
 *   least, most             of two; the second one if an operand is NaN
 *   nearest                 whole numbers, ties to even
 *   power_of_two            2^n of whole n from -126 to 127
 *   load_ints, fill_int     LANES integers (or 4 * LANES bytes, or 2 * LANES bf16) from memory; one in every lane
 *   floats_of               integers as floats
 *   store_bytes             x, from -127 to 127, as LANES bytes: the nearest whole numbers plus OFFSET
 *   add_byte_products       adds to each lane's sum the products of its four bytes, exactly: inputs by store_bytes (their
 *                           OFFSET counts), weights from -127 to 127
 * and where HAS_BF16
 *   load_bf16, store_bf16   LANES bf16 from and to memory
 *   store_pairs             two vectors as LANES pairs of bf16
 *   add_pair_products       adds to each lane's sum the products of its two bf16
 */
#ifndef GEN_VECTORS_H
#define GEN_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__)
#include "avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "avx2.h"
#elif defined(__aarch64__)
#include "neon.h"
#else
#error "no vectors for this processor"
#endif

INLINE float sum_of(floats x)
{
    float lanes[LANES], sum = 0.0f;
    store(lanes, x);
    for (int n = 0; n < LANES; n++)
        sum += lanes[n];
    return sum;
}

INLINE float greatest_of(floats x)
{
    float lanes[LANES];
    store(lanes, x);
    for (int n = 1; n < LANES; n++)
        lanes[0] = lanes[n] > lanes[0] ? lanes[n] : lanes[0];
    return lanes[0];
}

static const float TAYLOR[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f};

/* e^x = 2^n * e^rest, with a rest of at most ln 2 / 2: returns e^rest - 1, and 2^n in `power`. Taylor's polynomial of
 * degree 7, error 5e-9 relative. x is clamped to -87 and 87; NaN stays NaN, since least and most return their second
 * operand if one is NaN. */
INLINE floats exp_rest(floats x, floats *power)
{
    x = most(fill(-87.0f), least(fill(87.0f), x));
    const floats n = nearest(x * fill(1.44269504f));
    floats rest = fnma_of(n, fill(0.693147182f), x);
    rest = fnma_of(n, fill(-1.90465421e-9f), rest);
    floats sum = fill(TAYLOR[0]);
    UNROLL for (int k = 1; k < 7; k++)
        sum = fma_of(sum, rest, fill(TAYLOR[k]));
    *power = power_of_two(n);
    return sum * rest;
}

INLINE floats exp_of(floats x)
{
    floats power;
    const floats rest = exp_rest(x, &power);
    return fma_of(rest, power, power);
}

INLINE floats sigmoid_of(floats x) { return fill(1.0f) / (fill(1.0f) + exp_of(-x)); }

/* (e^2x - 1) / (e^2x + 1), precise also where x is near 0. */
INLINE floats tanh_of(floats x)
{
    floats power;
    x = most(fill(-20.0f), least(fill(20.0f), x));
    const floats rest = exp_rest(x + x, &power);
    const floats less = fma_of(rest, power, power - fill(1.0f));
    return less / (less + fill(2.0f));
}

#endif
