"""Learning from departures, live and again from the log: a restarted process knows what it knew.

What a departure teaches (when, and how the promise went) is a `Lesson` of the state, so the fold
of the log holds it. What the controller knows of risk beyond that depends on the prices of then;
it is written down after each departure (signal `learned`) and taken up again.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pendel.records import SessionEvent, Signal
from pendel.runtime.area import AreaSpec, open_sessions
from pendel.runtime.journal import Batch
from pendel.runtime.state import LEARNED, Lesson, SessionView, State, lesson_of


class Learner(Protocol):
    """What learning needs of a controller."""

    def learn(self, sites: Sequence[int], lessons: Sequence[Lesson]) -> None:
        """Sessions ended, oldest first; sites: index of the site of each."""
        ...

    def memory(self) -> dict[str, float | list[float]]:
        """What is known of risk beyond the lessons; empty = nothing."""
        ...

    def recall(self, memory: Mapping[str, object], seen: Sequence[str]) -> None:
        """Take up what was written down; seen: sessions that were met before that."""
        ...


def learn_again(learner: Learner, spec: AreaSpec, state: State) -> None:
    """Teach everything the log remembers."""
    index = {site: i for i, site in enumerate(spec.site_id)}
    lessons = [lesson for lesson in state.lessons if lesson.site_id in index]
    learner.learn([index[lesson.site_id] for lesson in lessons], lessons)
    memory = state.learned.get(spec.name)
    if memory is not None:
        views = open_sessions(spec, state)
        seen = [v.event.session_id for v in views if v.event.at_utc < memory.at_utc]
        learner.recall(memory.detail, seen)


def learn_now(
    learner: Learner,
    spec: AreaSpec,
    batch: Batch,
    ended: Sequence[tuple[SessionView, SessionEvent]],
) -> None:
    """Teach what has just ended, and write down what is known then."""
    lessons = [lesson_of(view, left) for view, left in ended]
    learner.learn([spec.site_id.index(lesson.site_id) for lesson in lessons], lessons)
    memory = learner.memory()
    if lessons and memory:
        batch.add(
            Signal,
            causes=tuple(left.id for _, left in ended),
            topic=LEARNED,
            published_utc=batch.now_utc,
            detail={"area": spec.name, **memory},
        )
