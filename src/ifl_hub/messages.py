"""What other libraries' errors are cut down to, so that a user's mistake gets one clear line."""


def first_line(error: BaseException) -> str:
    r"""The first line of an error's message; the name of its class where it says nothing.

    Example:
        >>> first_line(ValueError("no such model\nlook here, or there")), first_line(KeyboardInterrupt())
        ('no such model', 'KeyboardInterrupt')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
