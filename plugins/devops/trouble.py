"""What a command of this plugin can fail with."""


class Trouble(Exception):
    """Names the thing, the reason and the way out; `details` go into the answer beside the error."""

    def __init__(self, message, **details):
        super().__init__(message)
        self.details = details


class Stopped(Exception):
    """The daemon asked this call to end: it timed out, was cancelled, or the daemon itself ends.

    No `Trouble`, which a health check may meet and try again.
    """
