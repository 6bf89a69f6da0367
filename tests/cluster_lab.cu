/* Checks and times cluster_epoch.cu without Python and torch, where a sanitizer can watch it: lab ROWS REPEATS.

   It is compiled with the constants of cluster_epoch.cu (BYTES=1). Pixels, labels and weights are made up. Up to 5000
   rows the update is compared with one in double; it ends with status 1 where that is off by more than 1e-4 of its size,
   or where CUDA fails. With REPEATS above 3 it prints the median times of an epoch and of a step. */

#include "../implementations/cluster_epoch.cu"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

constexpr int FEATURES = 784, BATCH = 64;
constexpr float LR = 0.5f;
constexpr int PAIRS = (FEATURES + 2 * BLOCKS - 1) / (2 * BLOCKS) | 1; /* of features of a block, odd */
constexpr int ROW_PAIRS = BATCH / 2;

static unsigned drawn() {
    static unsigned state = 1;
    return (state = state * 1664525u + 1013904223u) >> 8;
}

struct Problem {
    std::vector<uint8_t> x;
    std::vector<int> y;
    std::vector<float> weight, bias;
};

static Problem made_up(int rows) {
    Problem p{std::vector<uint8_t>((size_t)rows * FEATURES), std::vector<int>(rows), std::vector<float>(FEATURES * CLASSES),
              std::vector<float>(CLASSES, 0)};
    for (auto &pixel : p.x) pixel = drawn() % 5 ? 0 : drawn() % 256;
    for (auto &label : p.y) label = drawn() % CLASSES;
    for (auto &value : p.weight) value = ((int)(drawn() % 2001) - 1000) / 28000.f;
    return p;
}

/* What the kernel reads: see `job.tiles`. */
static std::vector<uint8_t> tiled(const Problem &p) {
    const int rows = p.y.size(), tiles = (rows + BATCH - 1) / BATCH, bytes = OWN * 4 + ROW_PAIRS * PAIRS * 4;
    std::vector<uint8_t> all((size_t)tiles * BLOCKS * bytes, 0);
    for (int t = 0; t < tiles; t++)
        for (int block = 0; block < BLOCKS; block++) {
            uint8_t *const tile = all.data() + ((size_t)t * BLOCKS + block) * bytes;
            int *const labels = (int *)tile;
            for (int i = 0; i < OWN; i++) {
                const int row = t * BATCH + block * OWN + i;
                labels[i] = row < rows ? p.y[row] : -1;
            }
            for (int r = 0; r < BATCH; r++)
                for (int f = 0; f < 2 * PAIRS; f++) {
                    const int row = t * BATCH + r, feature = block * 2 * PAIRS + f;
                    if (row < rows && feature < FEATURES)
                        tile[OWN * 4 + (r / 2 * PAIRS + f / 2) * 4 + r % 2 * 2 + f % 2] = p.x[(size_t)row * FEATURES + feature];
                }
        }
    return all;
}

/* How far trained parameters are off, as a share of the whole update: one epoch again, in double. */
static double off(const Problem &p, const std::vector<float> &weight, const std::vector<float> &bias) {
    std::vector<double> w(p.weight.begin(), p.weight.end()), b(p.bias.begin(), p.bias.end());
    const int rows = p.y.size();
    for (int start = 0; start < rows; start += BATCH) {
        const int n = std::min(BATCH, rows - start);
        std::vector<double> grads(n * CLASSES);
        for (int r = 0; r < n; r++) {
            const uint8_t *const pixels = &p.x[(size_t)(start + r) * FEATURES];
            double *const z = &grads[r * CLASSES], top = -1e300, total = 0;
            for (int c = 0; c < CLASSES; c++) z[c] = b[c];
            for (int f = 0; f < FEATURES; f++)
                for (int c = 0; c < CLASSES; c++) z[c] += pixels[f] / 256. * w[f * CLASSES + c];
            for (int c = 0; c < CLASSES; c++) top = std::max(top, z[c]);
            for (int c = 0; c < CLASSES; c++) total += z[c] = std::exp(z[c] - top);
            for (int c = 0; c < CLASSES; c++) z[c] = (z[c] / total - (c == p.y[start + r])) * LR / n;
        }
        for (int r = 0; r < n; r++)
            for (int c = 0; c < CLASSES; c++) {
                b[c] -= grads[r * CLASSES + c];
                for (int f = 0; f < FEATURES; f++)
                    w[f * CLASSES + c] -= p.x[(size_t)(start + r) * FEATURES + f] / 256. * grads[r * CLASSES + c];
            }
    }
    double wrong = 0, size = 0;
    for (size_t i = 0; i < w.size(); i++) wrong += std::pow(weight[i] - w[i], 2), size += std::pow(w[i] - p.weight[i], 2);
    for (int c = 0; c < CLASSES; c++) wrong += std::pow(bias[c] - b[c], 2), size += std::pow(b[c] - p.bias[c], 2);
    return std::sqrt(wrong / size);
}

