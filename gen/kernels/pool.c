/* A pool of threads which wait for little.
 *
 * Other programs take the processor from a thread at any time, for milliseconds. So work is cut into more pieces than
 * threads, and a caller waits only for threads that are in the middle of a piece: one that does not wake up, or does
 * not run, takes no part. Whoever waits looks for some microseconds, then sleeps.
 *
 * A worker takes part by setting its bit in `inside`, unless CLOSED is set. The caller opens the pool when the job is
 * written, and closes it when no piece is left; the job changes only while the pool is closed and nobody is inside.
 */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

enum { MAX_THREADS = 63 }; /* the caller is number 0 */
enum { SPIN = 100000 };    /* nanoseconds before sleep: more than Python needs between two steps of sampling */
static const uint64_t CLOSED = (uint64_t)1 << 63;

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_int is_asleep;
} Thread;

typedef struct {
    void (*piece)(void *context, int64_t index);
    void *context;
    int64_t count, opened;
    uint64_t wanted; /* bits of the workers that may take part */
} Job;

static Thread threads_of_pool[MAX_THREADS];
static Job job;
static int num_workers;
static atomic_int is_taken;
static _Atomic int64_t next_piece, wanted_ns, computed_ns;
static _Atomic uint64_t number, inside, came; /* number: of the job */
static _Thread_local int self;

int pool_self(void) { return self; }

/* ---- waiting ---- */

static int64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Waits until *word is not `value`; whoever changes it calls `wake` for thread n. */
static void wait_change(int n, _Atomic uint64_t *word, uint64_t value)
{
    for (const int64_t until = now(CLOCK_MONOTONIC) + SPIN; now(CLOCK_MONOTONIC) < until; pool_relax())
        if (atomic_load(word) != value)
            return;
    Thread *thread = threads_of_pool + n;
    pthread_mutex_lock(&thread->mutex);
    atomic_store(&thread->is_asleep, 1);
    while (atomic_load(word) == value)
        pthread_cond_wait(&thread->wake, &thread->mutex);
    atomic_store(&thread->is_asleep, 0);
    pthread_mutex_unlock(&thread->mutex);
}

static void wake(int n)
{
    Thread *thread = threads_of_pool + n;
    if (!atomic_load(&thread->is_asleep))
        return;
    pthread_mutex_lock(&thread->mutex);
    pthread_mutex_unlock(&thread->mutex);
    pthread_cond_signal(&thread->wake);
}

static void wake_all(uint64_t workers)
{
    for (int n = 1; n < MAX_THREADS; n++)
        if (workers >> n & 1)
            wake(n);
}

/* ---- work ---- */

static void take_pieces(void)
{
    const int64_t before = now(CLOCK_THREAD_CPUTIME_ID);
    for (int64_t index; (index = atomic_fetch_add(&next_piece, 1)) < job.count;)
        job.piece(job.context, index);
    atomic_fetch_add(&computed_ns, now(CLOCK_THREAD_CPUTIME_ID) - before);
    atomic_fetch_add(&wanted_ns, now(CLOCK_MONOTONIC) - job.opened);
}

/* Returns whether the thread has come inside, where the job does not change. */
static int come_inside(int n)
{
    uint64_t found = atomic_load(&inside);
    while (!(found & CLOSED))
        if (atomic_compare_exchange_weak(&inside, &found, found | (uint64_t)1 << n))
            return 1;
    return 0;
}

static void *work(void *argument)
{
    const int n = self = (int)(intptr_t)argument;
    for (uint64_t seen = 0;;) {
        wait_change(n, &number, seen);
        seen = atomic_load(&number);
        if (!come_inside(n))
            continue;
        seen = atomic_load(&number);
        if (job.wanted >> n & 1) {
            atomic_fetch_or(&came, (uint64_t)1 << n);
            take_pieces();
        }
        atomic_fetch_and(&inside, ~((uint64_t)1 << n));
        wake(0);
    }
    return NULL;
}

/* ---- the caller ---- */

