from gen.cli.screen.curve import curve


def test_a_falling_curve_falls_from_left_to_right() -> None:
    lines = curve([(0.0, 4.0), (1.0, 2.0)], width=40, height=5)
    heights = [sum(line[column] != " " for line in lines) for column in range(9, 40)]
    assert len(lines) == 5
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > heights[-1]


def test_lines_are_no_wider_than_asked() -> None:
    assert {len(line) for line in curve([(0.0, 1.0), (5.0, 3.0), (6.0, 2.0)], width=50, height=4)} == {50}


def test_a_mark_is_named_where_there_is_room() -> None:
    lines = curve([(0.0, 4.0), (1.0, 2.0)], width=60, height=6, marks={"trigram": 3.2, "far": 9.0})
    assert any("trigram" in line for line in lines)
    assert not any("far" in line for line in lines)


def test_a_flat_curve_is_drawn() -> None:
    assert len(curve([(0.0, 1.0), (1.0, 1.0)], width=20, height=3)) == 3
