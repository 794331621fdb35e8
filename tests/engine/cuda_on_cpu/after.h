// Launches a kernel that takes (Work, int) on the fibers of `before.h`, block after block.

static void (*kernel_now)(Work, int);
static const Work *work_now;
static int slot_now;

static void fiber_main() {
    kernel_now(*work_now, slot_now);
    fibers[running].done = true;
    for (Barrier *barrier : {&block_barrier, &warp_barriers[running / 32]}) {
        barrier->expected--;  // who has ended is not waited for
        if (barrier->arrived) open_if_all(*barrier);
    }
    _longjmp(scheduler, 1);
}

static void go_on(Fiber &fiber) {
    if (_setjmp(scheduler)) return;
    if (fiber.begun) _longjmp(fiber.here, 1);
    fiber.begun = true;
    swapcontext(&first_scheduler, &fiber.context);
}

static void run_block(int threads) {
    block_barrier = {threads, 0, 0};
    for (int warp = 0; warp < 32; warp++) {
        const int rest = threads - 32 * warp;
        warp_barriers[warp] = {rest < 32 ? rest : 32, 0, 0};
    }
    for (auto &fiber : fibers) {
        fiber.stack.resize(1 << 16);
        fiber.begun = fiber.done = false;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        makecontext(&fiber.context, fiber_main, 0);
    }
    for (bool any = true; any;) {
        any = false;
        for (running = 0; running < fibers.size(); running++) {
            if (fibers[running].done) continue;
            any = true;
            threadIdx = {running, 0, 0};
            go_on(fibers[running]);
        }
    }
}

extern "C" void launch_on_cpu(void (*kernel)(Work, int), int blocks, int threads, const Work *work, int slot) {
    kernel_now = kernel, work_now = work, slot_now = slot;
    gridDim = {(unsigned)blocks, 1, 1};
    blockDim = {(unsigned)threads, 1, 1};
    fibers.resize(threads);
    for (int block = 0; block < blocks; block++) {
        blockIdx = {(unsigned)block, 0, 0};
        run_block(threads);
    }
}

extern "C" size_t size_of_work() { return sizeof(Work); }
