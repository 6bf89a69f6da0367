/* What cluster_epoch.py calls: the whole training in one kernel, on one thread-block cluster. It is compiled with

       BLOCKS    blocks in the cluster, each on a multiprocessor of its own: 16 or 8
       CLASSES   columns of the weights
       BYTES     1: all pixels are k / 256, and k is kept, a byte; 0: pixels are floats

   Each block owns its share of the features for good: their weights lie in its shared memory and never leave it. A tile
   of 64 rows is a step, in which a thread does the following.

       forward     what the block's features contribute to the 64 x CLASSES logits; each contribution is sent to the
                   block that owns the row (64 / BLOCKS rows each)
       softmax     the owner adds up what all blocks sent, and sends the gradient of its logits to every block
       backward    the gradient of the block's weights, which are updated where they lie

   So a step has two hops through distributed shared memory, of 256 x CLASSES bytes for each block. One hop would do
   if all contributions went to every block: BLOCKS times as many bytes and additions, and all rows' softmax everywhere.

   Nobody asks for data: who has it stores it in the memory of who needs it, and every such store (st.async) counts its
   bytes down on a barrier there (mbarrier), on which the receiver waits. No step meets at a barrier of the cluster.

   Why one buffer suffices for each hop. A block sends contributions to step t + 1 only after it has received all
   gradients of step t, which each owner sent after it had read the contributions to step t. An owner sends gradients of
   step t + 1 only after it has received all contributions to step t + 1, which each block sent after all its threads
   had read the gradients of step t. Thus each hop says that the buffer of the other is free. Neither barrier can be a
   phase ahead of who waits on it, so the parity of the step tells its phases apart.

   Products take pixels in patches of 2 x 2, two rows of two features, so that the same bytes serve both directions:
   forward, a patch belongs to two rows and is summed over features, backward to two features, summed over rows. */

#include <cooperative_groups.h>
#include <cstdint>
#include <cuda/ptx>
#include <cuda_runtime.h>

#ifndef WARPS
#define WARPS 8 /* of a block: a power of two, up to 16 */
#endif

/* A patch holds pixels 0 and 1 of its first row, 2 and 3 of its second. Bytes make pixels SCALE times too large, so
   weights are kept SCALE times too small. */
#if BYTES
typedef uint32_t patch;
constexpr float SCALE = 256;
__device__ float pixel(patch p, int i) { return p >> 8 * i & 255; }
#else
typedef float4 patch;
constexpr float SCALE = 1;
__device__ float pixel(patch p, int i) { return i == 0 ? p.x : i == 1 ? p.y : i == 2 ? p.z : p.w; }
#endif

constexpr int TILE = 64;                  /* rows of a step */
constexpr int OWN = TILE / BLOCKS;        /* rows whose softmax a block computes */
constexpr int THREADS = 32 * WARPS;
constexpr int SHARERS = WARPS;            /* lanes that share a product: the 32 pairs of rows just fill the threads */
constexpr int AT_ONCE = 32 / SHARERS;     /* products of a warp */
constexpr int PRODUCT = 2 * CLASSES;      /* numbers of a product: CLASSES for each row or feature of a pair */
constexpr int PART = (PRODUCT + SHARERS - 1) / SHARERS; /* what each lane holds of the finished product */
constexpr int STRIDE = ((PRODUCT + 3) / 4 | 1) * 4; /* an odd number of 16 bytes: 8 such rows meet in no bank */
constexpr int STAGES = 2;                 /* tiles in memory: the one in work, and the next */
constexpr int SENT = TILE * CLASSES * 4;  /* bytes that a block receives in each hop */

struct job {
    const uint8_t *tiles; /* [tile][block]: labels of the OWN rows, int32, -1 where there is no row; then patches */
    float *weight, *bias; /* [feature][class], [class]: trained in place */
    int features, pairs;  /* of x; pairs of features of a block: odd, so that a column of patches spreads over banks */
    int row_pairs;        /* of a tile: 32, or fewer if batches are small */
    int tiles_number, tiles_per_batch, rows, batch;
    uint64_t steps;
    float lr;
};

/* A block's memory; its weights, their change and the tiles follow, as their size is not known yet. */
struct __align__(128) hall {
    uint64_t landed[STAGES], shares_in, grads_in;       /* barriers */
    __align__(16) float shares[BLOCKS][OWN / 2][STRIDE]; /* [sender][pair of rows]: contributions to logits */
    __align__(16) float grads[TILE / 2][STRIDE];        /* of the logits, times lr / rows of the batch / SCALE^2 */
    float logits[OWN][CLASSES], bias[CLASSES], bias_change[CLASSES];
};

