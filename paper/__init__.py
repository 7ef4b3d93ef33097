"""The appendix: figures and tables drawn from saved results, and the document that holds them."""
