/* Work in stages, on threads that may come late, or lose their core at any time to another program.
 *
 * Each thread has its own part of a stage's pieces, the same at every stage with as many: what a piece reads is still
 * in that thread's cache. When its part is done it takes pieces from the other end of the parts of threads that have
 * not begun, or stand still. So nobody waits for a thread that does not run, unless it is in the middle of a piece.
 *
 * A part is a number: a stage, and the pieces of it that nobody has taken yet. A thread that is late with the number of
 * an old stage finds no piece of it. The thread that does a stage's last piece begins the next one.
 */
#include "stages.h"

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "pool.h"

enum { MAX_PARTS = 64, LINE = 64 };
enum { BITS = 23, STAGE = 48 }; /* of a piece's index; of what stands below the stage in a part */
enum { LOOKS = 2000, NAP = 20000 }; /* looks of a waiting thread before it sleeps, and nanoseconds between looks then */
enum { PATIENCE = 50, PAUSES = 8 };  /* looks at a part that does not change, before pieces are taken from it */
static const uint64_t INDEX = (1 << BITS) - 1, IS_BEGUN = (uint64_t)1 << 2 * BITS, WAS_BEGUN = IS_BEGUN << 1;
static const uint64_t OVER = 0; /* the stage after the last */

typedef struct {
    Work work;
    int num_parts;
    struct {
        /* the lower 16 bits of the stage; whether its thread began the last one and this one; first piece, last + 1 */
        _Alignas(LINE) _Atomic uint64_t left;
    } parts[MAX_PARTS];
    _Alignas(LINE) _Atomic uint64_t stage; /* twice its number, plus 1 if its pieces are taken backward */
    _Alignas(LINE) atomic_size_t num_left; /* pieces that are not done */
} Stages;

static void begin_next(Stages *s, uint64_t stage)
{
    int is_backward = 0;
    const size_t count = s->work.next(s->work.context, &is_backward);
    stage = (stage | 1) + 1 + is_backward;
    atomic_store(&s->num_left, count);
    for (uint64_t n = 0; n < (uint64_t)s->num_parts; n++) {
        const uint64_t before = atomic_load(&s->parts[n].left) & IS_BEGUN ? WAS_BEGUN : 0;
        const uint64_t first = count * n / s->num_parts, stop = count * (n + 1) / s->num_parts;
        atomic_store(&s->parts[n].left, stage << STAGE | before | first << BITS | stop);
    }
    atomic_store(&s->stage, count ? stage : OVER);
}

/* Takes a piece of part n; returns whether there was one. */
static int take(Stages *s, uint64_t stage, int n, int is_own, size_t *index)
{
    uint64_t left = atomic_load(&s->parts[n].left), after;
    do {
        const uint64_t first = left >> BITS & INDEX, stop = left & INDEX;
        const int is_from_back = is_own == (int)(stage & 1);
        if (left >> STAGE != (uint16_t)stage || first == stop)
            return 0;
        *index = is_from_back ? stop - 1 : first;
        after = (is_from_back ? left - 1 : left + INDEX + 1) | (is_own ? IS_BEGUN : 0);
    } while (!atomic_compare_exchange_weak(&s->parts[n].left, &left, after));
    return 1;
}

/* Waits while part n becomes smaller, until it is done or its thread seems not to run. */
static void look_at(Stages *s, uint64_t stage, int n)
{
    uint64_t seen = 0;
    for (int looks = 0; looks < PATIENCE; looks++) {
        const uint64_t left = atomic_load(&s->parts[n].left);
        const int is_done = left >> STAGE != (uint16_t)stage || (left >> BITS & INDEX) == (left & INDEX);
        if (is_done || !(left & (IS_BEGUN | WAS_BEGUN)))
            return;
        looks = left == seen ? looks : 0;
        seen = left;
        for (int pause = 0; pause < PAUSES; pause++) /* each look takes the number from the thread that changes it */
            pool_relax();
    }
}

static void wait_for_next(Stages *s, uint64_t stage)
{
    for (int n = 0; atomic_load(&s->stage) == stage; n++)
        if (n < LOOKS)
            pool_relax();
        else
            nanosleep(&(struct timespec){.tv_nsec = NAP}, NULL);
}

static void take_part(void *context, int64_t index)
{
    (void)index;
    Stages *s = context;
    const int n = pool_self() % s->num_parts; /* always the same part: whatever it reads is in its cache */
    for (uint64_t stage; (stage = atomic_load(&s->stage)) != OVER; wait_for_next(s, stage))
        for (int away = 0; away < s->num_parts; away++) {
            const int part = (n + away) % s->num_parts;
            if (away > 0)
                look_at(s, stage, part);
            size_t done = 0;
            for (size_t piece; take(s, stage, part, away == 0, &piece); done++)
                s->work.piece(s->work.context, piece, n);
            if (done > 0 && atomic_fetch_sub(&s->num_left, done) == done)
                begin_next(s, stage);
        }
}

/* The same on one thread, without what costs time for the sake of others. */
static void do_alone(Work work)
{
    int is_backward = 0;
    for (size_t count; (count = work.next(work.context, &is_backward)) > 0;)
        for (size_t n = 0; n < count; n++)
            work.piece(work.context, is_backward ? count - 1 - n : n, 0);
}

void run_stages(Work work, int threads)
{
    if (threads == 1) {
        do_alone(work);
        return;
    }
    Stages s = {.work = work, .num_parts = threads < MAX_PARTS ? threads : MAX_PARTS};
    begin_next(&s, OVER);
    gen_pool_run(take_part, &s, s.num_parts, s.num_parts);
}
