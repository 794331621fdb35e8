/* Threads that run the steps of a chunk together, and what they tell of each step. */
#ifndef CIFAR_TUI_CREW_H
#define CIFAR_TUI_CREW_H

#include <stddef.h>
#include <time.h>

#include "meeting.h"

#define MOST_THREADS 64
#define GROUPS 2 /* of pictures for each thread: who is held up by another program leaves one to the others */
#define LINE_BYTES 64 /* of the cache */

/* Parts of a step, in order: pictures, forward, loss and backward, weights with their gradients. */
enum { FEED, FORWARD, BACKWARD, WEIGHTS, STEP_PARTS };

/* The steps to run, and where their results go. */
typedef struct {
    const int64_t *order;   /* (steps, batch) */
    int64_t steps;
    const double *rates;    /* learning rate, of each step */
    int64_t done;           /* steps of the optimizer before the first */
    float *losses;          /* (steps,) */
    int64_t *correct;       /* (steps,) */
    double *seconds;        /* of each part of a step, on the first thread */
} Chunk;

typedef struct {
    void *run;
    int64_t number;
} Member;

static inline double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* How many threads are worth it: there are so many wanted, and pictures. */
static inline int64_t fitting(int64_t threads, int64_t batch) {
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    return threads > batch ? batch : threads;
}

/* Lets threads take part, of which this one is the first, and waits for them. */
static inline void run_together(Meeting *meeting, int64_t threads, void *(*take_part)(void *), void *run) {
    Member members[MOST_THREADS];
    pthread_t others[MOST_THREADS];
    int64_t started = 1;
    open_meeting(meeting);
    for (int64_t number = 0; number < threads; number++) members[number] = (Member){run, number};
    while (started < threads && !pthread_create(&others[started], 0, take_part, &members[started])) started++;
    expect(meeting, started); /* fewer than asked for where the system gives no more */
    take_part(&members[0]);
    for (int64_t number = 1; number < started; number++) pthread_join(others[number], 0);
    close_meeting(meeting);
}

/* Sums what the threads left for each picture, in order. */
static inline void conclude(const Chunk *chunk, int64_t step, int64_t batch, const float *row_losses,
                            const int64_t *hits) {
    float loss = 0.0f;
    int64_t sum = 0;
    for (int64_t row = 0; row < batch; row++) {
        loss += row_losses[row];
        sum += hits[row];
    }
    chunk->losses[step] = loss / (float)batch;
    chunk->correct[step] = sum;
}

/* The same for the sums of squares of each task. */
static inline void add_penalty(const Chunk *chunk, int64_t step, double l2_reg, const float *penalties,
                               int64_t tasks) {
    float squares = 0.0f;
    for (int64_t task = 0; task < tasks; task++) squares += penalties[task];
    chunk->losses[step] += (float)l2_reg * squares;
}

/* The next `bytes` of a block of memory, from a whole cache line on; without a block it only counts. */
static inline void *part(char *memory, size_t *used, size_t bytes) {
    size_t at = *used;
    *used += (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    return memory ? memory + at : 0;
}

/* Looks whether a thread's share of the parameters is finite; raises the flag where it is not. */
static inline void look_for_broken(atomic_int *broken, const float *values, int64_t numbers, int64_t number,
                                   int64_t threads) {
    int64_t lines = numbers / LANES;
    vec sum = splat(0.0f);
    for (int64_t line = lines * number / threads; line < lines * (number + 1) / threads; line++) {
        vec value = load(values + line * LANES);
        sum += value - value; /* 0, or not a number */
    }
    float all = total(sum);
    if (all != all) atomic_store(broken, 1);
}

#endif
