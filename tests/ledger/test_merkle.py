"""The tree against RFC 6962's recursive definition, the published vectors, and every single-bit lie we can tell."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

VECTOR_INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(str(n).encode()) for n in range(70)]


def recursive_root(leaves):
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(recursive_root(leaves[:k]), recursive_root(leaves[k:]))


def test_the_roots_are_those_of_the_certificate_transparency_vectors():
    leaves = [leaf_hash(bytes.fromhex(text)) for text in VECTOR_INPUTS]
    assert [root(leaves[: n + 1]).hex() for n in range(8)] == VECTOR_ROOTS
    assert root([]) == EMPTY_ROOT


@pytest.mark.parametrize("size", range(70))
def test_a_frontier_grown_leaf_by_leaf_has_the_root_of_the_definition(size):
    assert root(LEAVES[:size]) == recursive_root(LEAVES[:size])


def test_a_frontier_that_was_kept_goes_on_where_it_stopped():
    first = Frontier()
    for leaf in LEAVES[:37]:
        first.append(leaf)
    second = Frontier(first.size, first.hashes)
    for leaf in LEAVES[37:]:
        second.append(leaf)
    assert second.root() == recursive_root(LEAVES)


def test_a_copy_leaves_the_original_alone():
    first = Frontier()
    first.copy().append(LEAVES[0])
    assert first.size == 0
    assert first.root() == EMPTY_ROOT


@pytest.mark.parametrize(("size", "hashes"), [(1, ()), (3, (b"x" * 32,)), (1, (b"short",)), (-1, ())])
def test_what_is_no_frontier_is_refused(size, hashes):
    with pytest.raises(ValueError, match="no frontier"):
        Frontier(size, hashes)


def test_every_leaf_of_every_small_tree_is_proven_and_no_other():
    for size in range(1, 34):
        leaves = LEAVES[:size]
        tree = root(leaves)
        for index in range(size):
            path = inclusion_proof(leaves, index)
            assert verify_inclusion(leaves[index], index, size, path, tree)
            assert not verify_inclusion(LEAVES[69], index, size, path, tree)
            assert not verify_inclusion(leaves[index], index, size, (*path, LEAVES[0]), tree)
            if size > 1:
                assert not verify_inclusion(leaves[index], (index + 1) % size, size, path, tree)
                assert not verify_inclusion(leaves[index], index, size, path[:-1], tree)


def test_every_small_tree_is_proven_a_prefix_of_every_larger_one_and_a_forked_one_is_not():
    for new in range(1, 34):
        new_root = root(LEAVES[:new])
        for old in range(1, new + 1):
            path = consistency_proof(LEAVES[:new], old)
            forked = root([*LEAVES[: old - 1], LEAVES[69]])
            assert verify_consistency(old, new, path, root(LEAVES[:old]), new_root)
            assert not verify_consistency(old, new, path, forked, new_root)
            assert not verify_consistency(old, new, path, root(LEAVES[:old]), LEAVES[68])
            assert not verify_consistency(old, new, (*path, LEAVES[0]), root(LEAVES[:old]), new_root)


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_for_a_leaf_that_is_not_there(index):
    with pytest.raises(IndexError):
        inclusion_proof(LEAVES[:3], index)
    assert not verify_inclusion(LEAVES[0], index, 3, (), root(LEAVES[:3]))


@pytest.mark.parametrize("old_size", [0, 4])
def test_there_is_no_proof_for_a_tree_that_is_not_inside(old_size):
    with pytest.raises(IndexError):
        consistency_proof(LEAVES[:3], old_size)
    assert not verify_consistency(old_size, 3, (), EMPTY_ROOT, root(LEAVES[:3]))


@given(st.integers(1, 69), st.data())
def test_a_proof_with_one_bit_turned_is_refused(size, data):
    index = data.draw(st.integers(0, size - 1))
    path = list(inclusion_proof(LEAVES[:size], index))
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        bit = data.draw(st.integers(0, 255))
        path[at] = (int.from_bytes(path[at]) ^ (1 << bit)).to_bytes(32)
        assert not verify_inclusion(LEAVES[index], index, size, path, root(LEAVES[:size]))
