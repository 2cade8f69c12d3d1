"""Charts as inline SVG: no script, no file, colors from the page's style sheet."""
