"""The commands, a module each: it parses its options, calls the library and prints.

`jaxmotion.cli` finds a command by the name of its module and calls its ``main``. A module imports
nothing that needs JAX before its options are read, where they can be read without.
"""
