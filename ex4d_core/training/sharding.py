"""Frozen weights spread over the ranks (FSDP2), for cards that cannot hold all of them.

Only what is frozen is spread: the adapter stays whole on every rank, so gradients, files and the optimiser are those of the
replicated mode. Each block is gathered when it is reached and let go after it.
"""

from __future__ import annotations

from ..errors import EX4DError
from .model import Wan, trained
from .ranks import Ranks


def shard(wan: Wan, ranks: Ranks, group: int = 0) -> None:
    """Spread the frozen weights; every rank calls it, with the same network.

    Args:
        wan: with its adapter, on the CPU; afterwards it is on the ranks' devices.
        ranks: more than one.
        group: neighbouring ranks that together hold a copy; 0 for all. With the GPUs of a machine as a group, weights are never
            gathered over the network between machines.

    Raises:
        EX4DError: a single process, groups that the ranks do not fill, or a torch that cannot do it.
    """
    if ranks.count == 1:
        raise EX4DError(
            "model.sharded spreads the weights over several processes, but there is one. Start it with torchrun."
        )
    try:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
    except ImportError as error:
        raise EX4DError("model.sharded needs torch 2.7 or newer.") from error
    shape = mesh_shape(ranks.count, group)
    mesh = init_device_mesh(ranks.device.type, shape, mesh_dim_names=("copies", "shards")[-len(shape) :])
    adapter = set(trained(wan).values())
    for value in adapter:  # what is ignored is not moved either
        value.data = value.data.to(ranks.device)
    for block in wan.blocks:
        # The last block is the first of the backward pass.
        fully_shard(block, mesh=mesh, ignored_params=adapter, reshard_after_forward=block is not wan.blocks[-1])
    fully_shard(wan, mesh=mesh, ignored_params=adapter)


def mesh_shape(ranks: int, group: int) -> tuple[int, ...]:
    """Ranks as FSDP2 has them: (all,), or (copies, ranks of a copy).

    Raises:
        EX4DError: groups of one, or groups that the ranks do not fill.
    """
    if group in (0, ranks):
        return (ranks,)
    if group == 1 or ranks % group:
        raise EX4DError(
            f"model.shard_group {group} does not part {ranks} processes into equal groups of two or more. Use a divisor of "
            f"{ranks}, or 0 for one group of all."
        )
    return ranks // group, group
