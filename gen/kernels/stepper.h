/* What Python hands to the stepper, and what the stepper offers to the other kernels. The structures are those of
 * stepping.py and the shapes those of stepper.c. */
#ifndef GEN_STEPPER_H
#define GEN_STEPPER_H

#include <stdint.h>

/* A product with H inputs. */
typedef struct {
    int64_t is_int8, W;
    const void *weights;   /* fp32: (blocks, H, W, 16); int8: (blocks, H / 4, W, 16, 4) */
    const float *scales;   /* int8: (blocks, W, 16), what one unit of an output's integer sum is worth */
    const int32_t *starts; /* int8: (blocks, W, 16), -OFFSET times the sum of an output's weights */
} Product;

typedef struct {
    Product input;     /* not used of layer 0: the table holds it */
    Product recurrent;
    const float *bias; /* (blocks, 4, 16) */
} Layer;

typedef struct {
    int64_t cell, is_int8, L, H, V;
    int64_t work;        /* multiply-adds of a row */
    const float *table;  /* (V, blocks, W, 16) layer 0's input product of every token */
    const Layer *layers; /* (L,) */
    Product output;
    const float *bias;   /* (blocks, 4, 16) of the output */
} Model;

/* One token of every row. */
typedef struct {
    const Model *model;
    int64_t B;
    int64_t is_flipped;     /* whether blocks are read from the last one on: not as at the token before */
    const int64_t *tokens;  /* (B,) */
    const float *h, *c;     /* (L, B, H); c: LSTM only */
    const float *condition; /* (B, blocks, W, 16) added to the table's row; NULL for none */
    float *next_h, *next_c;
    float *logits;          /* (B, V) */
    uint8_t *bytes;         /* int8: (2, L, B, H) room for h and next_h, quantised */
} Step;

/* How many of so many threads are of use. */
int step_threads(const Step *s, int threads);

/* Advances all rows by a token; all threads of a parallel region call it. A thread may leave it before the others, but
 * not before the rows B * n / all to B * (n + 1) / all are done, of which thread n of `all` may then draw. */
void step_in_team(const Step *s);

/* The same from outside. Returns 1, and has done nothing, if a token is not of the vocabulary; else 0. */
int gen_step_run(const Step *s, int threads);
#endif
