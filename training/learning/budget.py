"""What one update may spend, stated in counts and never by the clock: equal data and seed give an equal update."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpdateBudget:
    """Bounds of one update. Costs besides these grow with users and items, not with events ever seen."""

    tower_share: float = 0.05
    """Of the recipe's budget of training retrieval from scratch."""
    new_share: float = 0.6
    """Of that, at most so much on windows with new events; the rest replays old ones."""
    new_passes: int = 4
    """Most passes over the windows with new events."""
    tower_rate: float = 0.5
    """Of the recipe's learning rate."""
    requests: int = 800
    """New events replayed as ranking requests, a sample of whole users if there are more."""
    slates: int = 300
    """Shown slates replayed."""
    valid_share: float = 0.15
    """Of the requests, newest last: they choose the epoch and calibrate."""
    book_requests: int = 800
    """Old requests replayed beside the new ones."""
    ranker_epochs: int = 1
    ranker_rate: float = 1.0
    """Of the recipe's learning rate."""
    contest_targets: int = 400
    """Newest history events that judge champion and challenger, before anything is trained on them."""
    contest_share: float = 0.2
    """And at most so much of what is new."""
    tolerance: float = 0.05
    """The challenger may be worse by this share of the champion's NDCG@10, at the interval's lower bound."""
    level: float = 0.9
    """Of the interval."""
    least_new: int = 50
    """New history events without which there is no update."""
