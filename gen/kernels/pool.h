/* A pool of threads that the kernels share (pool.c). */
#ifndef GEN_POOL_H
#define GEN_POOL_H

#include <stdint.h>

/* Calls `piece` once for each index from 0 to count - 1, on the caller and up to threads - 1 others: whichever is free
 * takes the next. Returns when all are done. Pieces may call it again: the inner call runs on its own thread alone. */
void gen_pool_run(void (*piece)(void *context, int64_t index), void *context, int64_t count, int threads);

/* Calls `member` with n = 0 to all - 1 at the same time, each on a thread of its own; n is 0 on the caller. Returns
 * `all`: at most `threads`, fewer if some do not come at once, 1 if another caller uses the pool. */
int pool_gang(void (*member)(void *context, int n, int all), void *context, int threads);

/* Waits until every member of the caller's gang has called it as often. */
void pool_barrier(void);

/* Nanoseconds that threads had pieces to run, and those that they computed, since the process began. */
void gen_pool_times(int64_t *wanted, int64_t *computed);

#endif
