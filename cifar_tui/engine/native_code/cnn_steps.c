/* Training steps of the convolutional net on a CPU, as `cnn` of the models has it.

   A step is a row of phases with a meeting of all threads after each: a convolution or a dense layer forward
   or backward, for one picture or some at a time, as batch norm needs something of all pictures between two
   of them. In the last phase the threads share the weights: gradients are summed over the batch and go into
   the optimizer at once.

   Every number is made by the same operations in the same order whichever thread makes it, and what is summed
   over pictures is kept for each and summed in order: the bits do not depend on the number of threads. */

#include "pictures.h"
#include "stack.h"

#define DEEP 48      /* channels from which on a panel of all filter rows is too much for the first cache */
#define AT_A_TIME 96 /* pixels at most that a tile of a filter's gradient is summed of before the next one */
#define FILTER_ROWS (SIDE * 64) /* most that a task works on */

static void forward_block(Run *run, Mine *mine, int64_t picture, int64_t index) {
    const Work *work = run->work;
    const Stage *stage = &run->stages[index];
    const Block *block = stage->block;
    float *in = stage->in + picture * stage->next_in;
    if (index == 0) {
        double begun = now();
        const int64_t *chosen = mine->pictures + picture;
        int64_t size = stage->next_in;
        to_numbers(work->images + chosen[0] * size,
                   picture + 1 < work->batch ? work->images + chosen[1] * size : 0, size, in);
        mine->feeding += now() - begun;
    } else {
        finish_block(run, mine, index - 1, picture);
    }
    Convolution given = {in, block->side, block->channels, at(run, block->weight), block->stride,
                         stage->sums + picture * stage->next_sums, stage->pixels, stage->out_side};
    int64_t step = block->channels < DEEP ? SIDE : 1;
    for (int64_t column = 0; column < block->filters; column += PANEL)
        for (int64_t y = 0; y < SIDE; y += step)
            convolve(&given, column, y, y + step, y ? 0 : at(run, block->bias) + column);
    if (work->front_norm != NO_NORM) measure(run, stage, picture);
    if (block->pooled) pool(run, mine, index, picture);
}

/* Gradient of a picture's convolution, and from it that of its input. */
static void backward_block(Run *run, Mine *mine, int64_t picture, int64_t index) {
    const Stage *stage = &run->stages[index];
    const Block *block = stage->block;
    float *out = stage->of_in + picture * stage->next_in;
    float *grads = stage->sums + picture * stage->next_sums;
    Spread given = {grads, block->filters / PANEL, stage->pixels,
                    stage->out_side, stage->turned, block->turned_stride, out, block->side, block->channels};
    for (int64_t panel = 0; panel < block->filters; panel += PANEL)
        finish_backward(run, mine, index, picture, panel, grads + panel * stage->pixels);
    memset(out, 0, (size_t)stage->next_in * sizeof(float));
    spread(&given);
    begin_backward(run, mine, index - 1, picture);
}

/* Exchanges the channels of a panel of a row of filters, for the backward pass. */
static void turn_filters(Run *run, int64_t index, int64_t y, int64_t column) {
    const Block *block = run->stages[index].block;
    for (int64_t tap = y * SIDE; tap < (y + 1) * SIDE; tap++)
        turn(at(run, block->weight) + tap * block->channels * block->stride + column, block->stride,
             block->channels, PANEL,
             run->stages[index].turned + (tap * block->filters + column) * block->turned_stride,
             block->turned_stride);
}

/* One optimizer step for a panel of a row of filters, or of all rows in the first block: nothing before it
   wants a gradient, and that of its outputs is made here, for a picture at a time. */
static void update_filters(Run *run, Mine *mine, int64_t index, int64_t y, int64_t column, int64_t task) {
    const Stage *stage = &run->stages[index];
    const Block *block = stage->block;
    int64_t rows = SIDE * block->channels, batch = run->work->batch;
    int64_t some = index > 0 && AT_A_TIME / stage->pixels > 1 ? AT_A_TIME / stage->pixels : 1;
    int64_t cuts = (stage->pixels + AT_A_TIME - 1) / AT_A_TIME, last = index == 0 ? SIDE : y + 1;
    float *sums = mine->filters;
    memset(sums, 0, (size_t)((last - y) * rows * PANEL) * sizeof(float));
    for (int64_t from = 0; from < batch; from += some) {
        int64_t to = from + some < batch ? from + some : batch;
        const float *grads = stage->sums + from * stage->next_sums + column * stage->pixels;
        if (index == 0) finish_backward(run, mine, index, from, column, mine->grads);
        for (int64_t cut = 0; cut < cuts; cut++) {
            int64_t first = stage->pixels * cut / cuts, pixels = stage->pixels * (cut + 1) / cuts - first;
            for (int64_t row = y; row < last; row++) {
                Summands given = {stage->in + from * stage->next_in + row * block->side * block->channels,
                                  stage->next_in, stage->places + first,
                                  (index == 0 ? mine->grads : grads) + first * PANEL, stage->next_sums,
                                  pixels};
                add_filter_grads(&given, to - from, rows, sums + (row - y) * rows * PANEL);
            }
        }
    }
    Flat flat = {run->work->values, run->work->means, run->work->squares};
    int64_t place = block->weight + y * rows * block->stride + column;
    run->penalties[task] = total(update_panel(run->update, flat, place, block->stride, (last - y) * rows,
                                              sums, run->update.penalty_pull));
    if (index > 0) turn_filters(run, index, y, column);
}

