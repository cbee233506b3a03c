"""Kinds of declared features."""
