"""What a new token costs: bytes that have to come from memory, counted and not timed."""


def fetched_per_token(weights: float, per_position: float, B: int, T: int) -> float:
    """Count the bytes that a processor fetches for each new token, if B texts are written at once.

    weights: the bytes of all weights, which a step reads once for all texts; per_position: the bytes of
    the cache for one position of one text; T: how many positions are in the cache of each text. A step
    writes one token in each text. Source: Pope and others 2022, section 2.

    >>> fetched_per_token(weights=600, per_position=10, B=3, T=5)
    250.0
    """
    # The weights serve all texts; a text's keys and values serve nobody else.
    return weights / B + per_position * T
