// What the kernels of `fnn` are given, and how their work is cut.

#pragma once

#include "common.cuh"

#define THREADS (2 * WIDTH)
#define WARPS (THREADS / 32)
#define PER (WIDTH / 32)  // columns of a lane: lane * PER and those after it
#define CHUNK 32          // inputs of a block
#define PIECES (INPUTS / CHUNK)
#define HIDDEN_CHUNKS (WIDTH / CHUNK)
#define ROUNDS (WIDTH / WARPS)  // rows of a weight that one warp multiplies
#define CLASS_ROUNDS ((CLASSES + WARPS - 1) / WARPS)
#define ROW_GROUPS 8
#define ROWS_EACH ((BATCH + ROW_GROUPS - 1) / ROW_GROUPS < 8 ? (BATCH + ROW_GROUPS - 1) / ROW_GROUPS : 8)
#define TILE_ROWS (ROW_GROUPS * ROWS_EACH)

struct Dense {
    Parameter weight, bias;  // weight: (outputs, inputs)
};

struct Norm {
    Parameter gain, offset;  // one number each
};

struct Work {
    const Byte *images;
    const Integer *labels, *numbers;
    const float *rates;
    float *losses;
    Integer *hits;
    float *const *steps;  // Adam's count of each parameter
    Integer parameters;
    Dense dense[LAYERS + 1];
    Norm norms[LAYERS];
    Move *move;
    float *pieces;       // (PIECES, BATCH, WIDTH)
    float *turned;       // (LAYERS - 1, WIDTH, WIDTH): hidden weights as (inputs, outputs)
    float *inputs;       // (LAYERS, BATCH, WIDTH), of all dense layers but the first
    float *slopes;       // (LAYERS, BATCH, WIDTH), gradients at the outputs of all dense layers but the last
    float *last_slopes;  // (BATCH, CLASSES)
    float *norm_slopes;  // (LAYERS, 2, BATCH), of gains and offsets
    float *row_losses;   // (BATCH,)
    int *row_hits;       // (BATCH,)
    float *penalties;    // of each block
    int *counter;
};
