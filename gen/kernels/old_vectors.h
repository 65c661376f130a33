/* Operations on sixteen floats at a time: bf16 from and to memory, and e^x. */
#ifndef GEN_OLD_VECTORS_H
#define GEN_OLD_VECTORS_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t bf16;

enum { LANES = 16 };

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__) && defined(__AVX512BF16__) && defined(__AVX512BW__)

INLINE __m512 load_bf16(const bf16 *from)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from)), 16));
}

INLINE void store_bf16(bf16 *to, __m512 values)
{
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(values));
}

/* e^x = 2^n * e^rest, with Taylor's polynomial of degree 6 (the rest is at most ln 2 / 2, the error 2e-7 relative). */
INLINE __m512 exp_ps(__m512 x)
{
    x = _mm512_min_ps(_mm512_set1_ps(88.0f), x); /* if an operand is NaN, the result is the second one: */
    x = _mm512_max_ps(_mm512_set1_ps(-87.0f), x); /* so NaN stays NaN, and the trainer notices it */
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    __m512 rest = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693147182f), x);
    rest = _mm512_fnmadd_ps(n, _mm512_set1_ps(-1.90465421e-9f), rest);
    __m512 sum = _mm512_set1_ps(1.0f / 720);
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f / 120));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f / 24));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f / 6));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.5f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(sum, n);
}

#endif
#endif
