"""Figures of the book: functions from tidy tables to matplotlib figures.

No figure touches pyplot's global state, so a notebook, a test and the workflow can draw at the same time. Every
function that shows data draws one panel for each data set it is given, and one alone looks as good as two.
"""
