"""The history of a session as rows of a table, read page by page."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt
from qtpy.QtGui import QBrush, QColor, QFont

from napari_medseg.core.session import START, Entry, Session

PAGE = 200
COLUMNS = ("Action", "Time", "Who")
BEGINNING = "Beginning"
UNDONE = QColor("#8a8a8a")
"""Legible on dark and on light."""

Index = QModelIndex
NO_PARENT = QModelIndex()


class HistoryModel(QAbstractTableModel):
    """The newest action on top, the state before the first at the bottom.

    Strategy
    --------
    A history may have a hundred thousand rows, so that more are read when the view comes to the end of those that are
    there. Which of them are in effect is asked anew with each change, for the rows at hand only.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session: Session | None = None
        self._entries: list[Entry] = []
        self._complete = False

    def reload(self, session: Session | None) -> None:
        """Show another session, or the same one as it is now."""
        count = max(PAGE, len(self._entries) if session is self._session else 0)
        # A session that cannot be read leaves the rows as they are.
        entries = [] if session is None else session.history(count)
        self.beginResetModel()
        self._session, self._entries = session, []
        self._take(entries, count)
        self.endResetModel()

    def action_at(self, row: int) -> int:
        """The id of the action of a row."""
        return self._entries[row].action.id if row < len(self._entries) else START

    def head_row(self) -> int:
        """The row of the newest action in effect; -1 where it is not read yet."""
        rows = (row for row, entry in enumerate(self._entries) if entry.is_head)
        return next(rows, len(self._entries) if self._complete and self._session is not None else -1)

    def rowCount(self, parent: Index = NO_PARENT) -> int:
        """Rows that are read, and the beginning once it is reached."""
        return 0 if parent.isValid() else len(self._entries) + (self._complete and self._session is not None)

    def columnCount(self, parent: Index = NO_PARENT) -> int:
        """What is told of each action."""
        return 0 if parent.isValid() else len(COLUMNS)

    def canFetchMore(self, parent: Index) -> bool:
        """Whether there may be older actions."""
        return not parent.isValid() and not self._complete

    def fetchMore(self, parent: Index) -> None:
        """Read older actions."""
        older = self._older(PAGE)
        first = len(self._entries)
        # The beginning comes with the last page.
        last = first + len(older) - 1 + (len(older) < PAGE)
        self.beginInsertRows(parent, first, last)
        self._take(older, PAGE)
        self.endInsertRows()

    def headerData(self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The titles of the columns."""
        wanted = orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole
        return COLUMNS[section] if wanted else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, looks and tooltip of a cell."""
        entry = self._entries[index.row()] if index.row() < len(self._entries) else None
        if role == Qt.ItemDataRole.DisplayRole:
            return _cells(entry)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tooltip(entry)
        if role == Qt.ItemDataRole.ForegroundRole and entry is not None and not entry.in_effect:
            return QBrush(UNDONE)
        if role == Qt.ItemDataRole.FontRole:
            return _font(entry, index.row() == self.head_row())
        return None

    def _older(self, count: int) -> list[Entry]:
        if self._session is None:
            return []
        return self._session.history(count, self._entries[-1].action.id if self._entries else None)

    def _take(self, entries: list[Entry], asked: int) -> None:
        self._entries += entries
        self._complete = len(entries) < asked


def _cells(entry: Entry | None) -> tuple[str, str, str]:
    if entry is None:
        return BEGINNING, "", ""
    return entry.action.name, when(entry.action.time_utc), entry.action.who


def _font(entry: Entry | None, is_head: bool) -> QFont:
    font = QFont()
    font.setBold(is_head)
    font.setItalic(entry is not None and not entry.in_effect)
    return font


def _tooltip(entry: Entry | None) -> str:
    if entry is None:
        return "Before the first action. Click to go there; what follows can be done again."
    action = entry.action
    lines = [action.name, " · ".join(filter(None, (when(action.time_utc, full=True), action.who, action.tool)))]
    if not entry.is_head:
        lines.append("Click to go back to here." if entry.in_effect else "Not in effect. Click to go there.")
    return f"<qt>{'<br>'.join(escape(line, quote=False) for line in lines)}</qt>"


def when(time_utc: str, *, full: bool = False) -> str:
    """A moment in local time, in short; the date where it is not today."""
    try:
        moment = datetime.fromisoformat(time_utc).astimezone()
    except ValueError:
        return time_utc
    if full:
        return moment.strftime("%Y-%m-%d %H:%M:%S")
    is_today = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S" if is_today else "%d %b %H:%M")
