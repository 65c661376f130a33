/* Reads weights and does nothing else: the limit of a step's speed. */
#include <omp.h>

#include "vectors.h"

enum { VECTORS = 8, CHUNK = 1 << 10, AHEAD = 2048 };

/* Reads (threads, size / threads) floats `passes` times: each thread its own part, alternately from the front and from
 * the back, as a step does. Returns the sum, so that the compiler leaves out no read. */
float gen_step_read(const float *from, size_t size, int passes, int threads)
{
    float total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
        const size_t part = size / omp_get_num_threads();
        const float *own = from + part * omp_get_thread_num();
        floats sum[VECTORS] = {fill(0.0f)};
        for (int pass = 0; pass < passes; pass++)
            for (size_t done = 0; done + CHUNK <= part; done += CHUNK) {
                const float *at = own + (pass % 2 ? part - done - CHUNK : done);
                for (size_t n = 0; n < CHUNK; n += VECTORS * LANES)
                    UNROLL for (size_t v = 0; v < VECTORS; v++) {
                        __builtin_prefetch(at + n + v * LANES + AHEAD / sizeof(float));
                        sum[v] = sum[v] + load(at + n + v * LANES);
                    }
            }
        for (size_t v = 0; v < VECTORS; v++)
            total += sum_of(sum[v]);
    }
    return total;
}