/* All parameters but the weights; returns the sum of the squares of those that the penalty is on. */
static float update_small(Run *run, const Mine *mine) {
    const Work *work = run->work;
    const Update *rule = &run->update;
    Flat flat = {work->values, work->means, work->squares};
    int64_t batch = work->batch, stride = work->stride;
    float squares = 0.0f;
    for (int64_t index = 0; index < BLOCKS; index++) {
        const Stage *stage = &run->stages[index];
        const Block *block = stage->block;
        int64_t filters = block->filters, normed = work->front_norm != NO_NORM;
        /* norms take away what a bias adds, whose gradient is exactly zero */
        update_vector(rule, flat, block->bias, filters, stage->slopes, filters, normed ? 0 : batch, 0,
                      rule->pull);
        if (!normed) continue;
        squares += update_vector(rule, flat, block->gain, filters, stage->tilts, filters, batch,
                                 work->front_norm == BATCH_NORM ? mine->norms[index].spread : 0,
                                 rule->penalty_pull);
        update_vector(rule, flat, block->offset, filters, stage->slopes, filters, batch, 0, rule->pull);
    }
    for (int64_t layer = 0; layer < work->layers; layer++) {
        int64_t place = layer * batch;
        int whole = work->norm == BATCH_NORM; /* the batch's sums are at hand */
        update_vector(rule, flat, work->biases[layer], work->width, run->grads + place * stride, stride,
                      whole ? 0 : batch, 0, rule->pull);
        if (work->norm == NO_NORM) continue;
        const float *of_gain = whole ? mine->tilts + layer * stride : run->of_gains + place * PANEL;
        const float *of_offset = whole ? mine->slopes + layer * stride : run->of_offsets + place * PANEL;
        int64_t numbers = whole ? work->width : 1, count = whole ? 1 : batch;
        squares += update_vector(rule, flat, work->gains[layer], numbers, of_gain, PANEL, count, 0,
                                 rule->penalty_pull);
        update_vector(rule, flat, work->offsets[layer], numbers, of_offset, PANEL, count, 0, rule->pull);
    }
    update_vector(rule, flat, work->biases[work->layers], work->classes, run->of_logits, work->class_stride,
                  batch, 0, rule->pull);
    return squares;
}

/* The same for some rows of a dense weight. */
static void update_dense(Run *run, int64_t layer, int64_t piece, int64_t task) {
    const Work *work = run->work;
    Flat flat = {work->values, work->means, work->squares};
    int64_t height = layer == 0 ? work->features : work->width, from = piece * WEIGHT_ROWS;
    int64_t rows = height - from < WEIGHT_ROWS ? height - from : WEIGHT_ROWS;
    int last = layer == work->layers;
    int64_t columns = last ? work->classes : work->width, stride = last ? work->class_stride : work->stride;
    int64_t in_stride = layer == 0 ? work->feature_stride : work->stride;
    const float *inputs = layer == 0 ? run->rows : run->actives + (layer - 1) * work->batch * work->stride;
    int64_t place = work->weights[layer] + from * stride;
    run->penalties[task] =
        update_weight(&run->update, flat, place, stride, rows, columns, inputs + from, in_stride,
                      last ? run->of_logits : run->grads + layer * work->batch * stride, stride, work->batch);
    turn(flat.values + place, stride, rows, columns, turned_dense(run, layer) + from, in_stride);
}

/* Into how many tasks the weights of a block, or of a dense layer, are cut. */
INLINE int64_t tasks_of_block(const Block *block, int64_t index) {
    return block->filters / PANEL * (index == 0 ? 1 : SIDE);
}

INLINE int64_t tasks_of_dense(const Work *work, int64_t layer) {
    return pieces(layer == 0 ? work->features : work->width);
}

static int64_t count_tasks(const Work *work) {
    int64_t tasks = 1;
    for (int64_t index = 0; index < BLOCKS; index++) tasks += tasks_of_block(&work->blocks[index], index);
    for (int64_t layer = 0; layer <= work->layers; layer++) tasks += tasks_of_dense(work, layer);
    return tasks;
}

