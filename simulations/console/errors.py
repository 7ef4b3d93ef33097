"""What a user can mend: every such failure ends a command with one sentence."""


class UserError(Exception):
    """The message is a sentence that says what came, what is allowed and what to do.

    A command prints it and ends with `status`.
    """

    status = 2
