/* A recurrent layer over a whole window, forward and backward: bf16 products, fp32 sums, gates and memory.
 *
 * Rows of a batch are independent in a recurrent layer. So each thread takes some rows through the whole window and
 * waits for no other: one fork and one join a window. A kernel that divides the units among threads needs a barrier a
 * token, and loses most of its speed when another process takes a core.
 *
 * A tile is ROWS rows by four vectors of 16 sums. An LSTM's four vectors are the gates i, f, g, o of the same 16 units,
 * so that a tile's sums become gates, cell state and output without leaving the registers. Per pair of inputs a tile
 * does 4 * ROWS multiply-adds for 4 loads of weights and ROWS broadcasts.
 *
 * Shapes: T tokens, B rows, E inputs, H units, G gates; all arrays are contiguous, C order, time outermost.
 * E must be even and H a multiple of 16. Gates in torch's order: LSTM i f g o, GRU r z n.
 */
#if defined(__AVX512F__) && defined(__AVX512BF16__) && defined(__AVX512BW__)

#include "window.h"

/* ---- vectors ---- */

INLINE __m512 reciprocal(__m512 x)
{
    __m512 guess = _mm512_rcp14_ps(x);
    return _mm512_mul_ps(guess, _mm512_fnmadd_ps(x, guess, _mm512_set1_ps(2.0f)));
}

