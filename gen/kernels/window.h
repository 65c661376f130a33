/* Sizes that window.c and packing.c share. */
#ifndef GEN_WINDOW_H
#define GEN_WINDOW_H

#include <string.h>

#include "cells.h"
#include "old_vectors.h"

enum { ROWS = 6, VECTORS = 4, WIDE = LANES * VECTORS };

#define UNROLL _Pragma("GCC unroll 8")

INLINE size_t vectors_of(int cell) { return cell == GRU ? 3 : 4; } /* of a block */
INLINE size_t units_of(int cell) { return cell == RNN ? WIDE : LANES; } /* of a block */
INLINE size_t padded(size_t H) { return (H + WIDE - 1) / WIDE * WIDE; } /* to whole tiles */

#endif
