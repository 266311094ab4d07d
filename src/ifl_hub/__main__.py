"""`python -m ifl_hub` is `ifl-hub`."""

from .cli.main import main

if __name__ == "__main__":
    main()
