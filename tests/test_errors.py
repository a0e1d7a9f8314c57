import ast
import asyncio
import pickle
from pathlib import Path

import pytest

import asyncmirror
from asyncmirror.errors import AsyncmirrorError, StoreError, UnreachableError, cause


@pytest.mark.parametrize("kind", [StoreError, UnreachableError])
def test_a_login_in_a_url_is_in_no_error_of_the_store(kind: type[StoreError]) -> None:
    error = kind("cannot connect to http://me:pa%40ss@proxy:3128 or //you:word@host", op="PutObject", path="a//b@c")
    assert str(error) == "PutObject: a//b@c: cannot connect to http://[hidden]@proxy:3128 or //[hidden]@host"
    for text in (repr(error), str(error.args), str(pickle.loads(pickle.dumps(error)))):
        assert "pa%40ss" not in text
        assert "you:word" not in text


async def fail(error: Exception) -> None:
    raise error


async def run_together(*errors: Exception) -> None:
    try:
        async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
            for error in errors:
                inner.create_task(fail(error))
            outer.create_task(asyncio.sleep(0))
    except BaseExceptionGroup as group:
        raise cause(group) from None


async def test_tasks_that_failed_come_to_the_first_of_their_errors() -> None:
    with pytest.raises(StoreError, match="the first"):
        await run_together(StoreError("the first"), AsyncmirrorError("the second"))


async def test_a_bug_is_not_hidden_by_an_error_beside_it() -> None:
    with pytest.raises(BaseExceptionGroup) as raised:
        await run_together(StoreError("an error"), ZeroDivisionError())
    assert raised.value.subgroup(ZeroDivisionError) is not None
    assert raised.value.subgroup(StoreError) is not None


def test_nothing_is_raised_where_some_versions_of_python_would_wrap_it() -> None:
    for path in Path(asyncmirror.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.TryStar):
                raises = [each for handler in node.handlers for each in ast.walk(handler) if isinstance(each, ast.Raise)]
                assert not raises, f"{path}:{raises[0].lineno}"