static int memory_needed(int pairs, int row_pairs) {
    const int tile = OWN * 4 + row_pairs * pairs * (int)sizeof(patch);
    return sizeof(hall) + 2 * pairs * STRIDE * 4 + STAGES * tile;
}

namespace ptx = cuda::ptx;

/* The barrier's phase now ends when `bytes` have come. One thread says so; bytes may have come already. */
__device__ void expect(uint64_t *barrier, int bytes) {
    ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, barrier, bytes);
}

/* Returns when that phase of the barrier is over, with sight of what came from that scope: the block or the cluster. */
template <class Scope>
__device__ void wait(Scope scope, uint64_t *barrier, uint64_t phase) {
    while (!ptx::mbarrier_try_wait_parity(ptx::sem_acquire, scope, barrier, phase % 2)) continue;
}

/* Stores a value at this place of that block's shared memory, and counts it on this barrier of that block. */
__device__ void send(const cooperative_groups::cluster_group &cluster, int block, float *place, float value,
                     uint64_t *barrier) {
    ptx::st_async(cluster.map_shared_rank(place, block), value, cluster.map_shared_rank(barrier, block));
}

/* One lane's share of a product: sum[i][class] = the sum over k of pixel_ik * factors[k][class], for both rows i of a
   pair and features k, or, backward, for both features i of a pair and rows k. Patches are `step` apart. */
template <bool BACKWARD>
__device__ __forceinline__ void multiply(float *sum, const patch *x, int step, const float *factors, int pairs,
                                         int share) {
#pragma unroll
    for (int i = 0; i < PART * SHARERS; i++) sum[i] = 0;
#pragma unroll 4
    for (int start = 0; start < pairs; start += SHARERS) { /* as often for all lanes: they stay together */
        const int k = min(start + share, pairs - 1);
        const patch p = start + share < pairs ? x[k * step] : patch{};
        const float pixel_00 = pixel(p, 0), pixel_01 = pixel(p, BACKWARD ? 2 : 1); /* of output 0: for both k */
        const float pixel_10 = pixel(p, BACKWARD ? 1 : 2), pixel_11 = pixel(p, 3); /* of output 1 */
        __align__(16) float factor[STRIDE];
#pragma unroll
        for (int i = 0; i < STRIDE / 4; i++)
            *reinterpret_cast<float4 *>(factor + 4 * i) = reinterpret_cast<const float4 *>(factors + k * STRIDE)[i];
#pragma unroll
        for (int c = 0; c < CLASSES; c++) {
            sum[c] += pixel_00 * factor[c];
            sum[CLASSES + c] += pixel_10 * factor[c];
            sum[c] += pixel_01 * factor[CLASSES + c];
            sum[CLASSES + c] += pixel_11 * factor[CLASSES + c];
        }
    }
}

/* Adds up the shares of a product. Each time, lanes swap halves with a partner and keep one; at the end a lane holds
   PART numbers, the first of which is the product's number share * PART. */
template <int HALF = SHARERS / 2>
__device__ __forceinline__ void add_shares(float *sum, int share) {
    if constexpr (HALF > 0) {
        const bool upper = share & HALF;
#pragma unroll
        for (int i = 0; i < HALF * PART; i++) {
            const float kept = upper ? sum[i + HALF * PART] : sum[i], given = upper ? sum[i] : sum[i + HALF * PART];
            sum[i] = kept + __shfl_xor_sync(~0u, given, 2 * HALF); /* the lowest bit of a lane is not its share's */
        }
        add_shares<HALF / 2>(sum, share);
    }
}

/* The change of a parameter is summed over a batch's tiles first and made once: parameters round coarser. */
__device__ void subtract(float *parameter, float *change, float tile_change, bool first, bool last) {
    const float sum = first ? tile_change : *change + tile_change;
    if (last) *parameter -= sum;
    else *change = sum;
}

extern __shared__ __align__(128) unsigned char memory[];

