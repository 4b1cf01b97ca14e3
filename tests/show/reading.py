"""A page of a report as its reader has it: the words of a section, facts by name, cards."""

import base64
import re
import zlib
from html import unescape

import numpy as np
import torch

import regional_primitives as rp
from regional_primitives.scores import Exhibits
from regional_primitives.show.report import render


class Run:
    """What lies in a run folder, and pages made of it, without figures, which take seconds."""

    def __init__(self, folder):
        self.decomposition = rp.Decomposition.load(folder)
        self.scores = rp.Scores.read(folder)
        self.exhibits = Exhibits.read(folder)

    def page(self, decomposition=None, scores=None, exhibits=None, **more):
        return render(
            decomposition or self.decomposition,
            scores or self.scores,
            exhibits or self.exhibits,
            **more,
        )


def words(html):
    """The text between the tags."""
    html = re.sub(r"<(script|style|defs)\b.*?</\1>", " ", html, flags=re.S)
    return re.sub(r"[ \n]+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()


def section(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, re.S).group()


def part(page, name):
    """What stands under one heading."""
    return re.search(rf'<h3 id="{name}">.*?(?=<h3 id=|</section>)', page, re.S).group()


def facts(html):
    return {
        words(name): re.sub(r"[ \n]+", " ", unescape(re.sub(r"<[^>]+>", "", value))).strip()
        for name, value in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html, re.S)
    }


def cards(page, ranking):
    """Title, mark and facts of each card of a ranking."""
    found = []
    for card in re.findall(r"<article.*?</article>", part(page, ranking), re.S):
        title, mark = re.search(
            r"<h4>.*? <small>(.*?)</small>(?: <span class=\"mark\">(.*?)</span>)?</h4>", card
        ).groups()
        found.append((title.capitalize(), mark or "", facts(card)))
    return found


def summary(page):
    text = re.search(r'<p class="summary">(.*?)</p>', page, re.S).group(1)
    return unescape(re.sub(r"<[^>]+>", "", text))


def score_row(page, name):
    """The cells of a score's row."""
    row = re.search(rf'<tr id="score-{name}">(.*?)</tr>', page, re.S).group(1)
    return [words(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)]


def captions(page):
    return [words(one) for one in re.findall(r"<figcaption>(.*?)</figcaption>", page, re.S)]


def unpack(text, shape, quantum):
    """Undo `pack`, as the page's script does."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(2, -1)
    steps = np.frombuffer(planes.T.tobytes(), "<i2").astype(np.float64)
    return torch.from_numpy(steps * quantum).float().reshape(shape)
