/* A recurrent layer over a whole window, forward and backward; sums, gates and memory in fp32. Included by fp32.c and
 * bf16.c.
 *
 * Rows of a batch are independent in a recurrent layer. So they are cut into groups, and a group's tokens follow each
 * other on whichever thread is free, some tokens at a time: no thread waits for another within a window. Where that
 * leaves threads without work, each token is a stage, whose pieces are blocks of units of some rows: more threads work,
 * and all wait for each other after every token. A row has the same bits either way.
 *
 * A block is four vectors of LANES sums, three of a GRU's weights. An LSTM's are the gates i, f, g, o of the same units,
 * so a block's sums become gates, cell state and output at once. They are added up by tiles in registers: of ROWS rows,
 * for 4 * ROWS multiply-adds to 4 loads of weights and ROWS broadcasts, or of 16 rows by AMX.
 *
 * Shapes: T tokens, B rows, E inputs, H units, G gates; all arrays are contiguous, C order, time outermost. E must be a
 * multiple of PAIR and H one of LANES. Gates in torch's order: LSTM i f g o, GRU r z n.
 */

enum { MAX_ROWS = 32, TOKENS = 8, SLICE = 96, LINE = 64 }; /* of a block's sums; of a chunk; inputs whose
                                                                weights stay in L1; bytes of a cache line */

/* ---- products ---- */

/* Rows of inputs times the weights of a block. */
typedef struct {
    const number *inputs, *weights;
    size_t stride, num_inputs; /* of a row */
    ptrdiff_t ahead;           /* from the weights to those that are wanted next, which are prefetched meanwhile */
    int num_vectors, last;     /* the last vector is added to the sums at this index: a GRU's candidate keeps its two
                                  products apart */
} Product;

