/* The structures that Python passes to the stepper (those of stepping.py), and the functions that other kernels call.
 * The letters of shapes are those of stepper.c. */
#ifndef GEN_STEPPER_H
#define GEN_STEPPER_H

#include <stddef.h>
#include <stdint.h>

/* A product with H inputs. */
typedef struct {
    int64_t is_int8, W;
    const void *weights;   /* fp32: (blocks, H, W, LANES); int8: (blocks, H / 4, W, LANES, 4) */
    const float *scales;   /* int8: (blocks, W, LANES), the value of 1 in an output's integer sum */
    const int32_t *starts; /* int8: (blocks, W, LANES), -OFFSET times the sum of an output's weights */
} Product;

typedef struct {
    Product input;     /* not used in layer 0: the table contains it */
    Product recurrent;
    const float *bias; /* (blocks, 4, LANES) */
} Layer;

typedef struct {
    int64_t cell, is_int8, L, H, V;
    int64_t work;        /* multiply-adds of a row */
    const float *table;  /* (V, blocks, W, LANES) layer 0's input product of every token */
    const Layer *layers; /* (L,) */
    Product output;
    const float *bias;   /* (blocks, 4, LANES) of the output */
} Model;

/* One token of every row. */
typedef struct {
    const Model *model;
    int64_t B;
    int64_t is_flipped;     /* whether blocks are read from the last to the first; it changes with every token */
    const int64_t *tokens;  /* (B,) */
    const float *h, *c;     /* (L, B, H); c: LSTM only */
    const float *condition; /* (B, blocks, W, LANES) added to the table's row; NULL for none */
    float *next_h, *next_c;
    float *logits;          /* (B, V) */
    uint8_t *bytes;         /* int8: (2, L, B, H) working memory for h and next_h, quantised */
} Step;

/* Returns the number of threads that should do so many steps at a time, at most `threads`. */
int step_threads(const Step *s, int64_t num_steps, int threads);

/* A step is done in stages (stages.h), the layers from 0 to L: layer L is the output. begin_layer prepares one and
 * returns the number of its pieces, step_piece does a piece. */
size_t begin_layer(const Step *s, int64_t layer);
void step_piece(const Step *s, int64_t layer, size_t index);
#endif
