"""The name of a cached session: all that went into it, and nothing that did not."""

from typing import Any

import msgspec
from hypothesis import given, strategies as st
from tests.plans import kept_sources, outside_sources, plans as plans_of

from privyseal.aws.cache import Stage
from privyseal.model.aws import Plan, RoleStep
from privyseal.model.value import encode

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=8)
sources = st.one_of(kept_sources(names), outside_sources(names))
plans = plans_of(names, sources)


def last(plan: Plan) -> Stage:
    return Stage(plan, len(plan.steps))


def inputs(plan: Plan) -> bytes:
    return encode([plan.source, plan.steps, plan.network])


@given(plans, plans, names, names)
def test_two_plans_share_a_session_only_when_everything_is_the_same(
    one: Plan, other: Plan, mark: str, other_mark: str
):
    same = (inputs(one), mark) == (inputs(other), other_mark)

    assert (last(one).digest(mark) == last(other).digest(other_mark)) == same


@given(plans, names, st.data())
def test_each_single_input_makes_another_session(plan: Plan, mark: str, data: st.DataObject):
    place = data.draw(st.sampled_from(list(_leaves(msgspec.to_builtins(plan)))))
    changed = msgspec.to_builtins(plan)
    _change(changed, place)
    other = msgspec.convert(changed, Plan)

    matters = place[0] in {"source", "steps", "network"}

    assert (last(plan).digest(mark) != last(other).digest(mark)) == matters


@given(plans, names)
def test_the_beginning_of_a_plan_is_shared_by_all_that_go_on_from_it(plan: Plan, mark: str):
    longer = msgspec.structs.replace(
        plan, steps=(*plan.steps[:3], RoleStep(arn="arn:aws:iam::1:role/next"))
    )

    for number in range(min(len(plan.steps), 3) + 1):
        assert Stage(plan, number).digest(mark) == Stage(longer, number).digest(mark)


@given(plans)
def test_what_is_renewed_early_still_serves_for_most_of_its_life(plan: Plan):
    stage = last(plan)

    assert stage.early >= plan.least
    assert stage.early <= max(plan.least, stage.lifetime // 3, 0)
    if stage.lifetime >= 3600:
        assert stage.early >= 20 * 60


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, (*path, key))
    elif isinstance(value, list | tuple):
        for at, part in enumerate(value):
            yield from _leaves(part, (*path, at))
    elif not path or path[-1] not in {"from", "step"}:
        yield path


def _change(tree: Any, path: tuple[Any, ...]) -> None:
    *way, leaf = path
    for key in way:
        tree[key] = list(tree[key]) if isinstance(tree[key], tuple) else tree[key]
        tree = tree[key]
    old = tree[leaf]
    if isinstance(old, bool):
        tree[leaf] = not old
    elif isinstance(old, int):
        tree[leaf] = (old + 1) % (36 * 3600)
    else:
        tree[leaf] = f"{old}x"
