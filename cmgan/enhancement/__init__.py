"""Enhancing recordings of any length, and files and folders of them."""
