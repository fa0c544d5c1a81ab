"""The order of a graph's operators, for the least memory: what waits longest should be small."""

from collections import Counter

import numpy as np

from tinyloc.export.flatbuffer import NO_TENSOR, constant, dtype, graph, schema


def order_for_memory(model: schema.ModelT) -> None:
    """Run next, of the operators that can run, the one that adds least to what is alive; keep the better of two orders.

    The converter orders by what an output needs, and so takes a slice of a tensor only when it wants the slice: the
    whole tensor stays alive until then.
    """
    memory = _Memory(model)
    operators = graph(model).operators
    ordered = memory.greedy(operators)
    if memory.peak(ordered) < memory.peak(operators):
        graph(model).operators = ordered


class _Memory:
    def __init__(self, model: schema.ModelT) -> None:
        tensors = graph(model).tensors
        self._size = {
            i: int(np.prod(t.shape)) * dtype(t).itemsize for i, t in enumerate(tensors) if constant(model, t) is None
        }
        self._fed = {int(t) for t in graph(model).inputs}
        self._kept = {int(t) for t in graph(model).outputs}

    def peak(self, operators: list[schema.OperatorT]) -> int:
        """Most bytes of activations that are alive at once, in this order of execution."""
        readers, alive, most = self._readers(operators), sum(self._size[t] for t in self._fed), 0
        for operator in operators:
            alive += self._made(operator)
            most = max(most, alive)
            alive -= self._freed(operator, readers)
            readers -= Counter(self._read(operator))
        return most

    def greedy(self, operators: list[schema.OperatorT]) -> list[schema.OperatorT]:
        readers, known = self._readers(operators), set(self._fed)
        waiting, ordered = list(operators), []
        while waiting:
            ready = [o for o in waiting if set(self._read(o)) <= known]
            best = min(ready, key=lambda o: self._made(o) - self._freed(o, readers))  # of equals the first
            readers -= Counter(self._read(best))
            known |= {int(t) for t in best.outputs}
            ordered.append(best)
            waiting = [o for o in waiting if o is not best]
        return ordered

    def _read(self, operator: schema.OperatorT) -> list[int]:
        """The activations that an operator reads, each once."""
        return sorted({int(t) for t in operator.inputs if t != NO_TENSOR and int(t) in self._size})

    def _readers(self, operators: list[schema.OperatorT]) -> Counter:
        return Counter(t for o in operators for t in self._read(o))

    def _made(self, operator: schema.OperatorT) -> int:
        return sum(self._size[int(t)] for t in operator.outputs)

    def _freed(self, operator: schema.OperatorT, readers: Counter) -> int:
        """Bytes that nobody needs once `operator` has run. TFLite Micro keeps inputs until their last reader too."""
        return sum(self._size[t] for t in self._read(operator) if readers[t] == 1 and t not in self._kept)