INLINE __m512 sigmoid(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    return reciprocal(_mm512_add_ps(one, exp_ps(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

INLINE __m512 tanh_ps(__m512 x)
{
    const __m512 two = _mm512_set1_ps(2.0f); /* absolute error 1e-7, enough for a gate */
    return _mm512_fmsub_ps(two, sigmoid(_mm512_mul_ps(two, x)), _mm512_set1_ps(1.0f));
}

INLINE __m512 one_less(__m512 x) { return _mm512_sub_ps(_mm512_set1_ps(1.0f), x); }

/* ---- products ---- */

/* Adds inputs times weights to the sums of a tile.
 *
 * inputs: `rows` rows of 2 * num_pairs bf16, `stride` apart. weights: num_pairs * num_vectors vectors of 16 pairs.
 * The last vector is added to the sums at index `last`: a GRU's candidate keeps its two products apart. */
INLINE void accumulate(__m512 sums[ROWS][VECTORS], const bf16 *inputs, size_t stride, const bf16 *weights,
                       size_t num_pairs, const int rows, const int num_vectors, const int last)
{
    for (size_t pair = 0; pair < num_pairs; pair++) {
        __m512bh column[VECTORS];
        UNROLL for (int v = 0; v < num_vectors; v++)
            column[v] = (__m512bh)_mm512_loadu_si512(weights + (pair * num_vectors + v) * 2 * LANES);
        UNROLL for (int r = 0; r < rows; r++) {
            int32_t both;
            memcpy(&both, inputs + r * stride + 2 * pair, sizeof both);
            const __m512bh input = (__m512bh)_mm512_set1_epi32(both);
            UNROLL for (int v = 0; v < num_vectors; v++) {
                const int slot = v == num_vectors - 1 ? last : v;
                sums[r][slot] = _mm512_dpbf16_ps(sums[r][slot], input, column[v]);
            }
        }
    }
}

/* Splits n rows into tiles as equal as can be: 16 rows are 6, 5 and 5. */
INLINE int tile_rows(int left)
{
    const int num_tiles = (left + ROWS - 1) / ROWS;
    return (left + num_tiles - 1) / num_tiles;
}

/* Calls a tile function with its number of rows as a constant, so that its sums live in registers. */
#define FOR_ROWS(rows, CALL)                                                                                          \
    switch (rows) {                                                                                                   \
    case 1: CALL(1); break;                                                                                           \
    case 2: CALL(2); break;                                                                                           \
    case 3: CALL(3); break;                                                                                           \
    case 4: CALL(4); break;                                                                                           \
    case 5: CALL(5); break;                                                                                           \
    default: CALL(6);                                                                                                 \
    }

/* ---- forward ---- */

typedef struct {
    int cell;
    size_t T, B, E, H;
    const bf16 *x;       /* (T, B, E) */
    bf16 *h;             /* (T + 1, B, H), h[0] given */
    float *memory;       /* LSTM: C, memory[0] given; GRU: h in fp32, always overwritten */
    size_t memory_step;  /* LSTM: B * H to keep (T + 1, B, H), 0 to overwrite (B, H) */
    const bf16 *weights; /* from gen_window_pack_forward */
    const float *bias;   /* likewise */
    bf16 *gates;         /* (T, B, S, H), S = 4 (LSTM: i f g o; GRU: r z n and h's part of n); NULL to keep nothing */
} Forward;

INLINE void finish_lstm(const Forward *w, __m512 sums[VECTORS], size_t t, size_t row, size_t unit)
{
    const size_t at = row * w->H + unit;
    const __m512 i = sigmoid(sums[0]), f = sigmoid(sums[1]), g = tanh_ps(sums[2]), o = sigmoid(sums[3]);
    const __m512 before = _mm512_loadu_ps(w->memory + t * w->memory_step + at);
    const __m512 c = _mm512_fmadd_ps(f, before, _mm512_mul_ps(i, g));
    _mm512_storeu_ps(w->memory + (t + 1) * w->memory_step + at, c);
    store_bf16(w->h + (t + 1) * w->B * w->H + at, _mm512_mul_ps(o, tanh_ps(c)));
    if (w->gates) {
        bf16 *gates = w->gates + (t * w->B + row) * 4 * w->H + unit;
        store_bf16(gates, i);
        store_bf16(gates + w->H, f);
        store_bf16(gates + 2 * w->H, g);
        store_bf16(gates + 3 * w->H, o);
    }
}

INLINE void finish_gru(const Forward *w, __m512 sums[VECTORS], size_t t, size_t row, size_t unit)
{
    const size_t at = row * w->H + unit;
    const __m512 r = sigmoid(sums[0]), z = sigmoid(sums[1]);
    const __m512 n = tanh_ps(_mm512_fmadd_ps(r, sums[3], sums[2]));
    const __m512 before = _mm512_loadu_ps(w->memory + at);
    const __m512 h = _mm512_fmadd_ps(z, _mm512_sub_ps(before, n), n);
    _mm512_storeu_ps(w->memory + at, h);
    store_bf16(w->h + (t + 1) * w->B * w->H + at, h);
    if (w->gates) {
        bf16 *gates = w->gates + (t * w->B + row) * 4 * w->H + unit;
        store_bf16(gates, r);
        store_bf16(gates + w->H, z);
        store_bf16(gates + 2 * w->H, n);
        store_bf16(gates + 3 * w->H, sums[3]);
    }
}

INLINE void finish_rnn(const Forward *w, __m512 sums[VECTORS], size_t t, size_t row, size_t unit)
{
    for (size_t v = 0; v < VECTORS && unit + v * LANES < w->H; v++)
        store_bf16(w->h + ((t + 1) * w->B + row) * w->H + unit + v * LANES, tanh_ps(sums[v]));
}

/* One token of `rows` rows and one block of units. */
INLINE void forward_tile(const Forward *w, size_t t, size_t row, size_t block, const int cell, const int rows)
{
    const int num_vectors = cell == GRU ? 3 : 4;
    const size_t pair_size = 2 * LANES * num_vectors;
    const bf16 *input_weights = w->weights + block * (w->E + w->H) / 2 * pair_size;
    __m512 sums[ROWS][VECTORS];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < VECTORS; v++)
            sums[r][v] = _mm512_loadu_ps(w->bias + (block * VECTORS + v) * LANES);
    accumulate(sums, w->x + (t * w->B + row) * w->E, w->E, input_weights, w->E / 2, rows, num_vectors,
               num_vectors - 1);
    accumulate(sums, w->h + (t * w->B + row) * w->H, w->H, input_weights + w->E / 2 * pair_size, w->H / 2, rows,
               num_vectors, VECTORS - 1);
    UNROLL for (int r = 0; r < rows; r++) {
        if (cell == LSTM)
            finish_lstm(w, sums[r], t, row + r, block * LANES);
        else if (cell == GRU)
            finish_gru(w, sums[r], t, row + r, block * LANES);
        else
            finish_rnn(w, sums[r], t, row + r, block * WIDE);
    }
}

#define FORWARD_TILE(cell)                                                                                            \
    static void forward_##cell(const Forward *w, size_t t, size_t row, size_t block, int rows)                        \
    {                                                                                                                 \
        FOR_ROWS(rows, FORWARD_CALL_##cell)                                                                           \
    }
#define FORWARD_CALL_RNN(n) forward_tile(w, t, row, block, RNN, n)
#define FORWARD_CALL_LSTM(n) forward_tile(w, t, row, block, LSTM, n)
#define FORWARD_CALL_GRU(n) forward_tile(w, t, row, block, GRU, n)
FORWARD_TILE(RNN)
FORWARD_TILE(LSTM)
FORWARD_TILE(GRU)

static void forward_rows(const Forward *w, size_t first, size_t stop)
{
    const size_t num_blocks = (w->H + units_of(w->cell) - 1) / units_of(w->cell);
    for (size_t t = 0; t < w->T; t++)
        for (size_t block = 0; block < num_blocks; block++)
            for (size_t row = first, rows; row < stop; row += rows) {
                rows = tile_rows(stop - row);
                if (w->cell == LSTM)
                    forward_LSTM(w, t, row, block, rows);
                else if (w->cell == GRU)
                    forward_GRU(w, t, row, block, rows);
                else
                    forward_RNN(w, t, row, block, rows);
            }
}

void gen_window_forward(int threads, int cell, size_t T, size_t B, size_t E, size_t H, const bf16 *x, bf16 *h,
                        float *memory, size_t memory_step, const bf16 *weights, const float *bias, bf16 *gates)
{
    const Forward w = {cell, T, B, E, H, x, h, memory, memory_step, weights, bias, gates};
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int n = 0; n < threads; n++)
        forward_rows(&w, B * n / threads, B * (n + 1) / threads);
}

/* ---- backward ---- */

typedef struct {
    int cell;
    size_t T, B, H;
    const bf16 *h;       /* (T + 1, B, H) */
    const float *memory; /* LSTM: C (T + 1, B, H) */
    const bf16 *gates;   /* from the forward pass */
    const bf16 *dy;      /* (T, B, H) */
    const bf16 *weights; /* from gen_window_pack_backward */
    float *dh, *dc;      /* (B, P) and (B, H): gradients of the memory after the window, overwritten with those
                            before it; P is H padded to whole tiles */
    bf16 *dsums;         /* (T, B, G, H) */
    bf16 *dsums_h;       /* GRU: (T, B, 3, H), of the recurrent product's sums; other cells: dsums itself */
    float *db;           /* (threads, S, H), zeroed by the caller: dsums added over all tokens and rows; a GRU's S is 4,
                            the last for the candidate's recurrent sums */
} Backward;

INLINE void add_to(float *sums, __m512 values) { _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), values)); }

