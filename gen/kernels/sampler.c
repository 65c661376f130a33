/* Draws the next token of B rows from their logits; or steps a model and draws, many tokens in one call.
 *
 * The filters, their order and their ties are those of gen/generation/sampling.py; all numbers are double. A row's draw
 * depends on its own logits and its own uniform number alone, so it has the same bits whatever the other rows.
 *
 * Shapes: B rows, V logits; all arrays are contiguous, C order.
 */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "stages.h"
#include "stepper.h"

enum { FINE = 0, NOT_FINITE = 1, NO_CANDIDATE = 2 };
static const double LEAST = -708.0; /* e^x is 0 below: the least normal number */

/* The input; the fields are those of the structures in drawing.py. */
typedef struct {
    int64_t V;
    double temperature, top_p, log_min_p, penalty; /* neutral: 1, 1, -inf, 1 */
    int64_t top_k;                                 /* V for all */
    int64_t num_banned;
    const int64_t *banned; /* ids that are never drawn */
    int64_t window;        /* tokens that the repetition penalty applies to */
} Filters;

typedef struct {
    const Filters *filters;
    int64_t B;
    const float *logits;    /* (B, V) */
    const uint8_t *allowed; /* (B, V), or NULL for all */
    const double *uniforms; /* (tokens, B) in [0, 1) */
    int64_t *recent;        /* (window, B) a ring buffer of the last tokens; NULL without penalty */
    int16_t *counts;        /* (B, V) occurrences of each id in the ring */
    int64_t num_seen;       /* tokens of each row that were ever put into the ring */
    int64_t *tokens;        /* (tokens, B) output */
    double *surprises;      /* (tokens, B) output: nats under the model's own distribution, before any filter */
    double *room;           /* (threads, 3, V) working memory */
    int64_t status;
} Draw;

static const double TAYLOR[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                                1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0};

/* e^x for x from LEAST to 0, written so that the compiler makes vector code: Taylor's polynomial of degree 13 in the
 * rest, which is at most ln 2 / 2 (error 4e-18). */
