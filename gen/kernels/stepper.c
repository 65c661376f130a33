/* A token of each of B rows through a whole recurrent language model, in one call.
 *
 * One row is limited by reading the weights. So the weights lie in the order in which they are read, one stream a
 * thread (stages.c): its part stays in its own L2 cache as far as it fits. It reads the part alternately from the front
 * and from the back: what was read last is read first, while it is still cached.
 *
 * Many rows are limited by multiply-adds. So a block's product with several rows is a tile of sums in registers. A sum
 * starts from the same number and adds its products in the order of k in every tile: the result of a row has the same
 * bits whatever the number of rows, its index among them, and the number of threads.
 *
 * A block is 3 or 4 vectors of LANES sums: an LSTM's gates i, f, g, o or a GRU's r, z, n of the same LANES units, four
 * times as many units of a plain RNN, or three or four times as many logits. So a block's sums are all that its units
 * need. A tile has four slots for the vectors. A GRU's candidate takes two of them, since r is applied to the recurrent
 * sums alone: slot 2 for those of the input, slot 3 for the recurrent ones.
 *
 * Shapes: L layers, B rows, H units padded with zeros to whole blocks, V logits, W vectors of a block. All arrays are
 * contiguous, in C order.
 */
#include "cells.h"
#include "stepper.h"
#include "vectors.h"

enum { SLOTS = 4, FEW_ROWS = ROWS / 2, GROUP = 4 };
enum { ROWS_OF_PIECE = 4 * ROWS };
enum { AHEAD = 2048, LINE = 64 }; /* bytes that a stream is prefetched; of a cache line */
enum { MIN_WORK = 1 << 16 };      /* multiply-adds of a thread: for fewer, waiting for it costs more than its work */
static const float MOST = 127.0f; /* the greatest quantised number */

INLINE size_t units_of(const Model *m) { return m->cell == RNN ? SLOTS * LANES : LANES; } /* of a block */

/* Stores x, between -1 and 1, as bytes: the nearest whole numbers to MOST * x. */
INLINE void quantise(uint8_t *to, floats x)
{
    store_bytes(to, least(fill(MOST), most(fill(-MOST), x * fill(MOST))));
}

/* ---- products ---- */

/* The slot for the sums of a block's vector v; `last` is that of the last vector. */
INLINE int slot_of(int v, int W, int last) { return v == W - 1 ? last : v; }

/* Prefetches a column of W vectors, one instruction for each cache line. */
INLINE void prefetch(const void *column, const int W)
{
    UNROLL for (size_t at = 0; at < W * sizeof(floats); at += LINE)
        __builtin_prefetch((const char *)column + AHEAD + at);
}

/* Adds a product to the sums of a tile: `blocks` blocks, beginning with `block`, and `rows` rows of H floats or bytes.
 * sums: (blocks, rows, 4, LANES). The sums of bytes are exact; only their product with the scale is rounded. */
INLINE void multiply_tile(const Product *product, size_t H, size_t block, const void *inputs, float *sums, int last,
                          const int is_int8, const int W, const int blocks, const int rows)
{
    const size_t group = is_int8 ? GROUP : 1, column = W * sizeof(floats), first = block * W * LANES;
    const char *weights = (const char *)product->weights + block * (H / group) * column;
    floats sum[2][ROWS][SLOTS];
    ints whole[2][ROWS][SLOTS]; /* the sums of bytes */
    UNROLL for (int b = 0; b < blocks; b++)
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < W; v++) {
                sum[b][r][v] = load(sums + ((b * rows + r) * SLOTS + slot_of(v, W, last)) * LANES);
                if (is_int8)
                    whole[b][r][v] = load_ints(product->starts + first + (b * W + v) * LANES);
            }
    for (size_t k = 0; k < H / group; k++)
        UNROLL for (int b = 0; b < blocks; b++) {
            const char *at = weights + (b * (H / group) + k) * column;
            prefetch(at, W);
            UNROLL for (int r = 0; r < rows; r++) {
                const float *number = (const float *)inputs + r * H + k;
                int32_t bytes;
                memcpy(&bytes, (const char *)inputs + r * H + k * group, sizeof bytes);
                UNROLL for (int v = 0; v < W; v++) {
                    const char *weight = at + v * sizeof(ints);
                    if (is_int8)
                        whole[b][r][v] = add_byte_products(whole[b][r][v], fill_int(bytes), load_ints(weight));
                    else
                        sum[b][r][v] = fma_of(fill(*number), load((const float *)weight), sum[b][r][v]);
                }
            }
        }
    UNROLL for (int b = 0; b < blocks; b++)
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < W; v++) {
                const float *scales = product->scales + first + (b * W + v) * LANES;
                float *to = sums + ((b * rows + r) * SLOTS + slot_of(v, W, last)) * LANES;
                store(to, is_int8 ? fma_of(floats_of(whole[b][r][v]), load(scales), load(to)) : sum[b][r][v]);
            }
}

