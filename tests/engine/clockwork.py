"""The engine's rules on a clock of its own: lanes in turns, slots by arrival, steps that take what they are said to."""

import random
from dataclasses import dataclass, field
from typing import Any

from kandinsky_server.engine.admission.background import BackgroundLoad
from kandinsky_server.engine.admission.forecast import Pace, forecast
from kandinsky_server.engine.cost import CostModel
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.engine.work import Remaining, Work, whole

from tests.engine.fakes import call, planned

PRIOR, DECODER, TO_PIXELS = (BatchKey(name, (8, 8)) for name in ("prior", "decoder", "movq"))
SECONDS = {PRIOR: (0.002, 0.0015), DECODER: (0.0, 0.0034), TO_PIXELS: (0.002, 0.027)}
"""Of a step, and of each of its rows."""


@dataclass(eq=False)
class Job:
    """One request: ``works`` one after the other, the first of which has ``left`` steps to take."""

    works: list[Work[Any]]
    arrival: float
    predicted: float
    left: int
    took: float = 0.0

    @property
    def work(self) -> Work[Any]:
        return self.works[0]

    @property
    def remaining(self) -> list[Remaining]:
        return [Remaining(self.work, self.left), *whole(self.works[1:])]


@dataclass
class Clockwork:
    """``clients`` send their next request as soon as the last is answered."""

    clients: int
    max_rows: int
    now: float = 0.0
    jobs: list[Job] = field(default_factory=list)
    answered: list[Job] = field(default_factory=list)
    background: BackgroundLoad = field(default_factory=BackgroundLoad)

    def __post_init__(self) -> None:
        self._draw = random.Random(0)
        self._served = dict.fromkeys(SECONDS, 0.0)
        self._cost = CostModel()
        for lane in SECONDS:
            for rows in range(1, self.max_rows + 1):
                self._cost.observe(lane, rows, _seconds(lane, rows))

    def run(self, number: int) -> None:
        """Until that many requests are answered."""
        for _ in range(self.clients):
            self._arrive()
        while len(self.answered) < number:
            self._step(min({job.work.key for job in self.jobs}, key=self._served.__getitem__))

    def _arrive(self) -> None:
        present = [remaining for job in self.jobs for remaining in job.remaining]
        works = _drawn(self._draw)
        pace = Pace(self._cost, lambda lane: self.max_rows, self.background.rows)
        predicted = forecast(present, whole(works), [], pace).finish
        self.background.observe(job.work for job in self.jobs)
        self.jobs.append(Job(works, self.now, predicted, works[0].steps))

    def _step(self, lane: BatchKey) -> None:
        batched, rows = [], 0
        for job in self.jobs:
            if job.work.key == lane:
                if rows + job.work.rows > self.max_rows:
                    break
                batched.append(job)
                rows += job.work.rows
        self._served[lane] = self.now
        self.now += _seconds(lane, rows) * self._draw.uniform(0.9, 1.1)
        for job in batched:
            job.left -= 1
            if not job.left:
                self._leave(job)

    def _leave(self, job: Job) -> None:
        job.works = job.works[1:]
        if job.works:
            job.left = job.work.steps
            return
        job.took = self.now - job.arrival
        self.jobs.remove(job)
        self.answered.append(job)
        if not self.jobs:
            self.background.forget()
        self._arrive()


def _seconds(lane: BatchKey, rows: int) -> float:
    fixed, each = SECONDS[lane]
    return fixed + each * rows


def _drawn(draw: random.Random) -> list[Work[Any]]:
    """Nine pictures of ten, 3 to 50 steps; one of four unguided."""
    rows, steps = draw.choice((1, 2, 2, 2)), draw.randint(3, 50)
    if draw.random() < 0.1:
        return [planned(PRIOR, rows, steps)]
    image = planned(DECODER, rows, steps)
    return [image, call(TO_PIXELS, image)]
