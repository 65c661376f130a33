/* Runs stages of random lengths on 2 to 7 threads, and ends with an error unless each piece of a stage is done once, and
 * before the next stage begins. Some pieces sleep, as where another program takes the core. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stages.h"

enum { MAX_PIECES = 40, RUNS = 200, SLEEP = 100000, ONE_IN = 97 };

typedef struct {
    int stage, num_stages, times[MAX_PIECES];
    size_t count;
    unsigned seed;
} Check;

static size_t next_stage(void *context, int *is_backward)
{
    Check *of = context;
    for (size_t n = 0; n < of->count; n++)
        if (of->times[n] != 1) {
            printf("piece %zu of stage %d was done %d times\n", n, of->stage, of->times[n]);
            exit(1);
        }
    memset(of->times, 0, sizeof of->times);
    *is_backward = rand_r(&of->seed) & 1;
    of->count = 1 + rand_r(&of->seed) % MAX_PIECES;
    return of->stage++ < of->num_stages ? of->count : 0;
}

static void do_piece(void *context, size_t index, int n)
{
    (void)n;
    Check *of = context;
    of->times[index]++;
    if ((of->stage * MAX_PIECES + index) % ONE_IN == 0)
        nanosleep(&(struct timespec){.tv_nsec = SLEEP}, NULL);
}

int main(void)
{
    for (int run = 0, threads = 2; run < RUNS; run++, threads = 2 + run % 6) {
        Check check = {.num_stages = 1 + run % 60, .seed = run};
        run_stages((Work){&check, next_stage, do_piece}, threads);
        if (check.stage != check.num_stages + 1)
            return 1;
    }
    return 0;
}
