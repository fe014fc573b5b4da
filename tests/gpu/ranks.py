# SPDX-License-Identifier: Apache-2.0
"""One rank of tests/gpu/run: PyTorch, or NCCL called directly, over whatever network the environment chooses.

RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT say which rank this is, as torchrun sets them. All ranks use the first
visible GPU. With --device cpu everything runs over gloo: that tries this file, and nothing of Weft. Exit status 0 when
all was as it should be; what was wrong is an exception.
"""
import argparse
import ctypes
import datetime
import os
import signal
import time

import torch
import torch.distributed as dist

RANK = int(os.environ["RANK"])
RANKS = int(os.environ["WORLD_SIZE"])
TIMEOUT = datetime.timedelta(seconds=120)
COUNTS = [1, 1000, 65537, 4 << 20]  # elements for each rank


def say(text):
    if RANK == 0:
        print(text, flush=True)


def same(what, got, expected):
    if not torch.equal(got, expected):
        wrong = (got != expected).sum().item()
        raise AssertionError(f"rank {RANK}: {what}: {wrong} of {got.numel()} elements are wrong")


def begin(a, group=0):
    """Each group meets at a port of its own: a store that is just going away must not be taken for the new one."""
    meet = f"tcp://{os.environ['MASTER_ADDR']}:{int(os.environ['MASTER_PORT']) + group}"
    backend = "nccl" if a.device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=meet, rank=RANK, world_size=RANKS, timeout=TIMEOUT)


def data(a, count, rank, salt):
    """What `rank` has: whole numbers, so that sums are exact in any order."""
    i = torch.arange(count, device=a.device, dtype=torch.int64)
    return ((i * 31 + rank * 17 + salt) % 1009).to(torch.float32)


def check_collectives(a, n, salt):
    mine = data(a, n, RANK, salt)
    all_ranks = [data(a, n, r, salt) for r in range(RANKS)]
    total = torch.stack(all_ranks).sum(0)

    t = mine.clone()
    dist.all_reduce(t)
    same(f"all-reduce of {n}", t, total)

    parts = [torch.empty_like(mine) for _ in range(RANKS)]
    dist.all_gather(parts, mine)
    same(f"all-gather of {n}", torch.stack(parts), torch.stack(all_ranks))

    t = mine.clone()
    dist.broadcast(t, RANKS - 1)
    same(f"broadcast of {n}", t, all_ranks[RANKS - 1])

    t = torch.empty_like(mine)
    to, source = (RANK + 1) % RANKS, (RANK - 1) % RANKS
    for work in dist.batch_isend_irecv([dist.P2POp(dist.isend, mine, to), dist.P2POp(dist.irecv, t, source)]):
        work.wait()
    same(f"send and receive of {n}", t, all_ranks[source])
    if a.device == "cpu":
        return  # gloo has no more

    t = torch.empty_like(mine)
    dist.reduce_scatter(t, [data(a, n, RANK, salt + to) for to in range(RANKS)])
    same(f"reduce-scatter of {n}", t, torch.stack([data(a, n, r, salt + RANK) for r in range(RANKS)]).sum(0))

    parts = [torch.empty_like(mine) for _ in range(RANKS)]
    dist.all_to_all(parts, [data(a, n, RANK, salt + to) for to in range(RANKS)])
    same(f"all-to-all of {n}", torch.stack(parts), torch.stack([data(a, n, r, salt + RANK) for r in range(RANKS)]))


def collectives(a):
    """Everything twice, the second time with a process group made anew."""
    for group in range(2):
        begin(a, group)
        for n in COUNTS:
            for round_ in range(5):
                check_collectives(a, n, 100 * group + round_)
        dist.destroy_process_group()
        say(f"process group {group + 1} of 2: verified and destroyed")


def model(a):
    torch.manual_seed(1)
    width = 1024 if a.device == "cuda" else 64
    layers = [torch.nn.Linear(256, width), torch.nn.GELU()]
    for _ in range(6):
        layers += [torch.nn.Linear(width, width), torch.nn.LayerNorm(width), torch.nn.GELU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 1)).to(a.device)


