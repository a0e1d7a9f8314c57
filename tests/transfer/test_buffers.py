from asyncmirror.transfer.buffers import Buffers


def test_a_buffer_given_back_is_used_again_for_its_own_size_only() -> None:
    buffers = Buffers()
    first = buffers.take(10)
    assert len(first) == 10
    assert buffers.take(10) is not first
    buffers.give_back(first)
    assert buffers.take(11) is not first
    assert buffers.take(10) is first
