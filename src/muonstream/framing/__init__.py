"""The frame builder: words in order of arrival become whole windows."""
