// A training step of `cnn` with batch norms, in 14 kernels and two for each dense layer but the first:
//
// - cnn_conv_0, cnn_pool_0, cnn_conv_1, cnn_pool_1, cnn_conv_2: the convolutions. Each tile leaves the mean
//   and squared deviations of its channels; the kernel after it puts those of all tiles together;
// - cnn_dense_0, cnn_dense: a block owns a column of a dense layer for the whole batch, and norms it alone;
// - cnn_rows: the last layer, loss and hits; a block for each picture;
// - cnn_dense_back: by columns again; cnn_back_2: a block owns a channel of the last convolution;
// - cnn_back_conv_2, cnn_back_norm_1, cnn_back_conv_1, cnn_back_conv_0: the convolutions, back. Gradients of
//   filters are summed by blocks that each have a part of the batch;
// - cnn_moves: puts these parts together, makes the dense gradients, and moves all parameters.
//
// Numbers lie as (pictures, height, width, channels), filters as (outputs, height, width, inputs). What
// computes `relu`, or asks for its slope, compares by `<=`, so that what is no number stays none.

#include "cnn_work.cuh"
#include "cnn_front.cuh"
#include "cnn_dense.cuh"
#include "cnn_back_2.cuh"
#include "cnn_back_1.cuh"
#include "cnn_moves.cuh"
