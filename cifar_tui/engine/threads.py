"""How many CPU threads a training runs on: measured at its start, and again when the rate collapses.

Two threads are faster than one on a quiet machine, and several times slower on two cores of which another
program uses one: at every barrier one thread waits for the time slice of a stranger. So a short probe times
real steps at several counts, and afterwards the rate of the chunks is watched.

The count changes the last bits of sums. A run on which nothing gets in the way equals one at the same fixed
count; every other count that was tried is told, with the step.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psutil

PROBE_SECONDS = 0.9
PROBE_SHARE = 0.1  # of the time that a short training takes in all
SHORT_SECONDS = 1.0  # a training that takes less is not worth a measurement
WINDOW_SECONDS = 0.04  # of steps at one count, in a probe
MARGIN = 1.05  # how much faster more threads must be
SCREEN_MARGIN = 1.25  # the same where a screen needs the cores too
OTHERS = 0.3  # cores used by other programs from which on a choice is looked at again
LOOK_SECONDS = 1.0  # from one look at them to the next

COLLAPSE = 0.6  # of the run's own best rate
COLLAPSE_SECONDS = 1.0  # for how long
COLLAPSE_CHUNKS = 4
TRIAL_SECONDS = 0.2  # of steps at each count
TRIAL_CHUNK_SECONDS = 0.02
CHANGE_MARGIN = 1.1  # how much faster another count must be
FIRST_RETRY_SECONDS = 10.0
LONGEST_RETRY_SECONDS = 300.0

Cause = Literal["probe", "collapse", "retry"]
Rates = Mapping[int, float]


@dataclass(frozen=True)
class ThreadPolicy:
    """What a training may do about its thread count.

    Attributes:
        probe: measure before the first step.
        watch: measure again when the rate collapses, and change.
        margin: how many times faster a larger count must be to be taken.
    """

    probe: bool = False
    watch: bool = False
    margin: float = MARGIN


@dataclass(frozen=True)
class Finding:
    """What a measurement found.

    Attributes:
        cause: why it was made.
        before, count: threads before and from now on.
        rates: steps a second by thread count.
        best, fallen: after a collapse, the run's best rate and the one it fell to; else 0.
        others: cores that other programs used meanwhile; 0 where that was not looked at.
    """

    cause: Cause
    before: int
    count: int
    rates: Rates
    best: float = 0.0
    fallen: float = 0.0
    others: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """`threads`, `before`, `cause` and `rates`, steps a second by thread count, as JSON values."""
        rates = {str(count): round(rate, 3) for count, rate in sorted(self.rates.items())}
        return {"threads": self.count, "before": self.before, "cause": self.cause, "rates": rates}

    @property
    def text(self) -> str:
        """The finding as one sentence."""
        rate = f"{_number(self.rates[self.count])} steps/s"
        if self.cause == "collapse":
            text = f"rate fell from {_number(self.best)} to {_number(self.fallen)} steps/s "
            text += f"with {_threads(self.before)}"
            if self.count == self.before:
                return f"{text}, and no other number of threads is faster: going on with it, {rate}"
            return f"{text} while other programs use the cores: going on with {_threads(self.count)}, {rate}"
        rest = ", ".join(
            f"{_number(value)} with {number}" for number, value in sorted(self.rates.items())
            if number != self.count
        )  # fmt: skip
        text = f"{_threads(self.count)}, {rate}" + (f" ({rest})" if rest else "")
        if self.cause == "retry":
            return f"{'staying with' if self.count == self.before else 'going on with'} {text}"
        busy = f"; other programs use {self.others:.1f} cores" if self.others >= OTHERS else ""
        return f"measured the steps: {text}{busy}"


def counts_up_to(cores: int) -> tuple[int, ...]:
    """The thread counts worth a trial: powers of two, and all cores."""
    powers = (1 << bit for bit in range(cores.bit_length()))
    return tuple(sorted({count for count in powers if count <= cores} | {cores}))


def pick(rates: Rates, margin: float) -> int:
    """The smallest count, unless a larger one is `margin` times as fast as the best smaller one."""
    chosen = min(rates)
    for count in sorted(rates):
        if rates[count] > margin * rates[chosen]:
            chosen = count
    return chosen


class Probe:
    """Times steps at several thread counts, largest first, in turn, until the time is up.

    Args:
        counts: thread counts.
        run: runs so many steps.
        apply: sets the thread count.
        steps: how many steps the training has before it.
        clock: monotonic seconds.
        seconds: how long at most; a step under way at the end is finished.
    """

    def __init__(
        self,
        counts: Sequence[int],
        run: Callable[[int], object],
        apply: Callable[[int], object],
        *,
        steps: int,
        clock: Callable[[], float] = time.perf_counter,
        seconds: float = PROBE_SECONDS,
    ) -> None:
        self._counts = sorted(counts, reverse=True)
        self._run, self._apply, self._clock = run, apply, clock
        self._steps = steps
        self._end = clock() + seconds
        self._windows: dict[int, list[float]] = {}

    def rates(self) -> dict[int, float]:
        """Median steps a second by count.

        Empty where one step takes too long to measure anything. Half of the cores only, where all steps of
        the training would take less than a second: what more threads could win there is less than what they
        lose beside another program.
        """
        half = self._counts[len(self._counts) // 2]
        self._apply(half)
        self._timed(1)
        warm = self._timed(1)  # the first compiles
        if self._clock() + 2 * warm > self._end:
            return {}
        if self._steps * warm < SHORT_SECONDS:
            return {half: 1.0 / warm}
        self._end = min(self._end, self._clock() + PROBE_SHARE * self._steps * warm)
        best = float("inf")
        for count in self._counts:
            if self._windows and self._clock() + 2 * warm * max(1.0, half / count) > self._end:
                break
            self._apply(count)
            self._timed(1)  # the first makes threads
            last = self._timed(1)
            if last > 2 * best:
                break  # so few threads are slow, and fewer will be slower
            best = min(best, last)
            self._windows[count] = [1.0 / last]
        self._windows.setdefault(half, [1.0 / warm])
        ran = True
        while ran:
            ran = False
            for count, rates in self._windows.items():
                if self._clock() + 1.0 / rates[-1] <= self._end:
                    self._apply(count)
                    rates.append(self._window(1.0 / rates[-1]))
                    ran = True
        return {count: statistics.median(rates) for count, rates in self._windows.items()}

    def _window(self, step: float) -> float:
        steps, began = 0, self._clock()
        while True:
            number = max(1, int(WINDOW_SECONDS / 4 / step))
            step = self._timed(number) / number
            steps += number
            wall = self._clock() - began
            if wall >= WINDOW_SECONDS or self._clock() >= self._end:
                return steps / wall

    def _timed(self, steps: int) -> float:
        began = self._clock()
        self._run(steps)
        return max(self._clock() - began, 1e-9)


class ThreadKeeper:
    """Watches the rate of a run, and finds another thread count when it collapses.

    Its clock is the time spent in training steps.

    Args:
        count: threads now.
        counts: all counts that may be taken.
        watch: whether it may change anything.
        apply: sets the thread count of the calling thread.
        others: cores that other programs used since it was last asked; None where nobody looks.

    Attributes:
        count: threads of the next chunk.
        counts: all that may be taken.
        settled: `count` was chosen while nothing was in the way; else it is looked at again, ever less often.
    """

    def __init__(
        self,
        count: int,
        counts: Sequence[int],
        *,
        watch: bool,
        apply: Callable[[int], object],
        others: Callable[[], float] | None = None,
    ) -> None:
        self.count = count
        self._others = others
        self._look_from = 0.0
        self._were_busy = False
        self.settled = True
        self.counts = tuple(counts)
        self._watch = watch and len(self.counts) > 1
        self._apply = apply
        self._recent: deque[tuple[float, float]] = deque()  # wall and rate of chunks
        self._best = 0.0
        self._now = 0.0
        self._pause = FIRST_RETRY_SECONDS
        self._changed = 0.0
        self._retry_from = 0.0
        self._collapse_from = 0.0
        self._trial: _Trial | None = None

    def adopt(self, count: int, *, settled: bool) -> None:
        """Go on with this count, which a probe or a record gave."""
        self.count, self.settled = count, settled
        self._apply(count)
        self._retry_from = self._now + self._pause
        self._begin_again(0.0)

    @property
    def limit(self) -> int | None:
        """Most steps of the next chunk while counts are tried; None otherwise."""
        return self._trial.limit if self._trial is not None else None

    def after(self, steps: int, wall: float) -> Finding | None:
        """Take in a chunk; the count may then be another one.

        Args:
            steps: steps of the chunk.
            wall: seconds it took.

        Returns:
            What a trial found that ended with this chunk; None otherwise.
        """
        if not self._watch or steps < 1 or wall <= 0:
            return None
        self._now += wall
        if self._trial is not None:
            if self._trial.add(steps, wall):
                return self._conclude(self._trial)
            self._take(self._trial.count)
            return None
        self._recent.append((wall, steps / wall))
        span = sum(entry[0] for entry in self._recent)
        if span < COLLAPSE_SECONDS or len(self._recent) < COLLAPSE_CHUNKS:
            return None
        while len(self._recent) > COLLAPSE_CHUNKS and span - self._recent[0][0] >= COLLAPSE_SECONDS:
            span -= self._recent.popleft()[0]
        rate = statistics.median(entry[1] for entry in self._recent)
        self._best = max(self._best, rate)
        if self._now >= self._collapse_from and rate < COLLAPSE * self._best:
            self._try("collapse", rate)
        elif not self.settled and (self._came_free() or self._now >= self._retry_from):
            self._try("retry", rate)
        return None

    def _came_free(self) -> bool:
        """Whether other programs have left the cores since the last look."""
        if self._others is None or self._now < self._look_from:
            return False
        self._look_from = self._now + LOOK_SECONDS
        before, self._were_busy = self._were_busy, self._others() >= OTHERS
        return before and not self._were_busy

    def _try(self, cause: Cause, rate: float) -> None:
        others = [count for count in self.counts if count != self.count]
        self._trial = _Trial(cause, self.count, [*others, self.count], rate)
        self._take(self._trial.count)

    def _conclude(self, trial: _Trial) -> Finding:
        rates, old = trial.rates, trial.before
        chosen = max(rates, key=lambda count: rates[count])
        if trial.cause == "collapse":  # as fast with fewer: more only wait for a core that others use
            chosen = pick(rates, MARGIN)
        if chosen > old or trial.cause == "retry":
            chosen = chosen if rates[chosen] > CHANGE_MARGIN * rates[old] else old
        finding = Finding(
            trial.cause, old, chosen, rates, self._best if trial.cause == "collapse" else 0.0, trial.rate
        )
        self.settled = chosen > old if trial.cause == "retry" else chosen == old
        if chosen != old:
            if self._now - self._changed > LONGEST_RETRY_SECONDS:
                self._pause = FIRST_RETRY_SECONDS  # not one of many changes to and fro
            self._changed = self._now
        self._take(chosen)
        self._begin_again(rates[chosen])
        self._retry_from = self._now + self._pause
        self._collapse_from = self._now + (self._pause if chosen == old else 0.0)
        self._pause = min(2 * self._pause, LONGEST_RETRY_SECONDS)
        self._trial = None
        return finding

    def _begin_again(self, rate: float) -> None:
        self._recent.clear()
        self._best = rate

    def _take(self, count: int) -> None:
        if count != self.count:
            self.count = count
            self._apply(count)


class _Trial:
    """Real training steps at one count after the other."""

    def __init__(self, cause: Cause, before: int, counts: list[int], rate: float) -> None:
        self.cause, self.before, self.rate = cause, before, rate
        self.rates: dict[int, float] = {}
        self.limit = 1
        self._left = counts
        self._chunks = 0
        self._steps = 0
        self._wall = 0.0

    @property
    def count(self) -> int:
        """The count on trial."""
        return self._left[0]

    def add(self, steps: int, wall: float) -> bool:
        """Take in a chunk at `count`; whether all counts were tried."""
        self._chunks += 1
        if self._chunks > 1:  # the first makes threads
            self._steps += steps
            self._wall += wall
        self.limit = max(1, int(TRIAL_CHUNK_SECONDS * steps / wall))
        if self._wall < TRIAL_SECONDS:
            return False
        self.rates[self.count] = self._steps / self._wall
        self._left.pop(0)
        self.limit, self._chunks, self._steps, self._wall = 1, 0, 0, 0.0
        return not self._left


class OtherPrograms:
    """How many cores other programs use, from `begin` on."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._read()

    def cores(self) -> float:
        """Cores used by others since it was made; 0 where the system does not say."""
        now, before = self._read(), self._before
        wall = now[0] - before[0]
        return max(0.0, (now[1] - before[1] - (now[2] - before[2])) / wall) if wall > 0 else 0.0

    def since_last(self) -> float:
        """The same since it was last asked."""
        found, self._before = self.cores(), self._read()
        return found

    def _read(self) -> tuple[float, float, float]:
        whole, own = psutil.cpu_times(), self._process.cpu_times()
        idle = whole.idle + getattr(whole, "iowait", 0.0)
        guests = getattr(whole, "guest", 0.0) + getattr(whole, "guest_nice", 0.0)  # counted in user too
        return time.monotonic(), sum(whole) - idle - guests, own.user + own.system


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 20 else f"{rate:.2g}"
