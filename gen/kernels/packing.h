/* Puts weights into the order in which window.h reads them, by blocks of vectors: for each PAIR of inputs, the weights
 * of a block's sums. Included by fp32.c and bf16.c. */

enum { VECTORS = 4, WIDE = LANES * VECTORS }; /* of a block's sums */

INLINE size_t vectors_of(size_t cell) { return cell == GRU ? 3 : 4; }
INLINE size_t units_of(size_t cell) { return cell == RNN ? WIDE : LANES; } /* of a block */
INLINE size_t blocks_of(size_t units, size_t block) { return (units + block - 1) / block; }

typedef struct {
    size_t cell, E, H;
    const float *w_ih, *w_hh, *b_ih, *b_hh; /* torch's layout */
    number *weights;                        /* (blocks, (E + H) / PAIR, vectors, LANES, PAIR), zeroed */
    float *bias;                            /* (blocks, 4, LANES), zeroed */
} Weights;

/* Packs the LANES rows of K floats at `from`, each the weights of one sum. */
static void pack_rows(number *to, const float *from, size_t K, size_t num_vectors)
{
    float turned[PAIR][LANES];
    for (size_t k = 0; k < K; k += PAIR) {
        for (size_t lane = 0; lane < LANES; lane++)
            UNROLL for (size_t p = 0; p < PAIR; p++)
                turned[p][lane] = from[lane * K + k + p];
        store_column(to + k * LANES * num_vectors, turned[0], LANES);
    }
}

static void pack_block(void *context, int64_t block)
{
    const Weights *w = context;
    const size_t num_vectors = vectors_of(w->cell);
    for (size_t v = 0; v < num_vectors; v++) {
        const size_t row = w->cell == RNN ? block * WIDE + v * LANES : v * w->H + block * LANES;
        if (row >= w->cell * w->H)
            continue;
        number *to = w->weights + (block * (w->E + w->H) * num_vectors + v * PAIR) * LANES;
        pack_rows(to, w->w_ih + row * w->E, w->E, num_vectors);
        pack_rows(to + w->E * LANES * num_vectors, w->w_hh + row * w->H, w->H, num_vectors);
        const int is_apart = w->cell == GRU && v == 2; /* the candidate's two products */
        float *sums = w->bias + (block * VECTORS + v) * LANES;
        store(sums, load(w->b_ih + row) + (is_apart ? fill(0.0f) : load(w->b_hh + row)));
        if (is_apart)
            store(sums + LANES, load(w->b_hh + row));
    }
}

void NAME(gen_window_pack_forward)(Weights *w, int threads)
{
    gen_pool_run(pack_block, w, blocks_of(w->H, units_of(w->cell)), threads);
}

typedef struct {
    size_t K, H;
    const float *w_hh; /* (K, H) */
    number *weights;   /* (blocks of WIDE columns, K / PAIR, 4, LANES, PAIR); columns past H are zero */
} Turned;

static void pack_columns(void *context, int64_t block)
{
    const Turned *w = context;
    for (size_t k = 0; k < w->K; k += PAIR)
        for (size_t v = 0; v < VECTORS; v++) {
            const size_t at = block * WIDE + v * LANES;
            number *to = w->weights + block * w->K * WIDE + (k * VECTORS + v * PAIR) * LANES;
            if (at < w->H)
                store_column(to, w->w_hh + k * w->H + at, w->H);
            else
                memset(to, 0, PAIR * LANES * sizeof *to);
        }
}

void NAME(gen_window_pack_backward)(Turned *w, int threads)
{
    gen_pool_run(pack_columns, w, blocks_of(w->H, WIDE), threads);
}
