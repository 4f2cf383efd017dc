"""Marshmallow's schemas, compiled: what an operation takes and gives, without marshmallow's walk.

A schema stays the one declaration. The compiled form deals with the ordinary types of each field in
generated code; a value of another type, and a field that has a way of its own, go through
marshmallow's code for that one value. So both ways give the same, and nothing needs to be chosen.
"""
