/* Eight floats at a time on processors with AVX2 and FMA. vectors.h says what each function does. */
#ifndef GEN_AVX2_H
#define GEN_AVX2_H

#include <immintrin.h>

enum { LANES = 8, ROWS = 3 }; /* of a register; of a tile of sums */
#ifdef __AVXVNNI__
enum { OFFSET = 128 };
#else
enum { OFFSET = 0 };
#endif
#define HAS_BF16 0

typedef __m256 floats;
typedef __m256i ints;

INLINE floats load(const float *from) { return _mm256_loadu_ps(from); }
INLINE void store(float *to, floats x) { _mm256_storeu_ps(to, x); }
INLINE floats fill(float x) { return _mm256_set1_ps(x); }
INLINE floats fma_of(floats a, floats b, floats sum) { return _mm256_fmadd_ps(a, b, sum); }
INLINE floats fnma_of(floats a, floats b, floats sum) { return _mm256_fnmadd_ps(a, b, sum); }
INLINE floats least(floats a, floats b) { return _mm256_min_ps(a, b); }
INLINE floats most(floats a, floats b) { return _mm256_max_ps(a, b); }
INLINE floats nearest(floats x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

INLINE floats power_of_two(floats n)
{
    return (floats)_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
}

INLINE ints load_ints(const void *from) { return _mm256_loadu_si256((const __m256i *)from); }
INLINE ints fill_int(int32_t x) { return _mm256_set1_epi32(x); }
INLINE floats floats_of(ints x) { return _mm256_cvtepi32_ps(x); }

INLINE void store_bytes(uint8_t *to, floats x)
{
    const __m256i whole = _mm256_cvtps_epi32(x);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    const __m128i bytes = _mm_packs_epi16(words, words);
    _mm_storel_epi64((__m128i *)to, _mm_xor_si128(bytes, _mm_set1_epi8((char)OFFSET))); /* adds an OFFSET of 128 */
}

#ifdef __AVXVNNI__
INLINE ints add_byte_products(ints sum, ints inputs, ints weights)
{
    return _mm256_dpbusd_avx_epi32(sum, inputs, weights);
}
#else
/* The products of |inputs| and weights with the inputs' signs: two of them, at most 2 * 127^2, fit into 16 bits. */
INLINE ints add_byte_products(ints sum, ints inputs, ints weights)
{
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(inputs), _mm256_sign_epi8(weights, inputs));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif

#endif