/* Adds inputs k to stop - 1 times weights to the sums of a tile of rows. */
INLINE void add_tile(float *sums, const Product *p, size_t row, size_t k, size_t stop, const int rows,
                     const int num_vectors, const int last)
{
    const number *inputs = p->inputs + row * p->stride;
    floats sum[ROWS][VECTORS];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < num_vectors; v++)
            sum[r][v] = load(sums + r * WIDE + (v == num_vectors - 1 ? last : v) * LANES);
    for (; k < stop; k += PAIR) {
        const number *weights = p->weights + k * num_vectors * LANES;
        column weight[VECTORS];
        UNROLL for (size_t at = 0; at < num_vectors * sizeof(column); at += LINE)
            __builtin_prefetch((const char *)(weights + p->ahead) + at, 0, 2);
        UNROLL for (int v = 0; v < num_vectors; v++)
            weight[v] = load_column(weights + v * PAIR * LANES);
        UNROLL for (int r = 0; r < rows; r++) {
            const column input = fill_column(inputs + r * p->stride + k);
            UNROLL for (int v = 0; v < num_vectors; v++)
                sum[r][v] = add_products(sum[r][v], input, weight[v]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < num_vectors; v++)
            store(sums + r * WIDE + (v == num_vectors - 1 ? last : v) * LANES, sum[r][v]);
}

/* Splits n rows into tiles as equal as can be: 16 rows are 6, 5 and 5. */
INLINE int tile_rows(int left, int most)
{
    const int num_tiles = (left + most - 1) / most;
    return (left + num_tiles - 1) / num_tiles;
}

/* Calls add_tile with its shape as constants, so that its sums live in registers. */
#define TILE(rows, vectors, last)                                                                                     \
    case (rows) * 100 + (vectors) * 10 + (last):                                                                      \
        if ((rows) <= ROWS)                                                                                           \
            add_tile(sums, p, row, k, stop, rows, vectors, last);                                                     \
        break;
#define TILES(rows) TILE(rows, 3, 2) TILE(rows, 3, 3) TILE(rows, 4, 3)

static void add_rows(float *sums, const Product *p, size_t row, size_t k, size_t stop, int rows)
{
    switch (rows * 100 + p->num_vectors * 10 + p->last) {
        TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
    }
}

/* Adds a product to sums (rows, 4, LANES). */
static void add_product(float *sums, const Product *p, int rows, int has_tiles)
{
#if HAS_TILES
    for (int row = 0, n; has_tiles && row < rows; row += n) {
        n = tile_rows(rows - row, TILE_ROWS);
        add_by_tiles(sums + row * WIDE, p->inputs + row * p->stride, p->stride, p->weights, p->num_inputs / PAIR, n,
                     p->num_vectors, p->last);
    }
    if (has_tiles)
        return;
#endif
    (void)has_tiles;
    for (size_t k = 0; k < p->num_inputs; k += SLICE) {
        const size_t stop = p->num_inputs - k < SLICE ? p->num_inputs : k + SLICE;
        for (int row = 0, n; row < rows; row += n) {
            n = tile_rows(rows - row, ROWS);
            add_rows(sums + row * WIDE, p, row, k, stop, n);
        }
    }
}

/* ---- forward ---- */

typedef struct {
    size_t cell, T, B, E, H, num_groups, by_units, has_tiles; /* by_units: whether a token is a stage */
    const number *x;       /* (T, B, E) */
    number *h;             /* (T + 1, B, H), h[0] given */
    float *memory;         /* LSTM: C, memory[0] given; GRU: h in fp32, always overwritten */
    size_t memory_step;    /* LSTM: B * H to keep (T + 1, B, H), 0 to overwrite (B, H) */
    const number *weights; /* from gen_window_pack_forward */
    const float *bias;     /* likewise */
    number *gates;         /* (T, B, S, H), S = 4 (LSTM: i f g o; GRU: r z n and h's part of n); NULL to keep nothing */
} Forward;

INLINE void keep_gates(const Forward *w, size_t t, size_t row, size_t unit, floats a, floats b, floats c, floats d)
{
    if (!w->gates)
        return;
    number *gates = w->gates + (t * w->B + row) * 4 * w->H + unit;
    store_number(gates, a);
    store_number(gates + w->H, b);
    store_number(gates + 2 * w->H, c);
    store_number(gates + 3 * w->H, d);
}

INLINE void finish_lstm(const Forward *w, const float *sums, size_t t, size_t row, size_t unit)
{
    const size_t at = row * w->H + unit;
    const floats i = sigmoid_of(load(sums)), f = sigmoid_of(load(sums + LANES));
    const floats g = tanh_of(load(sums + 2 * LANES)), o = sigmoid_of(load(sums + 3 * LANES));
    const floats c = fma_of(f, load(w->memory + t * w->memory_step + at), i * g);
    store(w->memory + (t + 1) * w->memory_step + at, c);
    store_number(w->h + (t + 1) * w->B * w->H + at, o * tanh_of(c));
    keep_gates(w, t, row, unit, i, f, g, o);
}

INLINE void finish_gru(const Forward *w, const float *sums, size_t t, size_t row, size_t unit)
{
    const size_t at = row * w->H + unit;
    const floats part = load(sums + 3 * LANES);
    const floats r = sigmoid_of(load(sums)), z = sigmoid_of(load(sums + LANES));
    const floats n = tanh_of(fma_of(r, part, load(sums + 2 * LANES)));
    const floats h = fma_of(z, load(w->memory + at) - n, n);
    store(w->memory + at, h);
    store_number(w->h + (t + 1) * w->B * w->H + at, h);
    keep_gates(w, t, row, unit, r, z, n, part);
}

INLINE void finish_rnn(const Forward *w, const float *sums, size_t t, size_t row, size_t unit)
{
    for (size_t v = 0; v < WIDE && unit + v < w->H; v += LANES)
        store_number(w->h + ((t + 1) * w->B + row) * w->H + unit + v, tanh_of(load(sums + v)));
}

/* One token of up to MAX_ROWS rows and one block of units; block `next` is the next one. */
static void forward_block(const Forward *w, size_t t, size_t row, size_t rows, size_t block, size_t next)
{
    const int num_vectors = vectors_of(w->cell);
    const size_t size = (w->E + w->H) * num_vectors * LANES;
    const ptrdiff_t ahead = ((ptrdiff_t)next - (ptrdiff_t)block) * (ptrdiff_t)size;
    const number *weights = w->weights + block * size, *x = w->x + (t * w->B + row) * w->E;
    const number *h = w->h + (t * w->B + row) * w->H, *w_hh = weights + w->E * num_vectors * LANES;
    float sums[MAX_ROWS * WIDE] __attribute__((aligned(64)));
    for (size_t r = 0; r < rows; r++)
        memcpy(sums + r * WIDE, w->bias + block * WIDE, WIDE * sizeof *sums);
    add_product(sums, &(Product){x, weights, w->E, w->E, ahead, num_vectors, num_vectors - 1}, rows, w->has_tiles);
    add_product(sums, &(Product){h, w_hh, w->H, w->H, ahead, num_vectors, VECTORS - 1}, rows, w->has_tiles);
    for (size_t r = 0; r < rows; r++) {
        if (w->cell == LSTM)
            finish_lstm(w, sums + r * WIDE, t, row + r, block * LANES);
        else if (w->cell == GRU)
            finish_gru(w, sums + r * WIDE, t, row + r, block * LANES);
        else
            finish_rnn(w, sums + r * WIDE, t, row + r, block * WIDE);
    }
}

INLINE void end_tiles(int has_tiles)
{
#if HAS_TILES
    if (has_tiles)
        leave_tiles();
#endif
    (void)has_tiles;
}

/* One token of a group and one block; block `next` is the next one. */
static void forward_group(const Forward *w, size_t t, size_t group, size_t block, size_t next)
{
    const size_t stop = w->B * (group + 1) / w->num_groups;
    for (size_t row = w->B * group / w->num_groups, rows; row < stop; row += rows) {
        rows = tile_rows(stop - row, MAX_ROWS);
        forward_block(w, t, row, rows, block, next);
    }
}

static void forward_tokens(void *context, size_t group, size_t chunk)
{
    const Forward *w = context;
    const size_t num_blocks = blocks_of(w->H, units_of(w->cell));
    for (size_t t = chunk * TOKENS; t < (chunk + 1) * TOKENS && t < w->T; t++)
        for (size_t n = 0; n < num_blocks; n++) {
            const size_t next = n + 1 < num_blocks ? n + 1 : n;
            forward_group(w, t, group, t % 2 ? num_blocks - 1 - n : n, t % 2 ? num_blocks - 1 - next : next);
        }
    end_tiles(w->has_tiles);
}

/* A window whose tokens are stages. */
typedef struct {
    const void *window; /* Forward or Backward */
    size_t begun, num_stages, num_pieces;
} Tokens;

static size_t next_token(void *context, int *is_backward)
{
    Tokens *all = context;
    *is_backward = all->begun % 2;
    return all->begun++ < all->num_stages ? all->num_pieces : 0;
}

static void forward_piece(void *context, size_t index, int thread)
{
    (void)thread;
    const Tokens *all = context;
    const Forward *w = all->window;
    const size_t block = index / w->num_groups;
    forward_group(w, all->begun - 1, index % w->num_groups, block, block);
    end_tiles(w->has_tiles);
}

void NAME(gen_window_forward)(Forward *w, int threads)
{
    if (w->by_units)
        run_stages((Work){&(Tokens){w, 0, w->T, blocks_of(w->H, units_of(w->cell)) * w->num_groups}, next_token,
                          forward_piece}, threads);
    else
        pool_chains(forward_tokens, w, w->num_groups, blocks_of(w->T, TOKENS), threads);
}

/* ---- backward ---- */

typedef struct {
    size_t cell, T, B, H, num_groups, by_units, has_tiles;
    const number *h;       /* (T + 1, B, H) */
    const float *memory;   /* LSTM: C (T + 1, B, H) */
    const number *gates;   /* from the forward pass */
    const number *dy;      /* (T, B, H) */
    const number *weights; /* from gen_window_pack_backward */
    float *dh, *dc;        /* (B, P) and (B, H): gradients of the memory after the window, overwritten with those
                              before it; P is H padded to whole blocks of WIDE */
    number *dsums;         /* (T, B, G, H) */
    number *dsums_h;       /* GRU: (T, B, 3, H), of the recurrent product's sums; other cells: dsums itself */
    float *db;             /* (B, S, H), zeroed by the caller: dsums added over all tokens; a GRU's S is 4, the last for
                              the candidate's recurrent sums */
} Backward;

/* Stores the gradient of a sum and adds it to that of its bias. */
INLINE void give(number *to, float *db, floats d)
{
    store_number(to, d);
    store(db, load(db) + d);
}

INLINE void gates_lstm(const Backward *w, size_t t, size_t row, size_t u, floats d)
{
    const size_t at = (t * w->B + row) * w->H + u, H = w->H;
    const number *gates = w->gates + 4 * (at - u) + u;
    number *dsums = w->dsums + 4 * (at - u) + u;
    float *dc = w->dc + row * H + u, *db = w->db + row * 4 * H + u;
    const floats i = load_number(gates), f = load_number(gates + H);
    const floats g = load_number(gates + 2 * H), o = load_number(gates + 3 * H), one = fill(1.0f);
    const floats shown = tanh_of(load(w->memory + at + w->B * H)), d_o = d * o;
    const floats d_c = load(dc) + fnma_of(d_o * shown, shown, d_o), d_ci = d_c * i, d_cf = d_c * f;
    give(dsums, db, d_ci * g * (one - i));
    give(dsums + H, db + H, d_cf * load(w->memory + at) * (one - f));
    give(dsums + 2 * H, db + 2 * H, fnma_of(d_ci * g, g, d_ci));
    give(dsums + 3 * H, db + 3 * H, d_o * shown * (one - o));
    store(dc, d_cf);
}

/* Leaves z * dh in dh: the gradient of the previous h that does not pass through the products. */
INLINE void gates_gru(const Backward *w, size_t t, size_t row, size_t u, floats d)
{
    const size_t at = (t * w->B + row) * w->H + u, H = w->H;
    const number *gates = w->gates + 4 * (at - u) + u;
    number *dsums = w->dsums + 3 * (at - u) + u, *dsums_h = w->dsums_h + 3 * (at - u) + u;
    float *db = w->db + row * 4 * H + u;
    const floats r = load_number(gates), z = load_number(gates + H), n = load_number(gates + 2 * H);
    const floats part = load_number(gates + 3 * H), one = fill(1.0f), d_z = d * z, d_new = d - d_z;
    const floats d_n = fnma_of(d_new * n, n, d_new), d_r = d_n * part * (r * (one - r));
    const floats d_zsum = d_z * (load_number(w->h + at) - n) * (one - z);
    give(dsums, db, d_r);
    give(dsums + H, db + H, d_zsum);
    give(dsums + 2 * H, db + 2 * H, d_n);
    store_number(dsums_h, d_r);
    store_number(dsums_h + H, d_zsum);
    give(dsums_h + 2 * H, db + 3 * H, d_n * r);
    store(w->dh + row * blocks_of(H, WIDE) * WIDE + u, d_z);
}

INLINE void gates_rnn(const Backward *w, size_t t, size_t row, size_t u, floats d)
{
    const size_t at = (t * w->B + row) * w->H + u;
    const floats h = load_number(w->h + at + w->B * w->H);
    give(w->dsums + at, w->db + row * w->H + u, fnma_of(d * h, h, d));
}

/* The gates of units from `unit` to `stop` - 1. */
static void backward_gates(const Backward *w, size_t t, size_t row, size_t unit, size_t stop)
{
    const float *dh = w->dh + row * blocks_of(w->H, WIDE) * WIDE;
    for (size_t u = unit; u < stop && u < w->H; u += LANES) {
        const floats d = load(dh + u) + load_number(w->dy + (t * w->B + row) * w->H + u);
        if (w->cell == LSTM)
            gates_lstm(w, t, row, u, d);
        else if (w->cell == GRU)
            gates_gru(w, t, row, u, d);
        else
            gates_rnn(w, t, row, u, d);
    }
}

/* dh of the previous token: the gradients of the sums times W_hh, for up to MAX_ROWS rows and one block of units. */
static void backward_block(const Backward *w, size_t t, size_t row, size_t rows, size_t block, size_t next)
{
    const size_t width = w->cell * w->H, stride = blocks_of(w->H, WIDE) * WIDE;
    float *dh = w->dh + row * stride + block * WIDE, sums[MAX_ROWS * WIDE] __attribute__((aligned(64))) = {0};
    for (size_t r = 0; w->cell == GRU && r < rows; r++)
        memcpy(sums + r * WIDE, dh + r * stride, WIDE * sizeof *sums);
    const number *inputs = w->dsums_h + (t * w->B + row) * width, *weights = w->weights + block * width * WIDE;
    const ptrdiff_t ahead = ((ptrdiff_t)next - (ptrdiff_t)block) * (ptrdiff_t)(width * WIDE);
    add_product(sums, &(Product){inputs, weights, width, width, ahead, VECTORS, VECTORS - 1}, rows, w->has_tiles);
    for (size_t r = 0; r < rows; r++)
        memcpy(dh + r * stride, sums + r * WIDE, WIDE * sizeof *sums);
}

/* backward_block for the rows of a group. */
static void backward_group(const Backward *w, size_t t, size_t group, size_t block, size_t next)
{
    const size_t stop = w->B * (group + 1) / w->num_groups;
    for (size_t row = w->B * group / w->num_groups, rows; row < stop; row += rows) {
        rows = tile_rows(stop - row, MAX_ROWS);
        backward_block(w, t, row, rows, block, next);
    }
}

static void backward_tokens(void *context, size_t group, size_t chunk)
{
    const Backward *w = context;
    const size_t num_blocks = blocks_of(w->H, WIDE);
    const size_t first = w->B * group / w->num_groups, stop = w->B * (group + 1) / w->num_groups;
    for (size_t done = chunk * TOKENS; done < (chunk + 1) * TOKENS && done < w->T; done++) {
        const size_t t = w->T - 1 - done;
        for (size_t row = first; row < stop; row++)
            backward_gates(w, t, row, 0, w->H);
        for (size_t n = 0; n < num_blocks; n++) {
            const size_t next = n + 1 < num_blocks ? n + 1 : n;
            backward_group(w, t, group, t % 2 ? num_blocks - 1 - n : n, t % 2 ? num_blocks - 1 - next : next);
        }
    }
    end_tiles(w->has_tiles);
}

/* Stage n: the products of token T - n, then the gates of the one before; each block needs its own units only. */
static void backward_piece(void *context, size_t index, int thread)
{
    (void)thread;
    const Tokens *all = context;
    const Backward *w = all->window;
    const size_t block = index / w->num_groups, group = index % w->num_groups, t = w->T - (all->begun - 1);
    if (t < w->T)
        backward_group(w, t, group, block, block);
    end_tiles(w->has_tiles);
    const size_t first = w->B * group / w->num_groups, stop = w->B * (group + 1) / w->num_groups;
    for (size_t row = first; t > 0 && row < stop; row++)
        backward_gates(w, t - 1, row, block * WIDE, (block + 1) * WIDE);
}

void NAME(gen_window_backward)(Backward *w, int threads)
{
    if (w->by_units)
        run_stages((Work){&(Tokens){w, 0, w->T + 1, blocks_of(w->H, WIDE) * w->num_groups}, next_token,
                          backward_piece}, threads);
    else
        pool_chains(backward_tokens, w, w->num_groups, blocks_of(w->T, TOKENS), threads);
}
