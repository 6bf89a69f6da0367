/* What native_sparse.py calls: the whole training, in C. It is compiled with

       LANES     floats in a vector: 16 with AVX-512, else 8
       CLASSES   columns of the weights
       BYTES     1: all pixels are k / 256, and k is kept, a byte; 0: pixels are floats
       INDEX     the integer type that numbers the features, and the rows of a batch

   Vectors are an extension of C that GCC and Clang share: + * < work on all lanes, a scalar spreads over them.
   A tile holds one vector for each class, for LANES rows or for LANES features.

   Each thread owns its share of the features for good, so their weights never leave its core's cache. In a step it
   adds up what its features contribute to the logits and waits once, for the contributions of the others; then
   every thread knows the gradient of all logits and updates its own weights. */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef float tile[CLASSES][LANES] __attribute__((aligned(4 * LANES)));

#if BYTES
enum { SCALE = 256, PER_LANE = 4 };
#else
enum { SCALE = 1, PER_LANE = 1 };
#endif

/* The vectors of pixels that are not all zero. Those of a segment lie from start[segment] to start[segment + 1], a
   multiple of four, and index says which feature or row of the segment each is. */
struct list {
    const int32_t *start;
    const INDEX *index;
    const ints *vectors;
};

struct job {
    struct list by_row;     /* segments [thread][batch][tile], vectors of LANES rows */
    struct list by_feature; /* segments [thread][batch][block of features], vectors of LANES features */
    const ints *labels;     /* [batch][tile]: -1 where there is no row */
    tile *weight;           /* [thread][block of features], divided by SCALE */
    float *bias;            /* [class] */
    tile *shares;           /* [2][thread][tile]: contributions to the logits, in even and in odd steps */
    tile *grads;            /* [thread][tile]: each thread's copy of the gradient of the logits */
    int own, rows, batch, epochs, threads; /* own: blocks of features of one thread */
    float lr;
    atomic_int started;
    atomic_llong arrived;
};

struct worker {
    struct job *job;
    int number;
    pthread_t thread;
};

static inline vec all(float value) { return (vec){} + value; }

static inline vec choose(ints mask, vec yes, vec no) { return (vec)((mask & (ints)yes) | (~mask & (ints)no)); }

/* The i-th vector of pixels, times SCALE. As bytes, four vectors share one: each lane holds four pixels. */
static inline vec pixels(const ints *from, int i) {
#if BYTES
    return __builtin_convertvector(from[i / 4] >> 8 * (i % 4) & 255, vec);
#else
    return (vec)from[i];
#endif
}

/* sum[class] = the sum over the segment of factors[index][class] * pixels: LANES dot products at once for each class.
   With rows in the lanes and weights as factors these are logits, with features in the lanes and gradients of
   logits as factors they are gradients of weights. The sums stay in registers. */
static inline void products(vec *sum, const tile *factors, const struct list *list, int segment) {
    vec s[CLASSES] = {};
    for (int at = list->start[segment]; at < list->start[segment + 1]; at += 4) {
        const INDEX *index = list->index + at;
        const ints *from = list->vectors + at / PER_LANE;
        __builtin_prefetch(index + 128);
        __builtin_prefetch(from + 32);
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            const float *factor = (const float *)factors + index[k] + (index[k] & -LANES) * (CLASSES - 1);
            vec v = pixels(from, k);
#pragma GCC unroll 32
            for (int c = 0; c < CLASSES; c++) s[c] += factor[c * LANES] * v;
        }
    }
    for (int c = 0; c < CLASSES; c++) sum[c] = s[c];
}

/* exp(x) for x <= 0, right to the last bit or two; NaN stays NaN. With x = n ln 2 + r it is 2^n exp(r): adding
   1.5 * 2^23 rounds x / ln 2 to n and leaves it in the lowest bits, ln 2 is taken off in two parts, and exp(r) is
   the polynomial of Cephes (expf.c). */
static inline vec exponential(vec x) {
    const float magic = 12582912.0f;
    x = choose(x < -87.0f, all(-87.0f), x);
    vec shifted = x * 1.44269504f + magic, n = shifted - magic;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (vec)((ints)p + ((ints)shifted << 23));
}

/* Turns the logits of LANES rows into (softmax - onehot) * step, and into zeros where there is no row. */
static inline void gradient(vec *z, ints label, float step) {
    vec top = z[0], total = {};
    for (int c = 1; c < CLASSES; c++) top = choose(z[c] > top, z[c], top);
    for (int c = 0; c < CLASSES; c++) total += z[c] = exponential(z[c] - top);
    for (int c = 0; c < CLASSES; c++) {
        z[c] = z[c] * (step / total) - choose(label == c, all(step), all(0));
        z[c] = choose(label < 0, all(0), z[c]);
    }
}

/* Returns when all threads have come here for the step-th time. */
static void meet(struct job *job, long long step) {
    atomic_fetch_add(&job->arrived, 1);
    for (int turn = 0; atomic_load_explicit(&job->arrived, memory_order_acquire) < step * job->threads; turn++)
        if (turn > 20000) sched_yield(); /* more threads than cores */
}

