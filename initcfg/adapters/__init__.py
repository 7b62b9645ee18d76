"""Live models of other frameworks: the only place where one is imported, each in its own module."""
