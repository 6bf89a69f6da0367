/* What cluster_epoch.cu needs of CUDA, in C++ for a CPU, so that the same source runs where there is no GPU.

   A block is a thread of the operating system, its CUDA threads are fibers of it, which take turns where CUDA would let
   them wait. Which one is next is drawn by lot. Asynchronous stores and copies are as late as they may be: their
   destination holds NaN from the moment they are issued, and they arrive in any order, at a moment drawn by lot. So
   whatever is read too early, or written over too early, is seen in the result.

   A kernel that waits in vain is stopped after a while and reported, not left to hang. */

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ thread_local

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1) : x(x), y(1), z(1) {}
};
struct alignas(16) float4 {
    float x, y, z, w;
};
using std::min;

alignas(128) thread_local unsigned char memory[227 * 1024]; /* of a block: what the kernel declares as `extern` */
thread_local dim3 threadIdx;
extern "C" {
unsigned lot = 0;           /* seeds the drawing of lots */
int clusters_granted = 1;   /* what the "GPU" says it has room for */
int shared_kb = 227;        /* of a block, at most */
int patience_ms = 2000;     /* of the processor's time, for each block */
}

/* --- fibers --- */

struct Meeting { /* of some fibers of a block: nobody goes on before all have come */
    size_t expected;
    std::vector<int> there;
};

struct Fiber {
    std::unique_ptr<char[]> stack;
    ucontext_t start;
    jmp_buf point;
    bool started, done;
    int64_t cluster_syncs, exchanges;
};

struct Cluster {
    int blocks, threads;
    std::vector<unsigned char *> memories;
    std::atomic<int64_t> arrived{0};
    std::atomic<int> begun{0};
    std::atomic<bool> stuck{false};
    std::vector<std::atomic<bool>> gone;
    std::clock_t deadline; /* on the clock of the process, which stands still while others have the processor */
    std::function<void()> kernel;
};

struct Block {
    Cluster *cluster;
    int rank, current, finished;
    std::vector<Fiber> fibers;
    std::vector<int> ready;
    std::vector<std::function<void()>> under_way; /* stores and copies that have not arrived */
    std::vector<Meeting> warps;
    Meeting all;
    std::vector<float> exchanged;
    std::minstd_rand random;
    jmp_buf back;
};

thread_local Block *here;

inline void one_arrives() {
    if (here->under_way.empty()) return;
    std::swap(here->under_way[here->random() % here->under_way.size()], here->under_way.back());
    const auto arrive = std::move(here->under_way.back());
    here->under_way.pop_back();
    arrive();
}

/* Goes on with one of those that are ready. Returns when it is this fiber's turn again. */
__attribute__((noinline)) inline void pass_on() {
    Block &block = *here;
    Fiber &now = block.fibers[block.current];
    if (block.random() % 16 == 0) one_arrives();
    if (block.ready.empty()) { /* all wait at meetings to which nobody comes any more, or are done */
        if (block.finished < block.cluster->threads) block.cluster->stuck = true;
        _longjmp(block.back, 1);
    }
    std::swap(block.ready[block.random() % block.ready.size()], block.ready.back());
    block.current = block.ready.back();
    block.ready.pop_back();
    Fiber &next = block.fibers[block.current];
    if (now.done || !_setjmp(now.point)) {
        threadIdx.x = block.current;
        if (next.started) _longjmp(next.point, 1);
        next.started = true;
        setcontext(&next.start);
    }
}

inline void meet(Meeting &meeting) {
    Block &block = *here;
    meeting.there.push_back(block.current);
    if (meeting.there.size() == meeting.expected) {
        block.ready.insert(block.ready.end(), meeting.there.begin(), meeting.there.end());
        meeting.there.clear();
    }
    pass_on();
}

/* One turn of a loop that waits for another block. Returns whether there is still hope. */
inline bool wait_a_turn() {
    Block &block = *here;
    one_arrives();
    if (block.random() % 64 == 0) {
        std::this_thread::yield();
        if (std::clock() > block.cluster->deadline) block.cluster->stuck = true;
    }
    block.ready.push_back(block.current);
    pass_on();
    return !block.cluster->stuck;
}

