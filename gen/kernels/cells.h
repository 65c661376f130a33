/* The codes of the cells, as in cells.py. */
#ifndef GEN_CELLS_H
#define GEN_CELLS_H

enum { RNN = 0, LSTM = 1, GRU = 2 };

#endif
