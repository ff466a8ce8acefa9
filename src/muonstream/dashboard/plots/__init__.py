"""The plots of the page, made with Bokeh."""
