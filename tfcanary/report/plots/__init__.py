"""Pictures as inline SVG: values in, markup out. No script, no font, no colour of their own; `style.PLOTS` draws them.

The report is the only caller. Texts keep their size while the pictures grow with the page: positions are percentages.
"""
