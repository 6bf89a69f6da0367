/* What native_single.py calls: the whole training, in C. It is compiled with

       LANES     floats in a vector: 16 with AVX-512, else 8
       CLASSES   columns of the weights
       BYTES     1: all pixels are k / 256, and k is kept, a byte; 0: pixels are floats

   Vectors are an extension of C that GCC and Clang share: + * < work on all lanes, a scalar spreads over them.
   A tile holds one vector for each class, for LANES rows or for LANES features. */

#include <errno.h>
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

/* sum[class] = the sum over all i of factors[i][class] * pixels(i): LANES dot products at once for each class.
   With rows in the lanes and weights as factors these are logits, with features in the lanes and gradients of
   logits as factors they are gradients of weights. The sums stay in registers. */
static inline void products(vec *sum, const tile *factors, const ints *from, int tiles) {
    vec s[CLASSES] = {};
    for (int t = 0; t < tiles; t++)
        for (int i = 0; i < LANES; i += 4, from += 4 / PER_LANE) {
            __builtin_prefetch(from + 32);
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++) {
                vec v = pixels(from, k);
#pragma GCC unroll 32
                for (int c = 0; c < CLASSES; c++) s[c] += factors[t][c][i + k] * v;
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

/* Trains weight [feature][class] and bias in place. Returns 0, or the error number of what could not be had.
   by_row: vectors of LANES rows, [batch][tile][feature].  by_feature: of LANES features, [batch][block][row].
   labels: [batch][tile], -1 where there is no row. */
int train(const ints *by_row, const ints *by_feature, const ints *labels, float *weight, float *bias, int features,
          int rows, int batch, int epochs, float lr) {
    const int blocks = (features + LANES - 1) / LANES, tiles = (batch + LANES - 1) / LANES;
    const int64_t size = (int64_t)blocks * tiles * LANES / PER_LANE; /* of a batch, in vectors of memory */
    tile *memory = aligned_alloc(4 * LANES, sizeof(tile) * (blocks + tiles)), *grad = memory + blocks;
    if (!memory) return ENOMEM;
    memset(memory, 0, sizeof(tile) * blocks);
    for (int f = 0; f < features; f++)
        for (int c = 0; c < CLASSES; c++) memory[f / LANES][c][f % LANES] = weight[f * CLASSES + c] / SCALE;
    for (int epoch = 0; epoch < epochs; epoch++)
        for (int batch_number = 0, left = rows; left > 0; batch_number++, left -= batch) {
            vec bias_change[CLASSES] = {};
            for (int t = 0; t < tiles; t++) {
                vec *z = (vec *)grad[t];
                products(z, memory, by_row + batch_number * size + t * (size / tiles), blocks);
                for (int c = 0; c < CLASSES; c++) z[c] += bias[c];
                gradient(z, labels[batch_number * tiles + t], lr / (left < batch ? left : batch));
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
            for (int b = 0; b < blocks; b++) {
                vec change[CLASSES];
                products(change, grad, by_feature + batch_number * size + b * (size / blocks), tiles);
                for (int c = 0; c < CLASSES; c++) *(vec *)memory[b][c] -= change[c];
            }
        }
    for (int f = 0; f < features; f++)
        for (int c = 0; c < CLASSES; c++) weight[f * CLASSES + c] = memory[f / LANES][c][f % LANES] * SCALE;
    free(memory);
    return 0;
}
