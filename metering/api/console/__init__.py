"""The console: pages that `metering api` serves to people, beside `/v1` for programs.

Each page is made on the server from a template, and is whole without a script. What it shows is decided as
for `/v1`: by scopes and customers of a token, which a browser shows once and then has a session for.
"""
