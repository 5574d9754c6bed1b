"""The fleet page's cards of one process, as JSON, and which of them to show anew.

What a robot does, who drives it, its lease, stop and version are shown at once. Figures that move on by themselves
(step, rate, last seen: `FIGURES`) of at most FIGURES_AT_ONCE robots are looked at and go out in one round, whose turn
is the longest ago: to every open page they are most of the bytes, and of thousands of robots nobody reads them all. Up
to 400 heartbeats a second all of them go out at once.
"""

from __future__ import annotations

import msgspec

from fleet.consumers.auth import off_loop
from fleet.protocol.messages import RobotCard
from fleet.selectors.robot_card import FIGURES, CardRows, card_rows, robot_cards_of

FIGURES_AT_ONCE = 100  # cards, of some 900 bytes, four times a second
_encode = msgspec.json.Encoder().encode


class Cards:
    """`shown`: robot id -> the newest card as JSON, by name."""

    def __init__(self) -> None:
        self.shown: dict[str, bytes] = {}
        self._cards: dict[str, RobotCard] = {}
        self._waiting: dict[str, None] = {}  # robots whose figures have their turn yet to come, in order
        self._read: CardRows | None = None

    async def refresh(
        self, robot_ids: set[str] | None, acting: set[str], beaten: set[str]
    ) -> tuple[dict[str, bytes], set[str]]:
        """Read the rows of these robots, or of all, and the statuses of these, of the `acting`, and of those of the
        `beaten` whose turn it is.

        Return the cards to show anew, and the robots that are gone.
        """
        for robot_id in (beaten - acting) & self.shown.keys():
            self._waiting.setdefault(robot_id)
        others = len(acting) + len(robot_ids or ())
        turns = list(self._waiting)[: max(FIGURES_AT_ONCE // 4, FIGURES_AT_ONCE - others)]  # some, however many others
        asks = robot_ids is None or robot_ids or acting or turns
        found = await off_loop(self._look, robot_ids, {*acting, *turns}) if asks else []
        asked = self.shown.keys() if robot_ids is None else self.shown.keys() & robot_ids
        gone = asked - {card.robot_id for card in found}
        for robot_id in gone:
            del self.shown[robot_id], self._cards[robot_id]
            self._waiting.pop(robot_id, None)
        changed = [card.robot_id for card in found if self._take(card)]
        for robot_id in turns:
            self._waiting.pop(robot_id, None)
        return {robot_id: self.shown[robot_id] for robot_id in (*turns, *changed) if robot_id in self.shown}, gone

    def _look(self, robot_ids: set[str] | None, live: set[str]) -> list[RobotCard]:
        """In a thread, one at a time."""
        if robot_ids is None or self._read is None:
            self._read = card_rows()
            return robot_cards_of(self._read)
        if robot_ids:
            read = card_rows(robot_ids=sorted(robot_ids))
            for robot_id in robot_ids - read.rows.keys():
                self._read.rows.pop(robot_id, None)
            self._read.rows.update(read.rows)
            self._read.newest = read.newest
        return robot_cards_of(self._read, robot_ids=robot_ids | live)

    def _take(self, card: RobotCard) -> bool:
        """Keep the card; return whether it is to be shown at once."""
        before, self._cards[card.robot_id] = self._cards.get(card.robot_id), card
        if card == before:
            return False
        self.shown[card.robot_id] = _encode(card)
        if before is not None and _with_figures_of(before, card) == before:
            self._waiting.setdefault(card.robot_id)
            return False
        self._waiting.pop(card.robot_id, None)
        return True


def _with_figures_of(before: RobotCard, card: RobotCard) -> RobotCard:
    return msgspec.structs.replace(card, **{name: getattr(before, name) for name in FIGURES})
