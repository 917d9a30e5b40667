"""The store against a model of three lines, through any sequence of calls, locks and restarts."""

import tempfile
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)
from tests.fakes import FakeClock

from privyseal.errors import LockedError, NotFoundError
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime import vault
from privyseal.runtime.vaultcare import contents
from privyseal.wire.vault import Cost

PASSPHRASE: Final = Secret(b"correct horse")

# Few words, so that searches and replacements meet what is there.
words = st.sampled_from(["a", "A", "b", "ab", "", "é"])
attribute_sets = st.dictionaries(words, words, max_size=3)
values = st.binary(max_size=5)


class StoreMachine(RuleBasedStateMachine):
    items: Bundle[ItemRef] = Bundle("items")
    collections: Bundle[str] = Bundle("collections")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "store"
        self.store = vault.create(self.path, PASSPHRASE, clock=FakeClock(), cost=Cost(log2_n=10))
        self.labels = {"login": "Login"}
        self.expected: dict[ItemRef, tuple[str, dict[str, str], bytes]] = {}

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @initialize(target=collections)
    def first(self) -> str:
        return "login"

    @rule(target=collections, label=words)
    def new_collection(self, label: str) -> str:
        made = self.store.create_collection(label)
        assert made not in self.labels
        self.labels[made] = label
        return made

    @rule(collection=collections, label=words)
    def rename_collection(self, collection: str, label: str) -> None:
        if collection in self.labels:
            self.store.change_collection(collection, label)
            self.labels[collection] = label

    @rule(collection=consumes(collections))
    def delete_collection(self, collection: str) -> None:
        self.store.delete_collection(collection)
        del self.labels[collection]
        for ref in [ref for ref in self.expected if ref.collection == collection]:
            del self.expected[ref]

    @rule(
        target=items,
        collection=collections,
        label=words,
        attributes=attribute_sets,
        value=values,
        replace=st.booleans(),
    )
    def create(
        self,
        collection: str,
        label: str,
        attributes: dict[str, str],
        value: bytes,
        *,
        replace: bool,
    ) -> ItemRef:
        same = [
            ref
            for ref, (_, found, _) in self.expected.items()
            if ref.collection == collection and found == attributes
        ]
        made, fresh = self.store.create(
            collection, label, attributes, Secret(value), replace=replace
        )
        assert fresh == (made not in self.expected)
        if replace and same:
            assert made == same[0]
        else:
            assert fresh
        self.expected[made] = (label, attributes, value)
        return made

    @rule(ref=items, value=values)
    def write(self, ref: ItemRef, value: bytes) -> None:
        if ref not in self.expected:
            with pytest.raises(NotFoundError):
                self.store.write(ref, Secret(value))
            return
        self.store.write(ref, Secret(value))
        self.expected[ref] = (*self.expected[ref][:2], value)

    @rule(ref=items, label=st.none() | words, attributes=st.none() | attribute_sets)
    def change(self, ref: ItemRef, label: str | None, attributes: dict[str, str] | None) -> None:
        if ref not in self.expected:
            with pytest.raises(NotFoundError):
                self.store.change(ref, label=label, attributes=attributes)
            return
        self.store.change(ref, label=label, attributes=attributes)
        was, had, value = self.expected[ref]
        self.expected[ref] = (
            was if label is None else label,
            had if attributes is None else attributes,
            value,
        )

    @rule(ref=items)
    def delete(self, ref: ItemRef) -> None:
        if ref in self.expected:
            self.store.delete(ref)
            del self.expected[ref]
        with pytest.raises(NotFoundError):
            self.store.delete(ref)

    @rule(attributes=attribute_sets)
    def lock_and_unlock(self, attributes: dict[str, str]) -> None:
        found = self.store.search(attributes)
        self.store.lock()
        assert self.store.search(attributes) == found
        for ref in found:
            with pytest.raises(LockedError):
                self.store.read(ref)
        self.store.unlock(PASSPHRASE)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = vault.load(self.path, clock=FakeClock())
        self.store.unlock(PASSPHRASE)

    @rule(attributes=attribute_sets)
    def search(self, attributes: dict[str, str]) -> None:
        found = [r for r, (_, a, _) in self.expected.items() if attributes.items() <= a.items()]
        assert list(self.store.search(attributes)) == found
        for collection in self.labels:
            here = [ref for ref in found if ref.collection == collection]
            assert list(self.store.search(attributes, collection)) == here

    @invariant()
    def holds_exactly_what_was_put(self) -> None:
        held = {
            info.ref: (info.label, info.attributes, value.expose())
            for _, _, info, value in contents(self.store)
        }
        assert held == self.expected
        assert {c.id: c.label for c in self.store.collections()} == self.labels


test_store_behaves_like_its_model = StoreMachine.TestCase
StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
