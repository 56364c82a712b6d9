"""`python -m streammf`: the same as the command `streammf`."""

from streammf.cli import main

if __name__ == "__main__":
    main()