__global__ void __launch_bounds__(THREADS, 1) train_all(const job job) {
    const cooperative_groups::cluster_group cluster = cooperative_groups::this_cluster();
    const int block = cluster.block_rank(), thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    /* Neighbouring lanes work on two products with the same factors, so one access serves both. */
    const int share = lane / 2 % SHARERS, product = warp * AT_ONCE + lane / (2 * SHARERS) * 2 + lane % 2;
    hall &own = *reinterpret_cast<hall *>(memory);
    float *const weight = reinterpret_cast<float *>(&own + 1), *const change = weight + job.pairs * STRIDE;
    unsigned char *const stages = reinterpret_cast<unsigned char *>(change + job.pairs * STRIDE);
    const int tile_bytes = OWN * 4 + job.row_pairs * job.pairs * (int)sizeof(patch);
    const int first_feature = block * job.pairs * 2;

    uint64_t fetched = 0;
    int next = 0; /* the tile to fetch; counted, as a division would take longer than the copy's start */
    const auto fetch = [&] {
        if (thread == 0 && fetched < job.steps) {
            uint64_t *const landed = &own.landed[fetched % STAGES];
            expect(landed, tile_bytes);
            ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, stages + fetched % STAGES * tile_bytes,
                               job.tiles + ((int64_t)next * BLOCKS + block) * tile_bytes, tile_bytes, landed);
        }
        fetched++;
        next = next + 1 == job.tiles_number ? 0 : next + 1;
    };

    for (int i = thread; i < job.pairs * STRIDE; i += THREADS) {
        const int feature = first_feature + i / STRIDE * 2 + i % STRIDE / CLASSES;
        const bool there = i % STRIDE < PRODUCT && feature < job.features;
        weight[i] = there ? job.weight[feature * CLASSES + i % STRIDE % CLASSES] / SCALE : 0;
    }
    for (int c = thread; c < CLASSES; c += THREADS) own.bias[c] = job.bias[c];
    if (thread == 0) {
        for (int i = 0; i < STAGES; i++) ptx::mbarrier_init(&own.landed[i], 1);
        ptx::mbarrier_init(&own.shares_in, 1);
        ptx::mbarrier_init(&own.grads_in, 1);
        ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
    }
    cluster.sync(); /* nobody sends before all barriers are there */
    for (int i = 0; i < STAGES; i++) fetch();

    int tile = 0, part = 0, left = job.rows; /* of the epoch: the tile, which of its batch, rows from that batch on */
    for (uint64_t step = 0; step < job.steps; step++) {
        const bool last_of_all = tile + 1 == job.tiles_number;
        const bool first = part == 0, last = part + 1 == job.tiles_per_batch || last_of_all;
        const int *const labels = reinterpret_cast<const int *>(stages + step % STAGES * tile_bytes);
        const patch *const x = reinterpret_cast<const patch *>(labels + OWN);
        float sum[PART * SHARERS];
        if (thread == 0) {
            expect(&own.shares_in, SENT);
            expect(&own.grads_in, SENT);
        }
        wait(ptx::scope_cta, &own.landed[step % STAGES], step / STAGES);

        multiply<false>(sum, x + product * job.pairs, 1, weight, product < job.row_pairs ? job.pairs : 0, share);
        add_shares(sum, share);
#pragma unroll
        for (int i = 0; i < PART; i++)
            if (share * PART + i < PRODUCT)
                send(cluster, product / (OWN / 2), &own.shares[block][product % (OWN / 2)][share * PART + i], sum[i],
                     &own.shares_in);

        /* divided once for the pixels of the gradient, and once because weights are kept SCALE times too small */
        const float rate = job.lr / min(job.batch, left) / (SCALE * SCALE);
        if (warp < OWN) wait(ptx::scope_cluster, &own.shares_in, step);
        for (int row = warp; row < OWN; row += WARPS) { /* a warp for each row, a lane for each class */
            float *const logit = own.logits[row];
            for (int c = lane; c < CLASSES; c += 32) {
                float sum_of_blocks = own.bias[c];
#pragma unroll
                for (int b = 0; b < BLOCKS; b++) sum_of_blocks += own.shares[b][row / 2][row % 2 * CLASSES + c];
                logit[c] = sum_of_blocks;
            }
            __syncwarp();
            float top = logit[0], total = 0; /* by every lane: sooner done than said to the others */
#pragma unroll
            for (int c = 1; c < CLASSES; c++) top = fmaxf(top, logit[c]);
#pragma unroll
            for (int c = 0; c < CLASSES; c++) total += expf(logit[c] - top);
            for (int c = lane; c < CLASSES; c += 32) {
                const float probability = expf(logit[c] - top) / total, target = c == labels[row];
                const float grad = labels[row] < 0 ? 0 : (probability - target) * rate;
                for (int i = 0; i < BLOCKS; i++) /* each begins with itself, so that they are not all in one's way */
                    send(cluster, (block + i) % BLOCKS, &own.grads[(block * OWN + row) / 2][row % 2 * CLASSES + c],
                         grad, &own.grads_in);
            }
        }

        wait(ptx::scope_cluster, &own.grads_in, step);
        for (int pair = product; pair - product % AT_ONCE < job.pairs; pair += 32) { /* warps stay together */
            multiply<true>(sum, x + min(pair, job.pairs - 1), job.pairs, own.grads[0], job.row_pairs, share);
            add_shares(sum, share);
#pragma unroll
            for (int i = 0; i < PART; i++) {
                const int at = pair * STRIDE + share * PART + i;
                if (pair < job.pairs && share * PART + i < PRODUCT)
                    subtract(weight + at, change + at, sum[i], first, last);
            }
        }
        if (warp == WARPS - 1) /* the one with the fewest weights */
            for (int c = lane; c < CLASSES; c += 32) {
                float bias_sum = 0;
#pragma unroll 8
                for (int row = 0; row < TILE; row++) bias_sum += own.grads[row / 2][row % 2 * CLASSES + c];
                subtract(own.bias + c, own.bias_change + c, bias_sum * (SCALE * SCALE), first, last);
            }
        __syncthreads(); /* weights are new, gradients and tile are used */
        fetch(); /* the next */
        part = last ? 0 : part + 1;
        left = last_of_all ? job.rows : last ? left - job.batch : left;
        tile = last_of_all ? 0 : tile + 1;
    }

    for (int i = thread; i < job.pairs * STRIDE; i += THREADS) {
        const int feature = first_feature + i / STRIDE * 2 + i % STRIDE / CLASSES;
        if (i % STRIDE < PRODUCT && feature < job.features)
            job.weight[feature * CLASSES + i % STRIDE % CLASSES] = weight[i] * SCALE;
    }
    if (block == 0)
        for (int c = thread; c < CLASSES; c += THREADS) job.bias[c] = own.bias[c];
    cluster.sync(); /* nobody leaves while a neighbour may still store into its memory */
}

