"""`python -m gen` is `gen`."""

from gen.cli.console import main

if __name__ == "__main__":
    main()
