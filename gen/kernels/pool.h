/* A pool of threads that the kernels share (pool.c). */
#ifndef GEN_POOL_H
#define GEN_POOL_H

#include <stddef.h>
#include <stdint.h>

/* Calls `piece` once for each index from 0 to count - 1, on the caller and up to threads - 1 others: whichever is free
 * takes the next. Returns when all are done. Pieces may call it again: the inner call runs on its own thread alone. */
void gen_pool_run(void (*piece)(void *context, int64_t index), void *context, int64_t count, int threads);

/* Returns the number of the thread: 0 outside the pool, else below `threads` of the call that it works for. */
int pool_self(void);

/* Calls `step` with each chain from 0 to num_chains - 1 and each index from 0 to num_steps - 1: the indices of a chain in
 * order, chains at the same time on up to `threads` threads. A free thread takes the chain that is behind. */
void pool_chains(void (*step)(void *context, size_t chain, size_t index), void *context, size_t num_chains,
                 size_t num_steps, int threads);

/* Tells the processor that the thread waits. */
static inline void pool_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* Nanoseconds that threads had pieces to run, and those that they computed, since the process began. */
void gen_pool_times(int64_t *wanted, int64_t *computed);

#endif
