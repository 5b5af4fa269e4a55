from metering.worker.run import run

__all__ = ["run"]
