"""Pages on trained models and data: figures and tables. No flags, no prints.

Import the modules by name.
"""
