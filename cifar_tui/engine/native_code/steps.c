/* Training steps of a dense residual stack on a CPU: gather, forward, loss, backward, penalty and optimizer.

   A step has two phases, with a meeting of all threads after each. In the first each thread takes some
   pictures of the batch through all layers and back, which needs nothing of the other pictures. In the second
   the threads share the weights: a tile of the gradient is summed over the batch in registers and goes into
   the optimizer from there, so that gradients of weights are never written to memory.

   Every number is made by the same operations in the same order whichever thread makes it: the bits do not
   depend on the number of threads. */

#include "adam.h"
#include "crew.h"
#include "pictures.h"
#include "rows.h"

/* What to train and how; the same as `Work` of native.py. All strides and places are in floats. */
typedef struct {
    int64_t batch, inputs, width, classes;
    int64_t layers;         /* dense layers before the last one */
    int64_t normed;         /* whether each of them has a layer norm */
    int64_t stride;         /* of rows of weights and activations */
    int64_t class_stride;   /* the same of the last layer */
    int64_t input_stride;   /* of rows of pictures */
    const int64_t *weights; /* places of layers + 1 weights (inputs, outputs) */
    const int64_t *biases;  /* places of layers + 1 biases */
    int64_t gains, offsets; /* places of `layers` numbers each, filled up to whole panels */
    float *values, *means, *squares;
    const uint8_t *images;  /* (pictures, inputs) */
    const int64_t *labels;  /* (pictures,) */
    int64_t numbers;        /* floats of `values`, whole panels */
    int64_t threads;
    Rule rule;
} Work;

typedef struct {
    const Work *work;
    Chunk chunk;

    float *rows;            /* (batch, input_stride): pictures */
    float *hidden;          /* (batch, stride) */
    float *normals;         /* (layers, batch, stride): outputs of dense layers, normalised */
    float *actives;         /* (layers, batch, stride): inputs of the dense layers after the first */
    float *grads;           /* (layers, batch, stride): gradients of outputs of dense layers */
    float *through;         /* (batch, stride) */
    float *logits, *of_logits; /* (batch, class_stride) */
    float *spreads, *of_gains, *of_offsets; /* (layers, batch) */
    float *row_losses;      /* (batch,) */
    int64_t *hits;          /* (batch,) */
    float *turned;          /* weights as (outputs, inputs), of all layers but the first */
    float *penalties;       /* sums of squares, of each task and of the gains */
    int64_t tasks;

    Update update;
    Meeting meeting;
    atomic_int_fast64_t next_group, next; /* group of pictures, and task, that nobody took yet */
    atomic_int broken;      /* a parameter is not finite */
} Run;

static void gather(Run *run, int64_t first, int64_t count, const int64_t *pictures) {
    const Work *work = run->work;
    for (int64_t row = first; row < first + count; row++)
        to_numbers(work->images + pictures[row] * work->inputs,
                   row + 1 < first + count ? work->images + pictures[row + 1] * work->inputs : 0,
                   work->inputs, run->rows + row * work->input_stride);
}

/* Place of the turned weight of a layer; they lie one after the other. */
INLINE float *turned(const Run *run, int64_t layer) {
    return run->turned + (layer - 1) * run->work->width * run->work->stride;
}

static void forward(Run *run, int64_t first, int64_t count) {
    const Work *work = run->work;
    int64_t stride = work->stride, block = work->batch * stride;
    float *hidden = run->hidden + first * stride;
    for (int64_t layer = 0; layer < work->layers; layer++) {
        float *out = run->normals + layer * block + first * stride;
        const float *weight = work->values + work->weights[layer], *bias = work->values + work->biases[layer];
        if (layer == 0) {
            product(count, work->inputs, work->width, run->rows + first * work->input_stride,
                    work->input_stride, weight, stride, bias, out, stride);
        } else {
            float *active = run->actives + (layer - 1) * block + first * stride;
            for (int64_t row = 0; row < count; row++)
                sigmoid(hidden + row * stride, work->width, active + row * stride);
            product(count, work->width, work->width, active, stride, weight, stride, bias, out, stride);
        }
        float gain = 1.0f, offset = 0.0f;
        if (work->normed) {
            gain = work->values[work->gains + layer];
            offset = work->values[work->offsets + layer];
        }
        for (int64_t row = 0; row < count; row++) {
            float *normal = out + row * stride, *sum = hidden + row * stride;
            if (work->normed)
                run->spreads[layer * work->batch + first + row] = normalise(normal, work->width);
            for (int64_t at = 0; at < work->width; at += LANES) {
                vec value = load(normal + at) * gain + offset;
                store(sum + at, layer == 0 ? value : load(sum + at) + value);
            }
        }
    }
    float *active = run->actives + (work->layers - 1) * block + first * stride;
    for (int64_t row = 0; row < count; row++)
        sigmoid(hidden + row * stride, work->width, active + row * stride);
    product(count, work->width, work->classes, active, stride, work->values + work->weights[work->layers],
            work->class_stride, work->values + work->biases[work->layers],
            run->logits + first * work->class_stride, work->class_stride);
}

