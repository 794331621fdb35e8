/* What the steps of the convolutional net work on, and how it lies in memory.

   Pictures between blocks lie as (height, width, channels). Outputs of convolutions lie as (panels, pixels,
   PANEL), and in the backward pass their gradients take the same place: so the products that sum the
   gradient of a weight read them in one stretch. */
#ifndef CIFAR_TUI_CNN_H
#define CIFAR_TUI_CNN_H

#include "adam.h"
#include "convolve.h"
#include "crew.h"

#define BLOCKS 3
#define MOMENTUM 0.01f /* of a running average: the weight of the new value */

enum { NO_NORM, LAYER_NORM, BATCH_NORM };

/* A convolution with its norm; the same as `Block` of native_cnn.py. Places are in floats. */
typedef struct {
    int64_t side, channels; /* of its input */
    int64_t filters;        /* whole panels */
    int64_t pooled;
    int64_t weight, bias, gain, offset; /* places */
    int64_t stride;         /* of rows of the weight (3, 3, channels, filters) */
    int64_t turned_stride;  /* of rows of the same with channels and filters exchanged */
    float *running_mean, *running_variance; /* (filters,) */
} Block;

/* What to train and how; the same as `Work` of native_cnn.py. */
typedef struct {
    int64_t batch, width, classes;
    int64_t layers;                /* dense layers before the last one */
    int64_t front_norm, norm;      /* of convolutions, of dense layers */
    int64_t features;              /* of a picture after the last block */
    int64_t stride, class_stride, feature_stride; /* of rows */
    Block blocks[BLOCKS];
    const int64_t *weights;        /* places of layers + 1 weights (inputs, outputs) */
    const int64_t *biases;         /* places of layers + 1 biases */
    const int64_t *gains, *offsets; /* places of the norms: a vector each for batch norm, else one number */
    float *const *running_means, *const *running_variances; /* (width,) of each batch norm */
    float *values, *means, *squares;
    const uint8_t *images;         /* (pictures, side, side, channels) */
    const int64_t *labels;         /* (pictures,) */
    const float *noise;            /* (steps, layers - 1, batch, width): what dropout multiplies with */
    int64_t numbers;               /* floats of `values`, whole panels */
    int64_t threads;
    Rule rule;
} Work;

/* A block's numbers of the whole batch. */
typedef struct {
    const Block *block;
    int64_t out_side, pixels;     /* of the convolution's output */
    int64_t pool_side, windows;   /* of the block's output */
    int64_t next_in, next_sums;   /* from picture to picture, of `in` and `sums` */
    float *in, *of_in;            /* (batch, side, side, channels), and its gradient where it is wanted */
    float *sums;                  /* (batch, panels, pixels, PANEL): outputs of the convolution, or gradients */
    float *peaks;                 /* what the pool took of `sums`, as `in` of the next block; or none */
    float *centres, *scatters;    /* (batch, filters): mean of a picture, squares around it */
    float *slopes, *tilts;        /* (batch, filters): sums of gradients, and of them times centred values */
    float *turned;                /* the weight with its channels exchanged */
    int32_t *places;              /* (pixels,): where in a picture the pixel under a filter's corner is */
} Stage;

/* Vectors of a block's norm, (filters,) each. Forward: (x - centre) * factor + offset.
   Backward: grad * slope + (x - centre) * tilt + level. */
typedef struct {
    float *centre, *spread, *factor, *offset;
    float *slope, *tilt, *level;
} Norm;

/* What a thread has for itself. */
typedef struct {
    Norm norms[BLOCKS];
    float *grads;            /* (pixels, PANEL): of outputs of the first block */
    float *filters;          /* gradients of rows of filters, (rows, PANEL) */
    float *centres, *spreads, *slopes, *tilts; /* (layers, stride): of each dense batch norm */
    const int64_t *pictures; /* of this step */
    const float *noise;
    int64_t number, phase, groups;
    double feeding;
} Mine;

typedef struct {
    const Work *work;
    Chunk chunk;
    Stage stages[BLOCKS];

    float *rows, *of_rows;     /* (batch, feature_stride): outputs of the last block and their gradients */
    float *normals;           /* (layers, batch, stride): outputs of dense layers; by layer norm normalised */
    float *hidden;             /* (batch, stride) */
    float *actives;            /* (layers, batch, stride): inputs of the dense layers after the first */
    float *of_hidden;          /* (layers, batch, stride): gradients of `hidden` after each layer */
    float *grads;              /* (layers, batch, stride): gradients of outputs of dense layers */
    float *through;            /* (batch, stride) */
    float *logits, *of_logits; /* (batch, class_stride) */
    float *spreads;            /* (layers, batch): of layer norms */
    float *of_gains, *of_offsets; /* (layers, batch, PANEL): of layer norms, in the first lane */
    float *row_losses;         /* (batch,) */
    int64_t *hits;             /* (batch,) */
    float *turned;             /* dense weights as (outputs, inputs) */
    float *penalties;          /* sums of squares, of each task */
    int64_t tasks;

    Update update;
    Meeting meeting;
    atomic_int_fast64_t next[3]; /* task that nobody took yet, of this phase, the next, and the one before */
    atomic_int broken;        /* a parameter is not finite */
    Mine mine[MOST_THREADS];
} Run;

typedef void Phase(Run *run, Mine *mine, int64_t task, int64_t layer);

/* All threads share the tasks of a phase, and meet. */
static inline void share(Run *run, Mine *mine, int64_t tasks, Phase *phase, int64_t layer) {
    atomic_int_fast64_t *next = &run->next[mine->phase % 3];
    if (mine->number == 0) atomic_store(&run->next[(mine->phase + 1) % 3], 0); /* nobody is there */
    mine->phase++;
    int64_t task;
    while ((task = atomic_fetch_add(next, 1)) < tasks) phase(run, mine, task, layer);
    meet(&run->meeting);
}

/* The parameter at a place. */
INLINE const float *at(const Run *run, int64_t place) { return run->work->values + place; }

#endif
