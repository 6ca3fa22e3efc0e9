"""How long a training step takes on a machine that is described by a dozen numbers.

    seconds = products / rate + convolutions / rate + traffic / bandwidth + exchange + overhead

Work is divided over the devices of the mesh; each device does one thing after the other, so nothing of it overlaps. The
exchange is a ring within a host and, between hosts, a ring of each device with its like elsewhere:

    2 (n - 1) / n x gradient bytes / link   +   latency for every array that is summed

and with `fsdp` (n - 1) / n of the parameters' bytes more. Compilers for accelerators combine small arrays. `seconds` adds the exchange to the rest (nothing hidden behind the
backward pass), `hidden` takes the longer of the two (all of it hidden); a real step lies between them.
"""

import math
from dataclasses import dataclass

from benchmarks.cost.work import Work


@dataclass(frozen=True)
class Machine:
    """One kind of device, and how devices reach each other; rates are what is reached, not what the maker states.

    Attributes:
        products: operations a second of a device in matrix products.
        convolutions: the same in convolutions with their gradients.
        bandwidth: bytes a second between a device and its memory.
        overhead: seconds of a step that do nothing of the above.
        link: bytes a second from one device to the next within a host.
        latency: seconds of a sum over the devices of a host, however small.
        network: bytes a second of each device to another host.
        network_latency: seconds that hosts add to a sum.
        host: devices of a host.
        combined: bytes of gradients that the compiler sums in one go; 0: every array by itself.
    """

    products: float
    convolutions: float
    bandwidth: float
    overhead: float
    link: float
    latency: float
    network: float = math.inf
    network_latency: float = 0.0
    host: int = 1
    combined: float = 0.0


@dataclass(frozen=True)
class Axes:
    """Devices along each axis of the mesh."""

    replicate: int = 1
    data: int = 1
    fsdp: int = 1

    @property
    def devices(self) -> int:
        """All of them."""
        return self.replicate * self.data * self.fsdp


@dataclass(frozen=True)
class Cost:
    """Seconds of a step on one device, by what takes them."""

    compute: float
    memory: float
    exchange: float
    overhead: float

    @property
    def seconds(self) -> float:
        """All, one after the other."""
        return self.compute + self.memory + self.exchange + self.overhead

    @property
    def hidden(self) -> float:
        """The same, the exchange hidden behind the rest as far as it goes."""
        return max(self.compute + self.memory, self.exchange) + self.overhead


def cost(work: Work, machine: Machine, axes: Axes) -> Cost:
    """Return what a step costs.

    Args:
        work: of one step on all devices together.
        machine: the devices.
        axes: how they are used; replicates that the axis does not divide are filled up with clones.
    """
    waves = math.ceil(work.replicates / axes.replicate) / work.replicates  # share of the replicates on a device
    rows = axes.data * axes.fsdp
    share = waves / rows
    # The optimizer passes over all that a device keeps, whatever its share of the cases: read and written once.
    whole = min(2 * work.kept, work.traffic)
    moved = (work.traffic - whole) * share + whole * waves / axes.fsdp
    compute = (work.products / machine.products + work.convolutions / machine.convolutions) * share
    return Cost(compute, moved / machine.bandwidth, _exchange(work, machine, axes, waves), machine.overhead)


def _exchange(work: Work, machine: Machine, axes: Axes, waves: float) -> float:
    rows = axes.data * axes.fsdp
    if rows == 1:
        return 0.0
    # Devices of a row lie next to each other; a row that is longer than a host takes whole hosts.
    near, far = min(rows, machine.host), math.ceil(rows / machine.host)
    gradients = work.parameters * waves
    gathered = gradients if axes.fsdp > 1 else 0.0
    within = (2 * gradients + gathered) * (near - 1) / near / machine.link
    between = (2 * gradients + gathered) / near * (far - 1) / far / machine.network if far > 1 else 0.0
    latency = machine.latency + (machine.network_latency * math.log2(far) if far > 1 else 0.0)
    sums = math.ceil((gradients + gathered) / machine.combined) if machine.combined else work.leaves
    sums += 2 * work.statistics  # forward and backward; gathered parameters go with the gradients
    return within + between + sums * latency
