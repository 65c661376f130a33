/* The cells: the code of each is the number of its gates, as in cells.py. */
#ifndef GEN_CELLS_H
#define GEN_CELLS_H

enum { RNN = 1, GRU = 3, LSTM = 4 };

#endif
