/* Softmax and cross entropy over rows of logits, which are overwritten with their gradients. Included by fp32.c and
 * bf16.c.
 *
 * A row of thousands of logits is read from memory once and written once; its exponentials are kept in a buffer that
 * stays in the cache. Sums are fp32. P is V rounded up to whole vectors.
 */
#include <math.h>

typedef struct {
    size_t N, V;
    const int64_t *targets; /* (N,), below 0 for a row that does not count */
    const float *bias;      /* (P,), not yet added to the logits; -inf past V */
    number *logits;         /* (N, V) without the bias; the gradients afterwards */
    float *nats;            /* (N,) */
    float *d_bias;          /* (P,), to which the gradients of the bias are added */
    float *powers;          /* (P,) working memory */
} Rows;

INLINE floats biased(const Rows *rows, const number *logits, size_t v)
{
    number last[LANES] = {0};
    const int is_whole = rows->V - v >= LANES;
    if (!is_whole)
        memcpy(last, logits + v, (rows->V - v) * sizeof *last);
    return load_number(is_whole ? logits + v : last) + load(rows->bias + v);
}

/* Writes e^(logit - top) to rows->powers and returns their sum. */
static float exponentials(const Rows *rows, const number *logits, float top)
{
    floats sums = fill(0.0f);
    for (size_t v = 0; v < rows->V; v += LANES) {
        const floats power = exp_of(biased(rows, logits, v) - fill(top));
        store(rows->powers + v, power);
        sums += power;
    }
    return sum_of(sums);
}

/* Writes the probabilities as gradients and adds them to the gradients of the bias. */
static void write_shares(const Rows *rows, number *gradients, float scale)
{
    for (size_t v = 0; v < rows->V; v += LANES) {
        const floats share = load(rows->powers + v) * fill(scale);
        number some[LANES];
        store_number(some, share);
        memcpy(gradients + v, some, (rows->V - v < LANES ? rows->V - v : LANES) * sizeof *some);
        store(rows->d_bias + v, load(rows->d_bias + v) + share);
    }
}

static void take_row(const Rows *rows, size_t row)
{
    number *logits = rows->logits + row * rows->V;
    const int64_t target = rows->targets[row];
    rows->nats[row] = 0;
    if (target < 0) {
        memset(logits, 0, rows->V * sizeof *logits);
        return;
    }
    floats tops = fill(-INFINITY);
    for (size_t v = 0; v < rows->V; v += LANES)
        tops = most(tops, biased(rows, logits, v));
    const float top = greatest_of(tops), at_target = float_of(logits[target]) + rows->bias[target];
    const float sum = exponentials(rows, logits, top);
    rows->nats[row] = logf(sum) + (top - at_target);
    write_shares(rows, logits, 1 / sum);
    number some[LANES];
    store_number(some, fill(rows->powers[target] / sum - 1));
    logits[target] = *some;
    rows->d_bias[target] -= 1;
}

/* Only of the caller's thread: rows are divided among threads by the caller, with a d_bias and powers for each part. */
void NAME(gen_cross_entropy)(const Rows *rows)
{
    for (size_t row = 0; row < rows->N; row++)
        take_row(rows, row);
}
