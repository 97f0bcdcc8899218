"""The page: sections of text, tables and pictures, in one file that needs no other and no network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from analysis.report.parts.blocks import Section
from analysis.report.parts.pictures import Picture
from analysis.report.parts.table_rendering import Table
from traces.escaping import visible_lines

TEMPLATE, STYLE = "page.html.jinja", "page.css"
FIGURES, TABLES = "figures", "tables"


@dataclass(frozen=True)
class Page:
    """The whole of it."""

    title: str
    question: str
    facts: tuple[tuple[str, str], ...]
    """Name and value, shown at the top."""
    formats: tuple[str, ...]
    """What its figures are written as, beside the page."""
    sections: tuple[Section, ...]
    made: str
    """By what, when and from what."""

    @property
    def tables(self) -> list[Table]:
        return [block for part in self.sections for block in part.blocks if isinstance(block, Table)]

    @property
    def pictures(self) -> list[Picture]:
        return [block for part in self.sections for block in part.blocks if isinstance(block, Picture)]


def to_html(page: Page) -> str:
    """The page as HTML; whatever a record or a sweep says in it is text."""
    numbers = {id(table): place for place, table in enumerate(page.tables, start=1)}
    numbers |= {id(picture): place for place, picture in enumerate(page.pictures, start=1)}
    template = _environment().from_string(_resource(TEMPLATE))
    text: str = template.render(
        page=page,
        style=Markup(_resource(STYLE)),  # ours, and in a <style> nothing is escaped
        number=lambda block: numbers[id(block)],
        kind=lambda block: type(block).__name__,
        source=_source,
        figures=FIGURES,
        tables=TABLES,
    )
    return visible_lines(text)


@cache
def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@cache
def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _source(picture: Picture) -> str:
    """The picture itself, for an `img`: there no script in it runs, and its ids meet no other's."""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.svg).decode()}"