static void gates_lstm(const Backward *w, size_t t, size_t row, float *db)
{
    const size_t at = (t * w->B + row) * w->H, H = w->H;
    const bf16 *gates = w->gates + 4 * at;
    bf16 *dsums = w->dsums + 4 * at;
    float *dh = w->dh + row * padded(H), *dc = w->dc + row * H;
    for (size_t u = 0; u < H; u += LANES) {
        const __m512 i = load_bf16(gates + u), f = load_bf16(gates + H + u);
        const __m512 g = load_bf16(gates + 2 * H + u), o = load_bf16(gates + 3 * H + u);
        const __m512 shown = tanh_ps(_mm512_loadu_ps(w->memory + at + w->B * H + u));
        const __m512 d = _mm512_add_ps(_mm512_loadu_ps(dh + u), load_bf16(w->dy + at + u));
        const __m512 d_o = _mm512_mul_ps(d, o);
        const __m512 d_shown = _mm512_fnmadd_ps(_mm512_mul_ps(d_o, shown), shown, d_o);
        const __m512 d_c = _mm512_add_ps(_mm512_loadu_ps(dc + u), d_shown);
        const __m512 d_ci = _mm512_mul_ps(d_c, i), d_cf = _mm512_mul_ps(d_c, f);
        const __m512 before = _mm512_loadu_ps(w->memory + at + u);
        const __m512 d_sums[4] = {
            _mm512_mul_ps(_mm512_mul_ps(d_ci, g), one_less(i)),
            _mm512_mul_ps(_mm512_mul_ps(d_cf, before), one_less(f)),
            _mm512_fnmadd_ps(_mm512_mul_ps(d_ci, g), g, d_ci),
            _mm512_mul_ps(_mm512_mul_ps(d_o, shown), one_less(o)),
        };
        UNROLL for (size_t gate = 0; gate < 4; gate++) {
            store_bf16(dsums + gate * H + u, d_sums[gate]);
            add_to(db + gate * H + u, d_sums[gate]);
        }
        _mm512_storeu_ps(dc + u, d_cf);
    }
}

