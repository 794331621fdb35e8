// A training step of `fnn` in three kernels.
//
// 1. fnn_first: the first dense layer, whose 3072 inputs are cut into pieces, a block each; beside it the
//    hidden weights are turned for the next kernel, and the step is counted.
// 2. fnn_rows: a block for each picture takes it through all other layers, forward and back. No picture needs
//    another's numbers there, so nothing waits for anything: each of its warps multiplies a part of the rows of
//    a weight, then every warp has the whole picture, WIDTH / 32 numbers a lane, and norms it by itself.
// 3. fnn_weights: a block for each 32 inputs of a dense layer makes their gradients and moves their weights, so
//    that no gradient is ever stored.

#include "fnn_first.cuh"
#include "fnn_rows.cuh"
#include "fnn_moves.cuh"
