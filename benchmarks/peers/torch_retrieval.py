"""PyTorch: two EmbeddingBags with sparse gradients, an in-batch softmax, and a sparse optimizer."""

import os

import torch
from pairs import options, pairs, serve_epochs


def main():
    o = options()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    user, item = (torch.from_numpy(ids).long() for ids in pairs(o.rows, o.batch * o.steps))
    users, items = (torch.nn.EmbeddingBag(o.rows, o.dim, mode="sum", sparse=True) for _ in range(2))
    for table in (users, items):
        torch.nn.init.uniform_(table.weight, -0.05, 0.05)
    parameters = [*users.parameters(), *items.parameters()]
    optimizer = getattr(torch.optim, o.optimizer)(parameters, lr=0.01)
    offsets = labels = torch.arange(o.batch)

    def epoch():
        order = torch.randperm(len(user))
        for rows in order.split(o.batch):
            optimizer.zero_grad()
            scores = users(user[rows], offsets) @ items(item[rows], offsets).T
            loss = torch.nn.functional.cross_entropy(scores, labels)
            loss.backward()
            optimizer.step()
        return loss.item()

    serve_epochs(epoch, o.steps)


main()
