"""What is known of a case: whether it was followed at all, and which event ended that."""

from jaxtyping import Array, Bool, Num


def known(times: Num[Array, " batch"], events: Num[Array, " batch"] | Bool[Array, " batch"]) -> Bool[Array, " batch"]:
    """Whether time and event of a case are known: neither is NaN or negative.

    Args:
        times: follow-up from the origin to the event or, without one, to its end; any one unit.
        events: 0 or False for censored, 1 or True for the event; with competing risks the number of the cause.
    """
    return (times >= 0) & (events >= 0)