/* A new process has one thread only, whatever the others were doing. */
static void begin_anew(void)
{
    for (int n = 0; n < MAX_THREADS; n++)
        threads_of_pool[n] = (Thread){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    num_workers = 0;
    atomic_store(&inside, CLOSED);
    atomic_store(&is_taken, 0);
}

static void begin(void)
{
    begin_anew();
    pthread_atfork(NULL, NULL, begin_anew);
}

static void start_workers(int wanted)
{
    sigset_t all, before; /* signals go to the threads that the program knows */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pthread_t thread; num_workers < wanted; num_workers++) {
        if (pthread_create(&thread, NULL, work, (void *)(intptr_t)(num_workers + 1)))
            break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Takes the pool for the caller and starts what is missing. Returns the number of threads, 1 if it is taken. */
static int take_pool(int threads)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin);
    if (threads <= 1 || atomic_exchange(&is_taken, 1))
        return 1;
    threads = threads < MAX_THREADS ? threads : MAX_THREADS;
    if (num_workers < threads - 1)
        start_workers(threads - 1);
    threads = threads < num_workers + 1 ? threads : num_workers + 1;
    if (threads == 1)
        atomic_store(&is_taken, 0);
    return threads;
}

static void open_pool(Job of, int threads)
{
    job = of;
    job.opened = now(CLOCK_MONOTONIC);
    job.wanted = ((uint64_t)1 << threads) - 2;
    atomic_store(&next_piece, 0);
    atomic_store(&came, 0);
    atomic_store(&inside, 0); /* before the number, or a worker that looks for it finds the pool still closed */
    atomic_fetch_add(&number, 1);
    wake_all(job.wanted);
}

static void leave_pool(void)
{
    for (uint64_t found; (found = atomic_load(&inside)) != CLOSED;)
        wait_change(0, &inside, found);
    atomic_store(&is_taken, 0);
}

void gen_pool_run(void (*piece)(void *context, int64_t index), void *context, int64_t count, int threads)
{
    threads = take_pool(threads < count ? threads : (int)count);
    if (threads == 1) {
        const int64_t opened = now(CLOCK_MONOTONIC), before = now(CLOCK_THREAD_CPUTIME_ID);
        for (int64_t index = 0; index < count; index++)
            piece(context, index);
        atomic_fetch_add(&computed_ns, now(CLOCK_THREAD_CPUTIME_ID) - before);
        atomic_fetch_add(&wanted_ns, now(CLOCK_MONOTONIC) - opened);
        return;
    }
    open_pool((Job){.piece = piece, .context = context, .count = count}, threads);
    take_pieces();
    atomic_fetch_or(&inside, CLOSED);
    const int missing = threads - 1 - __builtin_popcountll(atomic_load(&came));
    atomic_fetch_add(&wanted_ns, missing * (now(CLOCK_MONOTONIC) - job.opened));
    leave_pool();
}

/* ---- chains ---- */

enum { MAX_CHAINS = 64 };

typedef struct {
    void (*step)(void *context, size_t chain, size_t index);
    void *context;
    size_t num_chains, num_steps;
    struct {
        atomic_int is_held;
        _Atomic size_t done;
    } chains[MAX_CHAINS];
} Chains;

/* Takes the chain that is behind all others that nobody holds; returns whether there is one that is not done. */
static int take_chain(Chains *all, size_t *taken)
{
    for (;;) {
        size_t least = all->num_steps;
        for (size_t n = 0; n < all->num_chains; n++) {
            const size_t done = atomic_load(&all->chains[n].done);
            if (done < least && !atomic_load(&all->chains[n].is_held))
                least = done, *taken = n;
        }
        if (least == all->num_steps)
            return 0; /* who holds the others finishes them */
        if (!atomic_exchange(&all->chains[*taken].is_held, 1))
            return 1;
    }
}

static void take_steps(void *context, int64_t index)
{
    (void)index;
    Chains *all = context;
    for (size_t n = 0; take_chain(all, &n); atomic_store(&all->chains[n].is_held, 0)) {
        const size_t done = atomic_load(&all->chains[n].done);
        if (done == all->num_steps)
            continue; /* another thread has just done the last step */
        all->step(all->context, n, done);
        atomic_store(&all->chains[n].done, done + 1);
    }
}

void pool_chains(void (*step)(void *context, size_t chain, size_t index), void *context, size_t num_chains,
                 size_t num_steps, int threads)
{
    Chains all = {.step = step, .context = context, .num_chains = num_chains, .num_steps = num_steps};
    gen_pool_run(take_steps, &all, threads < (int)num_chains ? threads : (int)num_chains, threads);
}

void gen_pool_times(int64_t *wanted, int64_t *computed)
{
    *wanted = atomic_load(&wanted_ns);
    *computed = atomic_load(&computed_ns);
}