static void *train_share(void *given) {
    const struct worker *me = given;
    struct job *job = me->job;
    const int threads = job->threads, tiles = (job->batch + LANES - 1) / LANES;
    const int own = job->own;
    const int first_batch = me->number * ((job->rows + job->batch - 1) / job->batch);
    tile *weight = job->weight + me->number * own, *grad = job->grads + me->number * tiles;
    float bias[CLASSES];
    while (job->started == 0) sched_yield();
    if (job->started < 0) return 0;
    for (int c = 0; c < CLASSES; c++) bias[c] = job->bias[c];
    long long step = 0;
    for (int epoch = 0; epoch < job->epochs; epoch++)
        for (int batch = 0, left = job->rows; left > 0; batch++, left -= job->batch) {
            tile *shares = job->shares + step % 2 * threads * tiles;
            for (int t = 0; t < tiles; t++)
                products((vec *)shares[me->number * tiles + t], weight, &job->by_row,
                         (first_batch + batch) * tiles + t);
            meet(job, ++step);
            vec bias_change[CLASSES] = {};
            for (int t = 0; t < tiles; t++) {
                vec *z = (vec *)grad[t];
                for (int c = 0; c < CLASSES; c++) {
                    z[c] = all(bias[c]);
                    for (int k = 0; k < threads; k++) z[c] += *(vec *)shares[k * tiles + t][c];
                }
                gradient(z, job->labels[batch * tiles + t], job->lr / (left < job->batch ? left : job->batch));
                for (int c = 0; c < CLASSES; c++) {
                    bias_change[c] += z[c];
                    z[c] /= SCALE * SCALE;
                }
            }
            for (int c = 0; c < CLASSES; c++) {
                float change = 0; /* summed first: it would round coarser, lane by lane, beside the bias */
                for (int i = 0; i < LANES; i++) change += bias_change[c][i];
                bias[c] -= change;
            }
            for (int b = 0; b < own; b++) {
                vec change[CLASSES];
                products(change, grad, &job->by_feature, (first_batch + batch) * own + b);
                for (int c = 0; c < CLASSES; c++) *(vec *)weight[b][c] -= change[c];
            }
        }
    if (me->number == 0)
        for (int c = 0; c < CLASSES; c++) job->bias[c] = bias[c];
    return 0;
}

/* Puts a new thread on the next CPU after that of the thread before it, of those that this process may use; the first
   one after the caller's. Left alone, Linux sometimes starts it on the caller's own and needs longer than a whole epoch
   to notice. */
static void choose_next(int *cpu, pthread_attr_t *attributes) {
#ifdef __linux__
    cpu_set_t allowed, chosen;
    if (sched_getaffinity(0, sizeof allowed, &allowed)) return;
    if (*cpu < 0) *cpu = sched_getcpu();
    do *cpu = (*cpu + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(*cpu, &allowed));
    CPU_ZERO(&chosen);
    CPU_SET(*cpu, &chosen);
    pthread_attr_setaffinity_np(attributes, sizeof chosen, &chosen);
#endif
}

/* Trains weight [feature][class] and bias in place. Returns 0, or the error number of what could not be had. */
int train(const int32_t *row_start, const INDEX *row_index, const ints *row_vectors, const int32_t *feature_start,
          const INDEX *feature_index, const ints *feature_vectors, const ints *labels, const int64_t *order,
          float *weight, float *bias, int features, int rows, int batch, int epochs, int threads, float lr) {
    const int own = (features + LANES * threads - 1) / (LANES * threads), blocks = own * threads;
    const int tiles = (batch + LANES - 1) / LANES;
    tile *memory = aligned_alloc(4 * LANES, sizeof(tile) * (blocks + 3 * threads * tiles));
    if (!memory) return ENOMEM;
    memset(memory, 0, sizeof(tile) * blocks);
    for (int f = 0; f < features; f++)
        for (int c = 0; c < CLASSES; c++) memory[f / LANES][c][f % LANES] = weight[order[f] * CLASSES + c] / SCALE;
    struct job job = {{row_start, row_index, row_vectors}, {feature_start, feature_index, feature_vectors}, labels,
                      memory, bias, memory + blocks, memory + blocks + 2 * threads * tiles, own, rows, batch, epochs,
                      threads, lr, 0, 0};
    struct worker workers[threads];
    int running = 1, failure = 0, cpu = -1;
    for (int i = 0; i < threads; i++) workers[i] = (struct worker){.job = &job, .number = i};
    for (; running < threads && !failure; running += !failure) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        choose_next(&cpu, &attributes);
        failure = pthread_create(&workers[running].thread, &attributes, train_share, &workers[running]);
        pthread_attr_destroy(&attributes);
    }
    job.started = failure ? -1 : 1;
    train_share(&workers[0]);
    while (--running > 0) pthread_join(workers[running].thread, 0);
    for (int f = 0; f < features; f++)
        for (int c = 0; c < CLASSES; c++) weight[order[f] * CLASSES + c] = memory[f / LANES][c][f % LANES] * SCALE;
    free(memory);
    return failure;
}
