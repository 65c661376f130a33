/* Four floats at a time on 64-bit ARM processors. vectors.h says what each function does. */
#ifndef GEN_NEON_H
#define GEN_NEON_H

#include <arm_neon.h>

enum { LANES = 4, ROWS = 6, OFFSET = 0 }; /* of a register; of a tile of sums; added to a quantised input */

typedef float32x4_t floats;
typedef int32x4_t ints;

INLINE floats load(const float *from) { return vld1q_f32(from); }
INLINE void store(float *to, floats x) { vst1q_f32(to, x); }
INLINE floats fill(float x) { return vdupq_n_f32(x); }
INLINE floats fma_of(floats a, floats b, floats sum) { return vfmaq_f32(sum, a, b); }
INLINE floats fnma_of(floats a, floats b, floats sum) { return vfmsq_f32(sum, a, b); }
INLINE floats least(floats a, floats b) { return vbslq_f32(vcltq_f32(a, b), a, b); } /* vminq would return NaN */
INLINE floats most(floats a, floats b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
INLINE floats nearest(floats x) { return vrndnq_f32(x); }
INLINE floats power_of_two(floats n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23));
}

INLINE ints load_ints(const void *from) { return vreinterpretq_s32_u8(vld1q_u8(from)); }
INLINE ints fill_int(int32_t x) { return vdupq_n_s32(x); }
INLINE floats floats_of(ints x) { return vcvtq_f32_s32(x); }

INLINE void store_bytes(uint8_t *to, floats x)
{
    const int16x4_t words = vmovn_s32(vcvtnq_s32_f32(x));
    const uint32_t bytes = vget_lane_u32(vreinterpret_u32_s8(vmovn_s16(vcombine_s16(words, words))), 0);
    memcpy(to, &bytes, sizeof bytes);
}

#ifdef __ARM_FEATURE_DOTPROD
INLINE ints add_byte_products(ints sum, ints inputs, ints weights)
{
    return vdotq_s32(sum, vreinterpretq_s8_s32(inputs), vreinterpretq_s8_s32(weights));
}
#else
/* Two products, at most 2 * 127^2, fit into 16 bits. */
INLINE ints add_byte_products(ints sum, ints inputs, ints weights)
{
    const int8x16_t a = vreinterpretq_s8_s32(inputs), b = vreinterpretq_s8_s32(weights);
    const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}
#endif

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#define HAS_BF16 1

INLINE floats load_bf16(const bf16 *from) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from), 16)); }
INLINE uint16x4_t rounded(floats x) { return vreinterpret_u16_bf16(vcvt_bf16_f32(x)); }
INLINE void store_bf16(bf16 *to, floats x) { vst1_u16(to, rounded(x)); }
INLINE void store_pairs(bf16 *to, floats even, floats odd)
{
    const uint16x4x2_t both = {{rounded(even), rounded(odd)}};
    vst2_u16(to, both);
}

INLINE floats add_pair_products(floats sum, ints inputs, ints weights)
{
    return vbfdotq_f32(sum, vreinterpretq_bf16_s32(inputs), vreinterpretq_bf16_s32(weights));
}
#else
#define HAS_BF16 0
#endif

#endif
