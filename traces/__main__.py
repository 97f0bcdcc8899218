"""`python -m traces`: list, show, lint, convert, fit and generate traces."""

from traces.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
