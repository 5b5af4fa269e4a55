"""The observer: says how everything stands, whoever is at work (`metering.process.exclusive`)."""
