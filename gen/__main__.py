"""`python -m gen` is `gen`."""

from gen.cli.main import main

if __name__ == "__main__":
    main()