inline void run_fiber() {
    here->cluster->kernel();
    here->fibers[here->current].done = true;
    here->finished++;
    pass_on();
}

inline void run_block(Cluster &cluster, int rank) {
    Block block{&cluster, rank, 0};
    here = &block;
    block.random.seed(lot * 64 + rank + 1);
    block.fibers = std::vector<Fiber>(cluster.threads);
    block.warps.assign(cluster.threads / 32, Meeting{32});
    block.all.expected = cluster.threads;
    block.exchanged.resize(2 * cluster.threads);
    std::memset(memory, 255, sizeof memory); /* NaN */
    cluster.memories[rank] = memory;
    for (cluster.begun++; cluster.begun < cluster.blocks;) std::this_thread::yield();
    constexpr size_t stack = 64 * 1024;
    for (int i = 0; i < cluster.threads; i++) {
        Fiber &fiber = block.fibers[i];
        fiber.stack.reset(new char[stack]);
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack.get();
        fiber.start.uc_stack.ss_size = stack;
        makecontext(&fiber.start, run_fiber, 0);
        if (i > 0) block.ready.push_back(i);
    }
    if (!_setjmp(block.back)) {
        block.fibers[0].started = true;
        threadIdx.x = 0;
        setcontext(&block.fibers[0].start);
    }
    while (!block.under_way.empty()) one_arrives();
    cluster.gone[rank] = true;
    for (cluster.begun++; cluster.begun < 2 * cluster.blocks;) std::this_thread::yield();
}

/* --- what the kernel calls --- */

inline void __syncthreads() { meet(here->all); }
inline void __syncwarp() { meet(here->warps[threadIdx.x / 32]); }

inline float __shfl_xor_sync(unsigned, float value, int mask) {
    const int thread = threadIdx.x;
    /* two places in turn: nobody is two exchanges ahead of who has not read */
    float *const exchanged = here->exchanged.data() + here->fibers[thread].exchanges++ % 2 * here->fibers.size();
    exchanged[thread] = value;
    meet(here->warps[thread / 32]);
    return exchanged[thread ^ mask];
}

/* A barrier: two words. `missing` is 0 when one thread has said what to expect and all has come. */
struct Barrier {
    std::atomic<int32_t> missing;
    std::atomic<uint32_t> phase;
    static constexpr int32_t NOT_SAID = 1 << 24;
    void add(int32_t more) {
        if (missing.fetch_add(more, std::memory_order_acq_rel) + more != 0) return;
        missing += NOT_SAID;
        phase.fetch_add(1, std::memory_order_release);
    }
    static Barrier &at(uint64_t *place) { return *reinterpret_cast<Barrier *>(place); }
};

namespace cooperative_groups {
struct cluster_group {
    unsigned block_rank() const { return here->rank; }
    template <class T>
    T *map_shared_rank(T *place, int rank) const {
        const auto offset = reinterpret_cast<unsigned char *>(place) - memory;
        return reinterpret_cast<T *>(here->cluster->memories[rank] + offset);
    }
    void sync() const {
        Cluster &cluster = *here->cluster;
        const int64_t turn = ++here->fibers[here->current].cluster_syncs;
        cluster.arrived++;
        while (cluster.arrived < turn * cluster.blocks * cluster.threads && wait_a_turn()) continue;
    }
};
inline cluster_group this_cluster() { return {}; }
}  // namespace cooperative_groups