static void backward(Run *run, int64_t first, int64_t count, const int64_t *pictures) {
    const Work *work = run->work;
    int64_t stride = work->stride, block = work->batch * stride;
    float *through = run->through + first * stride;
    float *of_logits = run->of_logits + first * work->class_stride;
    for (int64_t row = first; row < first + count; row++)
        run->row_losses[row] = cross_entropy(
            run->logits + row * work->class_stride, work->classes, work->labels[pictures[row]],
            1.0f / (float)work->batch, run->of_logits + row * work->class_stride, run->hits + row);
    for (int64_t layer = work->layers - 1; layer >= 0; layer--) {
        if (layer == work->layers - 1)
            product(count, work->classes, work->width, of_logits, work->class_stride,
                    turned(run, work->layers), stride, 0, through, stride);
        else
            product(count, work->width, work->width, run->grads + (layer + 1) * block + first * stride,
                    stride, turned(run, layer + 1), stride, 0, through, stride);
        for (int64_t row = 0; row < count; row++) {
            int64_t place = layer * work->batch + first + row;
            const float *active = run->actives + place * stride;
            float *hidden = run->hidden + (first + row) * stride; /* from here on its gradient */
            float *grad = run->grads + place * stride;
            for (int64_t at = 0; at < work->width; at += LANES) {
                vec value = load(active + at);
                value = load(through + row * stride + at) * (value - value * value);
                if (at + LANES > work->width) value = pick(within(work->width, at), value, splat(0.0f));
                if (layer < work->layers - 1) value += load(hidden + at);
                store(hidden + at, value);
                store(grad + at, value);
            }
            if (work->normed)
                normalise_backward(grad, run->normals + place * stride, work->width, run->spreads[place],
                                   work->values[work->gains + layer], run->of_gains + place,
                                   run->of_offsets + place);
        }
    }
}

static void turn_all(Run *run) {
    const Work *work = run->work;
    for (int64_t layer = 1; layer <= work->layers; layer++) {
        int last = layer == work->layers;
        turn(work->values + work->weights[layer], last ? work->class_stride : work->stride, work->width,
             last ? work->classes : work->width, turned(run, layer), work->stride);
    }
}

/* Updates a number for each layer, which is the only one of its norm; returns the sum of their squares. */
static float update_scalars(const Run *run, Flat flat, int64_t at, const float *grads, float pull) {
    const Work *work = run->work;
    float squares = 0.0f;
    for (int64_t from = 0; from < work->layers; from += LANES) {
        vec sum = splat(0.0f);
        for (int64_t lane = 0; lane < LANES && from + lane < work->layers; lane++) {
            const float *of_layer = grads + (from + lane) * work->batch;
            for (int64_t row = 0; row < work->batch; row++) sum[lane] += of_layer[row];
            float value = flat.values[at + from + lane];
            squares += value * value;
        }
        update(run->update, flat, at + from, sum, pull);
    }
    return squares;
}

static int64_t tasks_of(const Work *work) {
    return 1 + pieces(work->inputs) + work->layers * pieces(work->width);
}

/* Task 0 is all that is small; the others are some rows of a weight each, those of the first weight first. */
static void update_part(Run *run, int64_t task) {
    const Work *work = run->work;
    Flat flat = {work->values, work->means, work->squares};
    int64_t stride = work->stride, block = work->batch * stride, layers = work->layers;
    if (task == 0) {
        for (int64_t layer = 0; layer < layers; layer++)
            update_vector(&run->update, flat, work->biases[layer], work->width, run->grads + layer * block,
                          stride, work->batch, 0, run->update.pull);
        update_vector(&run->update, flat, work->biases[layers], work->classes, run->of_logits,
                      work->class_stride, work->batch, 0, run->update.pull);
        if (work->normed) {
            const Update *rule = &run->update;
            run->penalties[0] = update_scalars(run, flat, work->gains, run->of_gains, rule->penalty_pull);
            update_scalars(run, flat, work->offsets, run->of_offsets, rule->pull);
        }
        return;
    }
    int64_t of_first = pieces(work->inputs), of_others = pieces(work->width);
    int64_t layer = task <= of_first ? 0 : 1 + (task - 1 - of_first) / of_others;
    int64_t from = WEIGHT_ROWS * (layer == 0 ? task - 1 : (task - 1 - of_first) % of_others);
    int64_t height = layer == 0 ? work->inputs : work->width;
    int64_t rows = height - from < WEIGHT_ROWS ? height - from : WEIGHT_ROWS;
    int last = layer == layers;
    int64_t columns = last ? work->classes : work->width, place_stride = last ? work->class_stride : stride;
    int64_t at = work->weights[layer] + from * place_stride;
    const float *inputs = layer == 0 ? run->rows : run->actives + (layer - 1) * block;
    run->penalties[task] = update_weight(
        &run->update, flat, at, place_stride, rows, columns, inputs + from,
        layer == 0 ? work->input_stride : stride, last ? run->of_logits : run->grads + layer * block,
        place_stride, work->batch);
    if (layer > 0) turn(flat.values + at, place_stride, rows, columns, turned(run, layer) + from, stride);
}

