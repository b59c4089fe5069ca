"""A dask client in this process whose workers are lost at calls that a test names."""

from typing import Any


class Answer:
    def __init__(self, value: Any) -> None:
        self.value = value

    def result(self, timeout: float) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class FakeActor:
    """A shard that is lost after some calls, as dask says it: when asked, or when answering."""

    def __init__(self, shard: Any, client: "FakeClient") -> None:
        self.shard, self.client = shard, client

    def __getattr__(self, name: str) -> Any:
        def asked(*args: Any) -> Answer:
            self.client.calls += 1
            if self.client.calls in self.client.lost_at:
                if self.client.calls % 2:
                    raise ValueError("Worker holding Actor was lost")
                return Answer(OSError("Unable to contact Actor's worker"))
            return Answer(getattr(self.shard, name)(*args))

        return asked


class FakeClient:
    def __init__(self, lost_at: set[int]) -> None:
        self.lost_at, self.calls = lost_at, 0

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {"tcp://a": {}, "tcp://b": {}}}

    def run(self, function: Any, *args: Any, on_error: str) -> dict[str, Any]:
        return {"tcp://a": function(*args), "tcp://b": function(*args)}

    def submit(self, make: Any, *args: Any, **how: Any) -> Answer:
        return Answer(FakeActor(make(*args), self))
