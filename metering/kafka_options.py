"""How aiokafka's clients reach the brokers: the options that all of them share."""

import ssl
from typing import Any

from metering.errors import UsageError
from metering.settings import Settings


def kafka_options(settings: Settings) -> dict[str, Any]:
    """Build the connection options of a consumer, producer or admin client.

    Raises:
        UsageError: the CA file cannot be read (`settings_invalid`).
    """
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": protocol,
    }
    if protocol.endswith("SSL"):
        try:
            options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(
                "settings_invalid",
                f"METERING_KAFKA_CA_FILE {settings.kafka_ca_file} cannot be read: {error}.",
            ) from error
    if protocol.startswith("SASL_") and settings.kafka_sasl_password is not None:
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return options
