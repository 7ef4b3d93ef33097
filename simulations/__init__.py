"""Simulations measure: numbers in, labelled numbers out."""
