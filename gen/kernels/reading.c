/* Reads weights and does nothing else: the limit of a step's speed. */
#include <stdatomic.h>

#include "stages.h"
#include "vectors.h"

enum { VECTORS = 8, CHUNK = 1 << 10, AHEAD = 2048 };

/* A stage is a pass over all chunks. */
typedef struct {
    const float *from;
    size_t num_chunks;
    int passes;       /* left */
    atomic_int found; /* made of all that was read, so that the compiler leaves out no read */
} Reading;

static size_t next_pass(void *context, int *is_backward)
{
    Reading *of = context;
    *is_backward = of->passes % 2;
    return of->passes-- > 0 ? of->num_chunks : 0;
}

static void read_chunk(void *context, size_t index, int n)
{
    (void)n;
    Reading *of = context;
    const float *at = of->from + index * CHUNK;
    floats sum[VECTORS] = {fill(0.0f)};
    for (size_t k = 0; k < CHUNK; k += VECTORS * LANES)
        UNROLL for (size_t v = 0; v < VECTORS; v++) {
            __builtin_prefetch(at + k + v * LANES + AHEAD / sizeof(float));
            sum[v] = sum[v] + load(at + k + v * LANES);
        }
    floats total = sum[0];
    for (size_t v = 1; v < VECTORS; v++)
        total = total + sum[v];
    if (sum_of(total) > 0)
        atomic_store_explicit(&of->found, 1, memory_order_relaxed);
}

/* Reads (num_chunks, CHUNK) floats `passes` times, alternately from the front and from the back, as a step does. Returns
 * whether a sum of them is above 0. */
int gen_step_read(const float *from, size_t num_chunks, int passes, int threads)
{
    Reading all = {.from = from, .num_chunks = num_chunks, .passes = passes};
    run_stages((Work){&all, next_pass, read_chunk}, threads);
    return all.found;
}
