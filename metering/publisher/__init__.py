"""Publish usage events: `async with Publisher(settings, contract) as p: await p.publish(event)`."""

from metering.publisher.client import Publisher
from metering.publisher.delivery import Delivered, DeliveryFailed, Failure, Receipt
from metering.publisher.refusal import EventRefused

__all__ = ["Delivered", "DeliveryFailed", "EventRefused", "Failure", "Publisher", "Receipt"]
