import pickle

import pytest

from asyncmirror.errors import StoreError, UnreachableError


@pytest.mark.parametrize("kind", [StoreError, UnreachableError])
def test_a_login_in_a_url_is_in_no_error_of_the_store(kind: type[StoreError]) -> None:
    error = kind("cannot connect to http://me:pa%40ss@proxy:3128 or //you:word@host", op="PutObject", path="a//b@c")
    assert str(error) == "PutObject: a//b@c: cannot connect to http://[hidden]@proxy:3128 or //[hidden]@host"
    for text in (repr(error), str(error.args), str(pickle.loads(pickle.dumps(error)))):
        assert "pa%40ss" not in text
        assert "you:word" not in text
