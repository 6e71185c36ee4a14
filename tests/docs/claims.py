"""Ties the claims of a page to the checks that run them.

A claim is a bullet that begins with a bold phrase. Each has exactly one check, marked with that phrase.
"""

import os
import re

from daemon import expect


class Claims:
    """The claims of one page: `@CLAIMS("phrase")` marks the check of one."""

    def __init__(self, page):
        self.page = page
        self.phrases = []

    def __call__(self, phrase):
        def mark(function):
            self.phrases.append(phrase)
            return function

        return mark

    def compare(self, place):
        """Fails if the page has a claim without a check, or a check has no claim."""
        with open(os.path.join(place.root, self.page)) as file:
            text = file.read()
        told = re.findall(r"^- \*\*(.+?)\*\*", text, re.MULTILINE)
        expect(told, f"no claims in {self.page}")
        for name, phrases in (self.page, told), ("the checks", self.phrases):
            twice = sorted({phrase for phrase in phrases if phrases.count(phrase) > 1})
            expect(not twice, f"told twice in {name}: {twice}")
        unchecked, untold = sorted(set(told) - set(self.phrases)), sorted(set(self.phrases) - set(told))
        expect(not unchecked and not untold, f"without a check: {unchecked}; not in {self.page}: {untold}")
