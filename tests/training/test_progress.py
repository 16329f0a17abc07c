"""Progress where nobody watches a terminal: a plain line now and then."""

import io

from rich.console import Console

from training.progress import shown


def test_without_a_terminal_a_step_says_its_first_its_last_and_a_line_every_fifteen_seconds() -> None:
    out, now = io.StringIO(), [0.0]
    with shown(Console(file=out), lambda: now[0]) as tell:
        for second in range(41):
            now[0] = float(second)
            tell("retrieval, first stage", second / 40)
        tell("retrieval, first stage", 1.0)
        tell("ranking", 0.0)
    assert out.getvalue().splitlines() == [
        "retrieval, first stage: 0 %",
        "retrieval, first stage: 38 % (25 s left)",
        "retrieval, first stage: 75 % (10 s left)",
        "retrieval, first stage: 100 %",
        "ranking: 0 %",
    ]


def test_on_a_terminal_it_draws_bars() -> None:
    out = io.StringIO()
    with shown(Console(file=out, force_terminal=True, width=80)) as tell:
        tell("ranking", 0.5)
    assert "━" in out.getvalue()
    assert "50 %" not in out.getvalue()


def test_the_loss_stands_beside_its_step_and_time_left_counts_from_where_a_resumed_training_began() -> None:
    out, now = io.StringIO(), [0.0]
    with shown(Console(file=out), lambda: now[0]) as tell:
        tell("ranker", 0.5)
        now[0] = 300.0
        tell.note("ranker", 4.25)
        tell("ranker", 0.6)
    assert out.getvalue().splitlines() == ["ranker: 50 %", "ranker: 60 % (loss 4.2500, 20 min left)"]
