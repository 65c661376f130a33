/* Puts weights into the order in which the kernels of window.c read them: forward by units, backward by columns. */
#if defined(__AVX512F__) && defined(__AVX512BF16__) && defined(__AVX512BW__)

#include "window.h"

/* Packs 16 rows of K floats as pairs of neighbours in k; a lane is a row.
 * to: pair p goes to p * num_vectors * 32. */
static void pack_rows(bf16 *to, const float *from, size_t K, int num_vectors)
{
    const __m512i rows = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                            _mm512_set1_epi32((int)K));
    for (size_t k = 0; k < K; k += 2) {
        const __m512 even = _mm512_i32gather_ps(rows, from + k, 4), odd = _mm512_i32gather_ps(rows, from + k + 1, 4);
        const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
        const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd)), 16);
        _mm512_storeu_si512(to + k * LANES * num_vectors, _mm512_or_si512(low, high));
    }
}

/* weights: (blocks, (E + H) / 2, vectors, 16, 2), zeroed by the caller; bias: (blocks, 4, 16), zeroed by the caller. */
void gen_window_pack_forward(int threads, int cell, size_t E, size_t H, const float *w_ih, const float *w_hh,
                             const float *b_ih, const float *b_hh, bf16 *weights, float *bias)
{
    const size_t num_vectors = vectors_of(cell), block_size = (E + H) * LANES * num_vectors;
    const size_t num_blocks = (H + units_of(cell) - 1) / units_of(cell);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t block = 0; block < num_blocks; block++)
        for (size_t v = 0; v < num_vectors; v++) {
            const size_t row = cell == RNN ? block * WIDE + v * LANES : v * H + block * LANES;
            if (cell == RNN && row >= H)
                continue;
            bf16 *to = weights + block * block_size + v * 2 * LANES;
            pack_rows(to, w_ih + row * E, E, num_vectors);
            pack_rows(to + E * LANES * num_vectors, w_hh + row * H, H, num_vectors);
            float *sums = bias + (block * VECTORS + v) * LANES;
            const int is_apart = cell == GRU && v == 2;
            for (size_t lane = 0; lane < LANES; lane++) {
                sums[lane] = is_apart ? b_ih[row + lane] : b_ih[row + lane] + b_hh[row + lane];
                if (is_apart)
                    sums[LANES + lane] = b_hh[row + lane];
            }
        }
}

/* w_hh: (K, H), K = G * H. weights: (blocks of 64 columns, K / 2, 4, 16, 2), columns past H zero. */
void gen_window_pack_backward(int threads, size_t K, size_t H, const float *w_hh, bf16 *weights)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t block = 0; block < padded(H) / WIDE; block++)
        for (size_t k = 0; k < K; k += 2)
            for (size_t v = 0; v < VECTORS; v++) {
                const size_t column = block * WIDE + v * LANES;
                __m512i pairs = _mm512_setzero_si512();
                if (column < H) {
                    const __m512 even = _mm512_loadu_ps(w_hh + k * H + column);
                    const __m512 odd = _mm512_loadu_ps(w_hh + (k + 1) * H + column);
                    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
                    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
                    pairs = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
                }
                _mm512_storeu_si512(weights + block * K * WIDE + (k / 2 * VECTORS + v) * 2 * LANES, pairs);
            }
}

#endif