def train(a):
    """A DDP training loop; every loss is printed exactly, so that two networks can be compared."""
    torch.use_deterministic_algorithms(True)
    begin(a)
    net = torch.nn.parallel.DistributedDataParallel(model(a))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    noise = torch.Generator().manual_seed(1000 + RANK)
    began = time.time()
    for step in range(a.steps):
        x = torch.randn(64, 256, generator=noise).to(a.device)
        loss = torch.nn.functional.mse_loss(net(x), x[:, :8].sin().sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0 or step == a.steps - 1:
            total = loss.detach().clone()
            dist.all_reduce(total)
            say(f"step {step} loss {total.item().hex()}")
    say(f"# {a.steps} steps in {time.time() - began:.1f} s, last loss {total.item() / RANKS:.5f}")
    dist.destroy_process_group()


def perf(a):
    """Median time of an all-reduce by size, with its result checked."""
    begin(a)
    for n in [2, 1 << 10, 1 << 14, 1 << 18, 1 << 22, 1 << 24]:
        times = []
        for _ in range(3 + a.iters):
            t = data(a, n, RANK, 0)
            if a.device == "cuda":
                torch.cuda.synchronize()
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(t)
            if a.device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        same(f"all-reduce of {n}", t, torch.stack([data(a, n, r, 0) for r in range(RANKS)]).sum(0))
        middle = sorted(times[3:])[a.iters // 2]
        busbw = n * 4 / middle * 2 * (RANKS - 1) / RANKS
        say(f"# all-reduce {n * 4:>9} B: {middle * 1e6:9.1f} us, busbw {busbw * 1e-9:.3f} GB/s")
    dist.destroy_process_group()


def kill(a):
    """The last rank dies in the middle; the others must learn of it, which ends them with an error."""
    begin(a)
    t = torch.ones(4 << 20, device=a.device)
    for i in range(1000):
        if i == 20 and RANK == RANKS - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        dist.all_reduce(t)
        if a.device == "cuda":
            torch.cuda.synchronize()
    raise AssertionError("a thousand all-reduces with a dead rank ended well")


class UniqueId(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_byte * 128)]


def by_ctypes(a):
    """NCCL as vLLM calls it: libnccl opened by ctypes, beside PyTorch's own. Declarations: nccl.h."""
    nccl = ctypes.CDLL(a.nccl)
    comm, uid = ctypes.c_void_p(), UniqueId()

    def call(name, *args):
        ret = getattr(nccl, name)(*args)
        if ret:
            nccl.ncclGetErrorString.restype = ctypes.c_char_p
            raise RuntimeError(f"rank {RANK}: {name}: {nccl.ncclGetErrorString(ret).decode()}")

    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), RANKS, RANK == 0, TIMEOUT)
    if RANK == 0:
        call("ncclGetUniqueId", ctypes.byref(uid))
        store.set("id", bytes(uid))
    ctypes.memmove(ctypes.byref(uid), store.get("id"), 128)
    torch.cuda.set_device(0)
    call("ncclCommInitRank", ctypes.byref(comm), RANKS, uid, RANK)
    for n in COUNTS:
        t = data(a, n, RANK, 3)
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        at = ctypes.c_void_p(t.data_ptr())
        call("ncclAllReduce", at, at, ctypes.c_size_t(n), 7, 0, comm, stream)  # ncclFloat32, ncclSum
        torch.cuda.synchronize()
        same(f"ncclAllReduce of {n}", t, torch.stack([data(a, n, r, 3) for r in range(RANKS)]).sum(0))
    call("ncclCommDestroy", comm)
    store.set(f"done {RANK}", "")
    if RANK == 0:  # the store lives here
        store.wait([f"done {r}" for r in range(RANKS)])


def main():
    what = {"collectives": collectives, "train": train, "perf": perf, "kill": kill, "ctypes": by_ctypes}
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=what)
    p.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    p.add_argument("--steps", type=int, default=1500, help="of the training")
    p.add_argument("--iters", type=int, default=20, help="timed all-reduces of each size")
    p.add_argument("--nccl", default="libnccl.so.2", help="the library that `ctypes` opens")
    a = p.parse_args()
    if a.device == "cuda":
        torch.cuda.set_device(0)
    what[a.what](a)


main()