/* Leaves z * dh in dh: the gradient of the previous h that does not pass through the products. */
static void gates_gru(const Backward *w, size_t t, size_t row, float *db)
{
    const size_t at = (t * w->B + row) * w->H, H = w->H;
    const bf16 *gates = w->gates + 4 * at;
    bf16 *dsums = w->dsums + 3 * at, *dsums_h = w->dsums_h + 3 * at;
    float *dh = w->dh + row * padded(H);
    for (size_t u = 0; u < H; u += LANES) {
        const __m512 r = load_bf16(gates + u), z = load_bf16(gates + H + u);
        const __m512 n = load_bf16(gates + 2 * H + u), part = load_bf16(gates + 3 * H + u);
        const __m512 d = _mm512_add_ps(_mm512_loadu_ps(dh + u), load_bf16(w->dy + at + u));
        const __m512 d_z = _mm512_mul_ps(d, z);
        const __m512 d_new = _mm512_sub_ps(d, d_z);
        const __m512 d_n = _mm512_fnmadd_ps(_mm512_mul_ps(d_new, n), n, d_new);
        const __m512 d_r = _mm512_mul_ps(_mm512_mul_ps(d_n, part), _mm512_mul_ps(r, one_less(r)));
        const __m512 change = _mm512_sub_ps(load_bf16(w->h + at + u), n);
        const __m512 d_zsum = _mm512_mul_ps(_mm512_mul_ps(d_z, change), one_less(z)), d_part = _mm512_mul_ps(d_n, r);
        store_bf16(dsums + u, d_r);
        store_bf16(dsums + H + u, d_zsum);
        store_bf16(dsums + 2 * H + u, d_n);
        store_bf16(dsums_h + u, d_r);
        store_bf16(dsums_h + H + u, d_zsum);
        store_bf16(dsums_h + 2 * H + u, d_part);
        add_to(db + u, d_r);
        add_to(db + H + u, d_zsum);
        add_to(db + 2 * H + u, d_n);
        add_to(db + 3 * H + u, d_part);
        _mm512_storeu_ps(dh + u, d_z);
    }
}

static void gates_rnn(const Backward *w, size_t t, size_t row, float *db)
{
    const size_t at = (t * w->B + row) * w->H;
    float *dh = w->dh + row * padded(w->H);
    for (size_t u = 0; u < w->H; u += LANES) {
        const __m512 h = load_bf16(w->h + at + w->B * w->H + u);
        const __m512 d = _mm512_add_ps(_mm512_loadu_ps(dh + u), load_bf16(w->dy + at + u));
        const __m512 d_sum = _mm512_fnmadd_ps(_mm512_mul_ps(d, h), h, d);
        store_bf16(w->dsums + at + u, d_sum);
        add_to(db + u, d_sum);
    }
}

/* dh of the previous token: the gradients of the sums times W_hh, for `rows` rows and one block of units. */
INLINE void backward_tile(const Backward *w, size_t t, size_t row, size_t block, const int rows)
{
    const size_t width = (w->cell == LSTM ? 4 : w->cell == GRU ? 3 : 1) * w->H;
    float *dh = w->dh + row * padded(w->H) + block * WIDE;
    __m512 sums[ROWS][VECTORS];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < VECTORS; v++)
            sums[r][v] = w->cell == GRU ? _mm512_loadu_ps(dh + r * padded(w->H) + v * LANES) : _mm512_setzero_ps();
    accumulate(sums, w->dsums_h + (t * w->B + row) * width, width, w->weights + block * width * WIDE, width / 2, rows,
               VECTORS, VECTORS - 1);
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < VECTORS; v++)
            _mm512_storeu_ps(dh + r * padded(w->H) + v * LANES, sums[r][v]);
}

static void backward_block(const Backward *w, size_t t, size_t row, size_t block, int rows)
{
#define BACKWARD_CALL(n) backward_tile(w, t, row, block, n)
    FOR_ROWS(rows, BACKWARD_CALL)
}

static void backward_rows(const Backward *w, size_t first, size_t stop, float *db)
{
    for (size_t t = w->T; t-- > 0;) {
        for (size_t row = first; row < stop; row++) {
            if (w->cell == LSTM)
                gates_lstm(w, t, row, db);
            else if (w->cell == GRU)
                gates_gru(w, t, row, db);
            else
                gates_rnn(w, t, row, db);
        }
        for (size_t block = 0; block < padded(w->H) / WIDE; block++)
            for (size_t row = first, rows; row < stop; row += rows) {
                rows = tile_rows(stop - row);
                backward_block(w, t, row, block, rows);
            }
    }
}

void gen_window_backward(int threads, int cell, size_t T, size_t B, size_t H, const bf16 *h, const float *memory,
                         const bf16 *gates, const bf16 *dy, const bf16 *weights, float *dh, float *dc, bf16 *dsums,
                         bf16 *dsums_h, float *db)
{
    const Backward w = {cell, T, B, H, h, memory, gates, dy, weights, dh, dc, dsums, dsums_h, db};
    const size_t size = (cell == RNN ? 1 : 4) * H;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int n = 0; n < threads; n++)
        backward_rows(&w, B * n / threads, B * (n + 1) / threads, db + n * size);
}

#endif
