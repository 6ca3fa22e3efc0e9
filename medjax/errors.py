"""The one exception for mistakes that a person can mend."""


class InputError(ValueError):
    """Wrong input: a file, a case, a configuration key or an argument.

    The message says what was wrong, where (file, case, key) and what to do. The command line prints it alone and exits
    with code 2; in a notebook it is an ordinary exception. It never carries a patient identifier.
    """
