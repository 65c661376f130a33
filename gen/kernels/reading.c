/* Reads weights and does nothing else: the limit of a step's speed. */
#include "pool.h"
#include "vectors.h"

enum { VECTORS = 8, CHUNK = 1 << 10, AHEAD = 2048 };

typedef struct {
    const float *from;
    size_t size; /* of a part */
    int passes;
    float *sums; /* one a part, so that the compiler leaves out no read */
} Reading;

static void read_part(void *context, int64_t index)
{
    const Reading *of = context;
    floats sum[VECTORS] = {fill(0.0f)};
    for (int pass = 0; pass < of->passes; pass++)
        for (size_t done = 0; done + CHUNK <= of->size; done += CHUNK) {
            const float *at = of->from + index * of->size + (pass % 2 ? of->size - done - CHUNK : done);
            for (size_t n = 0; n < CHUNK; n += VECTORS * LANES)
                UNROLL for (size_t v = 0; v < VECTORS; v++) {
                    __builtin_prefetch(at + n + v * LANES + AHEAD / sizeof(float));
                    sum[v] = sum[v] + load(at + n + v * LANES);
                }
        }
    of->sums[index] = sum_of(sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7]);
}

/* Reads (threads, size / threads) floats `passes` times: each thread a part, alternately from the front and from the
 * back, as a step does. sums: (threads,) output. */
void gen_step_read(const float *from, size_t size, int passes, int threads, float *sums)
{
    Reading all = {from, size / threads, passes, sums};
    gen_pool_run(read_part, &all, threads, threads);
}