/* Calls it with the shape of the tile as constants, so that its sums stay in registers. */
#define TILE(W, blocks, rows)                                                                                         \
    case (W) * 100 + (blocks) * 10 + (rows):                                                                          \
        if ((blocks) * (rows) <= ROWS)                                                                                \
            multiply_tile(product, H, block, inputs, sums, last, is_int8, W, blocks, rows);                           \
        break;
#define TILES(W)                                                                                                      \
    TILE(W, 1, 1) TILE(W, 1, 2) TILE(W, 1, 3) TILE(W, 1, 4) TILE(W, 1, 5) TILE(W, 1, 6)                               \
    TILE(W, 2, 1) TILE(W, 2, 2) TILE(W, 2, 3)

INLINE void multiply_rows(const Product *product, size_t H, size_t block, const void *inputs, float *sums, int last,
                          const int is_int8, int blocks, int rows)
{
    switch (product->W * 100 + blocks * 10 + rows) { TILES(3) TILES(4) }
}

/* Adds a product with rows of a layer's next_h if is_next, else of its h. */
static void multiply(const Step *s, const Product *product, int is_next, size_t layer, size_t block, size_t row,
                     float *sums, int last, int blocks, int rows)
{
    const size_t H = s->model->H, at = (layer * s->B + row) * H;
    if (product->is_int8)
        multiply_rows(product, H, block, s->bytes + is_next * s->model->L * s->B * H + at, sums, last, 1, blocks, rows);
    else
        multiply_rows(product, H, block, (is_next ? s->next_h : s->h) + at, sums, last, 0, blocks, rows);
}

/* ---- layers ---- */

/* The sums before the products: the bias, and in layer 0 also the rows of the table and the condition. */
INLINE void begin(const Step *s, size_t layer, size_t row, size_t block, float *sums)
{
    const Model *m = s->model;
    const size_t W = m->layers->recurrent.W, width = m->H / units_of(m) * W * LANES;
    memcpy(sums, m->layers[layer].bias + block * SLOTS * LANES, SLOTS * LANES * sizeof *sums);
    for (size_t at = 0; layer == 0 && at < W * LANES; at += LANES) {
        const size_t from = block * W * LANES + at;
        floats input = load(m->table + s->tokens[row] * width + from);
        if (s->condition)
            input = input + load(s->condition + row * width + from);
        store(sums + at, load(sums + at) + input);
    }
}

/* Computes outputs from sums: the equations of gen/models/cells.py. */
INLINE void finish(const Step *s, size_t layer, size_t row, size_t block, const float *sums)
{
    const Model *m = s->model;
    const size_t from = (layer * s->B + row) * m->H + block * units_of(m);
    for (size_t n = 0; n < units_of(m); n += LANES) {
        const size_t at = from + n;
        floats h = load(sums + n);
        if (m->cell == RNN) {
            h = tanh_of(h);
        } else if (m->cell == LSTM) {
            const floats f = sigmoid_of(load(sums + LANES)), g = tanh_of(load(sums + 2 * LANES));
            const floats c = fma_of(sigmoid_of(h), g, f * load(s->c + at));
            store(s->next_c + at, c);
            h = sigmoid_of(load(sums + 3 * LANES)) * tanh_of(c);
        } else {
            const floats r = sigmoid_of(h), z = sigmoid_of(load(sums + LANES));
            const floats candidate = tanh_of(fma_of(r, load(sums + 3 * LANES), load(sums + 2 * LANES)));
            h = fma_of(z, load(s->h + at) - candidate, candidate);
        }
        store(s->next_h + at, h);
        if (m->is_int8)
            quantise(s->bytes + m->L * s->B * m->H + at, h);
    }
}

