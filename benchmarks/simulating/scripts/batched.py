"""The rows of a round's clients side by side, for programs that train all of them at once."""

from __future__ import annotations

import torch
from measured import BATCH, Workload


class Cohort:
    """Mini-batches of a round: rows drawn anew for each client, short ones filled and masked."""

    def __init__(self, workload: Workload) -> None:
        counts = [len(workload.rows_of(client)) for client in range(workload.clients)]
        self._longest = max(counts)
        self._x, self._y = torch.from_numpy(workload.x), torch.from_numpy(workload.y)
        self._counts = torch.tensor(counts)
        self._rows = torch.zeros(workload.clients, self._longest, dtype=torch.int64)
        for client in range(workload.clients):
            self._rows[client, : counts[client]] = torch.from_numpy(workload.rows_of(client))

    def batches(
        self, picked: list[int]
    ) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Return images, classes, 1 for rows that count, and how many these are, by step."""
        counts = self._counts[picked]
        place = torch.rand(len(picked), self._longest)
        place[torch.arange(self._longest) >= counts[:, None]] = 2  # what is filled in comes last
        rows = self._rows[picked].gather(1, place.argsort(1))
        found = []
        for start in range(0, self._longest, BATCH):
            chosen = rows[:, start : start + BATCH]
            counted = torch.arange(start, start + chosen.shape[1]) < counts[:, None]
            mask = counted.to(torch.float32)
            found.append((self._x[chosen], self._y[chosen], mask, mask.sum(1).clamp(min=1)))
        return found

    def shares(self, picked: list[int]) -> torch.Tensor:
        """Return each client's share in the mean."""
        counts = self._counts[picked].to(torch.float32)
        return counts / counts.sum()