/* The largest tasks come first, so that no thread is left with one at the end. */
static void update_part(Run *run, Mine *mine, int64_t task, int64_t unused) {
    const Work *work = run->work;
    int64_t left = task;
    (void)unused;
    for (int64_t index = 0; index < BLOCKS; index++) {
        int64_t own = tasks_of_block(&work->blocks[index], index), rows = index == 0 ? 1 : SIDE;
        if (left < own) {
            update_filters(run, mine, index, left % rows, left / rows * PANEL, task);
            return;
        }
        left -= own;
    }
    for (int64_t layer = 0; layer <= work->layers; layer++) {
        int64_t own = tasks_of_dense(work, layer);
        if (left < own) {
            update_dense(run, layer, left, task);
            return;
        }
        left -= own;
    }
    run->penalties[task] = update_small(run, mine);
}

static void one_step(Run *run, Mine *mine, int64_t step) {
    const Work *work = run->work;
    const Chunk *chunk = &run->chunk;
    double begun = now();
    mine->pictures = chunk->order + step * work->batch;
    mine->noise = work->noise ? work->noise + step * (work->layers - 1) * work->batch * work->width : 0;
    mine->feeding = 0.0;
    if (mine->number == 0) run->update = next_update(&work->rule, chunk->done + step + 1, chunk->rates[step]);
    for (int64_t index = 0; index < BLOCKS; index++) {
        share(run, mine, work->batch, forward_block, index);
        settle_block(run, mine, index);
    }
    for (int64_t layer = 0; layer < work->layers; layer++) {
        share(run, mine, mine->groups, forward_dense, layer);
        if (work->norm == BATCH_NORM) settle_dense(run, mine, layer);
    }
    double seen = now();
    share(run, mine, mine->groups, turn_back, work->layers);
    for (int64_t layer = work->layers - 1; layer >= 0; layer--) {
        if (work->norm == BATCH_NORM) settle_dense_backward(run, mine, layer);
        share(run, mine, mine->groups, backward_dense, layer);
    }
    for (int64_t index = BLOCKS - 1; index >= 0; index--) {
        if (work->front_norm == BATCH_NORM) settle_backward(run, mine, index);
        if (index > 0) share(run, mine, work->batch, backward_block, index);
    }
    double known = now();
    share(run, mine, run->tasks, update_part, 0);
    if (mine->number > 0) return;
    conclude(chunk, step, work->batch, run->row_losses, run->hits);
    add_penalty(chunk, step, work->rule.l2_reg, run->penalties, run->tasks);
    chunk->seconds[FEED] += mine->feeding;
    chunk->seconds[FORWARD] += seen - begun - mine->feeding;
    chunk->seconds[BACKWARD] += known - seen;
    chunk->seconds[WEIGHTS] += now() - known;
}

static void *take_part(void *given) {
    Member *member = given;
    Run *run = member->run;
    Mine *mine = &run->mine[member->number];
    int64_t threads = begin(&run->meeting);
    mine->number = member->number;
    mine->groups = threads == 1 ? 1 : GROUPS * threads;
    for (int64_t step = 0; step < run->chunk.steps; step++) one_step(run, mine, step);
    look_for_broken(&run->broken, run->work->values, run->work->numbers, member->number, threads);
    return 0;
}

static float *floats(char *memory, size_t *used, int64_t count) {
    return part(memory, used, (size_t)count * sizeof(float));
}

static void lay_out_block(Run *run, int64_t index, char *memory, size_t *used) {
    const Work *work = run->work;
    const Block *block = &work->blocks[index];
    Stage *stage = &run->stages[index];
    int64_t batch = work->batch, out_side = block->side - SIDE + 1, filters = block->filters;
    int64_t pool_side = block->pooled ? out_side / 2 : out_side;
    int64_t of_picture = block->side * block->side * block->channels;
    *stage = (Stage){.block = block, .out_side = out_side, .pixels = out_side * out_side,
                     .pool_side = pool_side, .windows = pool_side * pool_side, .next_in = of_picture,
                     .next_sums = out_side * out_side * filters};
    stage->in = floats(memory, used, batch * of_picture);
    stage->of_in = index ? floats(memory, used, batch * of_picture) : 0;
    stage->sums = floats(memory, used, batch * stage->next_sums);
    stage->peaks = block->pooled ? floats(memory, used, batch * stage->windows * filters) : 0;
    stage->centres = floats(memory, used, batch * filters);
    stage->scatters = floats(memory, used, batch * filters);
    stage->slopes = floats(memory, used, batch * filters);
    stage->tilts = floats(memory, used, batch * filters);
    stage->turned = index ? floats(memory, used, SIDE * SIDE * filters * block->turned_stride) : 0;
    stage->places = part(memory, used, (size_t)stage->pixels * sizeof(int32_t));
    if (!memory) return;
    for (int64_t pixel = 0; pixel < stage->pixels; pixel++)
        stage->places[pixel] =
            (int32_t)((pixel / out_side * block->side + pixel % out_side) * block->channels);
}

