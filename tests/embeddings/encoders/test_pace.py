from tfrec_fusion.embeddings.encoders.pace import Pace


def test_requests_are_spread_by_the_scarcer_allowance():
    now = [0.0]
    pace = Pace(requests_per_minute=60, tokens_per_minute=600, clock=lambda: now[0])
    # A request takes 1 s of the requests, and 5 tokens .5 s, 20 tokens 2 s of the tokens.
    assert [pace.delay(5), pace.delay(20), pace.delay(5)] == [0.0, 1.0, 3.0]
    now[0] = 10.0
    assert pace.delay(5) == 0.0


def test_a_pause_holds_all_back():
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    assert [pace.delay(5), pace.delay(5)] == [0.0, 0.0]
    pace.pause(4)
    now[0] = 1.0
    assert [pace.delay(5), pace.delay(5)] == [3.0, 3.0]
