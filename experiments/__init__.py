"""Scripts, one a question: python -m experiments.<name> --help."""
