/* Sixteen floats at a time on processors with AVX-512 and VNNI, some of which have bf16. vectors.h says what each function does. */
#ifndef GEN_AVX512_H
#define GEN_AVX512_H

#include <immintrin.h>

enum { LANES = 16, ROWS = 6, OFFSET = 128 }; /* of a register; of a tile of sums; added to a quantised input */

typedef __m512 floats;
typedef __m512i ints;

INLINE floats load(const float *from) { return _mm512_loadu_ps(from); }
INLINE void store(float *to, floats x) { _mm512_storeu_ps(to, x); }
INLINE floats fill(float x) { return _mm512_set1_ps(x); }
INLINE floats fma_of(floats a, floats b, floats sum) { return _mm512_fmadd_ps(a, b, sum); }
INLINE floats fnma_of(floats a, floats b, floats sum) { return _mm512_fnmadd_ps(a, b, sum); }
INLINE floats least(floats a, floats b) { return _mm512_min_ps(a, b); }
INLINE floats most(floats a, floats b) { return _mm512_max_ps(a, b); }
INLINE floats nearest(floats x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE floats power_of_two(floats n) { return _mm512_scalef_ps(_mm512_set1_ps(1.0f), n); }

INLINE ints load_ints(const void *from) { return _mm512_loadu_si512(from); }
INLINE ints fill_int(int32_t x) { return _mm512_set1_epi32(x); }
INLINE floats floats_of(ints x) { return _mm512_cvtepi32_ps(x); }

INLINE void store_bytes(uint8_t *to, floats x)
{
    _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(x), fill_int(OFFSET))));
}

/* Assembler, since gcc 12 moves half the sums of _mm512_dpbusd_epi32 through the stack. */
INLINE ints add_byte_products(ints sum, ints inputs, ints weights)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(inputs), "v"(weights));
    return sum;
}

#ifdef __AVX512BF16__
#define HAS_BF16 1
INLINE floats load_bf16(const bf16 *from)
{
    return (floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from)), 16);
}

INLINE void store_bf16(bf16 *to, floats x) { _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(x)); }

INLINE void store_pairs(bf16 *to, floats even, floats odd)
{
    const ints low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
    const ints high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
    _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

INLINE floats add_pair_products(floats sum, ints inputs, ints weights)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)inputs, (__m512bh)weights);
}

#else
#define HAS_BF16 0
#endif

#endif