static void layer_tile(const Step *s, size_t layer, size_t block, size_t row, int blocks, int rows)
{
    const Layer *of = s->model->layers + layer;
    float sums[2 * ROWS * SLOTS * LANES];
    for (int n = 0; n < blocks * rows; n++)
        begin(s, layer, row + n % rows, block + n / rows, sums + n * SLOTS * LANES);
    if (layer > 0)
        multiply(s, &of->input, 1, layer - 1, block, row, sums, of->input.W - 1, blocks, rows);
    multiply(s, &of->recurrent, 0, layer, block, row, sums, SLOTS - 1, blocks, rows);
    for (int n = 0; n < blocks * rows; n++)
        finish(s, layer, row + n % rows, block + n / rows, sums + n * SLOTS * LANES);
}

static void output_tile(const Step *s, size_t block, size_t row, int blocks, int rows)
{
    const Model *m = s->model;
    const size_t width = m->output.W * LANES;
    float sums[2 * ROWS * SLOTS * LANES];
    for (int n = 0; n < blocks * rows; n++)
        memcpy(sums + n * SLOTS * LANES, m->bias + (block + n / rows) * SLOTS * LANES, SLOTS * LANES * sizeof *sums);
    multiply(s, &m->output, 1, m->L - 1, block, row, sums, m->output.W - 1, blocks, rows);
    for (int n = 0; n < blocks * rows; n++) {
        const size_t first = (block + n / rows) * width, left = m->V - first;
        memcpy(s->logits + (row + n % rows) * m->V + first, sums + n * SLOTS * LANES,
               (left < width ? left : width) * sizeof *sums);
    }
}

/* ---- pieces ---- */

INLINE size_t num_parts_of(size_t whole, size_t part) { return (whole + part - 1) / part; }

/* Blocks of a tile. Few rows take two at a time: the four sums of a single row would wait for each other. */
INLINE size_t blocks_at_once(const Step *s) { return s->B <= FEW_ROWS ? 2 : 1; }

INLINE size_t blocks_of(const Model *m, int64_t layer)
{
    return layer < m->L ? m->H / units_of(m) : num_parts_of(m->V, m->output.W * LANES);
}

/* Quantises h of all memories, since a state need not come from the last step. */
static void quantise_states(const Step *s)
{
    for (size_t at = 0; at < (size_t)(s->model->L * s->B * s->model->H); at += LANES)
        quantise(s->bytes + at, load(s->h + at));
}

size_t begin_layer(const Step *s, int64_t layer)
{
    if (layer == 0 && s->model->is_int8)
        quantise_states(s);
    return num_parts_of(blocks_of(s->model, layer), blocks_at_once(s)) * num_parts_of(s->B, ROWS_OF_PIECE);
}

void step_piece(const Step *s, int64_t layer, size_t index)
{
    const size_t num_groups = num_parts_of(s->B, ROWS_OF_PIECE), group = index % num_groups;
    const size_t block = index / num_groups * blocks_at_once(s), rest = blocks_of(s->model, layer) - block;
    const size_t blocks = rest < blocks_at_once(s) ? rest : blocks_at_once(s), stop = s->B * (group + 1) / num_groups;
    for (size_t row = s->B * group / num_groups, rows; row < stop; row += rows) {
        const size_t tiles = num_parts_of(stop - row, ROWS);
        rows = num_parts_of(stop - row, tiles); /* tiles of nearly equal size: 16 rows are 6, 5 and 5 */
        if (layer == s->model->L)
            output_tile(s, block, row, blocks, rows);
        else
            layer_tile(s, layer, block, row, blocks, rows);
    }
}

/* ---- called from outside ---- */

int gen_lanes(void) { return LANES; }
int gen_byte_offset(void) { return OFFSET; }
int gen_step_size(int n) { return (int[]){sizeof(Product), sizeof(Layer), sizeof(Model), sizeof(Step)}[n]; }

int step_threads(const Step *s, int64_t num_steps, int threads)
{
    const int64_t work = s->B * s->model->work / (s->model->is_int8 ? GROUP : 1);
    const int64_t useful = work / (MIN_WORK + MIN_WORK / num_steps);
    return useful < 1 ? 1 : useful < threads ? (int)useful : threads;
}