static float median(std::vector<float> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

int main(int argc, char **argv) {
    const int rows = argc > 1 ? atoi(argv[1]) : 300, repeats = argc > 2 ? atoi(argv[2]) : 0;
    const Problem p = made_up(rows);
    const std::vector<uint8_t> tiles = tiled(p);
    const int number = (rows + BATCH - 1) / BATCH;
    uint8_t *on_gpu;
    float *weight, *bias;
    cudaMalloc(&on_gpu, tiles.size()), cudaMalloc(&weight, p.weight.size() * 4), cudaMalloc(&bias, CLASSES * 4);
    cudaMemcpy(on_gpu, tiles.data(), tiles.size(), cudaMemcpyHostToDevice);
    const auto start_again = [&] {
        cudaMemcpy(weight, p.weight.data(), p.weight.size() * 4, cudaMemcpyHostToDevice);
        cudaMemcpy(bias, p.bias.data(), CLASSES * 4, cudaMemcpyHostToDevice);
    };
    const auto run = [&](int epochs) {
        return train(on_gpu, weight, bias, FEATURES, PAIRS, ROW_PAIRS, number, 1, rows, BATCH, epochs, LR, nullptr);
    };
    printf("%d clusters of %d blocks fit, ", clusters(), BLOCKS);
    start_again();
    int failure = run(1);
    if (!failure) failure = (int)cudaDeviceSynchronize();
    if (failure) return printf("FAILED: %s\n", explained(failure)), 1;
    if (rows <= 5000) {
        std::vector<float> got(p.weight.size()), got_bias(CLASSES);
        cudaMemcpy(got.data(), weight, got.size() * 4, cudaMemcpyDeviceToHost);
        cudaMemcpy(got_bias.data(), bias, CLASSES * 4, cudaMemcpyDeviceToHost);
        const double wrong = off(p, got, got_bias);
        printf("the update is off by %.2g of its size (float32: about 1e-6)", wrong);
        if (!(wrong <= 1e-4)) return printf(": WRONG\n"), 1;
    }
#ifndef EMULATED
    std::vector<float> once, twice;
    cudaEvent_t from, to;
    cudaEventCreate(&from), cudaEventCreate(&to);
    for (int i = 0; i < repeats; i++) {
        const int epochs = 1 + i % 2; /* the difference is what an epoch costs without the launch */
        float ms;
        start_again();
        cudaEventRecord(from);
        run(epochs);
        cudaEventRecord(to);
        cudaEventSynchronize(to);
        cudaEventElapsedTime(&ms, from, to);
        (epochs == 1 ? once : twice).push_back(ms);
    }
    if (repeats > 3) {
        const float one = median(once), two = median(twice);
        printf("%.4f ms an epoch with its launch, %.3f us a step without it", one, (two - one) * 1e3 / number);
    }
    if (const cudaError_t last = cudaDeviceSynchronize()) return printf(" FAILED LATER: %s\n", cudaGetErrorString(last)), 1;
#endif
    printf("\n");
    return 0;
}