static cudaError_t prepared(cudaLaunchConfig_t *launch, cudaLaunchAttribute *cluster, int bytes, void *stream) {
    *cluster = {};
    cluster->id = cudaLaunchAttributeClusterDimension;
    cluster->val.clusterDim.x = BLOCKS;
    cluster->val.clusterDim.y = cluster->val.clusterDim.z = 1;
    *launch = {};
    launch->gridDim = BLOCKS;
    launch->blockDim = THREADS;
    launch->dynamicSmemBytes = bytes;
    launch->stream = static_cast<cudaStream_t>(stream);
    launch->attrs = cluster;
    launch->numAttrs = 1;
    cudaError_t failure = cudaFuncSetAttribute(train_all, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (failure || BLOCKS <= 8) return failure;
    return cudaFuncSetAttribute(train_all, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
}

/* The shared memory that a block can have on the current device. */
static cudaError_t most_memory(int *bytes) {
    int device;
    const cudaError_t failure = cudaGetDevice(&device);
    return failure ? failure : cudaDeviceGetAttribute(bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
}

/* How many such clusters the current device can hold at once; below 0, CUDA's number of what went wrong. Asked with
   all the memory there is, so that no two blocks share a multiprocessor. */
extern "C" int clusters() {
    cudaLaunchConfig_t launch;
    cudaLaunchAttribute cluster;
    int number = 0, bytes;
    cudaError_t failure = most_memory(&bytes);
    if (!failure) failure = prepared(&launch, &cluster, bytes, nullptr);
    if (!failure) failure = cudaOccupancyMaxActiveClusters(&number, train_all, &launch);
    return failure ? -failure : number;
}

/* How many features fit on the current device, if tiles are full; below 0, CUDA's number of what went wrong. */
extern "C" int most_features() {
    int pairs = 1, bytes;
    if (const cudaError_t failure = most_memory(&bytes)) return -failure;
    while (memory_needed(pairs + 2, TILE / 2) <= bytes) pairs += 2;
    return 2 * pairs * BLOCKS;
}

extern "C" const char *explained(int failure) { return cudaGetErrorString(static_cast<cudaError_t>(failure)); }

/* Starts the training on the stream of the current device. Returns 0, or CUDA's number of what went wrong. */
extern "C" int train(const uint8_t *tiles, float *weight, float *bias, int features, int pairs, int row_pairs,
                     int tiles_number, int tiles_per_batch, int rows, int batch, int epochs, float lr, void *stream) {
    cudaLaunchConfig_t launch;
    cudaLaunchAttribute cluster;
    const job job = {tiles, weight, bias, features, pairs, row_pairs, tiles_number, tiles_per_batch, rows, batch,
                     (uint64_t)epochs * tiles_number, lr};
    const cudaError_t failure = prepared(&launch, &cluster, memory_needed(pairs, row_pairs), stream);
    return failure ? failure : cudaLaunchKernelEx(&launch, train_all, job);
}
