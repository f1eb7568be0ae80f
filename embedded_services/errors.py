"""The one error of the embedded servers; its message says what was found and how to mend it."""


class EmbeddedServicesError(Exception):
    """A server of the project's own could not be started, reached or stopped."""