static inline double exp_of(double x)
{
    const double shifted = x * 1.4426950408889634 + 0x1.8p52, n = shifted - 0x1.8p52; /* rounds; the low bits are n */
    const double rest = fma(-n, 1.9082149292705877e-10, fma(-n, 0.6931471803691238, x));
    double sum = TAYLOR[0];
    _Pragma("GCC unroll 16") for (size_t k = 1; k < sizeof TAYLOR / sizeof *TAYLOR; k++)
        sum = fma(sum, rest, TAYLOR[k]);
    uint64_t bits;
    double power;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

/* to[n] = e^x[n], for x at most 0, also -inf. */
static void exponentials(double *to, const double *x, size_t V)
{
    for (size_t n = 0; n < V; n++) {
        const double power = exp_of(x[n] < LEAST ? LEAST : x[n]);
        to[n] = x[n] < LEAST ? 0.0 : power;
    }
}

static double total_of(const double *weights, size_t V)
{
    double total = 0.0;
    for (size_t n = 0; n < V; n++)
        total += weights[n];
    return total;
}

/* The greatest of x, NaN if any is. */
static double greatest(const double *x, size_t V)
{
    double top = -INFINITY;
    int has_nan = 0;
    for (size_t n = 0; n < V; n++) {
        has_nan |= x[n] != x[n];
        top = x[n] > top ? x[n] : top;
    }
    return has_nan ? NAN : top;
}

/* ---- top-k and top-p: a heap of ids with the likeliest at its root; of equal ones the lower id comes first ---- */

static inline int is_before(const double *x, int64_t one, int64_t other)
{
    return x[one] > x[other] || (x[one] == x[other] && one < other);
}

static void sift(int64_t *heap, size_t size, size_t at, const double *x)
{
    const int64_t id = heap[at];
    for (size_t child; (child = 2 * at + 1) < size; at = child) {
        child += child + 1 < size && is_before(x, heap[child + 1], heap[child]);
        if (is_before(x, id, heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = id;
}

/* Moves the likeliest id from the heap to the index behind the heap. */
static int64_t pop(int64_t *heap, size_t size, const double *x)
{
    const int64_t id = heap[0];
    heap[0] = heap[size - 1];
    sift(heap, size - 1, 0, x);
    heap[size - 1] = id;
    return id;
}

/* Sets to 0 all weights but those of the k likeliest, and of these all but the fewest that have the share p. */
static void keep_likeliest(const double *x, double *weights, int64_t *heap, size_t V, size_t k, double p)
{
    for (size_t n = 0; n < V; n++)
        heap[n] = n;
    for (size_t at = V / 2; at-- > 0;)
        sift(heap, V, at, x);
    size_t count = 0;
    if (k < V)
        for (; count < k; count++)
            pop(heap, V - count, x);
    if (p < 1.0) {
        double total = 0.0, share = 0.0;
        for (size_t n = 0; n < (k < V ? k : V); n++)
            total += k < V ? weights[heap[V - 1 - n]] : weights[n];
        size_t nucleus = 0;
        for (; nucleus < (k < V ? k : V) && (nucleus == 0 || share < p * total); nucleus++)
            share += weights[nucleus < count ? heap[V - 1 - nucleus] : pop(heap, V - nucleus, x)];
        count = nucleus;
    }
    for (size_t n = 0; n < V - count; n++)
        weights[heap[n]] = 0.0;
}

/* ---- a draw ---- */

/* Applies mask, penalty and temperature: x becomes (logits - greatest) / temperature. Returns the likeliest id. */
static int64_t prepare(const Draw *d, size_t row, double *x, int *status)
{
    const Filters *f = d->filters;
    for (int64_t n = 0; n < f->num_banned; n++)
        x[f->banned[n]] = -INFINITY;
    if (d->allowed)
        for (int64_t n = 0; n < f->V; n++)
            x[n] = d->allowed[row * f->V + n] ? x[n] : -INFINITY;
    if (d->recent)
        for (int64_t n = 0; n < f->V; n++)
            if (d->counts[row * f->V + n] > 0)
                x[n] = x[n] > 0 ? x[n] / f->penalty : x[n] * f->penalty;
    const double top = greatest(x, f->V);
    int64_t likeliest = 0;
    if (!isfinite(top))
        *status = NO_CANDIDATE;
    else
        while (x[likeliest] != top)
            likeliest++;
    for (int64_t n = 0; n < f->V; n++)
        x[n] = (x[n] - top) / f->temperature;
    return likeliest;
}

/* Returns the first id whose cumulative weight exceeds the uniform's share of the total. */
static int64_t pick(double *weights, size_t V, double uniform)
{
    for (size_t n = 1; n < V; n++)
        weights[n] += weights[n - 1];
    const double wanted = uniform * weights[V - 1];
    size_t n = 0;
    while (n < V - 1 && !(weights[n] > wanted))
        n++;
    return n;
}

static void push(const Draw *d, size_t row, int64_t index, int64_t token)
{
    const Filters *f = d->filters;
    const int64_t num_seen = d->num_seen + index;
    int64_t *oldest = d->recent + num_seen % f->window * d->B + row;
    if (num_seen >= f->window)
        d->counts[row * f->V + *oldest] -= 1;
    d->counts[row * f->V + token] += 1;
    *oldest = token;
}

/* Draws one row's token number `index` of this call; returns its status. */
static int draw(const Draw *d, size_t row, int64_t index, double *room)
{
    const Filters *f = d->filters;
    const size_t V = f->V;
    const float *logits = d->logits + row * V;
    double *x = room, *weights = room + V;
    for (size_t n = 0; n < V; n++)
        x[n] = logits[n];
    const double top = greatest(x, V);
    if (!isfinite(top))
        return NOT_FINITE;
    for (size_t n = 0; n < V; n++)
        x[n] -= top;
    exponentials(weights, x, V);
    const double log_total = log(total_of(weights, V));
    for (size_t n = 0; n < V; n++)
        x[n] = logits[n];
    int status = FINE;
    int64_t token = prepare(d, row, x, &status);
    if (status)
        return status;
    if (f->temperature > 0) {
        exponentials(weights, x, V);
        if ((size_t)f->top_k < V || f->top_p < 1.0)
            keep_likeliest(x, weights, (int64_t *)(room + 2 * V), V, f->top_k, f->top_p);
        if (f->log_min_p > -INFINITY)
            for (size_t n = 0; n < V; n++)
                weights[n] = x[n] < f->log_min_p ? 0.0 : weights[n];
        token = pick(weights, V, d->uniforms[index * d->B + row]);
    }
    if (d->recent)
        push(d, row, index, token);
    d->tokens[index * d->B + row] = token;
    d->surprises[index * d->B + row] = top - logits[token] + log_total;
    return FINE;
}

/* ---- called from Python ---- */

int gen_draw_size(int n) { return (int[]){sizeof(Filters), sizeof(Draw)}[n]; }

/* Draws a token of every row; returns the status of the first row that cannot be drawn from, else 0. */
int gen_draw_run(const Draw *d)
{
    int status = FINE;
    for (int64_t row = 0; row < d->B && status == FINE; row++)
        status = draw(d, row, 0, d->room);
    return status;
}

/* Makes the state after a step the state before the next. Returns whether a row has ended. */
static int turn(Step *s, const Draw *d, int64_t index, int64_t end)
{
    float *const h = (float *)s->h, *const c = (float *)s->c;
    s->h = s->next_h, s->c = s->next_c;
    s->next_h = h, s->next_c = c;
    s->is_flipped = !s->is_flipped;
    s->tokens = d->tokens + index * d->B;
    int has_ended = 0;
    for (int64_t row = 0; row < d->B; row++)
        has_ended |= s->tokens[row] == end;
    return has_ended;
}

/* Steps and draws in stages: the layers 0 to L of a step, then the draws of its rows. */
typedef struct {
    Step *step;
    const Draw *draw;          /* NULL for a step alone */
    int64_t count, end, index; /* tokens to draw; the id that ends a row; tokens drawn */
    int64_t layer;             /* L + 1 for the draws */
    atomic_int status;
} Sampling;

static size_t next_stage(void *context, int *is_backward)
{
    Sampling *of = context;
    *is_backward = of->step->is_flipped;
    if (++of->layer <= of->step->model->L)
        return begin_layer(of->step, of->layer);
    if (!of->draw)
        return 0;
    if (of->layer == of->step->model->L + 1)
        return of->draw->B;
    if (of->status)
        return 0;
    const int has_ended = turn(of->step, of->draw, of->index, of->end);
    if (++of->index == of->count || has_ended)
        return 0;
    of->layer = -1;
    return next_stage(of, is_backward);
}

static void do_piece(void *context, size_t index, int n)
{
    Sampling *of = context;
    if (of->layer <= of->step->model->L) {
        step_piece(of->step, of->layer, index);
        return;
    }
    const int status = draw(of->draw, index, of->index, of->draw->room + n * 3 * of->draw->filters->V);
    if (status)
        of->status = status;
}

/* Advances all rows by a token. Returns 1, without doing anything, if a token is not in the vocabulary. */
int gen_step_run(Step *s, int threads)
{
    for (int64_t row = 0; row < s->B; row++)
        if (s->tokens[row] < 0 || s->tokens[row] >= s->model->V)
            return 1;
    Sampling one = {.step = s, .layer = -1};
    run_stages((Work){&one, next_stage, do_piece}, step_threads(s, 1, threads));
    return 0;
}

/* Steps and draws `count` times, the first step with the tokens of s. Stops early when a row draws `end` (-1 for none),
 * or cannot be drawn from, as d->status then says. Returns the number of tokens of every row that were drawn. */
int64_t gen_sample_run(Step *s, Draw *d, int64_t count, int64_t end, int threads)
{
    Sampling all = {.step = s, .draw = d, .count = count, .end = end, .layer = -1};
    run_stages((Work){&all, next_stage, do_piece}, step_threads(s, count, threads));
    d->num_seen += all.index;
    d->status = all.status;
    return all.index;
}
