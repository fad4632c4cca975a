"""The words of txplan as frozen data.

Owns: the types that every other part passes around. Must not: import anything but the standard library and
itself, read a file, the network, the clock or the environment.
"""