static void *take_part(void *given) {
    Member *member = given;
    Run *run = member->run;
    const Work *work = run->work;
    int64_t threads = begin(&run->meeting);
    int64_t groups = threads == 1 ? 1 : GROUPS * threads;
    const Chunk *chunk = &run->chunk;
    for (int64_t step = 0; step < chunk->steps; step++) {
        const int64_t *pictures = chunk->order + step * work->batch;
        double begun = now(), marks[STEP_PARTS] = {0};
        int64_t group, task;
        while ((group = atomic_fetch_add(&run->next_group, 1)) < groups) {
            int64_t first = work->batch * group / groups, count = work->batch * (group + 1) / groups - first;
            double before = now();
            gather(run, first, count, pictures);
            double gathered = now();
            forward(run, first, count);
            double seen = now();
            backward(run, first, count, pictures);
            marks[FEED] += gathered - before;
            marks[FORWARD] += seen - gathered;
            marks[BACKWARD] += now() - seen;
        }
        if (member->number == 0) {
            run->update = next_update(&work->rule, chunk->done + step + 1, chunk->rates[step]);
            atomic_store(&run->next, 0);
        }
        meet(&run->meeting);
        if (member->number == 0) {
            atomic_store(&run->next_group, 0); /* all are taken, and the next step has not begun */
            conclude(chunk, step, work->batch, run->row_losses, run->hits);
        }
        while ((task = atomic_fetch_add(&run->next, 1)) < run->tasks) update_part(run, task);
        meet(&run->meeting);
        if (member->number > 0) continue;
        add_penalty(chunk, step, work->rule.l2_reg, run->penalties, run->tasks);
        marks[WEIGHTS] = now() - begun - marks[FEED] - marks[FORWARD] - marks[BACKWARD];
        for (int part = FEED; part < STEP_PARTS; part++) chunk->seconds[part] += marks[part];
    }
    look_for_broken(&run->broken, work->values, work->numbers, member->number, threads);
    return 0;
}

/* Lays all that a run of steps needs into a block of memory; returns its size. Without one it only counts. */
static size_t lay_out(Run *run, char *memory) {
    const Work *work = run->work;
    size_t batch = work->batch, layers = work->layers, rows = batch * work->stride * sizeof(float);
    size_t logits = batch * work->class_stride * sizeof(float), numbers = layers * batch * sizeof(float);
    size_t used = 0;
    run->rows = part(memory, &used, batch * work->input_stride * sizeof(float));
    run->hidden = part(memory, &used, rows);
    run->normals = part(memory, &used, layers * rows);
    run->actives = part(memory, &used, layers * rows);
    run->grads = part(memory, &used, layers * rows);
    run->through = part(memory, &used, rows);
    run->logits = part(memory, &used, logits);
    run->of_logits = part(memory, &used, logits);
    run->spreads = part(memory, &used, numbers);
    run->of_gains = part(memory, &used, numbers);
    run->of_offsets = part(memory, &used, numbers);
    run->row_losses = part(memory, &used, batch * sizeof(float));
    run->hits = part(memory, &used, batch * sizeof(int64_t));
    size_t turned_rows = (layers - 1) * work->width + work->classes;
    run->turned = part(memory, &used, turned_rows * work->stride * sizeof(float));
    run->penalties = part(memory, &used, run->tasks * sizeof(float));
    return used;
}

static Run prepare(Work *work, const Work *given) {
    *work = *given;
    work->threads = fitting(work->threads, work->batch);
    return (Run){.work = work, .tasks = tasks_of(work)};
}

/* Bytes that steps need beside the parameters. */
size_t cifar_tui_steps_room(const Work *given) {
    Work work;
    Run run = prepare(&work, given);
    return lay_out(&run, 0);
}

/* Runs `steps` steps in place; see `Work` and `Run`.

   The memory is as large as `cifar_tui_steps_room` says, begins with a cache line, and is zero or what steps
   with as many threads left there. Returns whether there is a parameter that is not finite. */
int cifar_tui_steps(const Work *given, char *memory, const int64_t *order, int64_t steps, const double *rates,
                    int64_t done, float *losses, int64_t *correct, double *seconds) {
    Work work;
    Run run = prepare(&work, given);
    run.chunk = (Chunk){order, steps, rates, done, losses, correct, seconds};
    lay_out(&run, memory);
    turn_all(&run);
    run_together(&run.meeting, work.threads, take_part, &run);
    return atomic_load(&run.broken);
}
