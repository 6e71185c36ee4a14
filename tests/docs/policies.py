"""The policies of the shipped plugins, as their READMEs have them under "Sandbox"."""

import os
import re

from daemon import expect


def policy(place, plugin):
    """Returns the part of the configuration that holds a plugin."""
    with open(os.path.join(place.root, "plugins", plugin, "README.md"), encoding="utf-8") as file:
        section = re.search(r"^## Sandbox\n(.*?)(?=^## |\Z)", file.read(), re.MULTILINE | re.DOTALL)
    found = re.findall(r"^```toml\n(.*?)^```", section[1] if section else "", re.MULTILINE | re.DOTALL)
    expect(len(found) == 1 and f"[plugin.{plugin}.sandbox]" in found[0], (plugin, found))
    return found[0]
