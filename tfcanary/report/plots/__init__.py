"""Pictures as inline SVG. The functions are pure, contain no script, font or colour, and get their colours from `tfcanary/report/style.py`.

Horizontal positions are percentages, so that texts keep their size when a picture grows with the page.
"""
