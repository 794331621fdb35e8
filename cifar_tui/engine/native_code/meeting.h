/* Where threads wait for each other: a short look, then sleep, so that other programs are not starved. */
#ifndef CIFAR_TUI_MEETING_H
#define CIFAR_TUI_MEETING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "lanes.h"

#define SPINS 4000 /* looks before a thread sleeps; about 50 microseconds */

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t wakened;
    int64_t threads; /* 0 until all are there that there will be */
    atomic_int_fast64_t arrived, turn;
} Meeting;

static void open_meeting(Meeting *meeting) {
    pthread_mutex_init(&meeting->mutex, 0);
    pthread_cond_init(&meeting->wakened, 0);
}

static void close_meeting(Meeting *meeting) {
    pthread_cond_destroy(&meeting->wakened);
    pthread_mutex_destroy(&meeting->mutex);
}

/* Says how many threads there are; those that began wait for it. */
static void expect(Meeting *meeting, int64_t threads) {
    pthread_mutex_lock(&meeting->mutex);
    meeting->threads = threads;
    pthread_cond_broadcast(&meeting->wakened);
    pthread_mutex_unlock(&meeting->mutex);
}

/* Waits until it is known how many threads there are. */
static int64_t begin(Meeting *meeting) {
    pthread_mutex_lock(&meeting->mutex);
    while (!meeting->threads) pthread_cond_wait(&meeting->wakened, &meeting->mutex);
    int64_t threads = meeting->threads;
    pthread_mutex_unlock(&meeting->mutex);
    return threads;
}

/* Waits until all threads are here. */
static void meet(Meeting *meeting) {
    if (meeting->threads == 1) return;
    int_fast64_t turn = atomic_load(&meeting->turn);
    if (atomic_fetch_add(&meeting->arrived, 1) + 1 == meeting->threads) {
        atomic_store(&meeting->arrived, 0);
        pthread_mutex_lock(&meeting->mutex);
        atomic_store(&meeting->turn, turn + 1);
        pthread_cond_broadcast(&meeting->wakened);
        pthread_mutex_unlock(&meeting->mutex);
        return;
    }
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&meeting->turn, memory_order_acquire) != turn) return;
#if defined(__SSE__)
        _mm_pause();
#endif
    }
    pthread_mutex_lock(&meeting->mutex);
    while (atomic_load(&meeting->turn) == turn) pthread_cond_wait(&meeting->wakened, &meeting->mutex);
    pthread_mutex_unlock(&meeting->mutex);
}

#endif
