/* Work in stages: a stage begins when the one before is done; its pieces are done in any order by whichever thread is
 * free (stages.c). */
#ifndef GEN_STAGES_H
#define GEN_STAGES_H

#include <stddef.h>

typedef struct {
    void *context;
    /* Prepares the next stage, while no piece is being done; returns the number of its pieces, 0 if there is no more.
     * Threads take their pieces from the last to the first if *is_backward. */
    size_t (*next)(void *context, int *is_backward);
    /* Does a piece of the stage on thread n of the threads. */
    void (*piece)(void *context, size_t index, int n);
} Work;

/* Does all stages on up to `threads` threads, at most 64. */
void run_stages(Work work, int threads);

#endif
