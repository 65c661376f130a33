/* Products of bf16 by tiles, on processors with AMX: sixteen rows by four vectors of sixteen sums at a time.
 *
 * The sums of a tile are added in another order than those of add_pair_products: a layer must use one of the two for
 * all its rows. A thread calls use_tiles before its first product, and leave_tiles when it is done.
 */
#ifndef GEN_AMX_H
#define GEN_AMX_H

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TILE_ROWS = 16, TILE_PAIRS = 16, SUMS = 4 * LANES * sizeof(float) }; /* SUMS: bytes of a row of sums */

static _Thread_local int configured_rows;

/* Asks Linux for the use of tiles (ARCH_REQ_XCOMP_PERM of XFEATURE_XTILEDATA), as a process must. */
static int has_tiles(void)
{
    static int is_granted = -1;
    if (is_granted < 0)
        is_granted = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
    return is_granted;
}

/* Tiles 0 to 3 are sums, 4 and 5 inputs, 6 and 7 weights; those of `rows` rows have only these. */
INLINE void use_tiles(int rows)
{
    if (configured_rows == rows)
        return;
    configured_rows = rows;
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int tile = 0; tile < 8; tile++)
        shape.bytes[tile] = 64, shape.rows[tile] = tile < 6 ? rows : TILE_PAIRS;
    _tile_loadconfig(&shape);
}

INLINE void leave_tiles(void)
{
    configured_rows = 0;
    _tile_release();
}

#define FOR_SUMS(move)                                                                                                \
    move(0, sums, SUMS);                                                                                              \
    move(1, sums + LANES, SUMS);                                                                                      \
    move(2, sums + 2 * LANES, SUMS);                                                                                  \
    move(3, sums + 3 * LANES, SUMS);
#define ADD(slot, weight_tile, v)                                                                                     \
    _tile_loadd(weight_tile, weights + (v) * 2 * LANES, num_vectors * 4 * LANES);                                     \
    _tile_dpbf16ps(slot, 4, weight_tile);

/* Adds inputs of up to TILE_ROWS rows, `stride` apart, times weights to sums (rows, 4, LANES). The last vector is added
 * to the sums at index `last`. */
INLINE void add_by_tiles(float *sums, const bf16 *inputs, size_t stride, const bf16 *weights, size_t num_pairs,
                         int rows, int num_vectors, int last)
{
    use_tiles(rows);
    FOR_SUMS(_tile_loadd)
    for (size_t pair = 0; pair < num_pairs; pair += TILE_PAIRS, weights += TILE_PAIRS * num_vectors * 2 * LANES) {
        _tile_loadd(4, inputs + 2 * pair, stride * sizeof *inputs);
        ADD(0, 6, 0)
        ADD(1, 7, 1)
        if (num_vectors == 4) {
            ADD(2, 6, 2)
            ADD(3, 7, 3)
        } else if (last == 2) {
            ADD(2, 6, 2)
        } else {
            ADD(3, 6, 2)
        }
    }
    FOR_SUMS(_tile_stored)
}

/* Tells whether the window kernels may use tiles in this process. */
int gen_has_tiles(void) { return has_tiles(); }

#endif
