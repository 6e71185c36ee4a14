"""The one error that a caller reads: it says what is wrong and what to do."""


class Refused(Exception):
    """Ends the command with `{"error": …}`."""
