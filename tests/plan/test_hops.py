from asyncmirror.plan.hops import Hops

FAST, SLOW = 0.000_01, 0.06


def inline(hops: Hops) -> bool:
    return hops.inline


def test_a_network_file_system_is_never_read_on_the_loop() -> None:
    hops = Hops(local=False)
    assert not inline(hops)
    for _ in range(100_000):
        hops.read_in_hop(16, FAST * 16)
    assert not inline(hops)


def test_a_slow_read_sends_reading_to_the_threads_and_longer_each_time() -> None:
    hops = Hops(local=True)
    waits = []
    for _ in range(12):
        assert inline(hops)
        hops.read_inline(SLOW)
        files = 0
        while not inline(hops):
            hops.read_in_hop(16, 16 * FAST)
            files += 16
        waits.append(files)
    assert waits[:3] == [256, 512, 1024]
    assert waits[-2:] == [1 << 17, 1 << 17]


def test_reads_that_are_all_a_little_slow_go_to_the_threads_too() -> None:
    hops = Hops(local=True)
    count = 0
    while inline(hops):
        hops.read_inline(0.002)
        count += 1
    assert 10 < count < 100


def test_fast_reads_stay_and_forgive_an_old_slow_one() -> None:
    hops = Hops(local=True)
    hops.read_inline(SLOW)
    hops.read_in_hop(256, 256 * FAST)
    for _ in range(512):
        hops.read_inline(FAST)
    assert inline(hops)
    hops.read_inline(SLOW)
    hops.read_in_hop(256, 256 * FAST)
    assert inline(hops)  # the first penalty again, not the second


def test_a_hop_is_worth_two_milliseconds_and_at_most_sixteen_files() -> None:
    hops = Hops(local=False)
    for each, files in ((0.000_01, 16), (0.000_5, 4), (0.005, 1), (0.0, 16)):
        hops.read_in_hop(10, 10 * each)
        assert hops.files == files
