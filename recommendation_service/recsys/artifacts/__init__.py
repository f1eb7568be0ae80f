"""Releases on disk: one coherent set of files, published whole, checked before it is used."""