namespace cuda::ptx {
enum sem_acquire_t { sem_acquire };
enum sem_release_t { sem_release };
enum scope_cta_t { scope_cta };
enum scope_cluster_t { scope_cluster };
enum space_shared_t { space_shared };
enum space_cluster_t { space_cluster };
enum space_global_t { space_global };

inline void mbarrier_init(uint64_t *barrier, uint32_t) {
    Barrier::at(barrier).missing = Barrier::NOT_SAID;
    Barrier::at(barrier).phase = 0;
}

inline void fence_mbarrier_init(sem_release_t, scope_cluster_t) {}

inline void mbarrier_arrive_expect_tx(sem_release_t, scope_cta_t, space_shared_t, uint64_t *barrier, uint32_t bytes) {
    Barrier::at(barrier).add(bytes - Barrier::NOT_SAID);
}

template <class Scope>
bool mbarrier_try_wait_parity(sem_acquire_t, Scope, uint64_t *barrier, uint32_t parity) {
    if (Barrier::at(barrier).phase.load(std::memory_order_acquire) % 2 != parity) return true;
    return !wait_a_turn();
}

inline void st_async(float *place, float value, uint64_t *barrier) {
    *reinterpret_cast<volatile float *>(place) = NAN;
    Cluster &cluster = *here->cluster;
    here->under_way.push_back([=, &cluster] {
        for (int i = 0; i < cluster.blocks; i++) {
            const auto at = reinterpret_cast<unsigned char *>(place) - cluster.memories[i];
            if (at >= 0 && at < (int)sizeof memory && cluster.gone[i]) cluster.stuck = true; /* its memory is no more */
        }
        *place = value;
        Barrier::at(barrier).add(-4);
    });
}

inline void cp_async_bulk(space_cluster_t, space_global_t, void *place, const void *from, uint32_t bytes,
                          uint64_t *barrier) {
    std::memset(place, 255, bytes);
    if ((reinterpret_cast<uintptr_t>(place) | reinterpret_cast<uintptr_t>(from) | bytes) % 16)
        here->cluster->stuck = true; /* only 16 bytes at a time, on boundaries of 16 bytes */
    here->under_way.push_back([=] {
        std::memcpy(place, from, bytes);
        Barrier::at(barrier).add(-(int32_t)bytes);
    });
}
}  // namespace cuda::ptx

/* --- what the host calls --- */

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorLaunchTimeout = 702 };
typedef struct CUstream_st *cudaStream_t;
enum { cudaLaunchAttributeClusterDimension };
enum { cudaFuncAttributeMaxDynamicSharedMemorySize, cudaFuncAttributeNonPortableClusterSizeAllowed };
enum { cudaDevAttrMaxSharedMemoryPerBlockOptin };
struct cudaLaunchAttribute {
    int id;
    struct {
        dim3 clusterDim;
    } val;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute *attrs;
    int numAttrs;
};

inline cudaError_t cudaGetDevice(int *) { return cudaSuccess; }

inline cudaError_t cudaDeviceGetAttribute(int *value, int, int) {
    *value = shared_kb * 1024;
    return cudaSuccess;
}

template <class F>
cudaError_t cudaFuncSetAttribute(F, int attribute, int value) {
    const bool too_much = attribute == cudaFuncAttributeMaxDynamicSharedMemorySize && value > shared_kb * 1024;
    return too_much ? cudaErrorInvalidValue : cudaSuccess;
}

template <class F>
cudaError_t cudaOccupancyMaxActiveClusters(int *number, F, const cudaLaunchConfig_t *) {
    *number = clusters_granted;
    return cudaSuccess;
}

inline const char *cudaGetErrorString(cudaError_t failure) {
    return failure == cudaErrorLaunchTimeout ? "waited in vain" : "invalid argument";
}

template <class... Parameters>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *launch, void (*kernel)(Parameters...), Parameters... given) {
    Cluster cluster;
    cluster.blocks = launch->attrs->val.clusterDim.x;
    cluster.threads = launch->blockDim.x;
    cluster.memories.resize(cluster.blocks);
    cluster.gone = std::vector<std::atomic<bool>>(cluster.blocks);
    cluster.deadline = std::clock() + (std::clock_t)patience_ms * cluster.blocks * (CLOCKS_PER_SEC / 1000);
    cluster.kernel = [&] { kernel(given...); };
    std::vector<std::thread> blocks;
    for (int rank = 0; rank < cluster.blocks; rank++) blocks.emplace_back(run_block, std::ref(cluster), rank);
    for (auto &block : blocks) block.join();
    return cluster.stuck ? cudaErrorLaunchTimeout : cudaSuccess;
}
