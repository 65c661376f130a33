/* Softmax and cross entropy over rows of bf16 logits, which are overwritten with their gradients.
 *
 * A row of thousands of logits is read from memory once and written once; its exponentials are kept in a buffer that
 * stays in the cache. Sums are fp32. A thread takes neighbouring rows, and sums the gradients of the bias on the way.
 */
#if defined(__AVX512F__) && defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__)

#include "old_vectors.h"

#include <math.h>
#include <string.h>

typedef struct {
    size_t V;
    const int64_t *targets; /* (N,), below 0 for a row that does not count */
    const float *bias;      /* (V,), not yet added to the logits */
    bf16 *logits;           /* (N, V) without the bias; the gradients afterwards */
    float *nats;            /* (N,) */
} Rows;

INLINE float float_of(bf16 value)
{
    const uint32_t bits = (uint32_t)value << 16;
    float found;
    memcpy(&found, &bits, sizeof found);
    return found;
}

INLINE bf16 rounded(float value)
{
    return (bf16)_mm_extract_epi16((__m128i)_mm_cvtneps_pbh(_mm_set_ss(value)), 0);
}

INLINE __m512 biased(const bf16 *logits, const float *bias)
{
    return _mm512_add_ps(load_bf16(logits), _mm512_loadu_ps(bias));
}

static float greatest(const bf16 *logits, const float *bias, size_t V)
{
    __m512 most = _mm512_set1_ps(-INFINITY);
    size_t v = 0;
    for (; v + LANES <= V; v += LANES)
        most = _mm512_max_ps(most, biased(logits + v, bias + v));
    float found = _mm512_reduce_max_ps(most);
    for (; v < V; v++)
        found = fmaxf(found, float_of(logits[v]) + bias[v]);
    return found;
}

/* Writes e^(logit - most) to `powers` and returns their sum. */
static float exponentials(float *powers, const bf16 *logits, const float *bias, size_t V, float most)
{
    const __m512 top = _mm512_set1_ps(most);
    __m512 sums = _mm512_setzero_ps();
    size_t v = 0;
    for (; v + LANES <= V; v += LANES) {
        const __m512 power = exp_ps(_mm512_sub_ps(biased(logits + v, bias + v), top));
        _mm512_storeu_ps(powers + v, power);
        sums = _mm512_add_ps(sums, power);
    }
    float sum = _mm512_reduce_add_ps(sums);
    for (; v < V; v++)
        sum += powers[v] = expf(float_of(logits[v]) + bias[v] - most);
    return sum;
}

/* Writes the probabilities as gradients and adds them to the gradients of the bias. */
static void write_shares(bf16 *gradients, float *d_bias, const float *powers, size_t V, float sum)
{
    const float scale = 1 / sum;
    const __m512 scales = _mm512_set1_ps(scale);
    size_t v = 0;
    for (; v + LANES <= V; v += LANES) {
        const __m512 share = _mm512_mul_ps(_mm512_loadu_ps(powers + v), scales);
        store_bf16(gradients + v, share);
        _mm512_storeu_ps(d_bias + v, _mm512_add_ps(_mm512_loadu_ps(d_bias + v), share));
    }
    for (; v < V; v++) {
        gradients[v] = rounded(powers[v] * scale);
        d_bias[v] += powers[v] * scale;
    }
}

static void take_row(const Rows *rows, size_t row, float *d_bias, float *powers)
{
    const size_t V = rows->V;
    bf16 *logits = rows->logits + row * V;
    const int64_t target = rows->targets[row];
    if (target < 0) {
        rows->nats[row] = 0;
        memset(logits, 0, V * sizeof *logits);
        return;
    }
    const float most = greatest(logits, rows->bias, V), at_target = float_of(logits[target]) + rows->bias[target];
    const float sum = exponentials(powers, logits, rows->bias, V, most);
    rows->nats[row] = logf(sum) + (most - at_target);
    write_shares(logits, d_bias, powers, V, sum);
    logits[target] = rounded(powers[target] / sum - 1);
    d_bias[target] -= 1;
}

/* d_bias: (threads, V) of zeros, receives the gradients of the bias by thread. powers: (threads, V) working memory. */
void gen_cross_entropy(int threads, size_t N, size_t V, const int64_t *targets, const float *bias, bf16 *logits,
                       float *nats, float *d_bias, float *powers)
{
    const Rows rows = {V, targets, bias, logits, nats};
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int n = 0; n < threads; n++)
        for (size_t row = N * n / threads; row < N * (n + 1) / threads; row++)
            take_row(&rows, row, d_bias + n * V, powers + n * V);
}

#endif
