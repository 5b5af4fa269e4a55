"""What `metering doctor` checks, one module an area: each check has a code, a severity and a next step."""
