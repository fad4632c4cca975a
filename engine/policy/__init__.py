"""The policy's rules as pure functions of the manifest.

Owns: names, tags and consumer groups. Must not: read a file, the network, the clock or anything live.
"""
