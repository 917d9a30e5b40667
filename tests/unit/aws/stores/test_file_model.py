"""The file store does what a store in memory does, whatever is asked of it in whatever order."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule
from tests.fakes import FakeClock
from tests.fakes_stores import MemoryStore
from tests.soak import times

from privyseal.aws.ports import Item
from privyseal.aws.stores.file import FileStore
from privyseal.errors import NotFoundError
from privyseal.model.secret import Secret

NAMES = st.text(alphabet="ab/%.-2F:,ü ", min_size=1, max_size=12) | st.sampled_from(
    ["jon", "oidc:https://x/start", "%2F", "%252F", "..", "a%2fb"]
)
NOTES = st.dictionaries(st.sampled_from(["tail", "mfa"]), st.text(max_size=5), max_size=2)


class TwoStores(RuleBasedStateMachine):
    """One in files, opened anew now and then, and one in memory."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="pv")
        self.model = MemoryStore()
        self.open()

    def teardown(self) -> None:
        self._folder.cleanup()

    @rule()
    def open(self) -> None:
        def passphrase(*, new: bool) -> Secret:
            del new
            return Secret(b"correct horse")

        path = Path(self._folder.name) / "keys"
        self.store = FileStore(path, passphrase, FakeClock(), rounds=1, random=os.urandom)

    @rule(target=names, name=NAMES, value=st.binary(min_size=1, max_size=9), notes=NOTES)
    def write(self, name: str, value: bytes, notes: dict[str, str]) -> str:
        for store in (self.store, self.model):
            store.write(Item(name, Secret(value), notes=notes))
        return name

    @rule(name=names)
    def read(self, name: str) -> None:
        if name in self.model.entries():
            assert self.store.read(name) == self.model.read(name)
        else:
            with pytest.raises(NotFoundError):
                self.store.read(name)

    @rule(target=names, name=names)
    def remove(self, name: str) -> object:
        if name in self.model.entries():
            self.store.remove(name)
            self.model.remove(name)
        else:
            with pytest.raises(NotFoundError):
                self.store.remove(name)
        return multiple()

    @invariant()
    def entries_are_the_same(self) -> None:
        assert self.store.entries() == self.model.entries()


test_file_store_behaves_like_its_model = pytest.mark.timeout(900)(TwoStores.TestCase)
TwoStores.TestCase.settings = settings(
    max_examples=times(30, soak=1000), stateful_step_count=20, deadline=None
)