static void lay_out_mine(const Run *run, Mine *mine, char *memory, size_t *used) {
    const Work *work = run->work;
    for (int64_t index = 0; index < BLOCKS; index++) {
        const Stage *stage = &run->stages[index];
        int64_t filters = stage->block->filters;
        Norm *norm = &mine->norms[index];
        float **vectors[] = {&norm->centre, &norm->spread, &norm->factor, &norm->offset,
                             &norm->slope, &norm->tilt, &norm->level};
        for (size_t vector = 0; vector < sizeof vectors / sizeof *vectors; vector++)
            *vectors[vector] = floats(memory, used, filters);
        if (memory) /* as it is without a norm */
            for (int64_t column = 0; column < filters; column++)
                norm->factor[column] = norm->slope[column] = 1.0f;
    }
    mine->grads = floats(memory, used, run->stages[0].pixels * PANEL);
    mine->filters = floats(memory, used, FILTER_ROWS * PANEL);
    int64_t columns = work->layers * work->stride;
    mine->centres = floats(memory, used, columns);
    mine->spreads = floats(memory, used, columns);
    mine->slopes = floats(memory, used, columns);
    mine->tilts = floats(memory, used, columns);
}

/* Lays all that a run of steps needs into a block of memory; returns its size. Without one it only counts. */
static size_t lay_out(Run *run, char *memory) {
    const Work *work = run->work;
    int64_t batch = work->batch, layers = work->layers, rows = batch * work->stride;
    size_t used = 0;
    for (int64_t index = 0; index < BLOCKS; index++) lay_out_block(run, index, memory, &used);
    for (int64_t number = 0; number < work->threads; number++)
        lay_out_mine(run, &run->mine[number], memory, &used);
    run->rows = floats(memory, &used, batch * work->feature_stride);
    run->of_rows = floats(memory, &used, batch * work->feature_stride);
    run->normals = floats(memory, &used, layers * rows);
    run->hidden = floats(memory, &used, rows);
    run->actives = floats(memory, &used, layers * rows);
    run->of_hidden = floats(memory, &used, layers * rows);
    run->grads = floats(memory, &used, layers * rows);
    run->through = floats(memory, &used, rows);
    run->logits = floats(memory, &used, batch * work->class_stride);
    run->of_logits = floats(memory, &used, batch * work->class_stride);
    run->spreads = floats(memory, &used, layers * batch);
    run->of_gains = floats(memory, &used, layers * batch * PANEL);
    run->of_offsets = floats(memory, &used, layers * batch * PANEL);
    run->row_losses = floats(memory, &used, batch);
    run->hits = part(memory, &used, (size_t)batch * sizeof(int64_t));
    run->turned = floats(memory, &used,
                         work->width * work->feature_stride +
                             ((layers - 1) * work->width + work->classes) * work->stride);
    run->penalties = floats(memory, &used, run->tasks);
    return used;
}

static void turn_all(Run *run) {
    const Work *work = run->work;
    for (int64_t index = 1; index < BLOCKS; index++)
        for (int64_t column = 0; column < work->blocks[index].filters; column += PANEL)
            for (int64_t y = 0; y < SIDE; y++) turn_filters(run, index, y, column);
    for (int64_t layer = 0; layer <= work->layers; layer++) {
        int last = layer == work->layers;
        turn(at(run, work->weights[layer]), last ? work->class_stride : work->stride,
             layer == 0 ? work->features : work->width, last ? work->classes : work->width,
             turned_dense(run, layer), layer == 0 ? work->feature_stride : work->stride);
    }
}

static Run prepare(Work *work, const Work *given) {
    *work = *given;
    work->threads = fitting(work->threads, work->batch);
    return (Run){.work = work, .tasks = count_tasks(work)};
}

/* Bytes that steps need beside the parameters. */
size_t cifar_tui_cnn_steps_room(const Work *given) {
    Work work;
    Run run = prepare(&work, given);
    return lay_out(&run, 0);
}

/* Runs `steps` steps in place; see `Work` and `Run`.

   The memory is as large as `cifar_tui_cnn_steps_room` says, begins with a cache line, and is zero or what steps
   with as many threads left there. Returns whether there is a parameter that is not finite. */
int cifar_tui_cnn_steps(const Work *given, char *memory, const int64_t *order, int64_t steps, const double *rates,
                        int64_t done, float *losses, int64_t *correct, double *seconds) {
    Work work;
    Run run = prepare(&work, given);
    run.chunk = (Chunk){order, steps, rates, done, losses, correct, seconds};
    lay_out(&run, memory);
    turn_all(&run);
    run_together(&run.meeting, work.threads, take_part, &run);
    return atomic_load(&run.broken);
}
