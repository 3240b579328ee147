"""Helpers for the book *Words Meet Pixels: word2vec in multimodal data fusion*."""
