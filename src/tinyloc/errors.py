"""The one kind of error that a user can cause and mend."""


class InputError(Exception):
    """Something the user gave is wrong.

    The message is one line that says what, where (file, row, column, value) and what to do.
    The command line prints it alone and exits with code 2.
    """
