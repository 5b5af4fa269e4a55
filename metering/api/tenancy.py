"""Whose data a token sees."""

from aggregator.access import Access
from aggregator.store.reading import Visible


def visible_subjects(access: Access) -> Visible | None:
    """The subjects of the token's customers, and for how long each was theirs; None: every subject.

    A subject may move from one customer to another: each sees its own time.
    """
    return None if access.customers is None else {}
